# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Ranges of keys over all shards: see ranging.pxd.

The merge is a binary heap of cursors, one for each shard's tree and one for its buffer, the next key of the range at
its top. A cursor that steps on in a tree prefetches the entry after the one it comes to: it is needed some steps of the
others later.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport entry_expired, entry_key
from kvcy.engine.events cimport EVENT_DEL
from kvcy.engine.journal cimport journal_ready
from kvcy.engine.keyspace cimport keyspace_remove
from kvcy.engine.node cimport Node, bytes_order, node_handles
from kvcy.engine.ordered cimport (
    PLACE_BUFFERED, OrderedPlace, ordered_bytes, ordered_count, ordered_entry, ordered_free, ordered_insert,
    ordered_new, ordered_prefetch, ordered_ready, ordered_seek, ordered_seek_buffered, ordered_step)
from kvcy.engine.ordered_bound cimport EDGE_EXCLUSIVE, ordered_beyond
from kvcy.engine.ordered_buffer cimport BUFFER_NONE
from kvcy.engine.ordered_index cimport OrderedIndex, ordered_node
from kvcy.engine.ordered_search cimport buffer_count, buffer_next
from kvcy.engine.platform cimport invariant, prefetch
from kvcy.engine.shards cimport Key, keyspace_key, shard_lock, shard_unlock
from kvcy.engine.status cimport NOT_FOUND, NO_MEMORY, OK
from kvcy.engine.table cimport Slot, table_from

cdef enum:
    COUNT_LEAVES = 256                   # of range_count, where nothing expires: some 30 us
    COUNT_ENTRIES = 512                  # where something does
    VISIT_LEAVES = 3                     # of range_visit: a leaf has 120 keys at most

cdef struct Cursor:                      # of one shard's tree, or of its buffer
    const OrderedIndex* index
    const Entry* entry                   # at `place`
    Bytes key                            # its key
    OrderedPlace place

cdef struct Merge:
    Cursor[2048] heap                    # 2 * SHARDS_MAX; each comes before those at 2i + 1 and 2i + 2
    uint32_t count
    const OrderedBound* stop
    bint reverse


# --- building

cdef Indexed index_slice(Partition* partition, uint32_t slots) noexcept nogil:
    cdef OrderedIndex* index = partition.ordered
    cdef const Slot* slot
    cdef Bytes key
    cdef uint32_t bits
    cdef uint32_t seen = 0
    if index == NULL:
        index = ordered_new(&partition.arena, partition.pool)
        if index == NULL:
            return INDEX_NO_MEMORY
        partition.ordered = index
    while index.boundary >> 32 == 0:
        slot = table_from(&partition.table, index.boundary)
        if slot == NULL:
            index.boundary = <uint64_t> 1 << 32
            return INDEX_COMPLETE
        if seen >= slots:
            return INDEX_PARTIAL
        bits = slot.bits
        while slot.handle and slot.bits == bits:
            if not ordered_ready(index):
                partition.ordered = NULL
                ordered_free(index)
                return INDEX_NO_MEMORY
            key = entry_key(<const Entry*> arena_at(index.entries, slot.handle))
            ordered_insert(index, slot.handle, key.data, key.size)
            seen += 1
            slot += 1
        index.boundary = <uint64_t> bits + 1
    return INDEX_COMPLETE


cdef Indexed range_prepare(Access* access, uint32_t shard, uint32_t slots) noexcept nogil:
    cdef Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    invariant(access.exclusive)
    return INDEX_COMPLETE if partition == NULL else index_slice(partition, slots)


cdef inline bint index_complete(const Partition* partition) noexcept nogil:
    return partition == NULL or (partition.ordered != NULL and partition.ordered.boundary >> 32 != 0)


cdef bint range_ready(const Access* access, uint32_t shard) noexcept nogil:
    return index_complete(access.keyspace.shards[shard].partitions[access.database])


cdef void index_totals(Keyspace* keyspace, int database, IndexTotals* totals) noexcept nogil:
    cdef const Partition* partition
    cdef uint32_t shard
    memset(totals, 0, sizeof(IndexTotals))
    totals.complete = True
    for shard in range(keyspace.shard_count):
        shard_lock(keyspace, shard, False)
        partition = keyspace.shards[shard].partitions[database]
        if partition != NULL and partition.ordered != NULL:
            totals.there = True
            totals.keys += partition.ordered.count
            totals.bytes += ordered_bytes(partition.ordered)
        totals.complete = totals.complete and index_complete(partition)
        shard_unlock(keyspace, shard, False)


cdef bint range_ready_all(const Access* access) noexcept nogil:
    cdef uint32_t shard
    for shard in range(access.keyspace.shard_count):
        if not range_ready(access, shard):
            return False
    return True


# --- walking

cdef inline bint cursor_before(const Merge* merge, const Cursor* first, const Cursor* second) noexcept nogil:
    cdef int order = bytes_order(first.key.data, first.key.size, second.key.data, second.key.size)
    return (order > 0) if merge.reverse else (order < 0)


cdef inline bint cursor_read(const Merge* merge, Cursor* cursor) noexcept nogil:
    """Reads the entry at the cursor's place; false: the range has ended there."""
    cdef const Node* node
    cdef uint32_t at
    if cursor.place.node == 0:
        return False
    cursor.entry = ordered_entry(cursor.index, cursor.place)
    if ordered_beyond(cursor.entry, merge.stop, merge.reverse):
        return False
    cursor.key = entry_key(cursor.entry)
    if cursor.place.node == PLACE_BUFFERED:
        return True
    node = ordered_node(cursor.index, cursor.place.node)
    at = cursor.place.at - 1 if merge.reverse else cursor.place.at + 1
    if at < node.count:                  # before the first place `at` is huge
        prefetch(arena_at(cursor.index.entries, node_handles(node)[at]))
    return True


cdef void sift_down(Merge* merge, uint32_t at) noexcept nogil:
    """Puts the cursor at `at`, which may come too early, in its place among those below it."""
    cdef Cursor moving = merge.heap[at]
    cdef uint32_t child = 2 * at + 1
    while child < merge.count:
        if child + 1 < merge.count and cursor_before(merge, &merge.heap[child + 1], &merge.heap[child]):
            child += 1
        if not cursor_before(merge, &merge.heap[child], &moving):
            break
        merge.heap[at] = merge.heap[child]
        at = child
        child = 2 * at + 1
    merge.heap[at] = moving


cdef void merge_init(Merge* merge, Access* access, const KeyRange* keys) noexcept nogil:
    cdef const OrderedBound* start = &keys.high if keys.reverse else &keys.low
    cdef const Partition* partition
    cdef Cursor* cursor
    cdef uint32_t at
    cdef uint32_t count = 0
    merge.count = 0
    merge.stop = &keys.low if keys.reverse else &keys.high
    merge.reverse = keys.reverse
    for at in range(access.keyspace.shard_count):
        partition = access.keyspace.shards[at].partitions[access.database]
        if partition == NULL:
            continue
        merge.heap[count].index = partition.ordered
        ordered_prefetch(partition.ordered)
        count += 1
    for at in range(count):              # the misses of memory overlap instead of following one another
        cursor = &merge.heap[at]
        cursor.place = ordered_seek(cursor.index, start, keys.reverse)
        if cursor.place.node:
            prefetch(ordered_entry(cursor.index, cursor.place))
        merge.heap[count + at].index = cursor.index
        merge.heap[count + at].place = ordered_seek_buffered(cursor.index, start, keys.reverse)
    for at in range(2 * count):
        if cursor_read(merge, &merge.heap[at]):
            merge.heap[merge.count] = merge.heap[at]
            merge.count += 1
    at = merge.count >> 1
    while at:
        at -= 1
        sift_down(merge, at)


cdef void range_walk(Access* access, const KeyRange* keys, uint64_t count_max, RangeVisitor visit, void* context,
                     const Entry** last) noexcept nogil:
    cdef Merge merge
    cdef Cursor* top = &merge.heap[0]
    cdef bint going = True
    last[0] = NULL
    merge_init(&merge, access, keys)
    while merge.count:
        if count_max == 0 or not going:
            return
        last[0] = top.entry
        if not entry_expired(top.entry, access.now_ms):
            going = visit(access, top.entry, context)
        count_max -= 1
        top.place = ordered_step(top.index, top.place, merge.reverse)
        if not cursor_read(&merge, top):
            merge.count -= 1
            top[0] = merge.heap[merge.count]
        if merge.count:
            sift_down(&merge, 0)
    last[0] = NULL


cdef inline bint range_ends(const OrderedIndex* index, const KeyRange* keys, OrderedPlace* first,
                            OrderedPlace* last) noexcept nogil:
    """Finds the range's first and last key in one shard's tree. False: it has none there."""
    first[0] = ordered_seek(index, &keys.low, False)
    last[0] = ordered_seek(index, &keys.high, True)
    return first.node != 0 and last.node != 0 and not ordered_beyond(ordered_entry(index, first[0]), &keys.high, False)


cdef inline bint next_buffered(const OrderedIndex* index, const KeyRange* keys, OrderedPlace* place) noexcept nogil:
    """Moves from one of the buffer's keys in the range to the next, in no order; false: there is none left. The first
    call is made with place.node == 0."""
    cdef uint32_t after = place.at if place.node else <uint32_t> BUFFER_NONE
    place.node = PLACE_BUFFERED
    place.at = buffer_next(&index.buffer, index.entries, after, &keys.low, &keys.high)
    return place.at != BUFFER_NONE


# --- visiting one shard

cdef inline void visit_place(Access* access, const OrderedIndex* index, OrderedPlace place, uint32_t bits,
                             RangeVisitor visit, void* context) noexcept nogil:
    cdef const Entry* entry = ordered_entry(index, place)
    cdef Bytes name = entry_key(entry)
    if not entry_expired(entry, access.now_ms) and \
            (bits == 0 or keyspace_key(access.keyspace, name.data, name.size).bits >= bits):
        visit(access, entry, context)


cdef bint range_visit(Access* access, uint32_t shard, const KeyRange* keys, uint32_t bits, RangeVisitor visit,
                      void* context) noexcept nogil:
    cdef const Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    cdef OrderedPlace place, last, beyond
    cdef uint64_t buffered
    if partition == NULL:
        return True
    buffered = count_buffered(partition.ordered, keys, 0)
    if buffered > RANGE_VISITS:
        return False
    if range_ends(partition.ordered, keys, &place, &last):
        beyond = place
        ordered_count(partition.ordered, &beyond, last, VISIT_LEAVES)
        if beyond.node:
            return False
        while True:                      # ends: at `last`, which is not before the first place
            visit_place(access, partition.ordered, place, bits, visit, context)
            if place.node == last.node and place.at == last.at:
                break
            place = ordered_step(partition.ordered, place, False)
    place.node = 0
    while buffered and next_buffered(partition.ordered, keys, &place):
        visit_place(access, partition.ordered, place, bits, visit, context)
    return True


# --- counting

cdef uint64_t count_buffered(const OrderedIndex* index, const KeyRange* keys, int64_t now_ms) noexcept nogil:
    """The buffer's keys in the range; with a time, those that have not expired."""
    cdef OrderedPlace place
    cdef uint64_t total = 0
    if now_ms == 0:
        return buffer_count(&index.buffer, index.entries, &keys.low, &keys.high)
    place.node = 0
    while next_buffered(index, keys, &place):
        total += not entry_expired(ordered_entry(index, place), now_ms)
    return total


cdef const Entry* count_entries(const OrderedIndex* index, OrderedPlace place, const KeyRange* keys, int64_t now_ms,
                                uint64_t* total) noexcept nogil:
    """Looks at each entry of the tree; where to go on, or NULL."""
    cdef const Entry* entry
    for _ in range(COUNT_ENTRIES):
        entry = ordered_entry(index, place)
        if ordered_beyond(entry, &keys.high, False):
            return NULL
        total[0] += not entry_expired(entry, now_ms)
        place = ordered_step(index, place, False)
        if place.node == 0:
            return NULL
    return ordered_entry(index, place)


cdef const Entry* range_count(Access* access, uint32_t shard, const KeyRange* keys, uint64_t* total) noexcept nogil:
    cdef const Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    cdef bint expiring = access.keyspace.shards[shard].volatile_counts[access.database] != 0
    cdef const Entry* next = NULL
    cdef KeyRange done = keys[0]         # what this slice counts
    cdef OrderedPlace first, last
    cdef Bytes key
    if partition == NULL:
        return NULL
    if range_ends(partition.ordered, keys, &first, &last):
        if expiring:
            next = count_entries(partition.ordered, first, keys, access.now_ms, total)
        else:
            total[0] += ordered_count(partition.ordered, &first, last, COUNT_LEAVES)
            next = ordered_entry(partition.ordered, first) if first.node else NULL
    if next != NULL and not ordered_beyond(next, &keys.high, False):
        key = entry_key(next)
        done.high.edge = EDGE_EXCLUSIVE
        done.high.data = key.data
        done.high.size = key.size
    total[0] += count_buffered(partition.ordered, &done, access.now_ms if expiring else 0)
    return next


# --- deleting

cdef Status range_delete(Access* access, uint32_t shard, const KeyRange* keys, uint32_t count_max,
                         uint64_t* total) noexcept nogil:
    cdef const Partition* partition = access.keyspace.shards[shard].partitions[access.database]
    cdef OrderedPlace place
    cdef Bytes name
    cdef Key key
    if partition == NULL:
        return NOT_FOUND
    while count_max:
        place = ordered_seek(partition.ordered, &keys.low, False)
        if place.node == 0 or ordered_beyond(ordered_entry(partition.ordered, place), &keys.high, False):
            place.node = 0
            if not next_buffered(partition.ordered, keys, &place):
                return NOT_FOUND
        name = entry_key(ordered_entry(partition.ordered, place))
        key = keyspace_key(access.keyspace, name.data, name.size)
        if not journal_ready(access.keyspace, access.group, key.size, 0):
            return NO_MEMORY
        total[0] += keyspace_remove(access, &key, EVENT_DEL)        # false: it had expired, and is gone as well
        count_max -= 1
    return OK
