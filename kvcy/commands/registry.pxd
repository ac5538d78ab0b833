# cython: language_level=3
"""All commands: binds handlers to names, makes the C rows, finds a row by name."""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.commands.types cimport Handler, Row
from kvcy.engine.block cimport Bytes

# Called by a family's module while it is imported: `name` is "get" or "client|list".
cdef void bind(str name, Handler handler)

# REQUIRES for all that follows: load() has been called (session.pyx does that when it is imported).
cdef struct RowSlot:                   # open addressing over folded names of at most 16 bytes
    uint64_t low
    uint64_t high
    const Row* row                     # NULL: empty

cdef struct RowTable:
    const RowSlot* slots
    uint32_t mask
    const Row* rows
    uint32_t count                     # all rows, subcommands included: numbers are below it

cdef const RowTable* row_table() noexcept nogil
# The top-level row of that name in any case, or NULL.
cdef const Row* row_lookup(const char* name, size_t size) noexcept nogil
# The row that argv asks for: a subcommand's when argv[0] is a container and argv[1] is given. NULL: unknown; *container then
# is the container whose subcommand is unknown, or NULL.
cdef const Row* row_resolve(const Bytes* argv, uint32_t argc, const Row** container) noexcept nogil
cdef const Row* row_subcommand(const Row* container, const char* name, size_t size) noexcept nogil
cdef const Row* row_at(uint32_t number) noexcept nogil
cdef uint32_t row_count() noexcept nogil
