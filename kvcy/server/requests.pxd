# cython: language_level=3
"""Commands that Python answers: what a parked session hands to a handler."""
from kvcy.commands.helper cimport Helped
from kvcy.commands.types cimport Service, Session
from kvcy.engine.block cimport Block
from kvcy.engine.shards cimport Keyspace

# The reply in a block of its own; NULL: it is None, or there is no memory.
cdef Block* block_of(bytes reply)

cdef class SessionView:
    """A parked session as Python sees it; empty once its command has been answered."""
    cdef Session* session

    cdef Session* need(self) except NULL

cdef class Request:
    """One command that waits for Python. Subclasses say where the answer goes."""
    cdef readonly SessionView session
    cdef readonly list args              # of bytes, the command's name first
    cdef readonly str name               # the row's: "config|get"
    cdef readonly bint is_long           # no command for Python: run() is to be called on another thread, then done()
    cdef bint answered
    cdef Helped* helped                  # what running it has come to; owned

    # Takes arguments and name from session.deferred.
    cdef void take(self, Session* session)
    # Called once, with the encoded reply; None: close without one.
    cdef void answer(self, bytes reply)
    # Called once, instead, with what a helper has made of it, which changes hands; NULL: the session is to be closed.
    cdef void answer_helped(self, Helped* helped)
    cdef Keyspace* keyspace(self)
    cdef Service* service(self)

    cdef finish(self, bytes data)
