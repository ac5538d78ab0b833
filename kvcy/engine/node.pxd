# cython: language_level=3
"""A node of the ordered index: a sorted array of keys, told apart by a word of each. See ordered.pxd.

    count, level, skip | neighbours of the level | prefix | digits | words | handles | children (inner nodes only)

A word is the four bytes behind what all keys of the node begin with; where eight digits are there in each of them, it
is these, four bits a digit: four of them would tell only 10,000 keys apart.

What holds: the words rise; each is made of the bytes of its key behind `skip`; all keys begin with the first `skip`
bytes of `prefix`. A key's bytes are in its entry, in the arena `entries`.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kvcy.engine.arena cimport Arena, arena_at
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_key
from kvcy.engine.platform cimport load_big_u32, load_big_u64

cdef enum:
    NODE_BYTES = 1024
    NODE_PREFIX_MAX = 51
    NODE_BEGINNING_MAX = 59        # bytes of a key that a node can tell
    NODE_LEAF_MAX = 120            # keys of a leaf
    NODE_INNER_MAX = 80            # children of an inner node

cdef struct Node:
    uint16_t count
    uint8_t level                  # 0: a leaf
    uint8_t skip                   # bytes of `prefix` in use
    uint32_t previous              # neighbours in the same level, 0 none
    uint32_t next
    char[51] prefix                # NODE_PREFIX_MAX
    uint8_t digits                 # words are eight digits: bytes of the form 0x3d
    uint32_t[240] words            # [max] words, [max] handles, of an inner node also [max] children

# What the key shares with the prefix is all that is left of it. REQUIRES for all that changes a node: order is kept.
cdef void node_admit(Node* node, const char* key, size_t size) noexcept nogil
# Lets words begin at `skip`, not behind where they do.
cdef void node_shorten(Node* node, size_t skip) noexcept nogil
# Takes into the prefix what all keys share, and digits for words, where these hardly tell keys apart any more.
cdef void node_lengthen(const Arena* entries, Node* node) noexcept nogil
# Makes the entry the one at `at`.
cdef void node_set(Node* node, uint32_t at, uint32_t handle, const Bytes* key) noexcept nogil
# Inserts before `at`. REQUIRES: room.
cdef void node_put(Node* node, uint32_t at, uint32_t handle, uint32_t child, const Bytes* key) noexcept nogil
cdef void node_take(Node* node, uint32_t at) noexcept nogil
# Lets words be bytes.
cdef void node_undigit(Node* node) noexcept nogil
# Copies `count` places of a node to `at` in another of the same level, whose words are made of the same bytes.
cdef void node_copy(Node* target, uint32_t at, const Node* source, uint32_t first, uint32_t count) noexcept nogil
# The end of node_rank when words from `low` on are equal to the key's: entries are read.
cdef uint32_t rank_among_equals(const Arena* entries, const Node* node, uint32_t low, const char* key, size_t size,
                                bint after) noexcept nogil

# What the node itself tells of the beginning of its first key: writes it to `beginning`; how many bytes.
cdef size_t node_beginning(const Node* node, char* beginning) noexcept nogil
# Another part of node_rank, for a key with these eight bytes behind the prefix, which are not all digits as words are.
cdef uint32_t rank_undigited(const Node* node, uint64_t bytes) noexcept nogil


cdef inline uint32_t node_max(const Node* node) noexcept nogil:
    return NODE_LEAF_MAX if node.level == 0 else NODE_INNER_MAX


cdef inline uint32_t* node_handles(const Node* node) noexcept nogil:
    return <uint32_t*> node.words + node_max(node)


cdef inline uint32_t* node_children(const Node* node) noexcept nogil:
    """REQUIRES: an inner node."""
    return <uint32_t*> node.words + 2 * NODE_INNER_MAX


cdef inline uint32_t word_size(const Node* node) noexcept nogil:
    """How many bytes of a key its word tells."""
    return 8 if node.digits else 4


cdef inline Bytes key_of(const Arena* entries, uint32_t handle) noexcept nogil:
    return entry_key(<const Entry*> arena_at(entries, handle))


cdef inline uint32_t word_of(const char* data, size_t size) noexcept nogil:
    """The first four bytes as a number that is ordered as they are; what is missing counts as 0."""
    cdef const uint8_t* at = <const uint8_t*> data
    cdef uint32_t word
    if size >= 4:
        return load_big_u32(data)
    word = 0
    if size > 0:
        word = <uint32_t> at[0] << 24
    if size > 1:
        word |= <uint32_t> at[1] << 16
    if size > 2:
        word |= <uint32_t> at[2] << 8
    return word


cdef inline uint64_t long_word_of(const char* data, size_t size) noexcept nogil:
    """The first eight bytes as a number that is ordered as they are; what is missing counts as 0."""
    if size >= 8:
        return load_big_u64(data)
    return <uint64_t> word_of(data, size) << 32 | (word_of(data + 4, size - 4) if size > 4 else 0)


cdef inline bint are_digits(uint64_t bytes) noexcept nogil:
    return bytes & <uint64_t> 0xF0F0F0F0F0F0F0F0 == <uint64_t> 0x3030303030303030


cdef inline uint32_t digits_word(uint64_t digits) noexcept nogil:
    """A number that is ordered as the eight digits are."""
    digits &= <uint64_t> 0x0F0F0F0F0F0F0F0F
    digits = (digits | digits >> 4) & <uint64_t> 0x00FF00FF00FF00FF
    digits = (digits | digits >> 8) & <uint64_t> 0x0000FFFF0000FFFF
    return <uint32_t> (digits | digits >> 16)


cdef inline uint64_t word_digits(uint32_t word) noexcept nogil:
    """The eight digits of which digits_word made it."""
    cdef uint64_t digits = word
    digits = (digits | digits << 16) & <uint64_t> 0x0000FFFF0000FFFF
    digits = (digits | digits << 8) & <uint64_t> 0x00FF00FF00FF00FF
    digits = (digits | digits << 4) & <uint64_t> 0x0F0F0F0F0F0F0F0F
    return digits | <uint64_t> 0x3030303030303030


cdef inline uint64_t word_bytes(const Node* node, uint32_t at) noexcept nogil:
    """What a word tells of the bytes behind the prefix, the others 0."""
    return word_digits(node.words[at]) if node.digits else <uint64_t> node.words[at] << 32


cdef inline int bytes_order(const char* first, size_t first_size, const char* second,
                            size_t second_size) noexcept nogil:
    """Negative, 0, or positive: the first is smaller, they are equal, or it is larger."""
    cdef int order = memcmp(first, second, min(first_size, second_size))
    if order != 0:
        return order
    return (first_size > second_size) - (first_size < second_size)


cdef inline bint key_before(const Arena* entries, uint32_t first, uint32_t second) noexcept nogil:
    """Whether the first entry's key is smaller than the second's."""
    cdef Bytes one = key_of(entries, first)
    cdef Bytes other = key_of(entries, second)
    return bytes_order(one.data, one.size, other.data, other.size) < 0


cdef inline uint32_t words_below(const uint32_t* words, uint32_t count, uint32_t word) noexcept nogil:
    """How many of the rising words are smaller. A binary search whose steps are no branches: nothing could foretell
    them."""
    cdef const uint32_t* at = words
    cdef uint32_t half
    if count == 0:
        return 0
    while count > 1:
        half = count >> 1
        at += half * (at[half - 1] < word)
        count -= half
    return <uint32_t> (at - words) + (at[0] < word)


cdef inline size_t shared_bytes(const char* first, const char* second, size_t size) noexcept nogil:
    """How many of the first `size` bytes are the same up to the first difference."""
    cdef size_t at = 0
    while at < size and first[at] == second[at]:
        at += 1
    return at


cdef inline uint32_t node_rank(const Arena* entries, const Node* node, const char* key, size_t size,
                               bint after) noexcept nogil:
    """How many keys of the node are smaller than the key; with `after` (1), or equal."""
    cdef int order = memcmp(key, node.prefix, min(size, <size_t> node.skip))
    cdef uint64_t bytes
    cdef uint32_t word, low
    if order != 0:
        return 0 if order < 0 else node.count
    if size < node.skip:
        return 0
    if node.digits:
        bytes = long_word_of(key + node.skip, size - node.skip)
        if not are_digits(bytes):
            return rank_undigited(node, bytes)
        word = digits_word(bytes)
    else:
        word = word_of(key + node.skip, size - node.skip)
    low = words_below(node.words, node.count, word)
    if low == node.count or node.words[low] != word:
        return low
    return rank_among_equals(entries, node, low, key, size, after)
