# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Several native threads on one keyspace: table, locks, blocks, prefetching and reclamation all at once.

Each thread draws operations from a seed of its own and checks what must hold whatever the others do:

* the keys a:N and b:N are only ever changed together, in one set of locked shards, so whoever locks both sees either
  none or two equal values, and every value is one 8-byte word repeated: a torn read shows;
* of the keys x:N and y:N exactly one exists, since one is only ever renamed to the other;
* the keys f:T:N belong to thread T alone, which knows which of them exist; they make the tables grow and shrink;
* a value's block, retained under the lock, stays as it was after the lock is gone.

Under ThreadSanitizer (`.ci/flavour tsan`) the same run shows every data race. The threads are C threads: Python's lock
would order what ought to be unordered.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from kvcy.engine.block cimport Bytes, block_release, block_retain
from kvcy.engine.entry cimport Entry, entry_value
from kvcy.engine.expiry cimport keyspace_expire
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport (
    Access, keyspace_delete, keyspace_get, keyspace_peek, keyspace_put, keyspace_settle,
    keyspace_splice)
from kvcy.engine.rename cimport keyspace_rename
from kvcy.engine.shards cimport (
    Key, Keyspace, ShardSet, keyspace_free, keyspace_key, keyspace_new, keyspace_prefetch_entry,
    keyspace_prefetch_slot, shard_lock, shard_unlock, shards_add, shards_add_all, shards_clear, shards_lock,
    shards_unlock)
from kvcy.engine.whole cimport keyspace_count, keyspace_flush, keyspace_swap, keyspace_upkeep, keyspace_walk
from kvcy.engine.platform cimport add_relaxed_i64, load_relaxed_i64
from kvcy.engine.quiet cimport quiet_enter, quiet_leave, quiet_pass, quiet_reclaim, quiet_register, quiet_unregister
from kvcy.engine.status cimport Status

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(pthread_t* thread, const void* attributes, void* (*run)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)

cdef enum:
    THREADS_MAX = 16
    PAIRS = 48
    OWN_KEYS = 3000
    VALUE_MAX = 6000
    EXPIRY_DATABASE = 2
    OWN_DATABASE = 3

cdef enum:                      # places in Worker.faults, in the order of FAULT_NAMES
    HALF_A_PAIR
    UNEQUAL_PAIR
    TORN_VALUE
    CHANGED_BLOCK
    NOT_ONE_OF_TWO
    LOST_KEY
    REFUSED

FAULT_NAMES = ("half a pair", "unequal pair", "torn value", "changed block", "not one of two", "lost key", "refused")

cdef struct Worker:
    Keyspace* keyspace
    int64_t* clock_ms               # shared
    uint64_t random
    uint64_t rounds
    uint32_t number
    uint64_t[7] faults
    char[3000] owned
    char[48] name                   # of the key made last
    char[48] other
    char[6000] value


cdef uint64_t draw(Worker* worker, uint64_t below) noexcept nogil:
    """xorshift64*: deterministic, a state of its own in each thread."""
    worker.random ^= worker.random >> 12
    worker.random ^= worker.random << 25
    worker.random ^= worker.random >> 27
    return (worker.random * <uint64_t> 0x2545F4914F6CDD1D >> 32) % below


cdef Access access_of(Worker* worker, int database, bint exclusive) noexcept nogil:
    cdef Access access
    memset(&access, 0, sizeof(Access))
    access.keyspace = worker.keyspace
    access.now_ms = load_relaxed_i64(worker.clock_ms)
    access.database = database
    access.exclusive = exclusive
    return access


cdef Key key_of(Worker* worker, char* name, char kind, uint64_t number) noexcept nogil:
    cdef int size = snprintf(name, 48, b"%c:%llu", <int> kind, <unsigned long long> number)
    return keyspace_key(worker.keyspace, name, size)


cdef Bytes value_of(Worker* worker) noexcept nogil:
    """A random word, repeated to one of a few lengths: inline, and apart in a block."""
    cdef uint64_t word = draw(worker, 1 << 31)
    cdef size_t size = 8 << draw(worker, 9)
    cdef size_t i
    cdef Bytes value
    if size > 2048:
        size = 4000
    for i in range(0, size, 8):
        memcpy(worker.value + i, &word, 8)
    value.data = worker.value
    value.size = size
    value.block = NULL
    return value


cdef bint intact(Bytes value) noexcept nogil:
    """Whether a value is one word repeated: then it equals itself, shifted by a word."""
    return value.size >= 8 and value.size % 8 == 0 and memcmp(value.data, value.data + 8, value.size - 8) == 0


cdef void lock_two(
        Worker* worker, ShardSet* shards, const Key* first, const Key* second, bint exclusive) noexcept nogil:
    shards_clear(shards)
    shards_add(shards, first.shard)
    shards_add(shards, second.shard)
    shards_lock(worker.keyspace, shards, exclusive)


cdef void read_pair(Worker* worker, int database, uint64_t number) noexcept nogil:
    cdef Access access = access_of(worker, database, False)
    cdef Key first = key_of(worker, worker.name, b"a", number)
    cdef Key second = key_of(worker, worker.other, b"b", number)
    cdef ShardSet shards
    cdef Entry* one
    cdef Entry* two
    cdef Bytes left, right
    lock_two(worker, &shards, &first, &second, False)
    one = keyspace_get(&access, &first)
    two = keyspace_get(&access, &second)
    left.block = NULL
    if one == NULL or two == NULL:
        worker.faults[HALF_A_PAIR] += one != two
    else:
        left = entry_value(one)
        right = entry_value(two)
        worker.faults[TORN_VALUE] += not intact(left)
        worker.faults[UNEQUAL_PAIR] += left.size != right.size or memcmp(left.data, right.data, left.size) != 0
        if left.block != NULL:
            block_retain(left.block)
    shards_unlock(worker.keyspace, &shards, False)
    if access.expired_seen:
        keyspace_settle(&access, &first)
        keyspace_settle(&access, &second)
    if left.block != NULL:
        worker.faults[CHANGED_BLOCK] += not intact(left)
        block_release(left.block)


cdef void change_pair(Worker* worker, int database, uint64_t number, uint64_t how) noexcept nogil:
    """Writes, deletes or extends both keys of a pair."""
    cdef Access access = access_of(worker, database, True)
    cdef Key first = key_of(worker, worker.name, b"a", number)
    cdef Key second = key_of(worker, worker.other, b"b", number)
    cdef Bytes value = value_of(worker)
    cdef Bytes old
    cdef ShardSet shards
    cdef Entry* entry
    cdef size_t size = 0
    cdef bint failed = False
    lock_two(worker, &shards, &first, &second, True)
    if how == 0:
        failed = keyspace_delete(&access, &first) != keyspace_delete(&access, &second)
    elif how < 4:
        failed = (keyspace_put(&access, &first, value, 0) != Status.OK
                  or keyspace_put(&access, &second, value, 0) != Status.OK)
    else:
        entry = keyspace_peek(&access, &first)
        old.size = 0
        if entry != NULL:
            old = entry_value(entry)
            memcpy(worker.value, old.data, 8)
            value.size = 8
        if 0 < old.size < VALUE_MAX:
            failed = (keyspace_splice(&access, &first, old.size, value, &size) != Status.OK
                      or keyspace_splice(&access, &second, old.size, value, &size) != Status.OK)
    shards_unlock(worker.keyspace, &shards, True)
    worker.faults[REFUSED] += failed


cdef void rename_one_of_two(Worker* worker, uint64_t number, bint change) noexcept nogil:
    cdef Access access = access_of(worker, OWN_DATABASE, change)
    cdef Key first = key_of(worker, worker.name, b"x", number)
    cdef Key second = key_of(worker, worker.other, b"y", number)
    cdef ShardSet shards
    cdef bint one, two
    cdef Status status = Status.OK
    lock_two(worker, &shards, &first, &second, change)
    one = keyspace_peek(&access, &first) != NULL
    two = keyspace_peek(&access, &second) != NULL
    if change and one:
        status = keyspace_rename(&access, &first, &second, OWN_DATABASE, False)
    elif change:
        status = keyspace_rename(&access, &second, &first, OWN_DATABASE, False)
    shards_unlock(worker.keyspace, &shards, change)
    worker.faults[NOT_ONE_OF_TWO] += one == two
    worker.faults[REFUSED] += status != Status.OK


cdef void own_key(Worker* worker, uint64_t number) noexcept nogil:
    """Sets a key of this thread's if it does not exist and deletes it if it does."""
    cdef Access access = access_of(worker, OWN_DATABASE, True)
    cdef int size = snprintf(
        worker.name, 48, b"f:%u:%llu", <unsigned int> worker.number, <unsigned long long> number)
    cdef Key key = keyspace_key(worker.keyspace, worker.name, size)
    cdef Bytes value = value_of(worker)
    value.size = 8
    shard_lock(worker.keyspace, key.shard, True)
    if worker.owned[number]:
        worker.faults[LOST_KEY] += not keyspace_delete(&access, &key)
    else:
        worker.faults[LOST_KEY] += keyspace_peek(&access, &key) != NULL
        worker.faults[REFUSED] += keyspace_put(&access, &key, value, 0) != Status.OK
    shard_unlock(worker.keyspace, key.shard, True)
    worker.owned[number] = not worker.owned[number]


cdef void expiring_key(Worker* worker, uint64_t number, bint write) noexcept nogil:
    cdef Access access = access_of(worker, EXPIRY_DATABASE, write)
    cdef Key key = key_of(worker, worker.name, b"e", number)
    cdef Bytes value = value_of(worker)
    cdef Entry* entry
    shard_lock(worker.keyspace, key.shard, write)
    if write:
        worker.faults[REFUSED] += keyspace_put(&access, &key, value, access.now_ms + 1 + draw(worker, 40)) != Status.OK
    else:
        entry = keyspace_get(&access, &key)
        worker.faults[TORN_VALUE] += entry != NULL and not intact(entry_value(entry))
    shard_unlock(worker.keyspace, key.shard, write)
    if access.expired_seen:
        keyspace_settle(&access, &key)


cdef bint count_entry(Access* access, const Entry* entry, void* context) noexcept nogil:
    (<uint64_t*> context)[0] += entry_value(entry).size
    return True


cdef void whole(Worker* worker, uint64_t how) noexcept nogil:
    """What concerns every shard: flush, swap, a walk over one shard, upkeep, reclamation."""
    cdef Access access = access_of(worker, EXPIRY_DATABASE, how < 2)
    cdef ShardSet shards
    cdef uint64_t shard, seen = 0
    if how < 2:
        shards_clear(&shards)
        shards_add_all(&shards, worker.keyspace)
        shards_lock(worker.keyspace, &shards, True)
        if how == 0:
            keyspace_flush(&access, EXPIRY_DATABASE)
        else:
            keyspace_swap(&access, 0, 1)
        shards_unlock(worker.keyspace, &shards, True)
    elif how == 2:
        shard = draw(worker, worker.keyspace.shard_count)
        access.database = OWN_DATABASE
        shard_lock(worker.keyspace, <uint32_t> shard, False)
        keyspace_walk(&access, shard << 32, 100, count_entry, &seen)
        shard_unlock(worker.keyspace, <uint32_t> shard, False)
    elif worker.number == 0:
        keyspace_upkeep(worker.keyspace, access.now_ms, 4)
        keyspace_expire(worker.keyspace, access.now_ms, 100000)
    quiet_reclaim(16)


cdef void prefetch_some(Worker* worker) noexcept nogil:
    """Looks without a lock at what the others change."""
    cdef Key key
    cdef uint64_t number = draw(worker, OWN_KEYS)
    cdef int size = snprintf(worker.name, 48, b"f:%u:%llu", <unsigned int> draw(worker, 4), <unsigned long long> number)
    key = keyspace_key(worker.keyspace, worker.name, size)
    keyspace_prefetch_slot(worker.keyspace, OWN_DATABASE, &key)
    keyspace_prefetch_entry(worker.keyspace, OWN_DATABASE, &key)
    key = key_of(worker, worker.name, b"a", draw(worker, PAIRS))
    keyspace_prefetch_slot(worker.keyspace, 0, &key)
    keyspace_prefetch_entry(worker.keyspace, 0, &key)


cdef void* run(void* argument) noexcept nogil:
    cdef Worker* worker = <Worker*> argument
    cdef int quiet = quiet_register()
    cdef uint64_t i, what
    quiet_enter(quiet)
    for i in range(worker.rounds):
        what = draw(worker, 100)
        prefetch_some(worker)
        if what < 30:
            read_pair(worker, <int> draw(worker, 2), draw(worker, PAIRS))
        elif what < 50:
            change_pair(worker, <int> draw(worker, 2), draw(worker, PAIRS), draw(worker, 6))
        elif what < 60:
            rename_one_of_two(worker, draw(worker, PAIRS), what < 55)
        elif what < 80:
            own_key(worker, draw(worker, OWN_KEYS))
        elif what < 97:
            expiring_key(worker, draw(worker, PAIRS), what < 88)
        else:
            quiet_leave(quiet)
            whole(worker, draw(worker, 4))
            quiet_enter(quiet)
        if i % 8 == 0:
            quiet_pass(quiet)
            add_relaxed_i64(worker.clock_ms, 1)
    quiet_leave(quiet)
    quiet_unregister(quiet)
    return NULL


def play(int threads, uint64_t rounds, uint64_t seed, int shards=8, lru_ordered=True) -> tuple:
    """Runs `threads` threads of `rounds` operations; (faults by name, own keys there, own keys there should be)."""
    cdef HashKey hash_key
    cdef Worker* workers = <Worker*> calloc(THREADS_MAX, sizeof(Worker))
    cdef pthread_t[16] handles
    cdef int64_t clock_ms = 1_700_000_000_000
    cdef Access access
    cdef Key key
    cdef Bytes value
    cdef int i, j, started = 0
    if workers == NULL or not 0 < threads <= THREADS_MAX:
        raise MemoryError
    hash_key.k0 = seed
    hash_key.k1 = 5
    for i in range(threads):
        workers[i].keyspace = keyspace_new(shards, &hash_key) if i == 0 else workers[0].keyspace
        workers[i].keyspace.lru_ordered = lru_ordered
        workers[i].clock_ms = &clock_ms
        workers[i].random = seed * 1000003 + i + 1
        workers[i].rounds = rounds
        workers[i].number = i
    access = access_of(workers, OWN_DATABASE, True)
    value = value_of(workers)
    for i in range(PAIRS):
        key = key_of(workers, workers.name, b"x", i)
        shard_lock(workers.keyspace, key.shard, True)
        keyspace_put(&access, &key, value, 0)
        shard_unlock(workers.keyspace, key.shard, True)
    with nogil:
        for i in range(threads):
            started += pthread_create(&handles[i], NULL, run, &workers[i]) == 0
        for i in range(started):
            pthread_join(handles[i], NULL)
        while quiet_reclaim(1000):
            pass
    faults = {name: sum(workers[i].faults[j] for i in range(threads)) for j, name in enumerate(FAULT_NAMES)}
    owned = sum(workers[i].owned[j] for i in range(threads) for j in range(OWN_KEYS))
    there = keyspace_count(workers.keyspace, OWN_DATABASE)
    keyspace_free(workers.keyspace)
    free(workers)
    if started != threads:
        raise OSError("no thread")
    return {name: count for name, count in faults.items() if count}, there - PAIRS, owned
