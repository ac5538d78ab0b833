# cython: language_level=3
"""The arguments of one command that comes in many pieces: collected apart from the receive buffer, and handed over.

    at       [Bytes, Bytes, ...]      an argument each; points into a chunk, or is a block of its own
    chunks   -> chunk -> chunk        what came in one piece each, the youngest first; none ever moves

The parser collects (unfinished.pyx). When the command is complete it changes hands as it is, whatever it has grown to,
so that neither the last piece nor giving the command to another thread takes longer than any other piece. A large array
is a mapping of its own, which grows without being copied.
"""
from libc.stdint cimport uint32_t
from kvcy.engine.block cimport Bytes

cdef struct Chunk:
    Chunk* older
    size_t bytes           # its head included
    char data[8]           # the bytes; the struct is over-allocated

cdef struct Gathered:      # all zero: nothing
    Bytes* at              # [capacity]; owned, and so is one reference of each block
    uint32_t count
    uint32_t capacity
    size_t block_bytes     # of entries that are blocks
    Chunk* chunks          # owned
    size_t chunk_bytes     # of all of them

# Room for `wanted` entries in all, growing by half or more, but to no more than `most` if those suffice. False: no
# memory, nothing changed. Pointers into `at` become invalid.
cdef bint gathered_reserve(Gathered* gathered, size_t wanted, size_t most) noexcept nogil
# A new chunk's bytes, `size` of them; NULL: no memory. REQUIRES: size > 0.
cdef char* gathered_room(Gathered* gathered, size_t size) noexcept nogil
cdef void gathered_release(Gathered* gathered) noexcept nogil      # frees all, and leaves nothing
# Frees some of it, from the end on; whether little is left, for gathered_release. What is left is not to be used.
cdef bint gathered_shrink(Gathered* gathered) noexcept nogil

cdef inline size_t gathered_bytes(const Gathered* gathered) noexcept nogil:
    """What it takes, but for the blocks."""
    return gathered.capacity * sizeof(Bytes) + gathered.chunk_bytes
