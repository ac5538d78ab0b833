# cython: language_level=3
"""All commands: binds handlers to names, makes the C rows, finds a row by name."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from kvcy.commands.types cimport Handler, Row, RowSlot, RowTable
from kvcy.engine.block cimport Bytes

# Called by a family's module while it is imported: `name` is "get" or "client|list".
cdef void bind(str name, Handler handler)

# REQUIRES for all that follows: load() has been called (session.pyx does that when it is imported).
cdef const RowTable* row_table() noexcept nogil
# The top-level row of that name in any case, or NULL.
cdef const Row* row_lookup(const char* name, size_t size) noexcept nogil
# The row that argv asks for: a subcommand's when argv[0] is a container and argv[1] is given. NULL: unknown; *container
# then is the container whose subcommand is unknown, or NULL.
cdef const Row* row_resolve(const Bytes* argv, uint32_t argc, const Row** container) noexcept nogil
cdef const Row* row_subcommand(const Row* container, const char* name, size_t size) noexcept nogil
cdef const Row* row_at(uint32_t number) noexcept nogil
cdef uint32_t row_count() noexcept nogil
# Whether `name` is `lower`, which has the same size, in any case.
cdef bint row_name_is(const char* name, const char* lower, size_t size) noexcept nogil

# --- the look-up, inline for the executor
cdef inline uint32_t mix(uint64_t low, uint64_t high) noexcept nogil:
    """A hash of a folded name."""
    cdef uint64_t product = (low ^ (high * 0x9E3779B97F4A7C15ULL)) * 0xD6E8FEB86659FD93ULL
    return <uint32_t> (product >> 32)

cdef inline uint64_t load_up_to_8(const char* name, size_t size) noexcept nogil:
    """At most 8 bytes as one word, without reading beyond them: from both ends, overlapping bytes being the same."""
    cdef uint32_t first, last
    if size >= 4:
        memcpy(&first, name, 4)
        memcpy(&last, name + size - 4, 4)
        return first | (<uint64_t> last << (8 * (size - 4)))
    if size == 0:
        return 0
    return (<uint64_t> <unsigned char> name[0] | (<uint64_t> <unsigned char> name[size >> 1] << (8 * (size >> 1)))
            | (<uint64_t> <unsigned char> name[size - 1] << (8 * (size - 1))))

cdef inline void fold(const char* name, size_t size, uint64_t* low, uint64_t* high) noexcept nogil:
    """A name of at most 16 bytes as two words with bit 5 of each byte set."""
    cdef uint64_t bits = 0x2020202020202020ULL
    if size <= 8:
        low[0] = load_up_to_8(name, size) | bits
        high[0] = 0
    else:
        memcpy(low, name, 8)
        low[0] |= bits
        high[0] = load_up_to_8(name + 8, size - 8) | bits

cdef inline const Row* row_find(const RowTable* table, const char* name, size_t size) noexcept nogil:
    """The top-level row of that name, or NULL. Ends at an empty slot: three quarters are."""
    cdef uint64_t low, high
    cdef uint32_t at
    cdef const Row* row
    if size > 16:
        return NULL
    fold(name, size, &low, &high)
    at = mix(low, high) & table.mask
    while True:
        row = table.slots[at].row
        if row == NULL:
            return NULL
        if table.slots[at].low == low and table.slots[at].high == high and row.name_size == size:
            return row
        at = (at + 1) & table.mask
