# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A node of the ordered index: see node.pxd.

The prefix shortens when a key comes that does not share it: words then take bytes from the prefix, and no entry is
read; nor is one where words have been digits and a key has others. The prefix lengthens, and words become digits, at a
split, where words have become equal.
"""
from libc.string cimport memcpy, memmove

from kvcy.engine.platform cimport invariant, prefetch

cdef enum:
    EQUAL_SHARE = 16               # of a node's words: when more are equal they are made anew
    DIGITS = 8                     # of a word


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


cdef uint32_t rank_undigited(const Node* node, uint64_t bytes) noexcept nogil:
    cdef uint32_t kept = 0
    cdef uint32_t word = 0
    while bytes << 8 * kept >> 60 == 3:            # ends: not all of them are digits
        kept += 1
    if kept:
        word = digits_word(bytes >> 8 * (DIGITS - kept) << 8 * (DIGITS - kept))
    if bytes << 8 * kept >> 60 < 3:
        return words_below(node.words, node.count, word)
    word |= <uint32_t> 0xFFFFFFFFU >> 4 * kept
    return node.count if word == 0xFFFFFFFFU else words_below(node.words, node.count, word + 1)


cdef size_t node_beginning(const Node* node, char* beginning) noexcept nogil:
    cdef uint64_t bytes = word_bytes(node, 0)
    cdef uint32_t at
    memcpy(beginning, node.prefix, node.skip)
    for at in range(word_size(node)):
        beginning[node.skip + at] = <char> (bytes >> 56)
        bytes <<= 8
    return node.skip + word_size(node)


cdef void node_undigit(Node* node) noexcept nogil:
    cdef uint32_t at
    if node.digits:
        for at in range(node.count):
            node.words[at] = <uint32_t> (word_digits(node.words[at]) >> 32)
        node.digits = False


cdef bint shorten_digits(Node* node, size_t skip) noexcept nogil:
    """node_shorten where words stay digits; false: they cannot."""
    cdef size_t drop = node.skip - skip
    cdef uint64_t head = long_word_of(node.prefix + skip, drop)
    cdef uint32_t at
    if drop < DIGITS:
        head |= <uint64_t> 0x3030303030303030 >> 8 * drop
    if not are_digits(head):
        return False
    for at in range(node.count):
        node.words[at] = digits_word(head) | (node.words[at] >> 4 * drop if drop < DIGITS else 0)
    node.skip = <uint8_t> skip
    return True


cdef void node_shorten(Node* node, size_t skip) noexcept nogil:
    cdef size_t drop = node.skip - skip
    cdef uint32_t head = word_of(node.prefix + skip, drop)
    cdef uint32_t at
    if node.digits and shorten_digits(node, skip):
        return
    node_undigit(node)
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
        node.digits = False
        return
    if limit < node.skip or memcmp(key, node.prefix, limit) != 0:
        shared = shared_bytes(key, node.prefix, limit)
        node_shorten(node, shared)
    if node.digits and not are_digits(long_word_of(key + node.skip, size - node.skip)):
        node_undigit(node)


cdef inline uint32_t node_word(const Node* node, const Bytes* key) noexcept nogil:
    if node.digits:
        return digits_word(long_word_of(key.data + node.skip, key.size - node.skip))
    return word_of(key.data + node.skip, key.size - node.skip)


cdef inline bint has_digits(const Bytes* key, size_t at) noexcept nogil:
    return key.size >= at + DIGITS and are_digits(long_word_of(key.data + at, DIGITS))


cdef bint words_remake(const Arena* entries, Node* node) noexcept nogil:
    """Makes the words from the entries; false: they cannot be digits."""
    cdef const uint32_t* handles = node_handles(node)
    cdef uint32_t at
    cdef Bytes key
    for at in range(node.count):
        key = key_of(entries, handles[at])
        if node.digits and not has_digits(&key, node.skip):
            return False
        node.words[at] = node_word(node, &key)
    return True


cdef void node_lengthen(const Arena* entries, Node* node) noexcept nogil:
    cdef const uint32_t* handles = node_handles(node)
    cdef uint32_t equal = 0
    cdef bint digits
    cdef size_t shorter, shared, skip
    cdef Bytes first, last
    cdef uint32_t at
    for at in range(1, node.count):
        equal += node.words[at] == node.words[at - 1]
    if node.count < 2 or (node.level == 0 and equal <= node.count // EQUAL_SHARE):
        return
    first = key_of(entries, handles[0])
    last = key_of(entries, handles[node.count - 1])
    shorter = min(first.size, last.size)
    shared = shared_bytes(first.data, last.data, min(shorter, <size_t> NODE_PREFIX_MAX))
    skip = min(shorter - min(shorter, <size_t> DIGITS), shared)
    digits = skip + 4 >= shared and has_digits(&first, skip) and has_digits(&last, skip)
    if not digits:
        skip = shared
    if skip <= node.skip and digits == node.digits:
        return
    for at in range(node.count):
        prefetch(arena_at(entries, handles[at]))
    memcpy(node.prefix, first.data, shared)
    node.skip = <uint8_t> skip
    node.digits = digits
    if not words_remake(entries, node):
        node.skip = <uint8_t> shared
        node.digits = False
        words_remake(entries, node)


# --- places

cdef void node_set(Node* node, uint32_t at, uint32_t handle, const Bytes* key) noexcept nogil:
    node_admit(node, key.data, key.size)
    node.words[at] = node_word(node, key)
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
