# cython: language_level=3
"""A file that is read once, from its beginning to its end, in pieces that lie in one stretch of memory each."""
from libc.stdint cimport uint64_t

cdef struct Text:                        # a string put together somewhere; zeroed: empty. Its memory is used again
    char* data
    size_t size
    size_t capacity

# Makes `size` the text's size, with room for so much; what it held may be gone. MemoryError.
cdef int text_room(Text* text, size_t size) except -1
cdef void text_free(Text* text) noexcept

cdef class Source:
    cdef readonly str path               # for messages
    cdef readonly uint64_t size          # of the file, in bytes; 0: not known (a pipe)
    cdef object file                     # owned: a raw, unbuffered one
    cdef unsigned char* buffer           # file bytes [base, base + filled)
    cdef size_t capacity
    cdef size_t filled
    cdef size_t at                       # in the buffer: the next byte to be taken
    cdef uint64_t base
    cdef bint checked                    # `crc` goes on over what is taken
    cdef uint64_t crc

    # The next `size` bytes, borrowed until the next call. DumpError: the file ends before.
    cdef const unsigned char* take(self, size_t size) except NULL
    # The next bytes up to a newline, without it; *size is how many.
    cdef const unsigned char* take_line(self, size_t* size) except NULL
    cdef bint at_end(self) except -1
    # How much of the next `wanted` bytes is in the buffer once it has been filled; less only at the file's end.
    cdef size_t look(self, size_t wanted) except? 0
    cdef uint64_t offset(self) noexcept
    # Raises DumpError: `reason` at the place behind what was taken.
    cdef int fail(self, str reason) except -1

# CRC-64 with the Jones polynomial, reflected, from `crc` on: a Redis dump's checksum begins with 0 and is not inverted.
cdef uint64_t crc64(uint64_t crc, const unsigned char* data, size_t size) noexcept nogil
