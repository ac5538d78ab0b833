# cython: language_level=3
"""What the other families of string commands (numbers, expiry) share with strings.pyx: refusals."""
from kvcy.commands.call cimport Call
from kvcy.engine.status cimport Status

# The error reply for an engine operation that did not return OK.
cdef void reply_refused(Call* call, Status status) noexcept nogil
# -ERR invalid expire time in '<command>' command
cdef void reply_invalid_expire(Call* call) noexcept nogil
