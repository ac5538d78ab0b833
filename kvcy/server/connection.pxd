# cython: language_level=3
"""One client of a reactor: its socket, its session, the bytes kept of an unfinished command, what is still to be sent.

An idle connection owns no buffer. It is in exactly one of these situations, besides being open:

    reading      its next bytes are awaited (EPOLLIN)
    READY        the turn's share of work is used up; it goes on in the next turn, without reading
    PARKED       Python answers its command, or a helper runs it; the reactor touches nothing of the session meanwhile
    PAUSED       too much is waiting to be sent to it; it goes on when the client has read
    LEAVING      closed when what is waiting has been sent (QUIT, protocol error, end of input, shutdown)
    GATED        its reply depends on a change that is not on disk yet, and waits for the log; nothing is read meanwhile
    DOOMED       closed at the end of this turn

All functions run on the reactor's own thread, except where Loop says so.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.helper cimport Helped
from kvcy.commands.types cimport Ahead, Executor, Session
from kvcy.engine.block cimport Block
from kvcy.engine.log cimport LogSubscriber
from kvcy.server.coalescing cimport Coalescing
from kvcy.server.kept cimport Kept
from kvcy.server.limits cimport Limits
from kvcy.server.mailbox cimport Mail, Mailbox
from kvcy.server.output cimport Output

cdef enum:
    BUFFER_BYTES = 81920                 # a reactor's receive buffer, KEPT_COPIED_BYTES_MAX at its front included
    KEPT_COPIED_BYTES_MAX = 16384        # a longer unfinished command is received into its own buffer
    FILL_BYTES_MAX = 131072              # received at once of a large bulk string
    COMMANDS_A_TURN = 1000
    GROUP_MAX = 16                       # connections served together
    GROUP_REPLY_BYTES = 24576

cdef enum LoopEvent:                     # what an epoll event's data is, if it is no connection
    EVENT_MAIL = 0                       # something is in the inbox
    EVENT_SWEEP = 1                      # the sweep's timer
    EVENTS_RESERVED = 2                  # any other number is a Connection*

cdef enum ConnectionFlag:
    CONNECTION_READY = 1
    CONNECTION_PARKED = 2
    CONNECTION_PAUSED = 4
    CONNECTION_LEAVING = 8
    CONNECTION_DOOMED = 16
    CONNECTION_DRAINING = 32             # shutdown: only what the socket already held is still read
    CONNECTION_UNPOLLED = 64             # taken out of epoll (hung up while parked)
    CONNECTION_UNREAD = 128              # the socket may hold more than was read: epoll must look again
    CONNECTION_GATED = 256

cdef enum Stop:
    STOP_NOT = 0
    STOP_DRAIN = 1                       # answer what has been received, then end
    STOP_NOW = 2

cdef struct Connection:
    Mail mail
    int fd
    uint32_t flags                       # ConnectionFlag
    uint32_t armed                       # epoll events asked for
    uint32_t window                      # of Loop.coalescing, in which bytes last came in
    Session* session
    Kept kept                            # bytes of an unfinished command, or not yet executed
    Output* output                       # owned; NULL when nothing waits to be sent
    int64_t active_ms                    # when bytes last went in or out
    int64_t drain_left                   # while draining: bytes still to be read
    Block* answer                        # PARKED: the trio side's encoded reply; owned. NULL: close without one
    Helped* helped                       # PARKED: or what a helper has made of its long command; owned
    Connection* previous
    Connection* next
    Connection* ready_next
    Connection* gated_next
    uint64_t gate                        # GATED: the log's position that must be durable before it is sent anything
    Connection* doomed_next

cdef struct Received:                    # bytes of a connection of the group
    Connection* connection
    const char* data                     # in Loop.buffer
    size_t size
    Ahead ahead
    size_t reply_size                    # of its reply in Loop.replies; 0: nothing more to do

cdef struct Loop:                        # a reactor's working memory
    int epoll_fd
    Executor* executor
    const Limits* limits
    Mailbox inbox                        # from the trio side
    Mailbox outbox                       # to it: parked connections
    char* buffer                         # [BUFFER_BYTES]
    Received group[GROUP_MAX]            # received, parsed, not yet executed (group.pyx)
    int group_count
    size_t group_bytes                   # of buffer, that the group's bytes fill
    char replies[GROUP_REPLY_BYTES]
    Connection* first                    # all connections
    Loop* give_to                        # where to some of them are to go, once give_count is not 0 (members.pxd)
    uint32_t give_count                  # atomic
    Coalescing coalescing
    Connection* ready_first              # go on in the next turn
    Connection* ready_last
    Connection* gated_first              # those that wait for the log
    Connection* gated_last
    uint64_t gated_lowest                # none of their gates is lower; 0: not known
    Connection* released_first           # of those, they may go on: some of them in each turn (waiting.pyx)
    Connection* released_last
    bint serving_data                    # the data are loaded, and the loop is ready for what they need
    bint gating                          # replies wait for the log in this turn
    uint64_t kicked                      # the log's end when its flusher was last told of it
    int64_t unkicked_us                  # since when there is more; 0: there is not
    LogSubscriber* subscriber            # by which the log wakes this loop; NULL without a log
    Connection* doomed
    Connection* sweep_next               # where the sweep over idle clients goes on, NULL: none under way
    int sweep_fd                         # the timer that begins one
    uint64_t count                       # atomic: connections, those on their way in the inbox included
    uint32_t stop                        # atomic: Stop
    bint draining                        # the stop has been noticed
    # counters, written here only, read relaxed
    uint64_t turns
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t closed_by_limit             # output or query buffer, or out of memory
    uint64_t closed_by_timeout

# A connection that owns fd and session from now on; NULL: no memory (and owns nothing). Any thread.
cdef Connection* connection_new(int fd, Session* session, int64_t now_ms) noexcept nogil
# Closes the socket, takes the session from the registry and frees both. REQUIRES: it is in no list of the loop.
cdef void connection_free(Connection* connection, Executor* executor) noexcept nogil
# Starts polling it.
cdef void connection_begin(Loop* loop, Connection* connection) noexcept nogil
cdef void connection_readable(Loop* loop, Connection* connection) noexcept nogil
cdef void connection_writable(Loop* loop, Connection* connection) noexcept nogil
cdef void connection_hung_up(Loop* loop, Connection* connection) noexcept nogil
# Goes on with kept bytes (a READY connection's turn has come).
cdef void connection_go_on(Loop* loop, Connection* connection) noexcept nogil
# The trio side has answered.
cdef void connection_answered(Loop* loop, Connection* connection) noexcept nogil
cdef void connection_doom(Loop* loop, Connection* connection) noexcept nogil

# Whether what is in executor.reply may not be sent yet.
cdef bint reply_is_held(const Loop* loop) noexcept nogil

# --- what waiting.pyx and group.pyx are made of
# Decides what the connection waits for now. Its reply has been sent or queued.
cdef void connection_settle(Loop* loop, Connection* connection) noexcept nogil
# It goes on with what it has kept in the next turn.
cdef void connection_make_ready(Loop* loop, Connection* connection) noexcept nogil
# Applies client-output-buffer-limit.
cdef void connection_check_output(Loop* loop, Connection* connection) noexcept nogil
cdef void connection_doom_by_limit(Loop* loop, Connection* connection) noexcept nogil
# Receives; bytes, 0: nothing now, -1: there will never be any more. Both are settled.
cdef ssize_t connection_receive(Loop* loop, Connection* connection, char* place, size_t size) noexcept nogil
# After a feed that used `used` of these bytes: keeps the rest, sends the executor's reply, settles.
cdef void connection_fed(Loop* loop, Connection* connection, const char* data, size_t size, size_t used) noexcept nogil
# Sends a short reply that is not in the executor, and settles.
cdef void connection_send(Loop* loop, Connection* connection, const char* reply, size_t size) noexcept nogil


cdef inline void gated_append(Connection** first, Connection** last, Connection* connection) noexcept nogil:
    """Puts it behind the last of the gated, or of the released."""
    connection.gated_next = NULL
    if first[0] == NULL:
        first[0] = connection
    else:
        last[0].gated_next = connection
    last[0] = connection
