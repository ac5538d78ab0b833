# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What a reactor does with one client (see connection.pxd).

    receive -> feed -> reply (send, queue what was not taken) -> settle (what is it waiting for now?)

Bytes are received into the reactor's one buffer and parsed there; only what is left of an unfinished command is copied
to the connection, and copied back in front of the next bytes while it is short. A longer unfinished command collects in
a buffer of its own, a large bulk string in its block. Interest in epoll events is withdrawn only when an unwanted event
arrives, so that a short park costs no system call.

Reading is edge-triggered, which spares epoll a second look at each socket: a read that fills less than its room has
emptied the socket, and the next bytes make a new event. Where that is not certain (the room was filled, the peer has
closed its side, an event came while nothing could be read) the connection is UNREAD, and settle has epoll look again.
While output is queued, a connection is level-triggered, for reading too.

Back pressure: a client with more than output_pause_bytes waiting is not read until half of it has gone; one
that does not read for output_stall_ms then is closed.
"""
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close
from kvcy.commands.clients cimport clients_count, clients_remove
from kvcy.commands.helper cimport helped_free, helped_hand_over
from kvcy.commands.session cimport (
    SESSION_CLOSING, SESSION_CONTINUING, SESSION_OPEN, SESSION_PARKED, Executor, Session, session_feed,
    session_fill_room, session_filled, session_free, session_resume,
)
from kvcy.commands.shown cimport session_become
from kvcy.engine.block cimport block_release
from kvcy.engine.log cimport log_durable
from kvcy.engine.platform cimport add_own_u64, likely, load_relaxed_u32, load_relaxed_u64, store_relaxed_u64, unlikely
from kvcy.protocol.parser cimport parser_memory_bytes
from kvcy.protocol.writer cimport Writer, write_raw, writer_clear, writer_close, writer_init
from kvcy.server.kept cimport KEPT_SPARE_BYTES, kept_replace
from kvcy.server.mailbox cimport mailbox_post
from kvcy.server.output cimport (
    SEND_FAILED, SENT_ALL, SENT_PART, Cursor, SendResult, output_free, output_memory_bytes, output_over_limit,
    output_pending, output_queue, output_release_sent, output_send, output_size)
from kvcy.server.sockets cimport (
    EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, MSG_DONTWAIT, MSG_NOSIGNAL,
    SHUT_RDWR, epoll_ctl, epoll_event, recv, send, shutdown)

cdef enum:
    REPLY_BYTES_KEPT = 1048576           # a larger reply buffer is given back
    IDLE_BYTES = sizeof(Connection) + sizeof(Session)    # counted of a connection that has no buffer


# --- life

cdef Connection* connection_new(int fd, Session* session, int64_t now_ms) noexcept nogil:
    cdef Connection* connection = <Connection*>calloc(1, sizeof(Connection))
    if connection == NULL:
        return NULL
    connection.mail.sender = connection
    connection.fd = fd
    connection.session = session
    connection.active_ms = now_ms
    session.fd = fd
    session.wake = wake
    session.carrier = connection
    return connection


cdef void wake(void* carrier) noexcept nogil:
    """CLIENT KILL from any thread: epoll reports a socket that is shut down. REQUIRES: the registry's lock."""
    shutdown((<Connection*>carrier).fd, SHUT_RDWR)


cdef void connection_free(Connection* connection, Executor* executor) noexcept nogil:
    clients_remove(&executor.service.clients, connection.session)
    session_free(connection.session, executor.keyspace)
    close(connection.fd)
    output_free(connection.output)
    free(connection.kept.data)
    if connection.answer != NULL:
        block_release(connection.answer)
    helped_free(connection.helped)
    free(connection)


cdef void connection_doom(Loop* loop, Connection* connection) noexcept nogil:
    if connection.flags & CONNECTION_PARKED:
        # The trio side holds it: it may be freed only when the answer has come, and must not be polled until then.
        if not connection.flags & CONNECTION_UNPOLLED:
            epoll_ctl(loop.epoll_fd, EPOLL_CTL_DEL, connection.fd, NULL)
            connection.flags |= CONNECTION_UNPOLLED
    elif not connection.flags & CONNECTION_DOOMED:
        connection.flags |= CONNECTION_DOOMED
        connection.doomed_next = loop.doomed
        loop.doomed = connection


cdef void connection_doom_by_limit(Loop* loop, Connection* connection) noexcept nogil:
    add_own_u64(&loop.closed_by_limit, 1)
    connection_doom(loop, connection)


# --- interest in events

cdef uint32_t wanted_events(const Connection* connection) noexcept nogil:
    cdef bint reads = not connection.flags & (CONNECTION_PARKED | CONNECTION_PAUSED | CONNECTION_LEAVING)
    if unlikely(connection.flags & CONNECTION_GATED):
        return 0
    if unlikely(connection.output != NULL):
        return EPOLLOUT | (EPOLLIN if reads else 0)
    return EPOLLIN | EPOLLRDHUP | EPOLLET if reads else 0


cdef void arm(Loop* loop, Connection* connection, uint32_t events) noexcept nogil:
    cdef epoll_event event
    if connection.armed == events or connection.flags & CONNECTION_UNPOLLED:
        return
    event.events = events
    event.data.ptr = connection
    if epoll_ctl(loop.epoll_fd, EPOLL_CTL_MOD, connection.fd, &event) < 0:
        connection_doom_by_limit(loop, connection)
        return
    connection.armed = events


cdef void connection_begin(Loop* loop, Connection* connection) noexcept nogil:
    cdef epoll_event event
    event.events = wanted_events(connection)
    event.data.ptr = connection
    connection.armed = event.events
    count_memory(loop, connection)
    if epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, connection.fd, &event) < 0:
        connection.flags |= CONNECTION_UNPOLLED
        connection_doom_by_limit(loop, connection)


# --- sending

cdef void count_memory(Loop* loop, Connection* connection) noexcept nogil:
    """Tells what the connection takes, after one of its buffers was allocated, grown or freed."""
    clients_count(
        &loop.executor.service.clients, loop.executor.keyspace, connection.session,
        IDLE_BYTES + connection.kept.capacity + output_memory_bytes(connection.output))


cdef void connection_check_output(Loop* loop, Connection* connection) noexcept nogil:
    """Applies client-output-buffer-limit."""
    store_relaxed_u64(&connection.session.output_bytes, output_pending(connection.output))
    count_memory(loop, connection)
    if connection.output != NULL and output_over_limit(connection.output, loop.limits, loop.executor.now_ms):
        connection_doom_by_limit(loop, connection)


cdef void count_sent(Loop* loop, Connection* connection, size_t size) noexcept nogil:
    if size:
        connection.session.bytes_out += size
        connection.active_ms = loop.executor.now_ms
        add_own_u64(&loop.bytes_out, size)


cdef void empty_reply(Writer* reply) noexcept nogil:
    if unlikely(reply.capacity > REPLY_BYTES_KEPT or reply.failed):
        writer_close(reply)
        writer_init(reply)
    else:
        writer_clear(reply)


cdef void send_reply(Loop* loop, Connection* connection) noexcept nogil:
    """Sends the executor's reply, or queues what the kernel does not take, and empties it."""
    cdef Writer* reply = &loop.executor.reply
    cdef SendResult result
    cdef Cursor cursor
    if output_size(reply) == 0 and not reply.failed:
        return
    if unlikely(reply.failed):
        connection_doom_by_limit(loop, connection)
    elif not connection.flags & CONNECTION_DOOMED:
        memset(&cursor, 0, sizeof(cursor))
        result = SENT_ALL
        if unlikely(reply_is_held(loop)):
            hold(loop, connection)
            result = SENT_PART
        elif connection.output == NULL:
            result = output_send(connection.fd, reply, &cursor)
            count_sent(loop, connection, cursor.bytes_sent)
        if unlikely(result == SEND_FAILED):
            connection_doom(loop, connection)
        elif unlikely(connection.output != NULL or result != SENT_ALL):
            if output_queue(&connection.output, reply, &cursor):
                connection_check_output(loop, connection)
            else:
                connection_doom_by_limit(loop, connection)
    empty_reply(reply)
    loop.executor.gate = 0


cdef bint reply_is_held(const Loop* loop) noexcept nogil:
    return loop.gating and loop.executor.gate > log_durable(loop.executor.keyspace.log)


cdef void hold(Loop* loop, Connection* connection) noexcept nogil:
    connection.gate = max(connection.gate, loop.executor.gate)
    if not connection.flags & CONNECTION_GATED:
        connection.flags |= CONNECTION_GATED
        gated_append(&loop.gated_first, &loop.gated_last, connection)
        if connection.gate < loop.gated_lowest:
            loop.gated_lowest = 0


cdef void connection_writable(Loop* loop, Connection* connection) noexcept nogil:
    cdef SendResult result
    cdef size_t before
    if connection.output == NULL or connection.flags & (CONNECTION_DOOMED | CONNECTION_GATED):
        return
    before = connection.output.cursor.bytes_sent
    result = output_send(connection.fd, &connection.output.writer, &connection.output.cursor)
    count_sent(loop, connection, connection.output.cursor.bytes_sent - before)
    output_release_sent(connection.output)
    if result == SEND_FAILED:
        connection_doom(loop, connection)
        return
    if result == SENT_ALL:
        output_free(connection.output)
        connection.output = NULL
    connection_check_output(loop, connection)
    if connection.flags & CONNECTION_PAUSED \
            and output_pending(connection.output) <= load_relaxed_u64(&loop.limits.output_pause_bytes) // 2:
        connection.flags &= ~<uint32_t>CONNECTION_PAUSED
        connection_make_ready(loop, connection)
    connection_settle(loop, connection)


# --- what it waits for

cdef void connection_make_ready(Loop* loop, Connection* connection) noexcept nogil:
    if connection.flags & CONNECTION_READY:
        return
    connection.flags |= CONNECTION_READY
    connection.ready_next = NULL
    if loop.ready_last != NULL:
        loop.ready_last.ready_next = connection
    else:
        loop.ready_first = connection
    loop.ready_last = connection


cdef void connection_settle(Loop* loop, Connection* connection) noexcept nogil:
    """Decides what the connection waits for now. Its reply has been sent or queued."""
    cdef Session* session = connection.session
    cdef bint parks = False
    cdef uint32_t events
    if connection.flags & (CONNECTION_DOOMED | CONNECTION_PARKED | CONNECTION_PAUSED):
        if connection.flags & CONNECTION_DOOMED:
            return
    elif session.state == SESSION_CLOSING:
        connection.flags |= CONNECTION_LEAVING
    elif unlikely(load_relaxed_u32(&session.killed)):
        connection_doom(loop, connection)
        return
    elif session.state == SESSION_PARKED:
        connection.flags |= CONNECTION_PARKED
        parks = True
    elif unlikely(connection.output != NULL
                  and output_pending(connection.output) > load_relaxed_u64(&loop.limits.output_pause_bytes)):
        connection.flags |= CONNECTION_PAUSED
    elif session.state == SESSION_CONTINUING or (
            loop.executor.budget == 0 and connection.kept.size and not connection.flags & CONNECTION_GATED):
        connection_make_ready(loop, connection)
    elif unlikely(connection.flags & CONNECTION_DRAINING and connection.drain_left <= 0
                  and not connection.flags & CONNECTION_READY):
        connection.flags |= CONNECTION_LEAVING
    if connection.flags & CONNECTION_LEAVING and connection.output == NULL \
            and not connection.flags & CONNECTION_PARKED:
        connection_doom(loop, connection)
        return
    events = wanted_events(connection)
    if unlikely(connection.flags & CONNECTION_UNREAD) and events & EPOLLET and not connection.flags & CONNECTION_READY:
        connection.flags &= ~<uint32_t>CONNECTION_UNREAD
        connection.armed = 0                     # arming anew reports what is there
    # What is wanted must be armed; EPOLLOUT would fire at once when it is not wanted. An unwanted EPOLLIN may stay.
    if unlikely(events & ~connection.armed or connection.armed & EPOLLOUT & ~events):
        arm(loop, connection, events)
    if parks:                                    # last: from here on the trio side may read the session
        mailbox_post(&loop.outbox, &connection.mail)


cdef void connection_hung_up(Loop* loop, Connection* connection) noexcept nogil:
    if connection.flags & (CONNECTION_PARKED | CONNECTION_PAUSED | CONNECTION_LEAVING | CONNECTION_GATED):
        connection_doom(loop, connection)
    else:
        connection_readable(loop, connection)


# --- receiving and executing

cdef inline bint keep(Loop* loop, Connection* connection, const char* data, size_t size) noexcept nogil:
    """Keeps these bytes and nothing else. False: no memory, or beyond the limit."""
    cdef Session* session = connection.session
    if likely(size == 0 and session.parser.gathered.count == 0 and session.counted_bytes == IDLE_BYTES):
        return True
    if size + parser_memory_bytes(&session.parser) > load_relaxed_u64(&loop.limits.query_bytes_max):
        return False
    store_relaxed_u64(&session.input_bytes, size)
    if not kept_replace(&connection.kept, data, size):
        return False
    count_memory(loop, connection)
    return True


cdef void feed(Loop* loop, Connection* connection, const char* data, size_t size) noexcept nogil:
    loop.executor.budget = COMMANDS_A_TURN
    connection_fed(loop, connection, data, size, session_feed(connection.session, loop.executor, data, size))


cdef void connection_fed(Loop* loop, Connection* connection, const char* data, size_t size, size_t used) noexcept nogil:
    if unlikely(not keep(loop, connection, data + used, size - used)):
        send_reply(loop, connection)
        connection_doom_by_limit(loop, connection)
        return
    send_reply(loop, connection)
    connection_settle(loop, connection)


cdef void connection_send(Loop* loop, Connection* connection, const char* reply, size_t size) noexcept nogil:
    cdef ssize_t sent = send(connection.fd, reply, size, MSG_NOSIGNAL | MSG_DONTWAIT)
    if likely(sent > 0):
        count_sent(loop, connection, <size_t>sent)
    else:
        sent = 0                                 # whatever is wrong, send_reply will meet it again
    if unlikely(<size_t>sent < size):
        write_raw(&loop.executor.reply, reply + sent, size - <size_t>sent)
        send_reply(loop, connection)
    connection_settle(loop, connection)


cdef ssize_t connection_receive(Loop* loop, Connection* connection, char* place, size_t size) noexcept nogil:
    cdef ssize_t got = recv(connection.fd, place, size, MSG_DONTWAIT)
    if likely(got > 0):
        connection.session.bytes_in += <size_t>got
        connection.active_ms = loop.executor.now_ms
        if connection.window != loop.coalescing.window:
            connection.window = loop.coalescing.window
            loop.coalescing.clients += 1
        connection.drain_left -= got
        add_own_u64(&loop.bytes_in, <size_t>got)
        if unlikely(<size_t>got == size):
            connection.flags |= CONNECTION_UNREAD
        return got
    if got < 0 and (errno == EAGAIN or errno == EINTR):
        if errno == EINTR:
            connection.flags |= CONNECTION_UNREAD
        connection.drain_left = 0
        connection_settle(loop, connection)
        return 0
    if got == 0:
        connection.flags |= CONNECTION_LEAVING       # all that came before has been executed
        connection_settle(loop, connection)
    else:
        connection_doom(loop, connection)
    return -1


cdef void receive_bulk(Loop* loop, Connection* connection) noexcept nogil:
    """Receives into the block of the large bulk string that is under way."""
    cdef size_t room = 0
    cdef char* place = session_fill_room(connection.session, &room)
    cdef ssize_t got
    if place == NULL and room:
        connection_doom_by_limit(loop, connection)
        return
    if place != NULL:
        got = connection_receive(loop, connection, place, room if room < FILL_BYTES_MAX else FILL_BYTES_MAX)
        if got <= 0:
            return
        session_filled(connection.session, <size_t>got)
    if connection.session.parser.filling == NULL:
        feed(loop, connection, connection.kept.data, connection.kept.size)
    else:
        connection_settle(loop, connection)


cdef void receive_long(Loop* loop, Connection* connection) noexcept nogil:
    """Receives behind a long unfinished command, in its own buffer."""
    cdef size_t capacity = connection.kept.capacity
    cdef ssize_t got
    cdef char* place
    if capacity - connection.kept.size < KEPT_SPARE_BYTES // 2:
        capacity = connection.kept.size + connection.kept.size // 2 + KEPT_SPARE_BYTES
        place = <char*>realloc(connection.kept.data, capacity)
        if place == NULL:
            connection_doom_by_limit(loop, connection)
            return
        connection.kept.data = place
        connection.kept.capacity = capacity
        count_memory(loop, connection)
    capacity -= connection.kept.size
    got = connection_receive(loop, connection, connection.kept.data + connection.kept.size,
                             capacity if capacity < FILL_BYTES_MAX else FILL_BYTES_MAX)
    if got > 0:
        feed(loop, connection, connection.kept.data, connection.kept.size + <size_t>got)


cdef void connection_readable(Loop* loop, Connection* connection) noexcept nogil:
    cdef size_t kept = connection.kept.size
    cdef ssize_t got
    if unlikely(connection.flags & (CONNECTION_READY | CONNECTION_DOOMED | CONNECTION_GATED)):
        connection.flags |= CONNECTION_UNREAD    # a READY one is read again when it has caught up
        return
    if unlikely(connection.flags & (CONNECTION_PARKED | CONNECTION_PAUSED | CONNECTION_LEAVING)):
        arm(loop, connection, wanted_events(connection))
        return
    if unlikely(connection.session.parser.filling != NULL):
        receive_bulk(loop, connection)
    elif unlikely(kept > KEPT_COPIED_BYTES_MAX):
        receive_long(loop, connection)
    else:
        got = connection_receive(loop, connection, loop.buffer + kept, BUFFER_BYTES - kept)
        if likely(got > 0):
            if unlikely(kept):
                memcpy(loop.buffer, connection.kept.data, kept)
            feed(loop, connection, loop.buffer, kept + <size_t>got)


cdef void connection_go_on(Loop* loop, Connection* connection) noexcept nogil:
    connection.flags &= ~<uint32_t>CONNECTION_READY
    if connection.flags & CONNECTION_DOOMED:
        return
    feed(loop, connection, connection.kept.data, connection.kept.size)


cdef void connection_answered(Loop* loop, Connection* connection) noexcept nogil:
    connection.flags &= ~<uint32_t>CONNECTION_PARKED
    if connection.flags & (CONNECTION_UNPOLLED | CONNECTION_DOOMED):
        connection_doom(loop, connection)
        return
    if connection.helped != NULL:
        helped_hand_over(connection.helped, loop.executor)
        connection.helped = NULL
    elif connection.answer == NULL:
        connection.flags |= CONNECTION_LEAVING
        session_become(connection.session, SESSION_CLOSING)
        connection_settle(loop, connection)
        return
    else:
        session_resume(connection.session, loop.executor, connection.answer)
        block_release(connection.answer)
        connection.answer = NULL
    if connection.session.state == SESSION_OPEN:
        feed(loop, connection, connection.kept.data, connection.kept.size)
    else:                                        # EXEC may have another command for Python
        send_reply(loop, connection)
        connection_settle(loop, connection)
