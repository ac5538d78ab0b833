# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/checksum.pxd and engine/files.pxd for the tests."""
from libc.stdint cimport uint32_t, uint64_t

from kvcy.engine.checksum cimport crc32c, crc32c_hardware, crc32c_use_hardware
from kvcy.engine.files cimport (
    directory_sync, file_allocate, file_close, file_create, file_last_hole, file_open_read, file_open_write,
    file_read_at, file_rename, file_size, file_sync, file_truncate, file_unlink, file_write_at, file_write_zeros,
)


def checksum(const unsigned char[:] data, uint32_t crc=0) -> int:
    return crc32c(crc, &data[0] if data.shape[0] > 0 else NULL, data.shape[0])


def use_hardware(wanted: bool) -> bool:
    """Ask for the instruction or the tables; whether the instruction is in use now."""
    crc32c_use_hardware(wanted)
    return crc32c_hardware()


def checksum_many(const unsigned char[:] data, uint64_t times) -> int:
    cdef uint32_t crc = 0
    with nogil:
        for _ in range(times):
            crc = crc32c(crc, &data[0], data.shape[0])
    return crc


def open_read(int directory, bytes name) -> int:
    return file_open_read(directory, name)


def open_write(int directory, bytes name) -> int:
    return file_open_write(directory, name)


def create(int directory, bytes name) -> int:
    return file_create(directory, name)


def close(int file) -> None:
    file_close(file)


def write_at(int file, bytes data, uint64_t offset) -> int:
    return file_write_at(file, <const char*> data, len(data), offset)


def write_zeros(int file, uint64_t size, uint64_t offset) -> int:
    return file_write_zeros(file, size, offset)


def read_at(int file, size_t size, uint64_t offset) -> bytes | int:
    cdef bytearray data = bytearray(size + 1)
    got = file_read_at(file, <char*> data, size, offset)
    return bytes(data[:got]) if got >= 0 else got


def last_hole(int file) -> int:
    return file_last_hole(file)


def sync(int file) -> int:
    return file_sync(file)


def sync_directory(int directory) -> int:
    return directory_sync(directory)


def allocate(int file, uint64_t size) -> int:
    return file_allocate(file, size)


def truncate(int file, uint64_t size) -> int:
    return file_truncate(file, size)


def rename(int directory, bytes old, bytes name) -> int:
    return file_rename(directory, old, name)


def unlink(int directory, bytes name) -> int:
    return file_unlink(directory, name)


def size(int file) -> int:
    return file_size(file)
