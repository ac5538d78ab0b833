# cython: language_level=3
"""One database's part of one shard: its table, its arena, its LRU lists and its timing wheel.

A partition is made when a database first gets a key in that shard. FLUSHDB detaches whole partitions, SWAPDB swaps
their pointers. An entry is in the table once and in exactly one of the lists: in LIST_VOLATILE when it has an expiry,
else in LIST_LASTING; or, where the eviction policy keeps queues, in the one that the top bits of Entry.access name.
Those with an expiry are in the wheel too, which is made with the first of them. REQUIRES for all calls: the shard's
lock; exclusively for what changes the partition.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.block cimport Block, Bytes, same_bytes
from kvcy.engine.entry cimport Entry, entry_key
from kvcy.engine.holdings cimport Holdings
from kvcy.engine.lru cimport LruList
from kvcy.engine.ordered_index cimport OrderedIndex
from kvcy.engine.pages cimport PagePool
from kvcy.engine.quiet cimport Retired
from kvcy.engine.table cimport Slot, Table, table_find
from kvcy.engine.wheel cimport WHEEL_NEVER, Wheel, wheel_wake_ms

cdef enum:
    LIST_LASTING = 0
    LIST_VOLATILE = 1
    LISTS_COUNT = 4
    QUEUE_SHIFT = 30           # Entry.access >> QUEUE_SHIFT is the list, where the policy keeps queues

# What Entry.access holds after an access now; `access`: what it held, NULL: the entry is new. `hash` is the key's
# shard and bits. Never changes the queue of an entry that is there. Called under shared locks. `context`: the Keyspace.
ctypedef uint32_t (*NoteAccess)(const void* context, uint64_t hash, const uint32_t* access,
                                int64_t now_ms) noexcept nogil

cdef struct AccessKind:        # how a policy uses Entry.access, where it is not the tick of the last access
    NoteAccess note
    bint queued                # it names the entry's list

cdef struct Partition:         # what a read needs comes first
    const AccessKind* kind     # NULL: Entry.access holds ticks. Changed under the exclusive lock
    Table table
    Arena arena
    LruList lists[4]           # LISTS_COUNT
    Wheel* wheel               # NULL until an entry first had an expiry
    PagePool* pool
    Retired note               # by which a detached partition is retired
    Holdings held              # the entries' blocks
    uint32_t compact_class     # where partition_compact goes on
    bint disowned              # partition_disown
    OrderedIndex* ordered      # NULL until somebody needs the keys in order (ranging.pxd)

cdef struct EntryPlan:         # what an entry is to be made of
    const char* key
    size_t key_size
    Bytes value
    int64_t expire_ms          # 0: none
    int type
    bint edited                # ENTRY_EDITED
    uint32_t access

cdef Partition* partition_new(PagePool* pool, const AccessKind* kind) noexcept nogil     # NULL: no memory
# It will only be freed, some time: nothing it has counts as used any more, but the blocks that its entries share.
cdef void partition_disown(Partition* partition) noexcept nogil
cdef void partition_free(Partition* partition) noexcept nogil       # at once; REQUIRES: nobody else can see it
# Adds an entry for a key that is not there. False (and no change) when there is no memory.
cdef bint partition_add(Partition* partition, uint32_t bits, const EntryPlan* plan) noexcept nogil
# Makes the slot's entry what the plan says (same key), in place if it fits. False (no change) when there is no memory.
cdef bint partition_replace(Partition* partition, Slot* slot, const EntryPlan* plan) noexcept nogil
# For a change that must be undone when a later one fails (puts.pyx). Would partition_replace need no memory?
cdef bint partition_fits(const Partition* partition, const Slot* slot, const EntryPlan* plan) noexcept nogil
# As partition_replace, always with another cell: the entry that was there is kept out of sight, and its handle answered
# (0: no memory). Then either it comes back, or it is dropped.
cdef uint32_t partition_exchange(Partition* partition, Slot* slot, const EntryPlan* plan) noexcept nogil
cdef void partition_exchange_back(Partition* partition, Slot* slot, uint32_t handle) noexcept nogil
cdef void partition_drop(Partition* partition, uint32_t handle) noexcept nogil
# Takes the entry out and frees it.
cdef void partition_remove(Partition* partition, Slot* slot) noexcept nogil
# An entry that is due, or NULL when none is left or `looks` entries have been looked at (it counts them down).
cdef Entry* partition_due(Partition* partition, int64_t now_ms, uint32_t* looks) noexcept nogil
# Another policy: where the new or the old one keeps queues, all entries are listed anew, as if they had just come, as
# keys of hash 0 in `shard`, which is the partition's: the kind may keep a history for each shard.
cdef void partition_set_kind(Partition* partition, const AccessKind* kind, const void* context, uint32_t shard,
                             int64_t now_ms) noexcept nogil
# The list the entry belongs to.
cdef LruList* partition_list(Partition* partition, const Entry* entry) noexcept nogil
# Memory of the entry's cell and blocks, without its slot.
cdef uint64_t partition_entry_bytes(const Partition* partition, const Entry* entry, uint32_t handle) noexcept nogil

# Whether a key with these hash bits is, or is to be, in the ordered index.
cdef inline bint partition_indexed(const Partition* partition, uint32_t bits) noexcept nogil:
    return partition.ordered != NULL and bits < partition.ordered.boundary

cdef inline Entry* partition_entry(const Partition* partition, const Slot* slot) noexcept nogil:
    return <Entry*> arena_at(&partition.arena, slot.handle)

# When partition_due will have something to do: wheel_wake_ms.
cdef inline int64_t partition_wake_ms(const Partition* partition, int64_t now_ms) noexcept nogil:
    return WHEEL_NEVER if partition.wheel == NULL else wheel_wake_ms(partition.wheel, now_ms)

# The slot of the key, or NULL.
cdef inline Slot* partition_find(const Partition* partition, uint32_t bits, const char* key,
                                 size_t size) noexcept nogil:
    cdef Slot* slot = table_find(&partition.table, bits)
    cdef Bytes found
    while slot != NULL:
        found = entry_key(<const Entry*> arena_at(&partition.arena, slot.handle))
        if found.size == size and same_bytes(found.data, key, size):
            return slot
        slot += 1              # equal bits lie side by side, and every array ends with an empty slot
        if slot.handle == 0 or slot.bits != bits:
            return NULL
    return NULL
