# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The array of a batch's arguments. See arguments.pxd."""
from libc.stdint cimport uint32_t
from libc.string cimport memset

from kvcy.engine.block cimport Block, Bytes, blocks_release
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.engine.platform cimport invariant

cdef enum:
    ARGUMENTS_MIN = 64


cdef void arguments_init(Arguments* arguments) noexcept nogil:
    arguments.at = NULL
    arguments.count = 0
    arguments.capacity = 0
    arguments.owns_blocks = False
    memset(&arguments.opening, 0, sizeof(Opening))


cdef bint arguments_reserve(Arguments* arguments, size_t more) noexcept nogil:
    cdef size_t wanted = arguments.count + more
    cdef size_t capacity
    cdef Bytes* at
    if wanted <= arguments.capacity:
        return True
    capacity = max(wanted, 2 * <size_t> arguments.capacity, <size_t> ARGUMENTS_MIN)
    if capacity > 0xffffffffu:
        capacity = 0xffffffffu
        if wanted > capacity:
            return False
    at = <Bytes*> memory_resize(arguments.at, capacity * sizeof(Bytes))
    if at == NULL:
        return False
    arguments.at = at
    arguments.capacity = <uint32_t> capacity
    return True


cdef void arguments_release(Arguments* arguments) noexcept nogil:
    if arguments.owns_blocks:
        blocks_release(arguments.at, arguments.count)
        arguments.owns_blocks = False
    arguments.count = 0
    if arguments.capacity > ARGUMENTS_KEPT_MAX:
        memory_free(arguments.at)
        arguments_init(arguments)


cdef void arguments_close(Arguments* arguments) noexcept nogil:
    arguments_release(arguments)
    memory_free(arguments.at)
    arguments_init(arguments)


cdef void arguments_own(Arguments* arguments, Block* block) noexcept nogil:
    cdef Bytes* entry = arguments.at + arguments.count
    invariant(arguments.count < arguments.capacity)
    entry.data = NULL
    entry.size = 0
    entry.block = block
    arguments.count += 1
    arguments.owns_blocks = True
