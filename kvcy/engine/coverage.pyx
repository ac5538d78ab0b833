# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The index of a snapshot's blocks: see coverage.pxd. A search is binary, within the shard's extents."""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from kvcy.engine.platform cimport invariant

cdef enum:
    EXTENTS_MIN = 64


cdef bint coverage_add(Coverage* coverage, const Extent* extent) noexcept nogil:
    cdef uint64_t capacity
    cdef Extent* extents
    if coverage.count == coverage.capacity:
        capacity = max(coverage.capacity * 2, <uint64_t> EXTENTS_MIN)
        extents = <Extent*> realloc(coverage.extents, capacity * sizeof(Extent))
        if extents == NULL:
            return False
        coverage.extents = extents
        coverage.capacity = capacity
    coverage.extents[coverage.count] = extent[0]
    coverage.count += 1
    if extent.position > coverage.greatest:
        coverage.greatest = extent.position
    return True


cdef bint coverage_index(Coverage* coverage, uint32_t shard_count) noexcept nogil:
    cdef uint64_t i = 0
    cdef uint32_t shard
    coverage.starts = <uint64_t*> malloc((shard_count + 1) * sizeof(uint64_t))
    if coverage.starts == NULL:
        return False
    for shard in range(shard_count):
        invariant(i < coverage.count and coverage.extents[i].shard == shard)
        coverage.starts[shard] = i
        while i < coverage.count and coverage.extents[i].shard == shard:
            i += 1
    invariant(i == coverage.count)
    coverage.starts[shard_count] = i
    coverage.shard_count = shard_count
    return True


cdef void coverage_close(Coverage* coverage) noexcept nogil:
    free(coverage.extents)
    free(coverage.starts)
    memset(coverage, 0, sizeof(Coverage))


cdef uint64_t coverage_search(const Coverage* coverage, uint32_t shard, uint32_t database,
                              uint32_t bits) noexcept nogil:
    cdef uint64_t low = coverage.starts[shard]
    cdef uint64_t high = coverage.starts[shard + 1]
    cdef uint64_t wanted = <uint64_t> database << 32 | bits
    cdef uint64_t middle
    cdef const Extent* extent
    invariant(shard < coverage.shard_count)
    while low < high:                    # the last extent that begins at or before what is wanted is below `high`
        middle = low + (high - low) // 2
        extent = &coverage.extents[middle]
        if (<uint64_t> extent.database << 32 | extent.first) <= wanted:
            low = middle + 1
        else:
            high = middle
    if low > coverage.starts[shard] and coverage.extents[low - 1].database == database:
        invariant(bits <= coverage.extents[low - 1].last)
        return coverage.extents[low - 1].position
    return coverage.extents[coverage.starts[shard]].position
