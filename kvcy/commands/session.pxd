# cython: language_level=3
"""A client's session: what the protocol and the commands remember of one connection, whoever carries its bytes.

A carrier (a reactor's connection, a trio-path client, a test) owns the Session and calls, from one thread at a time:

    session_feed(session, executor, data, size)
        parses and executes; replies are appended to executor.reply. Returns how many bytes were consumed; the rest must
        be handed in again, first byte first, with more behind (or after a resume). Stops early when session.state says:
          SESSION_PARKED      a command needs Python (session.deferred holds it: row, argc, argv; borrowed until
                              resumed). session_resume(session, executor, reply), then look at the state again:
                              EXEC may be PARKED at once with the next command Python has to answer. Once OPEN, feed
                              the rest
          SESSION_CONTINUING  a long command used up its slice (types.pxd, Continuation): feed again in the next turn,
                              with the bytes that are left or with none, without waiting for input; others come first
          SESSION_CLOSING     close after what was written has been sent (QUIT, protocol error, HTTP, CLIENT KILL); all
                              bytes count as consumed
          or because the turn's work is used up (executor.budget is 0): feed the rest in the next turn, without waiting
          for input. Also when much has been written: then session_feed sets the budget to 0 itself
        Before a feed the carrier sets executor.now_ms, .now_us and .budget, and executor.reply is empty.
    session_fill_room / session_filled
        while a large bulk string is being received: where the next bytes go, instead of into the carrier's buffer.
        After session_filled feed again (with no bytes, if there are none) when the string is complete: room is 0

A session whose `killed` is raised (relaxed load) must be closed by its carrier as soon as it notices: session.wake is
called for that, by any thread, under the registry's lock.

An Executor is one thread's working memory: batch, reply writer, counters. Reactors have one each; trio-path clients
share one; each embedded thread has one.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from kvcy.commands.clients cimport session_memory_bytes
from kvcy.commands.executors cimport executor_free, executor_new
from kvcy.commands.types cimport (
    SESSION_AUTHENTICATED, SESSION_CLOSING, SESSION_CONTINUING, SESSION_MULTI, SESSION_MULTI_FAILED, SESSION_NO_EVICT,
    SESSION_NO_TOUCH, SESSION_OPEN, SESSION_PARKED, SESSION_REPLY_OFF, SESSION_REPLY_SKIP, SESSION_REPLY_SKIP_NEXT,
    SESSION_TRIO, SESSION_UNIX,
    Call, Continuation, Deferred, Executor, Row, RowStats, Service, Session, SessionFlag, SessionState, Transaction,
    Wake,
)
from kvcy.engine.block cimport Block, Bytes
from kvcy.engine.shards cimport Keyspace

# A session with the next id; authenticated when no password is required. Not yet in the registry (clients_add).
# NULL: no memory.
cdef Session* session_new(Service* service, int64_t now_ms) noexcept nogil
# Ends its watches and frees all it owns. REQUIRES: not in the registry any more, no shard lock held.
cdef void session_free(Session* session, Keyspace* keyspace) noexcept nogil
cdef size_t session_feed(Session* session, Executor* executor, const char* data, size_t size) noexcept nogil
# NULL: not filling (room 0) or no memory (room 1).
cdef char* session_fill_room(Session* session, size_t* room) noexcept nogil
cdef void session_filled(Session* session, size_t size) noexcept nogil
# Answers session.deferred (which it frees) with an encoded reply and ends SESSION_PARKED, unless EXEC has another one.
# The reply is borrowed, and sent without being copied if it is large; NULL: none is written.
cdef void session_resume(Session* session, Executor* executor, Block* reply) noexcept nogil
# Runs one command outside the protocol (embedded execute): the reply is appended to executor.reply. False: it is a
# PYTHON row (session.state is SESSION_PARKED, see above).
cdef bint session_execute(Session* session, Executor* executor, Bytes* argv, uint32_t argc) noexcept nogil
