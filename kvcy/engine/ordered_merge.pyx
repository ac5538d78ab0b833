# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""From the buffer of an ordered index into its tree: see ordered_merge.pxd.

The buffer is kept nearly full. To make room its fullest bucket is emptied: its items, which are neighbours, are sorted
and put into leaf after leaf, many at a time, by comparing numbers. Entries are read where numbers are equal, where a
leaf is split, and to find a leaf if the numbers do not tell.

Where keys are alike in the bytes that items keep, they are inserted one by one, as through a pipeline: some keys
ahead the entry is fetched into the cache, fewer ahead the way to its leaf is looked for and the leaf fetched. A split
makes ways that were found before it useless; they are looked for again.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memmove

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport (
    NODE_LEAF_MAX, Node, key_before, key_of, node_children, node_handles, word_of, words_below)
from kvcy.engine.ordered_buffer cimport (
    BUFFER_CHUNK_ITEMS, BUFFER_CHUNKS_MAX, BUFFER_NONE, BufferItem, OrderedBuffer, buffer_divide, buffer_grow,
    buffer_has_room, buffer_put_back, buffer_spread, buffer_take, long_word_of)
from kvcy.engine.ordered_index cimport ordered_node
from kvcy.engine.ordered_sort cimport items_merge, items_sort
from kvcy.engine.ordered_tree cimport (
    Path, find_leaf, find_rank, first_changed, node_prefetch, nodes_ready, path_down, tree_insert)
from kvcy.engine.platform cimport prefetch

cdef enum:
    BUFFER_SHARE = 6                   # the buffer grows until the index has so many times its keys
    DIVIDED_ITEMS_MIN = 256            # a bucket that was emptied of more is divided
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


cdef inline uint32_t key_word(const OrderedBuffer* buffer, const BufferItem* item, uint32_t at) noexcept nogil:
    """Four of the key's bytes, from `at` (at most buffer.skip + 8) on."""
    cdef uint32_t shared
    if at >= buffer.skip:
        return item_word(item, at - buffer.skip)
    shared = min(buffer.skip - at, <uint32_t> 4)
    return <uint32_t> (<uint64_t> word_of(buffer.prefix + at, shared) | item.word >> 32 >> 8 * shared)


cdef bint item_rank(const OrderedBuffer* buffer, const Node* node, const BufferItem* item,
                    uint32_t* rank) noexcept nogil:
    """How many keys of the node are smaller than the item's; false: that cannot be told by its numbers."""
    cdef int order = memcmp(buffer.prefix, node.prefix, min(<uint32_t> node.skip, buffer.skip))
    cdef uint32_t rest
    cdef uint64_t head, own
    cdef uint32_t word
    if order == 0 and node.skip > buffer.skip:
        rest = node.skip - buffer.skip
        if rest > 8 or node.prefix[node.skip - 1] == 0:
            return False                 # a key that ends before it has the same numbers
        head = long_word_of(node.prefix + buffer.skip, rest)
        own = item.word >> 8 * (8 - rest) << 8 * (8 - rest)
        order = (own > head) - (own < head)
    if order != 0:
        rank[0] = 0 if order < 0 else node.count
        return True
    word = key_word(buffer, item, node.skip)
    rank[0] = words_below(node.words, node.count, word)
    return rank[0] == node.count or node.words[rank[0]] != word


cdef void find_item_leaf(const OrderedIndex* index, const BufferItem* item, Path* path) noexcept nogil:
    """As find_leaf; an entry is read only where the item's numbers do not tell the way."""
    cdef uint32_t level = index.height - 1
    cdef uint32_t id = index.root
    cdef const Node* node
    cdef uint32_t rank
    cdef Bytes key
    while level:
        node = ordered_node(index, id)
        if not item_rank(&index.buffer, node, item, &rank):
            key = key_of(index.entries, item.handle)
            find_leaf(index, &key, path)
            return
        id = path_down(index, path, level, id, rank)
        level -= 1
    path.nodes[0] = id


cdef bint item_before_entry(const OrderedIndex* index, const BufferItem* item, uint32_t handle) noexcept nogil:
    """Whether the item's key is smaller than the entry's, which begins with the buffer's prefix."""
    cdef uint32_t skip = index.buffer.skip
    cdef Bytes key = key_of(index.entries, handle)
    cdef uint64_t word = long_word_of(key.data + skip, key.size - skip)
    if item.word != word:
        return item.word < word
    return key_before(index.entries, item.handle, handle)


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


cdef bint step_right(const OrderedIndex* index, Path* path, const BufferItem* item) noexcept nogil:
    """Moves to the next leaf, if the item's numbers tell that the item belongs there."""
    cdef const Node* leaf = ordered_node(index, path.nodes[0])
    cdef const Node* next
    cdef uint64_t limit, rest
    cdef uint32_t known
    if index.height == 1 or path.places[1] + 1 >= ordered_node(index, path.nodes[1]).count:
        return False
    limit = words_limit(index, leaf)
    if limit == 0 or limit == <uint64_t> -1:
        return False
    next = ordered_node(index, leaf.next)
    known = next.skip - index.buffer.skip + 4
    rest = <uint64_t> -1 >> 8 * known if known < 8 else 0
    if item.word <= limit | rest or item.word >= words_limit(index, next):
        return False
    path.nodes[0] = leaf.next
    path.places[1] += 1
    return True


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


cdef void order_equals(const OrderedIndex* index, const BufferItem* items, BufferItem* merged,
                       uint32_t count) noexcept nogil:
    """Puts new ones where they belong among the leaf's own that have the same word, behind which they are."""
    cdef BufferItem moving
    cdef uint32_t at, hole
    for at in range(1, count):
        if not ((merged[at].word == merged[at - 1].word) & (merged[at].more != 0)):
            continue
        moving = merged[at]
        hole = at
        while hole and merged[hole - 1].word == moving.word and merged[hole - 1].more == 0 and \
                item_before_entry(index, &items[moving.more - 1], merged[hole - 1].handle):
            merged[hole] = merged[hole - 1]
            hole -= 1
        merged[hole] = moving


cdef void leaf_take(const OrderedIndex* index, Node* leaf, const BufferItem* items, uint32_t count,
                    uint32_t word_at) noexcept nogil:
    """Merges the items into the leaf."""
    cdef BufferItem[120] old                       # NODE_LEAF_MAX; `more` is 0 for these, else which item it is, from 1
    cdef BufferItem[120] new
    cdef BufferItem[120] merged
    cdef uint32_t* handles = node_handles(leaf)
    cdef uint32_t total = leaf.count + count
    cdef uint32_t at
    cdef uint32_t equal = 0
    for at in range(leaf.count):
        old[at].word = leaf.words[at]
        old[at].more = 0
        old[at].handle = handles[at]
    for at in range(count):
        new[at].word = item_word(&items[at], word_at)
        new[at].more = at + 1
        new[at].handle = items[at].handle
    items_merge(old, leaf.count, new, count, merged)
    for at in range(1, total):
        if (merged[at].word == merged[at - 1].word) & (merged[at].more != 0):
            entry_prefetch(index, merged[at - 1].handle)
            equal += 1
    if equal:
        order_equals(index, items, merged, total)
    for at in range(total):
        leaf.words[at] = <uint32_t> merged[at].word
        handles[at] = merged[at].handle
    leaf.count = <uint16_t> total


cdef void split_prefetch(const OrderedIndex* index, const Node* leaf, uint32_t handle) noexcept nogil:
    """Fetches the entries that will be read when the leaf is split for this entry, as far as that is known."""
    cdef const uint32_t* handles = node_handles(leaf)
    entry_prefetch(index, handle)
    entry_prefetch(index, handles[0])
    entry_prefetch(index, handles[leaf.count >> 1])
    entry_prefetch(index, handles[leaf.count - 1])


cdef uint32_t insert_sorted(OrderedIndex* index, const BufferItem* items, uint32_t count) noexcept nogil:
    """As insert_each, for sorted items."""
    cdef uint32_t at = 0
    cdef uint32_t share = 0              # of the leaf before
    cdef uint32_t word_at
    cdef const Node* parent
    cdef Node* leaf
    cdef Bytes key
    cdef Path path
    while at < count and nodes_ready(index):
        if not share or not step_right(index, &path, &items[at]):
            find_item_leaf(index, &items[at], &path)
        leaf = ordered_node(index, path.nodes[0])
        if index.height > 1:
            parent = ordered_node(index, path.nodes[1])
            if path.places[1] + 2 < parent.count:
                node_prefetch(ordered_node(index, node_children(parent)[path.places[1] + 2]), True)
        share = leaf_share(index, leaf, items + at, count - at, &word_at)
        if share == 0:
            key = key_of(index.entries, items[at].handle)
            find_rank(index, &key, &path)
            tree_insert(index, &path, key, items[at].handle)
            at += 1
            continue
        if at + share < count and leaf.count + share == NODE_LEAF_MAX:
            split_prefetch(index, leaf, items[at + share].handle)
        leaf_take(index, leaf, items + at, share, word_at)
        if node_handles(leaf)[0] == items[at].handle:
            first_changed(index, &path, 1, items[at].handle)
        at += share
    return at


cdef bint insert_new(OrderedIndex* index) noexcept nogil:
    """The new items go straight into the tree; false: not all, since memory has ended."""
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t done = insert_each(index, buffer.items, buffer.fresh)
    buffer.fresh -= done
    memmove(buffer.items, buffer.items + done, buffer.fresh * sizeof(BufferItem))
    return buffer.fresh == 0


cdef bint empty_bucket(OrderedIndex* index, uint32_t bucket) noexcept nogil:
    """All of the bucket's items go into the tree; false: not all, since memory has ended."""
    cdef BufferItem[512] taken                     # BUFFER_BUCKET_ITEMS_MAX
    cdef BufferItem[512] scratch
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t count = buffer_take(buffer, bucket, taken)
    cdef const BufferItem* items = items_sort(index.entries, taken, scratch, count)
    cdef bint alike = items == NULL
    cdef uint32_t done
    if alike:
        items = taken
        done = insert_each(index, items, count)
    else:
        done = insert_sorted(index, items, count)
    if done < count:
        buffer_put_back(buffer, bucket, items + done, count - done)
        return False
    if alike and buffer.count == 0:
        return insert_new(index)         # an empty buffer takes a longer beginning, and may tell its keys apart
    if count > DIVIDED_ITEMS_MIN:
        buffer_divide(buffer, bucket, items[count >> 1].word)
    return True


cdef bint ordered_make_room(OrderedIndex* index) noexcept nogil:
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t bucket
    if buffer.chunks < BUFFER_CHUNKS_MAX and index.count > BUFFER_SHARE * BUFFER_CHUNK_ITEMS * buffer.chunks:
        buffer_grow(buffer, min(buffer.chunks + (buffer.chunks >> 1), <uint32_t> BUFFER_CHUNKS_MAX))
    while True:                                    # ends: each time there is more room, for fewer new items
        bucket = buffer_spread(buffer)
        if bucket == BUFFER_NONE or not empty_bucket(index, bucket):
            return buffer_has_room(buffer)
