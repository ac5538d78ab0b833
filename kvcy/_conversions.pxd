# cython: language_level=3
"""Between Python's objects and the engine's structs, in both directions: bytes, times, statuses."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.entry cimport Entry
from kvcy.engine.keyspace cimport Access
from kvcy.engine.status cimport NOT_FOUND, OK, Status

cdef extern from *:
    """
    #include <time.h>
    #ifdef CLOCK_REALTIME_COARSE
    #define KVCY_CLOCK CLOCK_REALTIME_COARSE   /* a few ms behind at most, and four times as fast to read */
    #else
    #define KVCY_CLOCK CLOCK_REALTIME
    #endif
    static inline int64_t kvcy_now_ms(void) {
        struct timespec now;
        clock_gettime(KVCY_CLOCK, &now);
        return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }
    """
    int64_t clock_ms "kvcy_now_ms"() nogil

# The one translator from an engine status to an exception; NOT_FOUND is none.
cdef inline int raise_for(Status status) except -1:
    if status == OK or status == NOT_FOUND:
        return 0
    return raise_status(status)

cdef int raise_status(Status status) except -1

# Points `out` at the object's bytes; what it returns must live as long as they are used.
cdef inline object borrow(object source, Bytes* out):
    if PyBytes_CheckExact(source):
        out.data = PyBytes_AS_STRING(source)
        out.size = <size_t> PyBytes_GET_SIZE(source)
        out.block = NULL
        return source
    return borrow_other(source, out)

cdef object borrow_other(object source, Bytes* out)

# The bytes of a key or value; a TypeError names another type.
cpdef object data_bytes(object source)

# A bytes object with the block's content; gives up the reference.
cdef object bytes_from_block(Block* block)

# An argument of a command: bytes, str (as UTF-8), int or float.
cdef object argument_bytes(object argument)

# The Unix time, in ms, that is so many seconds after now_ms. ValueError unless they are above 0 and not beyond reason.
cdef int64_t deadline_ms(object seconds, int64_t now_ms) except -1
# A Visitor (whole.pxd) that appends the entry's key to the list `context`.
cdef bint collect_key(Access* access, const Entry* entry, void* context) noexcept with gil
