# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""From the buffer of an ordered index into its tree: see ordered_merge.pxd.

The buffer is kept nearly full, at an eighth of the tree's keys. To make room its new items are sorted in, and as many
go into the tree: a run of neighbours that begins where the last one ended (the sweep). So each leaf gets several keys
at a time, by comparing numbers; entries are read where numbers are equal, and to find a leaf.

Where keys are alike in the bytes that items keep, they are inserted one by one, as through a pipeline: some keys
ahead the entry is fetched into the cache, fewer ahead the way to its leaf is looked for and the leaf fetched. A split
makes ways that were found before it useless; they are looked for again.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport NODE_LEAF_MAX, Node, key_before, key_of, node_children, node_handles
from kvcy.engine.ordered_buffer cimport (
    BUFFER_ITEMS_MAX, BUFFER_NEW_MAX, BufferItem, OrderedBuffer, buffer_grow, buffer_has_room, buffer_rank,
    buffer_remove, buffer_sort, long_word_of)
from kvcy.engine.ordered_index cimport ordered_node
from kvcy.engine.ordered_tree cimport (
    Path, find_leaf, find_rank, first_changed, node_prefetch, nodes_ready, tree_insert)
from kvcy.engine.platform cimport prefetch

cdef enum:
    BUFFER_SHARE = 8                   # the buffer grows until the index has so many times its keys
    LEAVES_AHEAD = 8                   # a power of two
    ENTRIES_AHEAD = 16


cdef inline void entry_prefetch(const OrderedIndex* index, uint32_t handle) noexcept nogil:
    """Fetches an entry's header and the beginning of its key."""
    cdef const char* at = <const char*> arena_at(index.entries, handle)
    prefetch(at)
    prefetch(at + 32)


# --- one by one

cdef uint32_t insert_each(OrderedIndex* index, const BufferItem* items, uint32_t count) noexcept nogil:
    """Inserts items into the tree, one by one; how many: less than all if memory ends."""
    cdef Path[8] paths                             # LEAVES_AHEAD
    cdef uint32_t[8] splits_then                   # when the path was found
    cdef uint32_t splits = 0
    cdef uint32_t at, slot, ahead
    cdef Bytes key
    for ahead in range(count + LEAVES_AHEAD):
        slot = ahead & (LEAVES_AHEAD - 1)
        if ahead + ENTRIES_AHEAD < count:
            entry_prefetch(index, items[ahead + ENTRIES_AHEAD].handle)
        if ahead >= LEAVES_AHEAD:
            at = ahead - LEAVES_AHEAD
            if not nodes_ready(index):
                return at
            key = key_of(index.entries, items[at].handle)
            if splits_then[slot] != splits:
                find_leaf(index, &key, &paths[slot])
            find_rank(index, &key, &paths[slot])
            splits += tree_insert(index, &paths[slot], key, items[at].handle)
        if ahead < count:
            key = key_of(index.entries, items[ahead].handle)
            find_leaf(index, &key, &paths[slot])
            splits_then[slot] = splits
    return count


# --- leaf by leaf

cdef inline uint32_t item_word(const BufferItem* item, uint32_t at) noexcept nogil:
    """Four of the item's bytes, from `at` (0 to 8) on."""
    if at <= 4:
        return <uint32_t> (item.word << 8 * at >> 32)
    return <uint32_t> ((item.word << 32 | item.more) << 8 * (at - 4) >> 32)


cdef uint64_t words_limit(const OrderedIndex* index, const Node* leaf) noexcept nogil:
    """Items with smaller words lie before the next leaf."""
    cdef const OrderedBuffer* buffer = &index.buffer
    cdef const Node* next
    cdef uint64_t limit
    cdef int order
    if leaf.next == 0:
        return <uint64_t> -1
    next = ordered_node(index, leaf.next)
    order = memcmp(next.prefix, buffer.prefix, min(<uint32_t> next.skip, buffer.skip))
    if order > 0:
        return <uint64_t> -1
    if order < 0 or next.skip < buffer.skip:
        return 0
    limit = long_word_of(next.prefix + buffer.skip, next.skip - buffer.skip)
    if next.skip - buffer.skip < 8:
        limit |= <uint64_t> next.words[0] << 32 >> 8 * (next.skip - buffer.skip)
    return limit


cdef uint32_t leaf_share(const OrderedIndex* index, const Node* leaf, const BufferItem* items, uint32_t count,
                         uint32_t* word_at) noexcept nogil:
    """How many of the items can be put into the leaf by their numbers alone, maybe none; leaf words are their bytes
    from *word_at on. REQUIRES: the first item belongs there."""
    cdef const OrderedBuffer* buffer = &index.buffer
    cdef uint64_t limit = words_limit(index, leaf)
    cdef uint64_t prefix, mask
    cdef uint32_t share = 0
    word_at[0] = leaf.skip - buffer.skip
    if leaf.skip < buffer.skip or word_at[0] > 8 or memcmp(leaf.prefix, buffer.prefix, buffer.skip) != 0:
        return 0
    if word_at[0] and leaf.prefix[leaf.skip - 1] == 0:
        return 0                         # a key that ends before it has the same numbers
    prefix = long_word_of(leaf.prefix + buffer.skip, word_at[0])
    mask = <uint64_t> -1 << 8 * (8 - word_at[0]) if word_at[0] else 0
    count = min(count, <uint32_t> NODE_LEAF_MAX - leaf.count)
    while share < count and items[share].word & mask == prefix and items[share].word < limit:
        share += 1
    return share


cdef void leaf_take(const OrderedIndex* index, Node* leaf, const BufferItem* items, uint32_t count,
                    uint32_t word_at) noexcept nogil:
    """Merges the items into the leaf, from its end."""
    cdef uint32_t* words = leaf.words
    cdef uint32_t* handles = node_handles(leaf)
    cdef uint32_t low = leaf.count
    cdef uint32_t word
    leaf.count += count
    while count:
        count -= 1
        word = item_word(&items[count], word_at)
        while low and words[low - 1] >= word and (
                words[low - 1] > word or key_before(index.entries, items[count].handle, handles[low - 1])):
            words[low + count] = words[low - 1]
            handles[low + count] = handles[low - 1]
            low -= 1
        words[low + count] = word
        handles[low + count] = items[count].handle


cdef uint32_t insert_sorted(OrderedIndex* index, const BufferItem* items, uint32_t count) noexcept nogil:
    """As insert_each, for sorted items."""
    cdef uint32_t at = 0
    cdef uint32_t share, word_at
    cdef const Node* parent
    cdef Node* leaf
    cdef Bytes key
    cdef Path path
    while at < count and nodes_ready(index):
        key = key_of(index.entries, items[at].handle)
        find_leaf(index, &key, &path)
        leaf = ordered_node(index, path.nodes[0])
        if index.height > 1:
            parent = ordered_node(index, path.nodes[1])
            if path.places[1] + 2 < parent.count:
                node_prefetch(ordered_node(index, node_children(parent)[path.places[1] + 2]), True)
        share = leaf_share(index, leaf, items + at, count - at, &word_at)
        if share == 0:
            find_rank(index, &key, &path)
            tree_insert(index, &path, key, items[at].handle)
            at += 1
            continue
        if at + share < count:
            entry_prefetch(index, items[at + share].handle)
        leaf_take(index, leaf, items + at, share, word_at)
        if node_handles(leaf)[0] == items[at].handle:
            first_changed(index, &path, 1, items[at].handle)
        at += share
    return at


cdef void sweep(OrderedIndex* index, uint32_t count) noexcept nogil:
    """The next so many of the buffer's sorted items go into the tree, as far as memory reaches."""
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t at = min(buffer_rank(buffer, index.sweep), buffer.sorted - count)
    count = insert_sorted(index, buffer.items + at, count)
    index.sweep = buffer.items[at + count].word if at + count < buffer.sorted else 0
    buffer_remove(buffer, at, count)


cdef bint ordered_make_room(OrderedIndex* index) noexcept nogil:
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t first = buffer.sorted
    cdef uint32_t most
    if not buffer_sort(buffer, index.entries):
        buffer_remove(buffer, first, insert_each(index, buffer.items + first, buffer.count - first))
        sweep(index, min(buffer.sorted, <uint32_t> BUFFER_NEW_MAX))
        return buffer_has_room(buffer)
    if buffer.capacity < BUFFER_ITEMS_MAX and index.count > BUFFER_SHARE * buffer.capacity:
        buffer_grow(buffer, min(buffer.capacity + (buffer.capacity >> 2), <uint32_t> BUFFER_ITEMS_MAX))
    most = buffer.capacity - min(buffer.capacity >> 1, <uint32_t> BUFFER_NEW_MAX)
    if buffer.count > most:
        sweep(index, buffer.count - most)
    return buffer_has_room(buffer)
