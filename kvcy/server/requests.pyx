# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands that Python answers: what a parked session hands to a handler.

While its command waits, nobody else touches the session, so the view reads it without a lock. A Request is
answered exactly once; one that is dropped unanswered is answered with an error, so that no client waits for ever.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy
from kvcy.commands.helper cimport helped_free, helper_run
from kvcy.commands.helping cimport helping_is_awaited
from kvcy.commands.types cimport SESSION_TRIO, SESSION_UNIX, Deferred
from kvcy.engine.block cimport Block, block_new


cdef Block* block_of(bytes reply):
    cdef size_t size
    cdef Block* block
    if reply is None:
        return NULL
    size = <size_t>len(reply)
    block = block_new(size)
    if block != NULL:
        memcpy(block.data, <const char*>reply, size)
        block.size = size
    return block


cdef str text_of(const char* text):
    return "" if text == NULL else (<bytes>text).decode("utf-8", "surrogateescape")


cdef class SessionView:
    """A parked session as Python sees it. Raises RuntimeError once its command has been answered."""

    cdef Session* need(self) except NULL:
        if self.session == NULL:
            raise RuntimeError("the session's command has been answered")
        return self.session

    @property
    def id(self) -> int:
        return self.need().id

    @property
    def database(self) -> int:
        return self.need().database

    @property
    def protocol(self) -> int:
        return self.need().protocol

    @property
    def address(self) -> str:
        return text_of(self.need().address)

    @property
    def local_address(self) -> str:
        return text_of(self.need().local_address)

    @property
    def name(self) -> str:
        return text_of(self.need().name)

    @property
    def is_unix(self) -> bool:
        """Whether the client came over the Unix socket."""
        return self.need().flags & SESSION_UNIX != 0

    @property
    def is_local(self) -> bool:
        """Whether the client runs on this machine: Unix socket or loopback."""
        if self.need().flags & SESSION_UNIX:
            return True
        address = self.address
        return address.startswith(("127.", "[::1]:", "::1:", "[::ffff:127."))

    @property
    def on_trio(self) -> bool:
        """Whether a trio task carries the session, not a reactor."""
        return self.need().flags & SESSION_TRIO != 0


cdef class Request:
    """One command that waits for Python: args, name (the row's, "config|get") and session."""

    cdef void take(self, Session* session):
        cdef Deferred* deferred = session.deferred
        self.session = SessionView()
        self.session.session = session
        self.name = deferred.row.name.decode()
        self.is_long = helping_is_awaited(session)
        self.args = [] if self.is_long else [
            PyBytes_FromStringAndSize(deferred.argv[i].data, <Py_ssize_t>deferred.argv[i].size)
            for i in range(deferred.argc)
        ]

    cdef void answer(self, bytes reply):
        pass

    cdef void answer_helped(self, Helped* helped):
        pass

    cdef Keyspace* keyspace(self):
        return NULL

    cdef Service* service(self):
        return NULL

    def __dealloc__(self):
        helped_free(self.helped)

    def run(self) -> None:
        """Runs a long command. For a thread that may wait; done() is to follow."""
        cdef Session* session = self.session.need()
        cdef Keyspace* keyspace = self.keyspace()
        cdef Service* service = self.service()
        with nogil:
            self.helped = helper_run(session, keyspace, service)

    def done(self) -> None:
        """Hands over the reply of a long command that has been run."""
        cdef Helped* helped = self.helped
        self.helped = NULL
        self.answered = True
        self.session.session = NULL
        self.answer_helped(helped)

    def reply(self, bytes data not None) -> None:
        """Answers with an encoded reply (or several, or none: b"").

        Raises:
            RuntimeError: it has been answered already.
        """
        self.finish(data)

    def close(self) -> None:
        """Closes the connection without a reply.

        Raises:
            RuntimeError: it has been answered already.
        """
        self.finish(None)

    cdef finish(self, bytes data):
        if self.answered:
            raise RuntimeError("the command has been answered already")
        self.answered = True
        self.session.session = NULL
        self.answer(data)
