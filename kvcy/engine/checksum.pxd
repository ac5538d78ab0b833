# cython: language_level=3
"""CRC-32C (Castagnoli; RFC 3720, appendix B.4): what guards every record, block and header on disk."""
from libc.stdint cimport uint32_t

# The checksum of `size` bytes at `data`, continuing from the checksum `crc` of what came before (0 at the start):
# crc32c(crc32c(0, a), b) is that of a and b together.
cdef uint32_t crc32c(uint32_t crc, const void* data, size_t size) noexcept nogil
# Whether the processor's instruction is in use. For tests: False makes crc32c use tables; True is obeyed where there is
# such an instruction.
cdef bint crc32c_hardware() noexcept nogil
cdef void crc32c_use_hardware(bint wanted) noexcept nogil
