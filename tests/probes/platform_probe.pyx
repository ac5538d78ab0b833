# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/platform.pxd for the tests: the atomics on one counter, and the assertion."""
from libc.stdint cimport int64_t, uint32_t

from kvcy.engine.platform cimport (
    add_acq_rel_u32, add_relaxed_i64, invariant, load_acquire_u32, load_relaxed_i64, store_relaxed_i64,
    store_release_u32,
)


cdef uint32_t counter
cdef int64_t gauge


def publish(uint32_t value) -> int:
    """Store with release, read with acquire."""
    with nogil:
        store_release_u32(&counter, value)
    return load_acquire_u32(&counter)


def add(uint32_t value) -> int:
    """Add to what `publish` stored; the new value."""
    return add_acq_rel_u32(&counter, value)


def move_gauge(int64_t start, int64_t by) -> int:
    """Set a signed counter and add to it; the new value."""
    store_relaxed_i64(&gauge, start)
    add_relaxed_i64(&gauge, by)
    return load_relaxed_i64(&gauge)


def check(bint holds) -> None:
    """An assertion on `holds`: ends the process when assertions are on and it does not hold."""
    invariant(holds)
