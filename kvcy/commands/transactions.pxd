# cython: language_level=3
"""MULTI, EXEC, DISCARD, WATCH, UNWATCH."""
from kvcy.commands.types cimport Executor, Session
from kvcy.engine.block cimport Block

# Whether session.deferred is a command that EXEC needs an answer to (it belongs to the queue then).
cdef bint exec_is_waiting(const Session* session) noexcept nogil
# Python's answer to it, borrowed (NULL: no memory for it): the session stays PARKED with the next such command, or EXEC
# runs.
cdef void exec_answer(Session* session, Executor* executor, Block* reply) noexcept nogil
