# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What a thread of the embedded store has to do with the log: see the .pxd."""
from kvcy.commands.admission cimport admission_write_error
from kvcy.engine.log cimport Log, log_durable, log_error, log_holds_back, log_kick, log_wait
from kvcy.engine.platform cimport likely, unlikely

import os

from kvcy.errors import LogError


cdef int check_log(const Keyspace* keyspace) except -1:
    cdef int error = admission_write_error(keyspace)
    if unlikely(error != 0):
        raise LogError(f"the log takes no writes: {os.strerror(error)}")
    return 0


cdef int wait_log(Keyspace* keyspace, uint64_t position) except -1:
    cdef Log* log = keyspace.log
    cdef bint durable = True
    if likely(log == NULL):
        return 0
    log_kick(log)
    if unlikely(position > log_durable(log)) and log_holds_back(log):
        with nogil:
            durable = log_wait(log, position)
    if not durable:
        raise LogError(f"the change could not be made durable: {os.strerror(log_error(log))}")
    return 0
