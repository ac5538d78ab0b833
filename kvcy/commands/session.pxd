# cython: language_level=3
"""A client's session: what the protocol and the commands remember of one connection, whoever carries its bytes.

A carrier (a reactor's connection, a trio-path client, a test) owns the Session and calls, from one thread at a time:

    session_feed(session, executor, data, size)
        parses and executes; replies are appended to executor.reply. Returns how many bytes were consumed; the rest must be
        handed in again, first byte first, with more behind (or after a resume). Stops early when session.state says so:
          SESSION_PARKED    a command needs Python (session.deferred holds it): take it, have it answered, then
                            session_resume(session, executor, reply bytes), then feed the rest
          SESSION_CONTINUING  a long command used up its slice (call.pxd, Continuation): feed again in the next turn, with
                            the bytes that are left or with none, without waiting for input; other clients come first
          SESSION_CLOSING   close after what was written has been sent (QUIT, protocol error, CLIENT KILL)
          or because the turn's work is used up (executor.budget): feed the rest in the next turn
    session_fill_room / session_filled
        while a large bulk string is being received: where the next bytes go, instead of into the carrier's buffer

An Executor is one thread's working memory: batch, reply writer, counters. Reactors have one each; trio-path clients share
one; each embedded thread has one.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from kvcy.commands.call cimport Call, Continuation, Row, RowStats
from kvcy.engine.block cimport Bytes
from kvcy.engine.keyspace cimport Access, Key, Keyspace
from kvcy.engine.watch cimport Watcher
from kvcy.protocol.parser cimport Arguments, Parser
from kvcy.protocol.writer cimport Writer

cdef enum SessionState:
    SESSION_OPEN = 0
    SESSION_PARKED = 1
    SESSION_CLOSING = 2
    SESSION_CONTINUING = 3

cdef enum SessionFlag:
    SESSION_AUTHENTICATED = 1
    SESSION_MULTI = 2              # between MULTI and EXEC
    SESSION_MULTI_FAILED = 4       # an error at queue time: EXEC answers EXECABORT
    SESSION_REPLY_OFF = 8
    SESSION_REPLY_SKIP = 16        # this command's reply is dropped
    SESSION_REPLY_SKIP_NEXT = 32
    SESSION_NO_EVICT = 64
    SESSION_NO_TOUCH = 128
    SESSION_UNIX = 256             # came over the Unix socket
    SESSION_TRIO = 512             # carried by the trio path
    SESSION_KILLED = 1024          # atomic: CLIENT KILL: the carrier closes it as soon as it notices

cdef struct Queued                 # one command queued by MULTI

cdef struct Deferred:              # a command that waits for Python; owns copies of its arguments
    const Row* row
    uint32_t argc
    Bytes* argv

cdef struct Session:
    uint64_t id
    Parser parser
    uint32_t flags                 # SessionFlag bits (atomic: KILLED is set by other threads)
    int state                      # SessionState
    int database
    Watcher watcher
    Queued* queue                  # MULTI's commands
    uint32_t queue_count
    uint32_t queue_capacity
    size_t queue_bytes
    Deferred* deferred
    Continuation continuation      # valid while SESSION_CONTINUING
    int64_t created_ms             # Unix time
    int64_t last_ms                # of the last command
    const Row* last_row
    uint64_t commands
    uint64_t bytes_in
    uint64_t bytes_out
    size_t input_bytes             # what the carrier keeps of an unfinished command (CLIENT LIST qbuf)
    size_t output_bytes            # what the carrier still has to send (oll/omem)
    int fd
    uint8_t protocol               # 2 or 3
    # NUL-terminated texts, owned; changed only under the registry's lock
    char* address                  # "127.0.0.1:50000", "/path:0"
    char* local_address
    char* name
    char* library_name
    char* library_version
    Session* previous              # neighbours in the registry (clients.pxd)
    Session* next

cdef struct ExecutorPrivate        # batch memory, see executor.pyx

cdef struct Executor:
    Keyspace* keyspace
    Service* service               # what all executors of one server share: clients, password, limits, slow log (service.pxd)
    Writer reply                   # replies of the session being fed; its carrier empties it
    int64_t now_ms                 # Unix time, set by the carrier once a turn
    int64_t now_us                 # the same clock in microseconds (TIME, SLOWLOG), set once a turn
    uint32_t budget                # commands the session being fed may still run in this turn
    int quiet_thread               # quiet.pxd registration of this thread, -1: no prefetching without locks
    RowStats* stats                # [number of rows]
    uint64_t commands              # processed in all
    ExecutorPrivate* private

cdef Executor* executor_new(Keyspace* keyspace) noexcept nogil       # NULL: no memory
cdef void executor_free(Executor* executor) noexcept nogil

cdef Session* session_new(uint64_t id, int64_t now_ms) noexcept nogil      # NULL: no memory
cdef void session_free(Session* session, Keyspace* keyspace) noexcept nogil   # ends its watches too
cdef size_t session_feed(Session* session, Executor* executor, const char* data, size_t size) noexcept nogil
cdef char* session_fill_room(Session* session, size_t* room) noexcept nogil   # NULL: not filling (room 0) or no memory (room 1)
cdef void session_filled(Session* session, size_t size) noexcept nogil
# Ends SESSION_PARKED with the encoded reply of the deferred command (which it frees).
cdef void session_resume(Session* session, Executor* executor, const char* reply, size_t size) noexcept nogil
# Runs one command outside the protocol (embedded execute): the reply is appended to executor.reply. False: it is a PYTHON row.
cdef bint session_execute(Session* session, Executor* executor, Bytes* argv, uint32_t argc) noexcept nogil
cdef size_t session_memory_bytes(const Session* session) noexcept nogil
