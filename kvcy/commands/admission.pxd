# cython: language_level=3
"""The checks between a parsed command and its handler, in Redis's order."""
from kvcy.commands.types cimport Call, Service, Session

# Whether the command is to be run now. If not, it was answered (refused, or queued by MULTI) or parked for Python.
# call.row is NULL for an unknown command.
cdef bint admission_check(Call* call) noexcept nogil
cdef bint admission_authenticated(const Session* session, const Service* service) noexcept nogil
# The PYTHON command waits for its answer: session.deferred holds it.
cdef void admission_park(Call* call) noexcept nogil
