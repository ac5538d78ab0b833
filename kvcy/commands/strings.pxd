# cython: language_level=3
"""What the other families of string commands (numbers, expiry) share with strings.pyx: refusals."""
from kvcy.commands.call cimport Call
from kvcy.engine.status cimport Status

# The error reply for an engine operation that did not return OK.
cdef void reply_refused(Call* call, Status status) noexcept nogil
# +OK, or :1, if the mutation was done; else as reply_refused.
cdef void reply_ok_or_refused(Call* call, Status status) noexcept nogil
cdef void reply_one_or_refused(Call* call, Status status) noexcept nogil
# -ERR invalid expire time in '<command>' command
cdef void reply_invalid_expire(Call* call) noexcept nogil
