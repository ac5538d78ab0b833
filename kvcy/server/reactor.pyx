# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The reactor: a native epoll loop over many connections, in a thread of its own.

    trio thread                                   reactor thread (no GIL)
    -----------                                   -----------------------
    adopt(fd) --------------- inbox ------------> epoll: receive, parse, execute, send
    requests() <------------- outbox ------------ a command for Python: the connection is parked
    request.reply(bytes) ---- inbox ------------> goes on with it
    stop() ------------------ eventfd ----------> answers what has been received, closes, run() returns

One turn of the loop: wait for events (a busy reactor rests or polls first: coalescing.pxd); read the clock; see whether
the data are loaded, if they were not; send to some of those whose replies waited for the log, and may go; serve the
events' connections, in groups (group.pxd), each at most COMMANDS_A_TURN commands; let those that had more to do go on;
close what is to be closed; look after some idle clients. Once the data are loaded the thread is registered for quiet
points (engine/quiet.pxd), and leaves while it sleeps.

Limits: Linux (epoll, eventfd, timerfd). Several reactors share the keyspace and the service, and may give each other
connections (members.pxd).
"""
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, clockid_t, timespec
from posix.unistd cimport close
from kvcy._core cimport Store
from kvcy.commands.clients cimport clients_add, clients_set_text
from kvcy.commands.executors cimport executor_free, executor_load_done, executor_new
from kvcy.commands.helper cimport Helped
from kvcy.commands.service cimport ServiceHandle
from kvcy.commands.session cimport session_free, session_new
from kvcy.commands.types cimport Service, Session
from kvcy.engine.futex cimport load_ordered_u32, load_ordered_u64, store_ordered_u32
from kvcy.engine.log cimport log_holds_back, log_subscribe, log_unsubscribe
from kvcy.engine.platform cimport (
    add_own_u64, add_relaxed_u64, likely, load_acquire_u32, load_relaxed_u32, load_relaxed_u64, unlikely)
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.quiet cimport quiet_enter, quiet_leave, quiet_pass, quiet_register, quiet_unregister
from kvcy.server.coalescing cimport (
    coalescing_begin, coalescing_end, coalescing_poll, coalescing_rest, coalescing_wait, coalescing_wake)
from kvcy.server.connection cimport (
    BUFFER_BYTES, CONNECTION_PARKED, CONNECTION_UNREAD, EVENT_MAIL, EVENT_SWEEP,
    EVENTS_RESERVED, STOP_DRAIN, STOP_NOT, STOP_NOW, Connection, Loop, connection_answered, connection_begin,
    connection_free, connection_go_on, connection_hung_up, connection_new, connection_readable, connection_writable)
from kvcy.server.group cimport group_readable, group_run
from kvcy.server.limits cimport ClientLimits
from kvcy.server.mailbox cimport (
    MAIL_ADOPT, MAIL_ANSWER, Mail, mailbox_close, mailbox_init, mailbox_post, mailbox_take, mailbox_wake,
)
from kvcy.server.members cimport loop_ask_to_give, loop_bury, loop_give, loop_link, loop_unlink
from kvcy.server.requests cimport Request, block_of
from kvcy.server.sockets cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll_create1, epoll_ctl,
    epoll_event, epoll_wait,
)
from kvcy.server.waiting cimport (
    connection_drain, gated_look, gated_release, helpers_are_awaited, kick_log, sweep_begin, sweep_close, sweep_init,
    sweep_some)

cdef enum:
    EVENTS_MAX = 512
    WAIT_FOR_HELPER_MS = 1               # before what was postponed is tried again, if nothing else happens

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    pthread_t pthread_self()
    int pthread_getcpuclockid(pthread_t thread, clockid_t* clock)

UNANSWERED = b"-ERR internal error: the command was not answered\r\n"


# --- the loop; all of it in the reactor's thread

cdef void read_clock(Loop* loop) noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    loop.executor.now_us = <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000
    loop.executor.now_ms = loop.executor.now_us // 1000


cdef void look_at_loading(Loop* loop) noexcept nogil:
    """When the data are loaded: gets ready for them, and lets commands have them from this turn on.

    Until then the reactor is no subscriber of the log, which may be opened at any moment, and not registered for quiet
    points, so that what loading replaces is freed at once.
    """
    if load_acquire_u32(&loop.executor.service.loading):
        return
    if loop.executor.keyspace.log != NULL:
        loop.subscriber = log_subscribe(loop.executor.keyspace.log, loop.inbox.event_fd)
        if loop.subscriber == NULL:          # too many wait for the log: commands that need the data stay refused
            return
    loop.executor.quiet_thread = quiet_register()
    if loop.executor.quiet_thread >= 0:
        quiet_enter(loop.executor.quiet_thread)
    executor_load_done(loop.executor)
    loop.serving_data = True


cdef inline void look_at_log(Loop* loop) noexcept nogil:
    loop.gating = loop.subscriber != NULL and log_holds_back(loop.executor.keyspace.log)


cdef void take_mail(Loop* loop) noexcept nogil:
    cdef Mail* mail = mailbox_take(&loop.inbox)
    cdef Mail* following
    cdef Connection* connection
    while mail != NULL:                              # ends: the list is finite
        following = mail.next
        connection = <Connection*>mail.sender
        if mail.kind == MAIL_ANSWER:
            connection_answered(loop, connection)
        else:
            loop_link(loop, connection)
            connection_begin(loop, connection)
            if loop.draining:
                connection_drain(loop, connection)
        mail = following


cdef void begin_drain(Loop* loop) noexcept nogil:
    cdef Connection* connection = loop.first
    loop.draining = True
    while connection != NULL:
        connection_drain(loop, connection)
        connection = connection.next


cdef void serve_events(Loop* loop, epoll_event* events, int count) noexcept nogil:
    cdef Connection* connection
    cdef uint32_t what
    cdef int i
    for i in range(count):
        connection = <Connection*>events[i].data.ptr
        what = events[i].events
        if likely(events[i].data.u64 >= EVENTS_RESERVED and what == EPOLLIN):
            group_readable(loop, connection)
            continue
        group_run(loop)
        if events[i].data.u64 == EVENT_MAIL:
            take_mail(loop)
            continue
        if events[i].data.u64 == EVENT_SWEEP:
            sweep_begin(loop)
            continue
        if what & EPOLLOUT:
            connection_writable(loop, connection)
        if what & EPOLLIN:
            if what & EPOLLRDHUP:
                connection.flags |= CONNECTION_UNREAD
            connection_readable(loop, connection)
        elif what & (EPOLLHUP | EPOLLERR):
            connection_hung_up(loop, connection)
    group_run(loop)


cdef void serve_ready(Loop* loop, Connection* connection) noexcept nogil:
    cdef Connection* following
    while connection != NULL:                        # ends: those that become ready again are in a new list
        following = connection.ready_next
        connection_go_on(loop, connection)
        connection = following


cdef void loop_run(Loop* loop) noexcept nogil:
    cdef epoll_event events[EVENTS_MAX]
    cdef Connection* ready
    cdef int thread
    cdef int count = 0
    cdef int found, timeout_ms
    cdef uint64_t rest_us
    while True:                                      # ends when stopped
        thread = loop.executor.quiet_thread
        ready = loop.ready_first
        loop.ready_first = NULL
        loop.ready_last = NULL
        timeout_ms = -1
        found = 0
        if ready != NULL or loop.released_first != NULL or loop.sweep_next != NULL or loop.doomed != NULL \
                or loop.unkicked_us:
            timeout_ms = 0
        if unlikely(load_relaxed_u32(&loop.executor.keyspace.long_commands)) and helpers_are_awaited(loop, ready):
            timeout_ms = WAIT_FOR_HELPER_MS
        if timeout_ms:
            if thread >= 0:
                quiet_leave(thread)
            read_clock(loop)
            coalescing_wait(&loop.coalescing, loop.executor.now_us)
            rest_us = load_relaxed_u64(&loop.limits.wake_coalescing_us)
            if loop.gating:                  # a rest would put off the next sync, which many wait for
                found = coalescing_poll(&loop.coalescing, rest_us, loop.epoll_fd, events, EVENTS_MAX)
            else:
                coalescing_rest(&loop.coalescing, count, rest_us, loop.inbox.event_fd)
        count = found if found else epoll_wait(loop.epoll_fd, events, EVENTS_MAX, timeout_ms)
        if thread >= 0:
            if timeout_ms:
                quiet_enter(thread)
            else:
                quiet_pass(thread)
        read_clock(loop)
        coalescing_wake(&loop.coalescing, loop.executor.now_us, timeout_ms != 0)
        if unlikely(not loop.serving_data):
            look_at_loading(loop)
        look_at_log(loop)
        add_own_u64(&loop.turns, 1)
        if count < 0 and errno != EINTR:
            break
        if loop.gated_first != NULL:
            gated_look(loop)
        if loop.released_first != NULL:      # first: those who send to it get something to do
            gated_release(loop)
        serve_events(loop, events, count)
        serve_ready(loop, ready)
        if loop.subscriber != NULL:
            kick_log(loop, count == 0)
            if loop.gated_first != NULL:
                gated_look(loop)
        if load_ordered_u32(&loop.stop) != STOP_NOT:
            if not loop.draining:
                begin_drain(loop)
            if load_ordered_u32(&loop.stop) == STOP_NOW:
                break
        loop_bury(loop)
        sweep_some(loop)
        if unlikely(load_acquire_u32(&loop.give_count) != 0):
            loop_give(loop)
        if loop.draining and load_ordered_u64(&loop.count) == 0:
            break
    if loop.executor.quiet_thread >= 0:
        quiet_leave(loop.executor.quiet_thread)


cdef void loop_close(Loop* loop) noexcept nogil:
    """Frees all connections but the parked: the mail with their answers is emptied when the Reactor goes."""
    cdef Connection* connection = loop.first
    cdef Connection* following
    while connection != NULL:
        following = connection.next
        if not connection.flags & CONNECTION_PARKED:
            loop_unlink(loop, connection)
            connection_free(connection, loop.executor)
            add_relaxed_u64(&loop.count, <uint64_t>-1)
        connection = following
    loop.doomed = NULL
    loop.ready_first = NULL
    loop.ready_last = NULL


cdef void free_mail(Loop* loop, Mail* mail) noexcept nogil:
    """Frees connections that nobody will serve any more."""
    cdef Mail* following
    while mail != NULL:
        following = mail.next
        connection_free(<Connection*>mail.sender, loop.executor)
        mail = following


# --- what Python sees

cdef class Reactor:
    """Serves connections that it is given, in the thread that calls run().

    Args:
        store: whose keyspace it serves.
        service: what all that serve clients share.
        limits: on clients.

    Raises:
        OSError: no epoll instance or eventfd to be had.
        MemoryError: no memory.
    """

    def __cinit__(self, Store store not None, ServiceHandle service not None, ClientLimits limits not None):
        cdef epoll_event event
        self.store = store
        self.service = service
        self.limits = limits
        memset(&self.loop, 0, sizeof(Loop))
        self.loop.limits = &limits.limits
        self.loop.inbox.event_fd = -1
        self.loop.outbox.event_fd = -1
        self.loop.sweep_fd = -1
        self.loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.loop.epoll_fd < 0 or not mailbox_init(&self.loop.inbox) or not mailbox_init(&self.loop.outbox):
            raise OSError(errno, "the reactor needs epoll and eventfd")
        event.events = EPOLLIN
        event.data.u64 = EVENT_MAIL
        if epoll_ctl(self.loop.epoll_fd, EPOLL_CTL_ADD, self.loop.inbox.event_fd, &event) < 0 \
                or not sweep_init(&self.loop):
            raise OSError(errno, "the reactor needs epoll and timerfd")
        self.loop.executor = executor_new(store.keyspace, service.service)
        self.loop.buffer = <char*>malloc(BUFFER_BYTES)
        if self.loop.executor == NULL or self.loop.buffer == NULL:
            raise MemoryError()
        self.loop.executor.quiet_thread = -1
        self.loop.executor.serves_others = True
        self.loop.executor.ordinary_mask = 0         # until look_at_loading, in the first turn or later

    def __dealloc__(self):
        if self.loop.executor != NULL:
            with nogil:
                loop_close(&self.loop)
                free_mail(&self.loop, mailbox_take(&self.loop.inbox))
                free_mail(&self.loop, mailbox_take(&self.loop.outbox))
                executor_free(self.loop.executor)
        free(self.loop.buffer)
        mailbox_close(&self.loop.inbox)
        mailbox_close(&self.loop.outbox)
        sweep_close(&self.loop)
        if self.loop.epoll_fd >= 0:
            close(self.loop.epoll_fd)

    def run(self) -> None:
        """Serves until stopped; called once, in a thread of its own."""
        if pthread_getcpuclockid(pthread_self(), &self.cpu_clock) != 0:
            self.cpu_clock = 0
        with nogil:
            coalescing_begin()
            loop_run(&self.loop)
            coalescing_end()
            loop_close(&self.loop)
        if self.loop.subscriber != NULL:
            log_unsubscribe(self.store.keyspace.log, self.loop.subscriber)
            self.loop.subscriber = NULL
        if self.loop.executor.quiet_thread >= 0:
            quiet_unregister(self.loop.executor.quiet_thread)
            self.loop.executor.quiet_thread = -1
        self.finished = True

    def adopt(self, int fd, str address not None, str local_address not None, int64_t now_ms) -> None:
        """Takes over a connected non-blocking socket, which the reactor closes.

        Raises:
            MemoryError: no memory; the socket is still the caller's.
        """
        cdef Session* session = session_new(self.service.service, now_ms)
        cdef Connection* connection = NULL
        cdef bytes here = address.encode("utf-8", "surrogateescape")
        cdef bytes there = local_address.encode("utf-8", "surrogateescape")
        if session != NULL:
            if clients_set_text(&self.service.service.clients, &session.address, here, len(here)) \
                    and clients_set_text(&self.service.service.clients, &session.local_address, there, len(there)):
                connection = connection_new(fd, session, now_ms)
            if connection == NULL:
                session_free(session, self.store.keyspace)
        if connection == NULL:
            raise MemoryError("no memory for a connection")
        clients_add(&self.service.service.clients, session)
        add_relaxed_u64(&self.loop.count, 1)
        connection.mail.kind = MAIL_ADOPT
        mailbox_post(&self.loop.inbox, &connection.mail)

    def stop(self, bint now=False) -> None:
        """Lets run() return: when all that was received has been answered and sent, or now."""
        cdef uint32_t wanted = STOP_NOW if now else STOP_DRAIN
        if self.loop.stop < wanted:
            store_ordered_u32(&self.loop.stop, wanted)
            mailbox_wake(&self.loop.inbox)

    def give(self, Reactor target not None, uint32_t count) -> None:
        """Soon hands up to `count` of its active connections over; REQUIRES: the target lives as long as this one."""
        loop_ask_to_give(&self.loop, &target.loop, count)

    @property
    def cpu_ns(self) -> int:
        """The CPU time that its thread has taken; 0 before it runs and after it has ended."""
        cdef timespec spent
        if self.cpu_clock == 0 or self.finished or clock_gettime(self.cpu_clock, &spent) < 0:
            return 0
        return <int64_t> spent.tv_sec * 1_000_000_000 + spent.tv_nsec

    @property
    def request_fd(self) -> int:
        """Readable when requests() has something."""
        return self.loop.outbox.event_fd

    def requests(self) -> list[Request]:
        """The commands that have come to wait for Python since the last call."""
        cdef Mail* mail = mailbox_take(&self.loop.outbox)
        cdef Mail* following
        cdef ReactorRequest request
        cdef list taken = []
        while mail != NULL:
            following = mail.next
            request = ReactorRequest.__new__(ReactorRequest)
            request.reactor = self
            request.connection = <Connection*>mail.sender
            request.take(request.connection.session)
            taken.append(request)
            mail = following
        return taken

    @property
    def connection_count(self) -> int:
        return load_relaxed_u64(&self.loop.count)

    def stats(self) -> dict[str, int]:
        """Counts since the start."""
        return {
            "turns": load_relaxed_u64(&self.loop.turns),
            "rests": load_relaxed_u64(&self.loop.coalescing.rests),
            "polls": load_relaxed_u64(&self.loop.coalescing.polls),
            "bytes_in": load_relaxed_u64(&self.loop.bytes_in),
            "bytes_out": load_relaxed_u64(&self.loop.bytes_out),
            "closed_by_limit": load_relaxed_u64(&self.loop.closed_by_limit),
            "closed_by_timeout": load_relaxed_u64(&self.loop.closed_by_timeout),
        }


cdef class ReactorRequest(Request):
    """A command of one of a reactor's connections."""

    def __del__(self):
        if self.connection != NULL and not self.answered:
            post_answer(self.reactor, self.connection, UNANSWERED)

    cdef void answer(self, bytes reply):
        post_answer(self.reactor, self.connection, reply)
        self.connection = NULL

    cdef void answer_helped(self, Helped* helped):
        self.connection.helped = helped
        post_answer(self.reactor, self.connection, None)
        self.connection = NULL

    cdef Keyspace* keyspace(self):
        return self.reactor.store.keyspace

    cdef Service* service(self):
        return self.reactor.service.service


cdef void post_answer(Reactor reactor, Connection* connection, bytes reply):
    """Hands the reply to the reactor; without memory for a copy the connection is closed, as with None."""
    connection.answer = block_of(reply)
    connection.mail.kind = MAIL_ANSWER
    mailbox_post(&reactor.loop.inbox, &connection.mail)
