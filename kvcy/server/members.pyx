# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Which connections a reactor has: see members.pxd."""
from libc.stdint cimport uint64_t
from kvcy.commands.queueing cimport transaction_shrink
from kvcy.commands.types cimport SESSION_OPEN
from kvcy.engine.futex cimport add_ordered_u64, load_ordered_u32
from kvcy.engine.platform cimport add_relaxed_u64, load_acquire_u32, store_release_u32
from kvcy.protocol.gathered cimport gathered_shrink
from kvcy.server.connection cimport CONNECTION_GATED, CONNECTION_READY, STOP_NOT, connection_free
from kvcy.server.mailbox cimport MAIL_ADOPT, mailbox_post, mailbox_wake
from kvcy.server.output cimport output_shrink
from kvcy.server.sockets cimport EPOLL_CTL_DEL, epoll_ctl
from kvcy.server.waiting cimport unwatching_waits

cdef enum:
    ACTIVE_MS = 1000
    FREED_A_TURN = 2000                  # queued arguments and watches of a connection that is to be freed


cdef void loop_link(Loop* loop, Connection* connection) noexcept nogil:
    connection.previous = NULL
    connection.next = loop.first
    if loop.first != NULL:
        loop.first.previous = connection
    loop.first = connection


cdef void loop_unlink(Loop* loop, Connection* connection) noexcept nogil:
    if loop.sweep_next == connection:
        loop.sweep_next = connection.next
    if connection.previous != NULL:
        connection.previous.next = connection.next
    else:
        loop.first = connection.next
    if connection.next != NULL:
        connection.next.previous = connection.previous


cdef void loop_ask_to_give(Loop* loop, Loop* target, uint32_t count) noexcept nogil:
    if load_acquire_u32(&loop.give_count) == 0:
        loop.give_to = target
        store_release_u32(&loop.give_count, count)
        mailbox_wake(&loop.inbox)


cdef bint may_go(const Loop* loop, const Connection* connection) noexcept nogil:
    return (connection.flags == 0 and connection.output == NULL and connection.kept.data == NULL
            and connection.session.state == SESSION_OPEN and connection.session.parser.filling == NULL
            and connection.session.parser.gathered.count == 0
            and loop.executor.now_ms - connection.active_ms < ACTIVE_MS)


cdef void loop_give(Loop* loop) noexcept nogil:
    cdef Connection* connection = loop.first
    cdef Connection* following
    cdef Loop* target = loop.give_to
    cdef uint32_t left = load_acquire_u32(&loop.give_count)
    while connection != NULL and left:
        following = connection.next
        if may_go(loop, connection):
            # Counted first, and in one order for all: a loop that is to stop does not end before it has none.
            add_ordered_u64(&target.count, 1)
            if load_ordered_u32(&loop.stop) != STOP_NOT or load_ordered_u32(&target.stop) != STOP_NOT:
                add_relaxed_u64(&target.count, <uint64_t>-1)
                break
            epoll_ctl(loop.epoll_fd, EPOLL_CTL_DEL, connection.fd, NULL)
            loop_unlink(loop, connection)
            add_relaxed_u64(&loop.count, <uint64_t>-1)
            connection.mail.kind = MAIL_ADOPT
            mailbox_post(&target.inbox, &connection.mail)
            left -= 1
        connection = following
    store_release_u32(&loop.give_count, 0)


cdef void loop_bury(Loop* loop) noexcept nogil:
    cdef Connection* connection = loop.doomed
    cdef Connection* following
    loop.doomed = NULL
    while connection != NULL:                        # ends: each round takes one from a finite list
        following = connection.doomed_next
        if connection.flags & CONNECTION_GATED:
            loop.gated_lowest = 0                    # it has nothing to wait for any more
        if connection.flags & (CONNECTION_READY | CONNECTION_GATED) or unwatching_waits(loop, connection) \
                or not transaction_shrink(connection.session, loop.executor.keyspace, FREED_A_TURN) \
                or not gathered_shrink(&connection.session.parser.gathered) or not output_shrink(connection.output):
            connection.doomed_next = loop.doomed
            loop.doomed = connection
        else:
            loop_unlink(loop, connection)
            connection_free(connection, loop.executor)
            add_relaxed_u64(&loop.count, <uint64_t>-1)
        connection = following
