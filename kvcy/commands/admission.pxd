# cython: language_level=3
"""The checks between a parsed command and its handler, in Redis's order."""
from kvcy.commands.types cimport Call, Service, Session
from kvcy.engine.log cimport LOG_WORKING, log_error, log_state
from kvcy.engine.platform cimport likely, load_relaxed_u32
from kvcy.engine.shards cimport Keyspace

# Whether the command is to be run now. If not, it was answered (refused, or queued by MULTI) or parked for Python.
# call.row is NULL for an unknown command.
cdef bint admission_check(Call* call) noexcept nogil
cdef bint admission_authenticated(const Session* session, const Service* service) noexcept nogil
# The PYTHON command waits for its answer: session.deferred holds it.
cdef void admission_park(Call* call) noexcept nogil


cdef inline int admission_write_error(const Keyspace* keyspace) noexcept nogil:
    """The errno for which the log takes no writes now; 0: it does, or there is none."""
    if keyspace.log == NULL or likely(log_state(keyspace.log) == LOG_WORKING):
        return 0
    return log_error(keyspace.log)


cdef inline bint admission_stops_writes(const Call* call) noexcept nogil:
    """Whether nothing may be changed now, whatever it is."""
    return load_relaxed_u32(&call.executor.service.writes_stopped) != 0 or \
        admission_write_error(call.executor.keyspace) != 0
