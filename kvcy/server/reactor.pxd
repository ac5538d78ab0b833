# cython: language_level=3
"""The reactor: a native epoll loop over many connections, in a thread of its own (see reactor.pyx)."""
from posix.time cimport clockid_t
from kvcy._core cimport Store
from kvcy.commands.service cimport ServiceHandle
from kvcy.server.connection cimport Connection, Loop
from kvcy.server.limits cimport ClientLimits
from kvcy.server.requests cimport Request

cdef class Reactor:
    cdef Loop loop
    cdef Store store                     # keeps the keyspace alive
    cdef ServiceHandle service
    cdef ClientLimits limits
    cdef clockid_t cpu_clock             # of its thread; 0: there is none, or it does not run yet
    cdef readonly bint finished          # run() has returned

cdef class ReactorRequest(Request):
    cdef Reactor reactor
    cdef Connection* connection
