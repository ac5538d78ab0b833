# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What becomes of connections while nothing comes from them: see waiting.pxd."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec
from posix.unistd cimport close
from kvcy.commands.yielding cimport long_commands_run
from kvcy.engine.log cimport (
    LOG_BROKEN, Log, log_appended, log_durable, log_kick, log_kick_crowd, log_state, log_want)
from kvcy.engine.platform cimport add_own_u64, load_relaxed_u32, load_relaxed_u64
from kvcy.server.connection cimport (
    COMMANDS_A_TURN, CONNECTION_DOOMED, CONNECTION_DRAINING, CONNECTION_GATED, CONNECTION_PARKED, CONNECTION_PAUSED,
    EVENT_SWEEP, connection_check_output, connection_doom, connection_doom_by_limit, connection_make_ready,
    connection_settle, connection_writable, gated_append)
from kvcy.server.mailbox cimport mailbox_wake
from kvcy.server.sockets cimport (
    EPOLL_CTL_ADD, EPOLLET, EPOLLIN, FIONREAD, TFD_CLOEXEC, TFD_NONBLOCK, epoll_ctl, epoll_event, ioctl, timerfd_create,
    timerfd_settime)

cdef enum:
    SWEEP_S = 1                          # a sweep over all connections begins so often
    SWEEP_CONNECTIONS_MAX = 512          # looked at in one turn
    UNKICKED_US_MAX = 300                # how long what was logged may wait for more to come
    RELEASED_A_TURN = 16                 # few: what the others send is to reach the log before the next sync

cdef void connection_drain(Loop* loop, Connection* connection) noexcept nogil:
    cdef int waiting = 0
    if ioctl(connection.fd, FIONREAD, &waiting) < 0:
        waiting = 0
    connection.flags |= CONNECTION_DRAINING
    connection.drain_left = waiting
    loop.executor.budget = COMMANDS_A_TURN       # settle: not a turn that has used its share
    connection_settle(loop, connection)


# --- the sweep

cdef void arm_sweep(Loop* loop) noexcept nogil:
    cdef itimerspec when
    memset(&when, 0, sizeof(when))
    when.it_value.tv_sec = SWEEP_S
    timerfd_settime(loop.sweep_fd, 0, &when, NULL)


cdef bint sweep_init(Loop* loop) noexcept nogil:
    cdef epoll_event event
    loop.sweep_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
    if loop.sweep_fd < 0:
        return False
    event.events = EPOLLIN | EPOLLET                 # arming it anew is all that an event asks for: it is never read
    event.data.u64 = EVENT_SWEEP
    if epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, loop.sweep_fd, &event) < 0:
        return False
    arm_sweep(loop)
    return True


cdef void sweep_close(Loop* loop) noexcept nogil:
    if loop.sweep_fd >= 0:
        close(loop.sweep_fd)


cdef void sweep_begin(Loop* loop) noexcept nogil:
    if loop.sweep_next == NULL:
        loop.sweep_next = loop.first
    arm_sweep(loop)


cdef void sweep_some(Loop* loop) noexcept nogil:
    cdef Connection* connection
    cdef int looked_at = 0
    while loop.sweep_next != NULL and looked_at < SWEEP_CONNECTIONS_MAX:
        connection = loop.sweep_next
        loop.sweep_next = connection.next
        check(loop, connection)
        looked_at += 1


cdef void check(Loop* loop, Connection* connection) noexcept nogil:
    cdef int64_t idle_ms = loop.executor.now_ms - connection.active_ms
    cdef uint64_t timeout_ms = load_relaxed_u64(&loop.limits.timeout_ms)
    if connection.flags & (CONNECTION_DOOMED | CONNECTION_PARKED):
        return
    if load_relaxed_u32(&connection.session.killed):
        connection_doom(loop, connection)
    elif timeout_ms and idle_ms > <int64_t>timeout_ms:
        add_own_u64(&loop.closed_by_timeout, 1)
        connection_doom(loop, connection)
    elif connection.flags & CONNECTION_PAUSED and idle_ms > <int64_t>load_relaxed_u64(&loop.limits.output_stall_ms):
        connection_doom_by_limit(loop, connection)
    else:
        connection_check_output(loop, connection)


# --- long commands

cdef bint helpers_are_awaited(const Loop* loop, const Connection* ready) noexcept nogil:
    if ready == NULL or loop.sweep_next != NULL or loop.unkicked_us or loop.released_first != NULL:
        return False
    while ready != NULL:
        if ready.session.postponed == NULL:
            return False
        ready = ready.ready_next
    return True


cdef bint unwatching_waits(const Loop* loop, const Connection* connection) noexcept nogil:
    return connection.session.watcher.watches != NULL and long_commands_run(loop.executor)


# --- the log

cdef inline bint still_waits(const Log* log, const Connection* connection) noexcept nogil:
    return (connection.gate > log_durable(log) and log_state(log) != LOG_BROKEN
            and not connection.flags & CONNECTION_DOOMED)


cdef void gated_look(Loop* loop) noexcept nogil:
    cdef Log* log = loop.executor.keyspace.log
    cdef Connection* connection = loop.gated_first
    cdef Connection* following
    cdef uint64_t lowest = 0
    if loop.gated_lowest > log_durable(log) and log_state(log) != LOG_BROKEN:
        return
    loop.gated_first = NULL
    while connection != NULL:                        # ends: each round takes one from a finite list
        following = connection.gated_next
        if still_waits(log, connection):
            lowest = connection.gate if lowest == 0 else min(lowest, connection.gate)
            gated_append(&loop.gated_first, &loop.gated_last, connection)
        else:
            gated_append(&loop.released_first, &loop.released_last, connection)
        connection = following
    loop.gated_lowest = lowest
    if lowest and log_want(log, loop.subscriber, lowest):
        mailbox_wake(&loop.inbox)                    # durable by now: the next turn comes at once


cdef void gated_release(Loop* loop) noexcept nogil:
    cdef const Log* log = loop.executor.keyspace.log
    cdef Connection* connection
    cdef int left = RELEASED_A_TURN
    while loop.released_first != NULL and left:
        connection = loop.released_first
        loop.released_first = connection.gated_next
        left -= 1
        if still_waits(log, connection):             # a command that Python has answered meanwhile depends on more
            gated_append(&loop.gated_first, &loop.gated_last, connection)
            loop.gated_lowest = 0
            continue
        connection.flags &= ~<uint32_t>CONNECTION_GATED
        if connection.gate > log_durable(log):
            connection_doom(loop, connection)        # nothing that is lost may be seen
        else:
            release(loop, connection)


cdef void release(Loop* loop, Connection* connection) noexcept nogil:
    loop.executor.budget = COMMANDS_A_TURN           # settle: not a turn that has used its share
    if connection.kept.size and not connection.flags & CONNECTION_PARKED:
        connection_make_ready(loop, connection)
    connection_writable(loop, connection)


cdef void kick_log(Loop* loop, bint idle) noexcept nogil:
    cdef uint64_t end = log_appended(loop.executor.keyspace.log)
    if end == loop.kicked:
        return
    log_kick_crowd(loop.executor.keyspace.log)
    if loop.unkicked_us == 0:
        loop.unkicked_us = loop.executor.now_us
    if idle or not 0 <= loop.executor.now_us - loop.unkicked_us < UNKICKED_US_MAX:
        log_kick(loop.executor.keyspace.log)
        loop.kicked = end
        loop.unkicked_us = 0
