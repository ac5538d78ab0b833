# cython: language_level=3
"""Worker: an executor and its session, for one execute() of a Store at a time."""
from kvcy.commands.types cimport Executor, Service, Session
from kvcy.engine.shards cimport Keyspace

cdef class Worker:
    cdef object owner                # keeps keyspace and service alive
    cdef Keyspace* keyspace          # borrowed
    cdef Executor* executor          # owned
    cdef Session* session            # owned

    # The encoded reply of one command; b"" when the command exists only in a server.
    cdef bytes run(self, list arguments, int database)

cdef Worker worker_new(object owner, Keyspace* keyspace, Service* service)
# Raises ReplyError for a command that concerns a connection.
cdef int check_command(bytes name) except -1
# The reply of Worker.run as a Python object; ReplyError when it is an error, or when there is none.
cdef object decode_reply(bytes name, bytes reply)
