# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Store: the engine inside a Python process.

A Store is a mapping of bytes to bytes over the same typed operations that the server uses, and safe from any number of
threads. How it meets the GIL: a method tries the shard lock while it holds the GIL, and only if another thread has the
lock does it let go of the GIL and wait (THE RULE OF ENGINE LOCKS, engine/rwlock.pxd). What may take long (storing a
large value, flushing, a command) runs without the GIL.

With a data directory, a method returns when what it has done or seen is as durable as `appendfsync` promises.

Limits: a key or value has at most 512 MB."""
import os
from collections.abc import KeysView, MutableMapping
from operator import index

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kvcy._conversions cimport (
    argument_bytes, borrow, bytes_from_block, clock_ms, collect_key, data_bytes, deadline_ms, raise_for)
from kvcy._log_waiting cimport check_log, wait_log
from kvcy._worker cimport Worker, check_command, decode_reply, worker_new
from kvcy.commands.service cimport service_free, service_new
from kvcy.engine.block cimport Bytes, block_retain
from kvcy.engine.entry cimport TYPE_STRING, Entry, entry_expire_ms, entry_type, entry_value
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport (
    EXPIRE_NONE, keyspace_delete, keyspace_expire_at, keyspace_get, keyspace_peek, keyspace_put, keyspace_settle)
from kvcy.engine.shards cimport (
    DATABASES_MAX, SHARDS_MAX, ShardSet, keyspace_free, keyspace_key, keyspace_memory_bytes, keyspace_new, shard_lock,
    shard_try_lock, shard_unlock, shards_add_all, shards_clear, shards_lock, shards_unlock)
from kvcy.engine.whole cimport keyspace_count, keyspace_flush, keyspace_walk
from kvcy.engine.platform cimport unlikely
from kvcy.engine.quiet cimport quiet_reclaim, quiet_waiting
from kvcy.engine.status cimport OK, Status

from kvcy._ordering import first_key, key_prefix, key_range, last_key
from kvcy._views import LiveItems, LiveValues
from kvcy.errors import StoreClosedError, WrongTypeError

cdef enum:
    COPY_BYTES_MAX = 65536           # more than this is copied without the GIL
    WALK_SLOTS = 512                 # looked at under one hold of a shard's lock

cdef object MISSING = object()


cdef class Store:
    """A key-value store in this process: a mutable mapping of bytes to bytes.

    Keys and values are bytes (bytearray and memoryview are taken too). Every method may be called from any thread.

    Args:
        shards: how many shards the keys are spread over, a power of two from 1 to 1024.
        database: which of the 16 databases the mapping shows.
        hash_key: 16 bytes that key the hash of keys; drawn at random when empty.

    Raises:
        ValueError: shards, database or hash_key out of range.
        MemoryError: no memory for the shards.
    """

    def __cinit__(self, *, int shards=256, int database=0, bytes hash_key=b""):
        cdef HashKey key
        cdef bytes secret = hash_key or os.urandom(16)
        if len(secret) != 16:
            raise ValueError(f"hash_key must have 16 bytes, not {len(secret)}")
        if not 0 < shards <= SHARDS_MAX or shards & (shards - 1):
            raise ValueError(f"shards must be a power of two from 1 to {SHARDS_MAX}, not {shards}")
        if not 0 <= database < DATABASES_MAX:
            raise ValueError(f"database must be from 0 to {DATABASES_MAX - 1}, not {database}")
        key.k0 = int.from_bytes(secret[:8], "little")
        key.k1 = int.from_bytes(secret[8:], "little")
        self.keyspace = keyspace_new(<uint32_t> shards, &key)
        self.service = service_new()
        if self.keyspace == NULL or self.service == NULL:
            raise MemoryError("no memory for the store")
        self.database = database
        self._workers = []

    def __dealloc__(self):
        if self.service != NULL:
            service_free(self.service)
        if self.keyspace != NULL:
            with nogil:
                keyspace_free(self.keyspace)

    cdef int check_open(self) except -1:
        if self.closed or self.left:
            why = "that of the process of which this one is a fork" if self.left else "closed"
            raise StoreClosedError(f"the store is {why}")
        return 0

    cdef Access access(self, bint exclusive) noexcept nogil:
        cdef Access access
        memset(&access, 0, sizeof(Access))
        access.keyspace = self.keyspace
        access.now_ms = clock_ms()
        access.database = self.database
        access.exclusive = exclusive
        return access

    cdef void lock(self, const Key* key, bint exclusive) noexcept:
        if unlikely(not shard_try_lock(self.keyspace, key.shard, exclusive)):
            with nogil:
                shard_lock(self.keyspace, key.shard, exclusive)

    cdef uint64_t unlock(self, const Key* key, bint exclusive) noexcept nogil:
        """Unlocks the key's shard; the position of its last change in the log."""
        cdef uint64_t position = self.keyspace.shards[key.shard].position
        shard_unlock(self.keyspace, key.shard, exclusive)
        return position

    cdef int check_writable(self) except -1:
        self.check_open()
        return check_log(self.keyspace)

    # --- one key

    def get(self, key, default=None):
        """The value of `key`, or `default` when it is missing or expired.

        Raises:
            WrongTypeError: the key holds a value that is not a string.
        """
        cdef Bytes name
        cdef Key where
        cdef Access access
        cdef const Entry* entry
        cdef Bytes value
        cdef object result = default
        cdef bint right_type = True
        cdef uint64_t position
        self.check_open()
        _held = borrow(key, &name)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(False)
        value.block = NULL
        self.lock(&where, False)
        entry = keyspace_get(&access, &where)
        if entry != NULL:
            right_type = entry_type(entry) == TYPE_STRING
            if right_type:
                value = entry_value(entry)
                if value.block == NULL:
                    result = PyBytes_FromStringAndSize(value.data, <Py_ssize_t> value.size)
                else:
                    block_retain(value.block)
        position = self.unlock(&where, False)
        if unlikely(access.expired_seen != 0):
            with nogil:
                keyspace_settle(&access, &where)
        if value.block != NULL:
            result = bytes_from_block(value.block)
        wait_log(self.keyspace, position)
        if not right_type:
            raise WrongTypeError("the key holds another type of value")
        return result

    def set(self, key, value, *, ttl=None):
        """Sets `key` to `value`, replacing what was there, its expiry included.

        Args:
            ttl: seconds until the key expires (int or float, above 0); None: never.

        Raises:
            ValueError: the ttl is not above 0.
            ValueTooLargeError: the value has more than 512 MB.
            MemoryError: there is no memory; nothing was changed.
            LogError: the data directory takes no writes, or the change may be lost with the next crash.
        """
        cdef Bytes name
        cdef Bytes content
        cdef Key where
        cdef Access access
        cdef Status status
        cdef int64_t expire_ms = EXPIRE_NONE
        cdef uint64_t position
        self.check_writable()
        _held_key = borrow(key, &name)
        _held_value = borrow(value, &content)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(True)
        if ttl is not None:
            expire_ms = deadline_ms(ttl, access.now_ms)
        if content.size > COPY_BYTES_MAX:
            with nogil:
                shard_lock(self.keyspace, where.shard, True)
                status = keyspace_put(&access, &where, content, expire_ms)
                position = self.unlock(&where, True)
        else:
            self.lock(&where, True)
            status = keyspace_put(&access, &where, content, expire_ms)
            position = self.unlock(&where, True)
        self.reclaim()
        raise_for(status)
        wait_log(self.keyspace, position)

    def delete(self, key):
        """Deletes `key`; whether it was there."""
        cdef Bytes name
        cdef Key where
        cdef Access access
        cdef bint there
        cdef uint64_t position
        self.check_writable()
        _held = borrow(key, &name)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(True)
        self.lock(&where, True)
        there = keyspace_delete(&access, &where)
        position = self.unlock(&where, True)
        self.reclaim()
        wait_log(self.keyspace, position)
        return there

    def expire(self, key, seconds):
        """Lets `key` expire in `seconds` (int or float, above 0), or never (None); whether the key is there."""
        cdef Bytes name
        cdef Key where
        cdef Access access
        cdef Status status
        cdef int64_t expire_ms = EXPIRE_NONE
        cdef uint64_t position
        self.check_writable()
        _held = borrow(key, &name)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(True)
        if seconds is not None:
            expire_ms = deadline_ms(seconds, access.now_ms)
        self.lock(&where, True)
        status = keyspace_expire_at(&access, &where, expire_ms)
        position = self.unlock(&where, True)
        raise_for(status)
        wait_log(self.keyspace, position)
        return status == OK

    def ttl(self, key):
        """Seconds until `key` expires, as a float; None when it never does.

        Raises:
            KeyError: the key is missing.
        """
        cdef Bytes name
        cdef Key where
        cdef Access access
        cdef const Entry* entry
        cdef int64_t expire_ms = -1
        cdef uint64_t position
        self.check_open()
        _held = borrow(key, &name)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(False)
        self.lock(&where, False)
        entry = keyspace_peek(&access, &where)
        if entry != NULL:
            expire_ms = entry_expire_ms(entry)
        position = self.unlock(&where, False)
        wait_log(self.keyspace, position)
        if expire_ms < 0:
            raise KeyError(key)
        return (expire_ms - access.now_ms) / 1000.0 if expire_ms else None

    def incr(self, key, amount=1):
        """Adds `amount` to the integer at `key` (a missing key counts as 0); the sum.

        Raises:
            ReplyError: the value is not a 64-bit integer, or the sum would not be one.
        """
        return self.execute(b"INCRBY", data_bytes(key), b"%d" % index(amount))

    # --- a command

    def execute(self, *arguments):
        """Runs one command as a client of the server would send it: `store.execute(b"SET", b"k", b"v", b"NX")`.

        Arguments may be bytes, str (as UTF-8), int or float. The reply comes as RESP3 clients show it: bytes, int,
        float, bool, None, list, dict, set. Each call stands by itself: SELECT lasts for its own call only, and MULTI is
        refused.

        Raises:
            ReplyError: the command failed; the message is the server's.
        """
        cdef Worker worker
        cdef uint64_t position
        self.check_open()
        encoded = [argument_bytes(argument) for argument in arguments]
        if not encoded:
            raise TypeError("execute() needs a command")
        check_command(encoded[0])
        worker = self._workers.pop() if self._workers else worker_new(self, self.keyspace, self.service)
        reply = worker.run(encoded, self.database)
        position = worker.executor.gate
        worker.executor.gate = 0
        self._workers.append(worker)
        self.reclaim()
        wait_log(self.keyspace, position)
        return decode_reply(encoded[0], reply)

    cdef void reclaim(self) noexcept:
        """Frees what this or another thread has retired."""
        if unlikely(quiet_waiting() != 0):
            with nogil:
                quiet_reclaim(64)

    # --- the mapping

    def __getitem__(self, key):
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key, value):
        self.set(key, value)

    def __delitem__(self, key):
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key):
        cdef Bytes name
        cdef Key where
        cdef Access access
        cdef bint there
        cdef uint64_t position
        self.check_open()
        _held = borrow(key, &name)
        where = keyspace_key(self.keyspace, name.data, name.size)
        access = self.access(False)
        self.lock(&where, False)
        there = keyspace_peek(&access, &where) != NULL
        position = self.unlock(&where, False)
        wait_log(self.keyspace, position)
        return there

    def __len__(self):
        self.check_open()
        return keyspace_count(self.keyspace, self.database)

    def __iter__(self):
        """Iterates over the keys: each that is there all the time comes exactly once, whatever else changes."""
        cdef uint64_t cursor = 0
        while True:
            self.check_open()
            keys, cursor = self.walk(cursor)
            yield from keys
            if cursor == 0:
                return

    cdef tuple walk(self, uint64_t cursor):
        """The next keys from the cursor on, and the cursor after them (0 at the end)."""
        cdef Access access = self.access(False)
        cdef list keys = []
        cdef Key where
        where.shard = <uint32_t> (cursor >> 32)
        self.lock(&where, False)
        cursor = keyspace_walk(&access, cursor, WALK_SLOTS, collect_key, <void*> keys)
        wait_log(self.keyspace, self.unlock(&where, False))
        return keys, cursor

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def keys(self):
        """A view of the keys."""
        return KeysView(self)

    def values(self):
        """A view of the values; what goes away while it is iterated over is left out."""
        return LiveValues(self)

    def items(self):
        """A view of the keys with their values; what goes away while it is iterated over is left out."""
        return LiveItems(self)

    def clear(self):
        """Deletes all keys of this database, as one step for every observer."""
        cdef Access access
        cdef ShardSet everything
        cdef uint64_t position
        self.check_writable()
        with nogil:
            access = self.access(True)
            shards_clear(&everything)
            shards_add_all(&everything, self.keyspace)
            shards_lock(self.keyspace, &everything, True)
            keyspace_flush(&access, self.database)
            position = self.keyspace.shards[0].position
            shards_unlock(self.keyspace, &everything, True)
            while quiet_reclaim(64):
                pass
        wait_log(self.keyspace, position)

    def pop(self, key, default=MISSING):
        """Deletes `key`; its value, in one step. When it is missing: `default`, or KeyError without one."""
        value = self.execute(b"GETDEL", data_bytes(key))
        if value is None:
            if default is MISSING:
                raise KeyError(key)
            return default
        return value

    popitem, setdefault, update = MutableMapping.popitem, MutableMapping.setdefault, MutableMapping.update
    range, prefix, first, last = key_range, key_prefix, first_key, last_key      # in order

    # --- life

    def memory_bytes(self):
        """Bytes the engine has in use: pages, tables and large values."""
        cdef uint64_t total
        self.check_open()
        with nogil:
            total = keyspace_memory_bytes(self.keyspace)
        return total

    def close(self):
        """Closes the store: every later call raises StoreClosedError. Memory goes with the last reference.

        All is durable then, or LogError says why not, and the data directory is free for others. Other threads must
        have ended their calls.
        """
        self.closed = True
        self._workers.clear()
        closer, self._closer = self._closer, None
        if closer is not None:
            closer()

    def on_close(self, closer) -> None:
        """Lets close() call `closer`, once; None: nothing."""
        self._closer = closer

    def __enter__(self):
        self.check_open()
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __repr__(self):
        if self.closed:
            return "<kvcy.Store closed>"
        return f"<kvcy.Store {keyspace_count(self.keyspace, self.database)} keys>"


MutableMapping.register(Store)
