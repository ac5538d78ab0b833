# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The engine under several threads at once: what `tests/test_races.py` and the ThreadSanitizer harness run.

Every value says which key it belongs to: the key's number is its first byte, and all other bytes are equal. A thread
plays one part for a number of turns and answers how often it saw something that cannot be.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from kvcy.engine.block cimport Block, Bytes, block_release, block_retain
from kvcy.engine.entry cimport Entry, entry_value
from kvcy.engine.hash cimport HashKey
from kvcy.engine.keyspace cimport (
    EXPIRE_NONE, Access, keyspace_delete, keyspace_expire_at, keyspace_get, keyspace_put, keyspace_settle,
    keyspace_splice)
from kvcy.engine.shards cimport (
    Key, Keyspace, ShardSet, keyspace_free, keyspace_key, keyspace_new, keyspace_prefetch_entry,
    keyspace_prefetch_slot, shard_lock, shard_unlock, shards_add, shards_add_all, shards_clear, shards_lock,
    shards_unlock)
from kvcy.engine.whole cimport keyspace_count, keyspace_flush, keyspace_swap, keyspace_upkeep, keyspace_walk
from kvcy.engine.quiet cimport quiet_enter, quiet_leave, quiet_pass, quiet_reclaim, quiet_register, quiet_unregister
from kvcy.engine.status cimport NO_MEMORY, OK
from kvcy.engine.watch cimport watch_add, watch_broken, watch_clear, watch_shards
from kvcy.engine.watchlist cimport Watcher

cdef enum:
    KEYS = 200                       # named by two bytes
    SHARDS = 4
    BATCH = 16
    VALUE_MAX = 6000

cdef struct Player:
    Access access
    uint64_t random
    char names[KEYS][2]
    char value[VALUE_MAX]


cdef uint32_t draw(Player* player, uint32_t below) noexcept nogil:
    """A number below `below` (xorshift64*)."""
    player.random ^= player.random >> 12
    player.random ^= player.random << 25
    player.random ^= player.random >> 27
    return <uint32_t> ((player.random * <uint64_t> 0x2545F4914F6CDD1D) >> 33) % below


cdef void player_init(Player* player, Keyspace* keyspace, uint64_t seed, bint exclusive) noexcept nogil:
    cdef int i
    memset(player, 0, sizeof(Player))
    player.access.keyspace = keyspace
    player.access.now_ms = 1_700_000_000_000
    player.access.exclusive = exclusive
    player.random = seed * 2 + 1
    for i in range(KEYS):
        player.names[i][0] = <char> i
        player.names[i][1] = b"k"


cdef Key key_of(Player* player, uint32_t number) noexcept nogil:
    return keyspace_key(player.access.keyspace, player.names[number], 2)


cdef Bytes value_for(Player* player, uint32_t number, size_t size) noexcept nogil:
    cdef Bytes value
    memset(player.value, <int> draw(player, 256), size)
    player.value[0] = <char> number
    value.data = player.value
    value.size = size
    value.block = NULL
    return value


cdef uint64_t value_is_wrong(uint32_t number, const Bytes* value) noexcept nogil:
    cdef size_t i
    if value.size == 0 or value.data[0] != <char> number:
        return 1
    for i in range(2, value.size):
        if value.data[i] != value.data[1]:
            return 1
    return 0


cdef uint64_t read_one(Player* player, uint32_t number) noexcept nogil:
    """Reads a key under the shared lock; a large value also after it, as when it is being sent."""
    cdef Key key = key_of(player, number)
    cdef Block* block = NULL
    cdef uint64_t wrong = 0
    cdef Entry* entry
    cdef Bytes value
    shard_lock(player.access.keyspace, key.shard, False)
    entry = keyspace_get(&player.access, &key)
    if entry != NULL:
        value = entry_value(entry)
        if value.block != NULL:
            block = value.block
            block_retain(block)
        else:
            wrong = value_is_wrong(number, &value)
    shard_unlock(player.access.keyspace, key.shard, False)
    if block != NULL:
        wrong = value_is_wrong(number, &value)
        block_release(block)
    if player.access.expired_seen:
        player.access.expired_seen = 0
        keyspace_settle(&player.access, &key)
    return wrong


cdef uint64_t play_reader(Player* player, uint64_t turns, int thread) noexcept nogil:
    """A reactor's way of reading: batches, prefetched without locks."""
    cdef uint32_t numbers[BATCH]
    cdef uint64_t turn, wrong = 0
    cdef Key key
    cdef int i
    for turn in range(turns):
        for i in range(BATCH):
            numbers[i] = draw(player, KEYS)
            key = key_of(player, numbers[i])
            keyspace_prefetch_slot(player.access.keyspace, 0, &key)
        for i in range(BATCH):
            key = key_of(player, numbers[i])
            keyspace_prefetch_entry(player.access.keyspace, 0, &key)
        for i in range(BATCH):
            wrong += read_one(player, numbers[i])
        if turn % 8 == 7:
            quiet_leave(thread)
            quiet_enter(thread)
        else:
            quiet_pass(thread)
    return wrong


cdef uint64_t play_writer(Player* player, uint64_t turns) noexcept nogil:
    cdef uint64_t wrong = 0
    cdef uint32_t number
    cdef size_t size
    cdef Bytes value
    cdef Key key
    for _ in range(turns):
        number = draw(player, KEYS)
        key = key_of(player, number)
        shard_lock(player.access.keyspace, key.shard, True)
        if draw(player, 3) == 0:
            keyspace_delete(&player.access, &key)
        elif draw(player, 8) == 0:
            keyspace_expire_at(&player.access, &key, player.access.now_ms + draw(player, 3) * 1000)
        elif draw(player, 8) == 0:
            value = value_for(player, number, VALUE_MAX)     # over the whole of what may be there
            keyspace_splice(&player.access, &key, 0, value, &size)
        else:
            value = value_for(player, number, 1 + draw(player, VALUE_MAX if draw(player, 4) == 0 else 100))
            wrong += keyspace_put(&player.access, &key, value, EXPIRE_NONE) not in (OK, NO_MEMORY)
        shard_unlock(player.access.keyspace, key.shard, True)
    return wrong


cdef uint64_t play_pairs(Player* player, uint64_t turns) noexcept nogil:
    """Keys 0 and 1 of database 2 are only ever set together; looked at together they have the same second byte."""
    cdef Bytes value
    cdef uint64_t wrong = 0
    cdef Entry* entry
    cdef ShardSet shards
    cdef Key keys[2]
    cdef int i
    cdef int seen[2]
    cdef bint exclusive
    player.access.database = 2
    for _ in range(turns):
        exclusive = draw(player, 2) == 0
        shards_clear(&shards)
        for i in range(2):
            keys[i] = key_of(player, i)
            shards_add(&shards, keys[i].shard)
        shards_lock(player.access.keyspace, &shards, exclusive)
        player.access.exclusive = exclusive
        if exclusive:
            value = value_for(player, 0, 30)
            for i in range(2):
                keyspace_put(&player.access, &keys[i], value, EXPIRE_NONE)
        for i in range(2):
            entry = keyspace_get(&player.access, &keys[i])
            seen[i] = -1 if entry == NULL else <uint8_t> entry_value(entry).data[1]
        shards_unlock(player.access.keyspace, &shards, exclusive)
        player.access.expired_seen = 0
        wrong += seen[0] != seen[1]
    return wrong


cdef uint64_t play_whole(Player* player, uint64_t turns) noexcept nogil:
    """Swaps databases 0 and 1, flushes one of them, and lets databases fill again in between."""
    cdef ShardSet shards
    cdef uint64_t turn, _i
    shards_clear(&shards)
    shards_add_all(&shards, player.access.keyspace)
    for turn in range(turns):
        shards_lock(player.access.keyspace, &shards, True)
        if turn % 4 == 3:
            keyspace_flush(&player.access, <int> (turn % 2))
        else:
            keyspace_swap(&player.access, 0, 1)
        shards_unlock(player.access.keyspace, &shards, True)
        for _i in range(20):
            keyspace_upkeep(player.access.keyspace, player.access.now_ms, SHARDS)
    return 0


cdef bint check_visited(Access* access, const Entry* entry, void* context) noexcept nogil:
    cdef Bytes value = entry_value(entry)
    (<uint64_t*> context)[0] += value_is_wrong(<uint8_t> value.data[0], &value)
    return True


cdef uint64_t play_walker(Player* player, uint64_t turns) noexcept nogil:
    cdef uint64_t cursor = 0
    cdef uint64_t wrong = 0
    cdef uint32_t shard
    for _ in range(turns):
        shard = <uint32_t> (cursor >> 32)
        shard_lock(player.access.keyspace, shard, False)
        cursor = keyspace_walk(&player.access, cursor, 10, check_visited, &wrong)
        shard_unlock(player.access.keyspace, shard, False)
        wrong += keyspace_count(player.access.keyspace, 0) > KEYS
    return wrong


cdef uint64_t play_watcher(Player* player, uint64_t turns) noexcept nogil:
    cdef Watcher watcher
    cdef ShardSet shards
    cdef uint64_t broken = 0
    cdef Key key
    memset(&watcher, 0, sizeof(Watcher))
    for _ in range(turns):
        for _ in range(3):
            key = key_of(player, draw(player, KEYS))
            shard_lock(player.access.keyspace, key.shard, True)
            watch_add(&player.access, &watcher, &key)
            shard_unlock(player.access.keyspace, key.shard, True)
        shards_clear(&shards)
        watch_shards(&watcher, &shards)
        shards_lock(player.access.keyspace, &shards, True)
        broken += watch_broken(&player.access, &watcher)
        shards_unlock(player.access.keyspace, &shards, True)
        watch_clear(player.access.keyspace, &watcher)
        memset(&watcher, 0, sizeof(Watcher))
    return 0 if broken <= turns else 1


cdef class Race:
    """A keyspace that several threads play on."""
    cdef Keyspace* keyspace

    def __cinit__(self) -> None:
        cdef HashKey key
        key.k0 = 1
        key.k1 = 2
        self.keyspace = keyspace_new(SHARDS, &key)
        self.keyspace.lru_ordered = True

    def __dealloc__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free the keyspace, without the GIL: it may have to wait for threads that read without locks."""
        if self.keyspace != NULL:
            with nogil:
                keyspace_free(self.keyspace)
                quiet_reclaim(<uint64_t> -1)
            self.keyspace = NULL

    def play(self, part: str, uint64_t seed, uint64_t turns) -> int:
        """Play `part` without the GIL; how often something was wrong."""
        cdef Player player
        cdef uint64_t wrong = 0
        cdef int number = PARTS.index(part)
        cdef int thread
        player_init(&player, self.keyspace, seed, part not in ("reader", "walker"))
        with nogil:
            if number == 0:
                thread = quiet_register()
                quiet_enter(thread)
                wrong = play_reader(&player, turns, thread)
                quiet_leave(thread)
                quiet_unregister(thread)
            elif number == 1:
                wrong = play_writer(&player, turns)
            elif number == 2:
                wrong = play_pairs(&player, turns)
            elif number == 3:
                wrong = play_whole(&player, turns)
            elif number == 4:
                wrong = play_walker(&player, turns)
            else:
                wrong = play_watcher(&player, turns)
        return wrong


PARTS = ("reader", "writer", "pairs", "whole", "walker", "watcher")
