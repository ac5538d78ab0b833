# cython: language_level=3
"""A list of bulk strings whose length is known only at its end: collected aside, then sent as it lies.

The strings are put, ready-made for the protocol, into blocks that grow from 4 KiB to 256 KiB; collector_send puts the
blocks behind the header without copying them (a short list is copied). A large key that is a block of its own is
not copied either. Memory running out is remembered in `failed`.
"""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.engine.block cimport Block, Bytes
from kvcy.protocol.writer cimport Writer

cdef struct Piece:         # bytes [start, start + size) of a block; owns one reference of it
    Block* block
    size_t start
    size_t size

cdef struct Collector:
    Piece* pieces          # in the order of sending
    uint32_t count
    uint32_t capacity
    Block* room            # the block being filled, that of the last piece of ours; NULL before the first
    uint64_t items         # bulk strings and pairs collected
    uint64_t bytes         # their size in the protocol
    bint failed

cdef void collector_init(Collector* collector) noexcept nogil
cdef void collector_close(Collector* collector) noexcept nogil
cdef void collector_add(Collector* collector, Bytes text) noexcept nogil
# Adds one item, an array of the two.
cdef void collector_add_pair(Collector* collector, Bytes first, Bytes second) noexcept nogil
# Appends the array of all that was collected to the reply. REQUIRES: not failed.
cdef void collector_send(const Collector* collector, Writer* reply) noexcept nogil
