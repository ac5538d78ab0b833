# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""How long a command's calls took: see histogram.pxd."""
from libc.stdlib cimport calloc, free
from kvcy.commands.types cimport HISTOGRAM_BUCKETS
from kvcy.engine.platform cimport add_own_u64, invariant, load_relaxed_u64

cdef extern from *:
    """
    #define KVCY_HISTOGRAM_LOAD(place)         __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define KVCY_HISTOGRAM_STORE(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)
    #define KVCY_LOG2(number)                  ((uint32_t) (63 - __builtin_clzll(number)))
    """
    Histogram* load_histogram "KVCY_HISTOGRAM_LOAD"(Histogram* const*) nogil
    void store_histogram "KVCY_HISTOGRAM_STORE"(Histogram**, Histogram*) nogil
    uint32_t log2_of "KVCY_LOG2"(uint64_t) nogil      # rounded down; REQUIRES: not 0

cdef enum:
    PARTS_SHIFT = 5
    PARTS = 1 << PARTS_SHIFT             # buckets between two powers of two


cdef inline uint32_t bucket_of(uint64_t spent_ns) noexcept nogil:
    cdef uint64_t time_ns = spent_ns if spent_ns < HISTOGRAM_NS_MAX else HISTOGRAM_NS_MAX
    cdef uint32_t power
    if time_ns < PARTS:
        return <uint32_t> time_ns
    power = log2_of(time_ns)
    return (power - PARTS_SHIFT + 1) * PARTS + (<uint32_t> (time_ns >> (power - PARTS_SHIFT)) & (PARTS - 1))


cdef uint64_t histogram_ns(uint32_t bucket) noexcept nogil:
    cdef uint64_t part = bucket & (PARTS - 1)
    if bucket < PARTS:
        return bucket
    return ((part + PARTS + 1) << ((bucket >> PARTS_SHIFT) - 1)) - 1


cdef Histogram* histogram_made(RowStats* stats) noexcept nogil:
    if stats.histogram == NULL:
        store_histogram(&stats.histogram, <Histogram*> calloc(1, sizeof(Histogram)))
    return stats.histogram


cdef void histogram_note(RowStats* stats, uint64_t spent_ns) noexcept nogil:
    cdef Histogram* histogram = histogram_made(stats)
    cdef uint32_t bucket = bucket_of(spent_ns)
    invariant(bucket < HISTOGRAM_BUCKETS)
    if histogram != NULL:
        add_own_u64(&histogram.counts[bucket], 1)


cdef const Histogram* histogram_of(const RowStats* stats) noexcept nogil:
    return load_histogram(&stats.histogram)


cdef void histogram_add(Histogram* total, const Histogram* more, bint subtract) noexcept nogil:
    cdef uint64_t count
    cdef uint32_t i
    if more == NULL:
        return
    for i in range(<uint32_t> HISTOGRAM_BUCKETS):
        count = load_relaxed_u64(&more.counts[i])
        total.counts[i] += 0 - count if subtract else count


cdef void histogram_merge(RowStats* own, const RowStats* more, bint subtract) noexcept nogil:
    cdef const Histogram* counted = histogram_of(more)
    cdef Histogram* total
    if counted == NULL:
        return
    total = histogram_made(own)
    if total != NULL:
        histogram_add(total, counted, subtract)


cdef void histograms_free(RowStats* stats, uint32_t count) noexcept nogil:
    cdef uint32_t i
    if stats == NULL:
        return
    for i in range(count):
        free(stats[i].histogram)
        stats[i].histogram = NULL
