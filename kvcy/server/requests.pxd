# cython: language_level=3
"""Commands that Python answers: what a parked session hands to a handler."""
from kvcy.commands.types cimport Session

cdef class SessionView:
    """A parked session as Python sees it; empty once its command has been answered."""
    cdef Session* session

    cdef Session* need(self) except NULL

cdef class Request:
    """One command that waits for Python. Subclasses say where the answer goes."""
    cdef readonly SessionView session
    cdef readonly list args              # of bytes, the command's name first
    cdef readonly str name               # the row's: "config|get"
    cdef bint answered

    # Takes arguments and name from session.deferred.
    cdef void take(self, Session* session)
    # Called once, with the encoded reply; None: close without one.
    cdef void answer(self, bytes reply)

    cdef finish(self, bytes data)
