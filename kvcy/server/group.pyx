# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Serving connections together: see group.pxd."""
from libc.string cimport memcpy
from kvcy.commands.executor cimport (
    executor_ahead_done, executor_feed_ahead, executor_has_room, executor_parse_ahead, executor_prefetch)
from kvcy.commands.types cimport SESSION_OPEN
from kvcy.engine.platform cimport likely
from kvcy.protocol.writer cimport Writer, writer_clear
from kvcy.server.connection cimport (
    BUFFER_BYTES, COMMANDS_A_TURN, CONNECTION_UNREAD, GROUP_MAX, GROUP_REPLY_BYTES, Connection, Loop, Received,
    connection_fed, connection_readable, connection_receive, connection_send, reply_is_held)

cdef enum:
    GROUP_BYTES = 8192       # more than this received: the group is served, while its bytes are in the nearest cache
    REPLY_BYTES_MAX = 2048   # a longer reply is sent from where it is


cdef inline bint joins(const Connection* connection) noexcept nogil:
    return connection.flags & ~<unsigned int> CONNECTION_UNREAD == 0 and connection.kept.size == 0 \
        and connection.output == NULL and connection.session.state == SESSION_OPEN \
        and connection.session.parser.filling == NULL and connection.session.parser.gathered.count == 0


cdef void group_readable(Loop* loop, Connection* connection) noexcept nogil:
    cdef Received* received
    cdef char* place = loop.buffer + loop.group_bytes
    cdef ssize_t got
    if not joins(connection):
        group_run(loop)
        connection_readable(loop, connection)
        return
    got = connection_receive(loop, connection, place, BUFFER_BYTES - loop.group_bytes)
    if got <= 0:
        return
    received = &loop.group[loop.group_count]
    received.connection = connection
    received.data = place
    received.size = <size_t> got
    executor_parse_ahead(loop.executor, connection.session, place, received.size, &received.ahead)
    loop.group_count += 1
    loop.group_bytes += received.size
    if loop.group_count == GROUP_MAX or loop.group_bytes > GROUP_BYTES or not executor_has_room(loop.executor):
        group_run(loop)


cdef void prefetch_group(Loop* loop, bint entries) noexcept nogil:
    cdef int i
    for i in range(loop.group_count):
        executor_prefetch(loop.executor, loop.group[i].connection.session, &loop.group[i].ahead, entries)


cdef void group_run(Loop* loop) noexcept nogil:
    cdef Writer* reply = &loop.executor.reply
    cdef Received* received
    cdef size_t used
    cdef size_t replies = 0
    cdef int i
    if loop.group_count == 0:
        return
    prefetch_group(loop, False)
    prefetch_group(loop, True)
    for i in range(loop.group_count):
        received = &loop.group[i]
        loop.executor.budget = COMMANDS_A_TURN
        used = executor_feed_ahead(loop.executor, received.connection.session, received.data, received.size,
                                   &received.ahead)
        received.reply_size = 0
        if likely(used == received.size and received.connection.session.state == SESSION_OPEN
                  and 0 < reply.size <= min(<size_t> REPLY_BYTES_MAX, GROUP_REPLY_BYTES - replies)
                  and reply.mark_count == 0 and not reply.failed and not reply_is_held(loop)):
            memcpy(loop.replies + replies, reply.data, reply.size)
            received.reply_size = reply.size
            replies += reply.size
            writer_clear(reply)
            loop.executor.gate = 0
        else:
            connection_fed(loop, received.connection, received.data, received.size, used)
    executor_ahead_done(loop.executor)
    replies = 0
    for i in range(loop.group_count):
        received = &loop.group[i]
        if received.reply_size:
            connection_send(loop, received.connection, loop.replies + replies, received.reply_size)
            replies += received.reply_size
    loop.group_count = 0
    loop.group_bytes = 0
