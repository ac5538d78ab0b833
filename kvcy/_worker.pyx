# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Worker: see the .pxd."""
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t

from kvcy._conversions cimport borrow, clock_ms
from kvcy.commands.executors cimport executor_free, executor_new
from kvcy.commands.service cimport Service
from kvcy.commands.session cimport (
    SESSION_AUTHENTICATED, SESSION_PARKED, session_execute, session_free, session_new, session_resume)
from kvcy.engine.block cimport Bytes
from kvcy.engine.shards cimport Keyspace
from kvcy.protocol.writer cimport writer_clear

from kvcy.errors import ReplyError
from kvcy.protocol.reply import ReplyReader


@cython.no_gc_clear                     # __dealloc__ needs what the owner owns
cdef class Worker:
    def __dealloc__(self):
        if self.session != NULL:
            session_free(self.session, self.keyspace)
        if self.executor != NULL:
            executor_free(self.executor)

    cdef bytes run(self, list arguments, int database):
        """The encoded reply of one command; b"" when the command exists only in a server."""
        cdef list held = []
        cdef Bytes* argv
        cdef uint32_t argc = <uint32_t> len(arguments)
        cdef bytearray memory = bytearray(argc * sizeof(Bytes))
        cdef bint native
        cdef uint32_t i
        argv = <Bytes*> <char*> memory
        for i in range(argc):
            held.append(borrow(arguments[i], &argv[i]))
        self.executor.now_ms = clock_ms()
        self.executor.now_us = self.executor.now_ms * 1000
        self.session.database = database
        with nogil:
            native = session_execute(self.session, self.executor, argv, argc)
            while self.session.state == SESSION_PARKED:                 # for Python, which only a server has
                session_resume(self.session, self.executor, NULL)
        if self.executor.reply.failed:
            writer_clear(&self.executor.reply)
            raise MemoryError("no memory for the reply; what the command has done stands")
        reply = PyBytes_FromStringAndSize(self.executor.reply.data, <Py_ssize_t> self.executor.reply.size)
        writer_clear(&self.executor.reply)
        return reply if native else b""


cdef Worker worker_new(object owner, Keyspace* keyspace, Service* service):
    cdef Worker worker = Worker()
    worker.owner = owner
    worker.keyspace = keyspace
    worker.executor = executor_new(keyspace, service)
    worker.session = session_new(service, clock_ms())
    if worker.executor == NULL or worker.session == NULL:
        raise MemoryError()
    worker.session.flags |= SESSION_AUTHENTICATED
    worker.session.protocol = 3
    worker.executor.reply.resp3 = True
    return worker


cdef int check_command(bytes name) except -1:
    if name.upper() in CONNECTION_COMMANDS:
        raise ReplyError(f"ERR {name.upper().decode()} belongs to a connection and is not for execute()")
    return 0


cdef object decode_reply(bytes name, bytes reply):
    if not reply:
        raise ReplyError(f"ERR {name.upper().decode('utf-8', 'replace')} is a command of the server only")
    reader = ReplyReader()
    reader.feed(reply)
    result = reader.gets()
    if isinstance(result, ReplyError):
        raise result
    return result


cdef frozenset CONNECTION_COMMANDS = frozenset(
    (b"MULTI", b"EXEC", b"DISCARD", b"WATCH", b"UNWATCH", b"QUIT", b"RESET", b"HELLO", b"AUTH", b"CLIENT"))
