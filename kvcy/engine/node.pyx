# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A node of the ordered index: see node.pxd.

The prefix shortens when a key comes that does not share it: words then take bytes from the prefix, and no entry is
read. It lengthens at a split, when two bytes of every word have become equal.
"""
from libc.string cimport memcpy, memmove

from kvcy.engine.platform cimport invariant, prefetch


cdef uint32_t rank_among_equals(const Arena* entries, const Node* node, uint32_t low, const char* key, size_t size,
                                bint after) noexcept nogil:
    cdef uint32_t word = node.words[low]
    cdef uint32_t high = node.count
    cdef uint32_t middle
    cdef Bytes other
    if word != 0xFFFFFFFFU:
        high = low + words_below(&node.words[low], node.count - low, word + 1)
    while low < high:
        middle = (low + high) >> 1
        other = key_of(entries, node_handles(node)[middle])
        if bytes_order(other.data, other.size, key, size) < after:
            low = middle + 1
        else:
            high = middle
    return low


cdef void node_shorten(Node* node, size_t skip) noexcept nogil:
    cdef size_t drop = node.skip - skip
    cdef uint32_t head = word_of(node.prefix + skip, drop)
    cdef uint32_t at
    if drop >= 4:
        for at in range(node.count):
            node.words[at] = head
    elif drop:
        for at in range(node.count):
            node.words[at] = head | node.words[at] >> 8 * drop
    node.skip = <uint8_t> skip


cdef void node_admit(Node* node, const char* key, size_t size) noexcept nogil:
    cdef size_t limit = min(size, <size_t> node.skip)
    cdef size_t shared
    if node.count == 0:
        node.skip = <uint8_t> min(size, <size_t> NODE_PREFIX_MAX)
        memcpy(node.prefix, key, node.skip)
        return
    if limit == node.skip and memcmp(key, node.prefix, limit) == 0:
        return
    shared = shared_bytes(key, node.prefix, limit)
    node_shorten(node, shared)


cdef void node_lengthen(const Arena* entries, Node* node) noexcept nogil:
    cdef const uint32_t* handles = node_handles(node)
    cdef Bytes first, last, key
    cdef size_t shared
    cdef uint32_t at
    if node.count < 2 or (node.words[0] ^ node.words[node.count - 1]) >> 24:
        return
    first = key_of(entries, handles[0])
    last = key_of(entries, handles[node.count - 1])
    shared = min(min(first.size, last.size), <size_t> NODE_PREFIX_MAX)
    shared = shared_bytes(first.data, last.data, shared)
    if shared == node.skip:
        return
    for at in range(node.count):
        prefetch(arena_at(entries, handles[at]))
    memcpy(node.prefix, first.data, shared)
    node.skip = <uint8_t> shared
    for at in range(node.count):
        key = key_of(entries, handles[at])
        node.words[at] = word_of(key.data + shared, key.size - shared)


# --- places

cdef void node_set(Node* node, uint32_t at, uint32_t handle, const Bytes* key) noexcept nogil:
    node_admit(node, key.data, key.size)
    node.words[at] = word_of(key.data + node.skip, key.size - node.skip)
    node_handles(node)[at] = handle


cdef inline void array_open(uint32_t* array, uint32_t at, uint32_t count) noexcept nogil:
    memmove(array + at + 1, array + at, (count - at) * sizeof(uint32_t))


cdef inline void array_close(uint32_t* array, uint32_t at, uint32_t count) noexcept nogil:
    memmove(array + at, array + at + 1, (count - at - 1) * sizeof(uint32_t))


cdef void node_put(Node* node, uint32_t at, uint32_t handle, uint32_t child, const Bytes* key) noexcept nogil:
    invariant(node.count < node_max(node) and at <= node.count)
    node_admit(node, key.data, key.size)
    array_open(node.words, at, node.count)
    array_open(node_handles(node), at, node.count)
    if node.level:
        array_open(node_children(node), at, node.count)
        node_children(node)[at] = child
    node.count += 1
    node_set(node, at, handle, key)


cdef void node_take(Node* node, uint32_t at) noexcept nogil:
    invariant(at < node.count)
    array_close(node.words, at, node.count)
    array_close(node_handles(node), at, node.count)
    if node.level:
        array_close(node_children(node), at, node.count)
    node.count -= 1


cdef void node_copy(Node* target, uint32_t at, const Node* source, uint32_t first, uint32_t count) noexcept nogil:
    memcpy(target.words + at, source.words + first, count * sizeof(uint32_t))
    memcpy(node_handles(target) + at, node_handles(source) + first, count * sizeof(uint32_t))
    if source.level:
        memcpy(node_children(target) + at, node_children(source) + first, count * sizeof(uint32_t))
