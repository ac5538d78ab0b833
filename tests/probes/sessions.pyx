# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sessions without a network: a carrier that is fed bytes and returns reply bytes.

    server = Server()                      a keyspace, a service, an executor; time stands still unless moved
    probe = Probe(server)                  a session; Probe() makes a server of its own
    probe.feed(b"PING\r\n")                reply bytes; slices of long commands are run to their end
    probe.execute(b"SET", b"k", b"v")      one command as a RESP array
    probe.resume(b"+OK\r\n")               answers the command that is waiting for Python: probe.waiting
    probe.help()                           runs the long command that is waiting for a helper (server.serve_others())
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from kvcy.commands.clients cimport clients_add, clients_remove, clients_set_text
from kvcy.commands.helper cimport Helped, helped_hand_over, helper_run
from kvcy.commands.helping cimport helping_is_awaited
from kvcy.commands.service cimport ServiceHandle, service_free, service_handle, service_new
from kvcy.commands.session cimport (
    SESSION_CLOSING, SESSION_CONTINUING, SESSION_OPEN, SESSION_PARKED, executor_free, executor_new, session_execute,
    session_feed, session_fill_room, session_filled, session_free, session_memory_bytes, session_new, session_resume,
    Executor, Service, Session,
)
from kvcy.engine.block cimport Block, Bytes, block_new, block_release
from kvcy.engine.events cimport Event, events_configure
from kvcy.engine.hash cimport HashKey
from kvcy.engine.shards cimport (
    Keyspace, keyspace_free, keyspace_new, keyspace_used_bytes, shard_lock, shard_unlock)
from kvcy.engine.whole cimport keyspace_count
from kvcy.engine.quiet cimport quiet_enter, quiet_leave, quiet_register, quiet_unregister
from kvcy.protocol.writer cimport Writer, writer_clear

from kvcy.engine.events import EVENTS

STATES = {SESSION_OPEN: "open", SESSION_PARKED: "parked", SESSION_CLOSING: "closing", SESSION_CONTINUING: "continuing"}


cdef bytes written(const Writer* writer):
    """What the writer holds, marked blocks in their places."""
    cdef uint32_t index
    cdef size_t at = 0
    cdef list parts = []
    for index in range(writer.mark_count):
        mark = &writer.marks[index]
        parts.append(writer.data[at:mark.offset])
        parts.append((<char*> mark.block.data + mark.start)[:mark.size])
        at = mark.offset
    if writer.size > at:
        parts.append(writer.data[at:writer.size])
    return b"".join(parts)


cdef struct Heard:
    Event event
    int database
    size_t key_size
    char key[64]

cdef enum:
    HEARD_MAX = 4096


cdef struct Listener:
    uint32_t count
    Heard heard[4096]


cdef void hear(void* context, Event event, int database, const char* key, size_t key_size) noexcept nogil:
    """An EventSink, for one thread."""
    cdef Listener* listener = <Listener*> context
    cdef Heard* heard = &listener.heard[listener.count % HEARD_MAX]
    heard.event = event
    heard.database = database
    heard.key_size = key_size
    memcpy(heard.key, key, min(key_size, <size_t> 64))
    listener.count += 1


cdef class Server:
    """What the sessions of one test share."""
    cdef Keyspace* keyspace
    cdef Service* service
    cdef Executor* executor
    cdef int quiet_thread
    cdef Listener listener
    cdef readonly ServiceHandle handle

    def __cinit__(self, int shards=4, bint prefetch=True):
        cdef HashKey key
        key.k0 = 0x0706050403020100
        key.k1 = 0x0F0E0D0C0B0A0908
        self.quiet_thread = -1
        self.keyspace = keyspace_new(shards, &key)
        self.service = service_new()
        if self.keyspace == NULL or self.service == NULL:
            raise MemoryError
        self.executor = executor_new(self.keyspace, self.service)
        if self.executor == NULL:
            raise MemoryError
        if prefetch:
            self.quiet_thread = quiet_register()
            self.executor.quiet_thread = self.quiet_thread
        self.executor.now_ms = 1700000000000
        self.executor.now_us = 1700000000000 * 1000
        self.handle = service_handle(self.service, None)

    def __dealloc__(self):
        if self.quiet_thread >= 0:
            quiet_unregister(self.quiet_thread)
        if self.executor != NULL:
            executor_free(self.executor)
        if self.service != NULL:
            service_free(self.service)
        if self.keyspace != NULL:
            keyspace_free(self.keyspace)

    @property
    def now_ms(self):
        return self.executor.now_ms

    @now_ms.setter
    def now_ms(self, int64_t value):
        self.executor.now_ms = value
        self.executor.now_us = value * 1000

    @property
    def memory_bytes_max(self):
        return self.keyspace.memory_bytes_max

    @memory_bytes_max.setter
    def memory_bytes_max(self, uint64_t value):
        self.keyspace.memory_bytes_max = value

    @property
    def memory_bytes(self):
        return keyspace_used_bytes(self.keyspace)

    @property
    def hits_and_misses(self):
        return self.keyspace.keyspace_hits, self.keyspace.keyspace_misses

    def listen(self, uint32_t classes) -> None:
        """Has the events of these classes heard from now on, a bit for each letter of events.LETTERS."""
        self.keyspace.events.sink = hear
        self.keyspace.events.sink_context = &self.listener
        events_configure(&self.keyspace.events, classes)

    def heard(self) -> list:
        """The events since the last call, as (name, database, key)."""
        cdef Heard* one
        cdef list found = []
        cdef uint32_t index
        if self.listener.count > HEARD_MAX:
            raise OverflowError("too many events")
        for index in range(self.listener.count):
            one = &self.listener.heard[index]
            found.append((EVENTS[<int> one.event][0], one.database, one.key[:one.key_size]))
        self.listener.count = 0
        return found

    @property
    def event_counts(self) -> dict:
        return {name: self.keyspace.events.counts[place] for place, (name, _) in enumerate(EVENTS)}

    def serve_others(self) -> None:
        """Has long commands left to helpers: Probe.help."""
        self.executor.serves_others = True

    def begin_long_command(self) -> None:
        """Holds all shards, as a long command on another thread does, until end_long_command."""
        cdef uint32_t shard
        self.keyspace.long_commands += 1
        for shard in range(self.keyspace.shard_count):
            shard_lock(self.keyspace, shard, True)

    def end_long_command(self) -> None:
        cdef uint32_t shard
        for shard in range(self.keyspace.shard_count):
            shard_unlock(self.keyspace, shard, True)
        self.keyspace.long_commands -= 1

    def count(self, int database=0):
        return keyspace_count(self.keyspace, database)


cdef void count_wake(void* carrier) noexcept nogil:
    (<uint32_t*> carrier)[0] += 1


cdef class Probe:
    """One session and its carrier."""
    cdef readonly Server server
    cdef Session* session
    cdef bytearray kept                    # bytes not consumed yet
    cdef uint32_t wakes
    cdef public uint32_t budget            # commands a turn
    cdef readonly int turns                # taken by the last feed

    def __cinit__(self, Server server=None, str address="127.0.0.1:50000"):
        self.server = Server() if server is None else server
        self.session = session_new(self.server.service, self.server.executor.now_ms)
        if self.session == NULL:
            raise MemoryError
        self.kept = bytearray()
        self.budget = 1000
        self.session.wake = count_wake
        self.session.carrier = &self.wakes
        encoded = address.encode()
        clients_set_text(&self.server.service.clients, &self.session.address, encoded, len(encoded))
        clients_set_text(&self.server.service.clients, &self.session.local_address, b"127.0.0.1:6379", 14)
        clients_add(&self.server.service.clients, self.session)

    def __dealloc__(self):
        self.close()

    def close(self):
        """Ends the session; the probe is of no use afterwards."""
        if self.session != NULL:
            clients_remove(&self.server.service.clients, self.session)
            session_free(self.session, self.server.keyspace)
            self.session = NULL

    cdef bytes take_reply(self):
        reply = written(&self.server.executor.reply)
        writer_clear(&self.server.executor.reply)
        return reply

    cdef Py_ssize_t fill(self, bytes data, Py_ssize_t at):
        """Hands bytes to a large string that is being received; returns where the rest begins."""
        cdef size_t room
        cdef char* place
        while at < len(data):
            place = session_fill_room(self.session, &room)
            if place == NULL:
                break
            if room > <size_t> (len(data) - at):
                room = len(data) - at
            memcpy(place, <const char*> data + at, room)
            session_filled(self.session, room)
            at += room
        return at

    def feed(self, bytes data=b"", int turns_max=1000000) -> bytes:
        """Hands bytes over as a carrier does, turn after turn until nothing more happens; returns what was replied."""
        cdef bytes chunk
        cdef size_t used, size
        cdef const char* start
        cdef Executor* executor = self.server.executor
        cdef list replies = []
        self.turns = 0
        if not self.kept:
            data = data[self.fill(data, 0):]
        self.kept += data
        while True:
            executor.budget = self.budget
            chunk = bytes(self.kept)
            if executor.quiet_thread >= 0:
                quiet_enter(executor.quiet_thread)
            start = chunk
            size = len(chunk)
            with nogil:
                used = session_feed(self.session, executor, start, size)
            if executor.quiet_thread >= 0:
                quiet_leave(executor.quiet_thread)
            self.turns += 1
            replies.append(self.take_reply())
            del self.kept[:used]
            if self.session.state in (SESSION_PARKED, SESSION_CLOSING) or self.turns == turns_max:
                break
            if self.session.state == SESSION_OPEN and executor.budget != 0:
                break
        return b"".join(replies)

    def help(self) -> bytes:
        """Runs the long command that the session is parked with, and what it had sent behind it."""
        cdef Helped* helped
        if not helping_is_awaited(self.session):
            raise RuntimeError("it does not wait for a helper")
        with nogil:
            helped = helper_run(self.session, self.server.keyspace, self.server.service)
        if helped == NULL:
            raise MemoryError
        helped_hand_over(helped, self.server.executor)
        return self.take_reply() + self.feed()

    def execute(self, *args) -> bytes:
        """One command as a RESP array."""
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
        return self.feed(b"".join(parts))

    def call(self, *args) -> tuple:
        """One command outside the protocol (session_execute): whether it ran natively, and the reply."""
        cdef Bytes[16] argv
        cdef uint32_t index, count = <uint32_t> len(args)
        cdef bint native
        for index in range(count):
            argv[index].data = args[index]
            argv[index].size = len(args[index])
            argv[index].block = NULL
        with nogil:
            native = session_execute(self.session, self.server.executor, argv, count)
        return native, self.take_reply()

    @property
    def waiting(self):
        """The arguments of the command that waits for Python, or None."""
        cdef uint32_t index
        if self.session.state != SESSION_PARKED:
            return None
        deferred = self.session.deferred
        return [deferred.argv[index].data[:deferred.argv[index].size] for index in range(deferred.argc)]

    def resume(self, bytes reply) -> bytes:
        """Answers it, and goes on; returns all that was replied."""
        cdef Block* block = block_new(len(reply))
        memcpy(block.data, <const char*> reply, len(reply))
        block.size = len(reply)
        session_resume(self.session, self.server.executor, block)
        block_release(block)
        first = self.take_reply()
        if self.session.state == SESSION_PARKED:
            return first
        return first + self.feed()

    @property
    def state(self) -> str:
        return STATES[self.session.state]

    @property
    def unconsumed(self) -> int:
        return len(self.kept)

    @property
    def killed(self) -> bool:
        return self.session.killed != 0

    @property
    def woken(self) -> int:
        return self.wakes

    @property
    def id(self) -> int:
        return self.session.id

    @property
    def memory_bytes(self) -> int:
        return session_memory_bytes(self.session)
