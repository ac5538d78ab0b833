# cython: language_level=3
"""What a snapshot holds, and as of which position: the index of its blocks.

A snapshot made while the keyspace changed has blocks of different positions. Replay asks for each operation whether it
is newer than the image of what it changes. A flush or a swap never falls between two blocks of one shard (the writer
begins the shard anew), so all of a shard's first position stands for them, and for a database that was empty: there
the image may know operations of a later position already, and applying them again, all in order, ends in the same.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef struct Extent:                  # a block; ordered by shard, database, first
    uint64_t offset                  # of its header in the file
    uint64_t size                    # of its entries, in bytes
    uint64_t position                # operations at and behind it are newer
    uint32_t checksum                # of the entries
    uint32_t count
    uint32_t shard
    uint32_t database
    uint32_t first                   # hash bits, both inclusive
    uint32_t last

cdef struct Coverage:                # zeroed: covers nothing, and every operation is new
    Extent* extents
    uint64_t count
    uint64_t capacity
    uint64_t* starts                 # by shard, and one more: its first extent
    uint32_t shard_count
    uint64_t begin                   # the position from which the log is needed
    uint64_t greatest                # of all extents

cdef bint coverage_add(Coverage* coverage, const Extent* extent) noexcept nogil      # false: no memory
# Makes the index by shard, when all extents have been added. False: no memory. REQUIRES: each shard has an extent.
cdef bint coverage_index(Coverage* coverage, uint32_t shard_count) noexcept nogil
cdef void coverage_close(Coverage* coverage) noexcept nogil
# The position of the image of these bits. REQUIRES: indexed.
cdef uint64_t coverage_search(const Coverage* coverage, uint32_t shard, uint32_t database, uint32_t bits) noexcept nogil


cdef inline bint coverage_is_new(const Coverage* coverage, uint64_t position, uint32_t shard, uint32_t database,
                                 uint32_t bits) noexcept nogil:
    """Whether an operation at `position` on a key with these bits is to be applied to what was loaded."""
    if position >= coverage.greatest:
        return True
    if position < coverage.begin:
        return False
    return position >= coverage_search(coverage, shard, database, bits)


cdef inline bint coverage_is_new_shard(const Coverage* coverage, uint64_t position, uint32_t shard) noexcept nogil:
    """The same for a flush or a swap."""
    return position >= coverage.greatest or position >= coverage.extents[coverage.starts[shard]].position
