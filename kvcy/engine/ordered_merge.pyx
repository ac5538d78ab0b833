# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""From the buffer of an ordered index into its tree: see ordered_merge.pxd.

The buffer is kept nearly full. To make room its fullest bucket is emptied: its items, which are neighbours, are sorted
and put into leaf after leaf, many at a time, by comparing numbers. A leaf that gets too many is split for all of them
at once. Entries are read where numbers are equal, and to find a leaf if the numbers do not tell.

Where keys are alike in the bytes that items keep, they are inserted one by one, as through a pipeline: some keys
ahead the entry is fetched into the cache, fewer ahead the way to its leaf is looked for and the leaf fetched. A split
makes ways that were found before it useless; they are looked for again.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove

from kvcy.engine.arena cimport arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.node cimport (
    NODE_LEAF_MAX, Node, are_digits, digits_word, key_before, key_of, long_word_of, node_children, node_handles,
    word_bytes, word_size, words_below)
from kvcy.engine.ordered_buffer cimport (
    BUFFER_CHUNK_ITEMS, BUFFER_CHUNKS_MAX, BUFFER_NONE, BufferItem, OrderedBuffer, buffer_divide, buffer_emptiest,
    buffer_grow, buffer_has_room, buffer_put_back, buffer_spread, buffer_take)
from kvcy.engine.ordered_index cimport ordered_node
from kvcy.engine.ordered_sort cimport items_sort, numbers_merge
from kvcy.engine.ordered_tree cimport (
    Path, find_leaf, find_rank, first_changed, node_beside, node_prefetch, nodes_ready, path_down, tree_insert,
    tree_link)
from kvcy.engine.platform cimport prefetch

cdef enum:
    BUFFER_SHARE = 4                   # the buffer grows until the index has so many times its keys
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

cdef inline uint64_t item_bytes(const BufferItem* item, uint32_t at) noexcept nogil:
    """Eight of the item's bytes, from `at` (0 to 8) on; behind its twelve, zeros."""
    cdef uint64_t rest = <uint64_t> item.more << 32
    return rest if at == 8 else item.word << 8 * at | rest >> 1 >> (63 - 8 * at)


cdef inline uint64_t key_bytes(const OrderedBuffer* buffer, const BufferItem* item, uint32_t at) noexcept nogil:
    """Eight of the key's bytes, from `at` (at most buffer.skip + 8) on, as far as the item has them."""
    cdef uint32_t shared
    if at >= buffer.skip:
        return item_bytes(item, at - buffer.skip)
    shared = min(buffer.skip - at, <uint32_t> 8)
    return long_word_of(buffer.prefix + at, shared) | (item.word >> 8 * shared if shared < 8 else 0)


cdef inline uint32_t bytes_word(const Node* node, uint64_t bytes) noexcept nogil:
    """The node's word of a key with these bytes behind the prefix. REQUIRES: they are digits if its words are."""
    return digits_word(bytes) if node.digits else <uint32_t> (bytes >> 32)


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
    own = key_bytes(buffer, item, node.skip)
    if node.digits and not are_digits(own):
        return False
    word = bytes_word(node, own)
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
        limit |= word_bytes(next, 0) >> 8 * (next.skip - buffer.skip)
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
    known = next.skip - index.buffer.skip + word_size(next)
    rest = <uint64_t> -1 >> 8 * known if known < 8 else 0
    if item.word <= limit | rest or item.word >= words_limit(index, next):
        return False
    path.nodes[0] = leaf.next
    path.places[1] += 1
    return True


cdef uint32_t leaf_share(const OrderedIndex* index, const Node* leaf, const BufferItem* items, uint32_t count,
                         uint32_t* word_at) noexcept nogil:
    """How many of the items can be put by their numbers alone into the leaf, or into it and a new one, maybe none; leaf
    words are made of their bytes from *word_at on. REQUIRES: the first item belongs there."""
    cdef const OrderedBuffer* buffer = &index.buffer
    cdef uint64_t limit = words_limit(index, leaf)
    cdef uint64_t prefix, mask
    cdef uint32_t share = 0
    word_at[0] = leaf.skip - buffer.skip
    if leaf.count == 0 or leaf.skip < buffer.skip or word_at[0] > 8:
        return 0
    if memcmp(leaf.prefix, buffer.prefix, buffer.skip) != 0:
        return 0
    if word_at[0] and leaf.prefix[leaf.skip - 1] == 0:
        return 0                         # a key that ends before it has the same numbers
    prefix = long_word_of(leaf.prefix + buffer.skip, word_at[0])
    mask = <uint64_t> -1 << 8 * (8 - word_at[0]) if word_at[0] else 0
    if items[0].word & mask != prefix:
        return 0
    if prefix | ~mask < limit:
        limit = (prefix | ~mask) + 1
    count = min(count, 2 * <uint32_t> NODE_LEAF_MAX - leaf.count)
    while share < count and items[share].word < limit and \
            (not leaf.digits or are_digits(item_bytes(&items[share], word_at[0]))):
        share += 1
    return share


cdef struct Merged:                      # a leaf's keys and items, to be put into it, or into it and a new one
    uint64_t[240] numbers                # 2 * NODE_LEAF_MAX; rising: word 4 | where its handle is 4
    uint32_t[240] words                  # these alone
    uint32_t[360] handles                # 3 * NODE_LEAF_MAX: first the leaf's own, from NODE_LEAF_MAX on the items'
    uint32_t count


cdef inline uint32_t merged_handle(const Merged* merged, uint32_t at) noexcept nogil:
    return merged.handles[<uint32_t> merged.numbers[at]]


cdef inline bint is_item(uint64_t number) noexcept nogil:
    """Whether it was not in the leaf before."""
    return <uint32_t> number >= <uint32_t> NODE_LEAF_MAX


cdef void order_equals(const OrderedIndex* index, const BufferItem* items, Merged* merged) noexcept nogil:
    """Puts items where they belong among the leaf's own keys that have the same word, behind which they are."""
    cdef uint64_t* numbers = merged.numbers
    cdef const BufferItem* item
    cdef uint64_t moving
    cdef uint32_t at, hole
    for at in range(1, merged.count):
        if merged.words[at] == merged.words[at - 1] and is_item(numbers[at]):
            entry_prefetch(index, merged_handle(merged, at - 1))
    for at in range(1, merged.count):
        if (numbers[at] ^ numbers[at - 1]) >> 32 or not is_item(numbers[at]):
            continue
        moving = numbers[at]
        item = &items[<uint32_t> moving - <uint32_t> NODE_LEAF_MAX]
        hole = at
        while hole and (numbers[hole - 1] ^ moving) >> 32 == 0 and not is_item(numbers[hole - 1]) and \
                item_before_entry(index, item, merged_handle(merged, hole - 1)):
            numbers[hole] = numbers[hole - 1]
            hole -= 1
        numbers[hole] = moving


cdef void leaf_merge(const OrderedIndex* index, const Node* leaf, const BufferItem* items, uint32_t count,
                     uint32_t word_at, Merged* merged) noexcept nogil:
    cdef uint64_t[120] old                         # NODE_LEAF_MAX
    cdef uint64_t[240] new
    cdef uint64_t* numbers = merged.numbers
    cdef uint32_t equal = 0
    cdef uint32_t at
    for at in range(leaf.count):
        old[at] = <uint64_t> leaf.words[at] << 32 | at
    memcpy(merged.handles, node_handles(leaf), leaf.count * sizeof(uint32_t))
    for at in range(count):
        new[at] = <uint64_t> bytes_word(leaf, item_bytes(&items[at], word_at)) << 32 | (<uint32_t> NODE_LEAF_MAX + at)
        merged.handles[<uint32_t> NODE_LEAF_MAX + at] = items[at].handle
    merged.count = leaf.count + count
    numbers_merge(old, leaf.count, new, count, numbers)
    for at in range(merged.count):
        merged.words[at] = <uint32_t> (numbers[at] >> 32)
    for at in range(1, merged.count):
        equal += merged.words[at] == merged.words[at - 1]
    if equal:
        order_equals(index, items, merged)


cdef void leaf_fill(Node* leaf, const Merged* merged, uint32_t first, uint32_t count) noexcept nogil:
    """Gives the leaf these keys, and no others."""
    cdef uint32_t* handles = node_handles(leaf)
    cdef uint32_t at
    memcpy(leaf.words, merged.words + first, count * sizeof(uint32_t))
    for at in range(count):
        handles[at] = merged_handle(merged, first + at)
    leaf.count = <uint16_t> count


cdef uint32_t left_share(const Node* leaf, const Merged* merged) noexcept nogil:
    """How many of the keys, too many for the leaf, stay in it: half of them, but where keys seem to come in order, at
    the ends of the key space, one of the two leaves is full. REQUIRES: the leaf is not empty."""
    if leaf.next == 0 and not is_item(merged.numbers[leaf.count - 1]):
        return NODE_LEAF_MAX
    if leaf.previous == 0 and not is_item(merged.numbers[merged.count - leaf.count]):
        return merged.count - <uint32_t> NODE_LEAF_MAX
    return merged.count >> 1


cdef void leaf_take(OrderedIndex* index, const Path* path, const BufferItem* items, uint32_t count,
                    uint32_t word_at) noexcept nogil:
    """Merges the items into the leaf at the end of the path; if they are too many for it, also into a new right
    neighbour. Then the path is not valid any more. REQUIRES: nodes_ready."""
    cdef Node* leaf = ordered_node(index, path.nodes[0])
    cdef Merged merged
    cdef uint32_t share, right
    leaf_merge(index, leaf, items, count, word_at, &merged)
    if is_item(merged.numbers[0]):
        first_changed(index, path, 1, merged_handle(&merged, 0))
    if merged.count <= <uint32_t> NODE_LEAF_MAX:
        leaf_fill(leaf, &merged, 0, merged.count)
        return
    share = left_share(leaf, &merged)
    right = node_beside(index, path.nodes[0])
    leaf_fill(leaf, &merged, 0, share)
    leaf_fill(ordered_node(index, right), &merged, share, merged.count - share)
    tree_link(index, path, right)


cdef uint32_t insert_sorted(OrderedIndex* index, const BufferItem* items, uint32_t count) noexcept nogil:
    """As insert_each, for sorted items."""
    cdef uint32_t at = 0
    cdef bint on_the_way = False         # the path leads to the leaf before
    cdef uint32_t share, word_at
    cdef const Node* parent
    cdef Node* leaf
    cdef Bytes key
    cdef Path path
    while at < count and nodes_ready(index):
        if not on_the_way or not step_right(index, &path, &items[at]):
            find_item_leaf(index, &items[at], &path)
        leaf = ordered_node(index, path.nodes[0])
        if index.height > 1:
            parent = ordered_node(index, path.nodes[1])
            if path.places[1] + 2 < parent.count:
                node_prefetch(ordered_node(index, node_children(parent)[path.places[1] + 2]), True)
        share = leaf_share(index, leaf, items + at, count - at, &word_at)
        if share:
            on_the_way = leaf.count + share <= <uint32_t> NODE_LEAF_MAX
            leaf_take(index, &path, items + at, share, word_at)
            at += share
        else:
            key = key_of(index.entries, items[at].handle)
            find_rank(index, &key, &path)
            on_the_way = not tree_insert(index, &path, key, items[at].handle)
            at += 1
    return at


cdef bint insert_new(OrderedIndex* index) noexcept nogil:
    """The new items go straight into the tree; false: not all, since memory has ended."""
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t done = insert_each(index, buffer.items, buffer.fresh)
    buffer.fresh -= done
    memmove(buffer.items, buffer.items + done, buffer.fresh * sizeof(BufferItem))
    return buffer.fresh == 0


cdef bint empty_bucket(OrderedIndex* index, uint32_t bucket, bint another) noexcept nogil:
    """All of the bucket's items go into the tree; false: not all, since memory has ended. If they are alike and
    `another`, so do those of another bucket: some day all are empty, though no new item comes there."""
    cdef BufferItem[512] taken                     # BUFFER_BUCKET_ITEMS_MAX
    cdef BufferItem[512] items
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t count = buffer_take(buffer, bucket, taken)
    cdef bint alike = not items_sort(index.entries, taken, items, count)
    cdef uint32_t done = insert_each(index, items, count) if alike else insert_sorted(index, items, count)
    if done < count:
        buffer_put_back(buffer, bucket, items + done, count - done)
        return False
    if alike and another and buffer.count:
        return empty_bucket(index, buffer_emptiest(buffer), False)
    if (alike or not another) and buffer.count == 0:
        return insert_new(index)         # an empty buffer takes a longer beginning, and may tell its keys apart
    if count > DIVIDED_ITEMS_MIN:
        buffer_divide(buffer, bucket, items[count >> 1].word)
    return True


cdef bint ordered_make_room(OrderedIndex* index) noexcept nogil:
    cdef OrderedBuffer* buffer = &index.buffer
    cdef uint32_t bucket
    if buffer.chunks < BUFFER_CHUNKS_MAX and index.count > BUFFER_SHARE * BUFFER_CHUNK_ITEMS * buffer.chunks:
        buffer_grow(buffer, min(buffer.chunks + (3 * buffer.chunks >> 3), <uint32_t> BUFFER_CHUNKS_MAX))
    while True:                                    # ends: each time there is more room, for fewer new items
        bucket = buffer_spread(buffer)
        if bucket == BUFFER_NONE or not empty_bucket(index, bucket, True):
            return buffer_has_room(buffer)
