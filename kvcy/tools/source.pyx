# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Reading a file that is to be imported: see source.pxd.

The buffer grows to the largest piece that is taken at once, but not for one that reaches behind the file's end: a wrong
length in a damaged file costs no memory. Of a pipe the end is not known: there a piece has 1 GB at most.
"""
from cpython.buffer cimport PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove

import os
import stat
import sys

from kvcy.errors import DumpError

cdef enum:
    CHUNK_BYTES = 1 << 20
    PIECE_BYTES_MAX = 1 << 30

cdef uint64_t[8][256] TABLES             # TABLES[k][byte]: the CRC of the byte with k zero bytes behind it


cdef void make_tables() noexcept nogil:
    cdef uint64_t crc
    cdef int byte, i, _bit
    for byte in range(256):
        crc = <uint64_t> byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5ULL if crc & 1 else 0)
        TABLES[0][byte] = crc
    for byte in range(256):
        for i in range(1, 8):
            TABLES[i][byte] = TABLES[i - 1][byte] >> 8 ^ TABLES[0][TABLES[i - 1][byte] & 255]


make_tables()


cdef uint64_t crc64(uint64_t crc, const unsigned char* data, size_t size) noexcept nogil:
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, data, 8)
        word ^= crc
        crc = (TABLES[7][word & 255] ^ TABLES[6][word >> 8 & 255] ^ TABLES[5][word >> 16 & 255] ^
               TABLES[4][word >> 24 & 255] ^ TABLES[3][word >> 32 & 255] ^ TABLES[2][word >> 40 & 255] ^
               TABLES[1][word >> 48 & 255] ^ TABLES[0][word >> 56])
        data += 8
        size -= 8
    while size:
        crc = crc >> 8 ^ TABLES[0][(crc ^ data[0]) & 255]
        data += 1
        size -= 1
    return crc


def crc64_of(bytes data not None) -> int:
    """The checksum of some bytes."""
    return crc64(0, data, len(data))


cdef int text_room(Text* text, size_t size) except -1:
    cdef void* grown
    if size > text.capacity:
        grown = realloc(text.data, size)
        if grown == NULL:
            raise MemoryError(f"no memory for a string of {size} bytes")
        text.data = <char*> grown
        text.capacity = size
    text.size = size
    return 0


cdef void text_free(Text* text) noexcept:
    free(text.data)


cdef class Source:
    """A file to be imported; `-` is standard input.

    Raises:
        OSError: it cannot be opened.
    """

    def __cinit__(self, str path):
        self.path = path
        if path == "-":
            self.path = "standard input"
            self.file = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
        else:
            self.file = open(path, "rb", buffering=0)
        status = os.fstat(self.file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0

    def __dealloc__(self):
        free(self.buffer)

    cdef uint64_t offset(self) noexcept:
        return self.base + self.at

    cdef int fail(self, str reason) except -1:
        raise DumpError(f"{self.path}, offset {self.offset()}: {reason}")

    cdef size_t look(self, size_t wanted) except? 0:
        cdef size_t capacity = self.capacity
        cdef void* grown
        if self.filled - self.at >= wanted:
            return wanted
        self.base += self.at
        self.filled -= self.at
        if self.filled:
            memmove(self.buffer, self.buffer + self.at, self.filled)
        self.at = 0
        if capacity < wanted + CHUNK_BYTES:
            capacity = wanted + wanted // 2 + CHUNK_BYTES
            grown = realloc(self.buffer, capacity)
            if grown == NULL:
                raise MemoryError(f"no memory for {wanted} bytes of {self.path}")
            self.buffer = <unsigned char*> grown
            self.capacity = capacity
        while self.filled < wanted:      # ends: the file does
            room = PyMemoryView_FromMemory(
                <char*> self.buffer + self.filled, <Py_ssize_t> (capacity - self.filled), PyBUF_WRITE)
            got = self.file.readinto(room)
            if not got:
                return self.filled
            self.filled += <size_t> got
        return wanted

    cdef const unsigned char* take(self, size_t size) except NULL:
        cdef const unsigned char* data
        if self.filled - self.at < size:
            if size > (self.size - self.offset() if self.size else <uint64_t> PIECE_BYTES_MAX) or \
                    self.look(size) < size:
                self.fail(f"the file ends in the middle: {size} bytes should follow")
        data = self.buffer + self.at
        self.at += size
        if self.checked:
            self.crc = crc64(self.crc, data, size)
        return data

    cdef const unsigned char* take_line(self, size_t* size) except NULL:
        cdef size_t there = self.look(1)
        cdef size_t searched = 0
        cdef const unsigned char* end = NULL
        while True:                      # ends: each turn looks at more
            there = self.filled - self.at
            if there > searched:
                end = <const unsigned char*> memchr(self.buffer + self.at + searched, b"\n", there - searched)
            if end != NULL:
                break
            searched = there
            if self.look(there + 1) == there:
                self.fail("the file ends in the middle of a line")
        size[0] = <size_t> (end - (self.buffer + self.at))
        self.at += size[0] + 1
        return end - size[0]

    cdef bint at_end(self) except -1:
        return self.look(1) == 0

    def begins_with(self, bytes magic not None) -> bool:
        """Whether the next bytes are these; nothing is taken."""
        return self.look(len(magic)) == <size_t> len(magic) and \
            memcmp(self.buffer + self.at, <const char*> magic, len(magic)) == 0

    def place(self) -> int:
        """How much has been taken."""
        return self.offset()

    def close(self) -> None:
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()
