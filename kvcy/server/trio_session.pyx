# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sessions that trio tasks carry: Unix sockets, TLS, and platforms without epoll.

A TrioSession consumes bytes and collects replies; it knows no socket. Its task (trio_clients.py) receives, calls feed()
until `state` says MORE, and sends what chunk() gives, separately, since a reply may have to wait.

All run in the trio thread, so one executor serves them. The GIL is let go of while commands run: they may wait for a
shard's lock (THE RULE OF ENGINE LOCKS, engine/rwlock.pxd).
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from kvcy._core cimport Store
from kvcy.commands.clients cimport clients_add, clients_count, clients_remove, clients_set_text
from kvcy.commands.executors cimport executor_free, executor_load_done, executor_new
from kvcy.commands.helper cimport Helped, helped_hand_over
from kvcy.commands.service cimport ServiceHandle
from kvcy.commands.session cimport (
    session_feed, session_fill_room, session_filled, session_free, session_new, session_resume,
)
from kvcy.commands.shown cimport session_become
from kvcy.commands.types cimport (
    SESSION_CLOSING, SESSION_CONTINUING, SESSION_OPEN, SESSION_PARKED, SESSION_TRIO, SESSION_UNIX, Executor, Service,
    Session,
)
from kvcy.engine.block cimport Block, block_release
from kvcy.engine.log cimport Log, log_durable, log_holds_back, log_kick, log_wait
from kvcy.engine.platform cimport load_relaxed_u32, load_relaxed_u64, store_relaxed_u64
from kvcy.engine.shards cimport Keyspace
from kvcy.protocol.parser cimport parser_memory_bytes
from kvcy.protocol.writer cimport writer_close, writer_init
from kvcy.server.connection cimport COMMANDS_A_TURN
from kvcy.server.limits cimport ClientLimits
from kvcy.server.output cimport (
    Cursor, output_copy, output_free, output_memory_bytes, output_over_limit, output_pending, output_queue, output_size,
    output_skip,
)
from kvcy.server.requests cimport Request, block_of
from kvcy.server.sockets cimport SHUT_RDWR, shutdown

MORE = 0         # more bytes are needed
AGAIN = 1        # the turn's share is used up: go_on() after others have had their turn
PARKED = 2       # request() must be answered
CLOSING = 3      # close when all output has been sent


cdef class TrioExecutor:
    """The executor that all sessions of the trio thread share."""

    def __cinit__(self, Store store not None, ServiceHandle service not None, ClientLimits limits not None):
        self.store = store
        self.service = service
        self.limits = limits
        self.executor = executor_new(store.keyspace, service.service)
        if self.executor == NULL:
            raise MemoryError()
        self.executor.quiet_thread = -1
        self.executor.serves_others = True

    def load_done(self) -> None:
        """The data have been loaded, the log is open: all commands are served. For the trio thread."""
        executor_load_done(self.executor)

    def __dealloc__(self):
        if self.executor != NULL:
            executor_free(self.executor)


cdef void wake(void* carrier) noexcept nogil:
    """CLIENT KILL: the task's receive ends. REQUIRES: the registry's lock."""
    cdef Session* session = <Session*>carrier
    if session.fd >= 0:
        shutdown(session.fd, SHUT_RDWR)


cdef class TrioSession:
    """A session without a socket of its own. `fd` is shut down when CLIENT KILL ends the session."""

    def __cinit__(self, TrioExecutor shared not None, int fd, str address not None, str local_address not None,
                  int64_t now_ms, bint is_unix):
        cdef bytes peer = address.encode("utf-8", "surrogateescape")
        cdef bytes own = local_address.encode("utf-8", "surrogateescape")
        self.shared = shared
        self.session = session_new(shared.service.service, now_ms)
        if self.session == NULL \
                or not clients_set_text(&shared.service.service.clients, &self.session.address, peer, len(peer)) \
                or not clients_set_text(&shared.service.service.clients, &self.session.local_address, own, len(own)):
            raise MemoryError("no memory for a connection")
        self.session.fd = fd
        self.session.flags |= SESSION_TRIO | (SESSION_UNIX if is_unix else 0)
        self.session.wake = wake
        self.session.carrier = self.session
        clients_add(&shared.service.service.clients, self.session)
        self.listed = True

    def close(self) -> None:
        """Leaves the registry and frees what it holds. Called before its socket is closed; may be called again."""
        cdef Session* session = self.session
        if session == NULL:
            return
        self.session = NULL
        with nogil:
            if self.listed:
                clients_remove(&self.shared.service.service.clients, session)
            session_free(session, self.shared.store.keyspace)
            output_free(self.output)
            free(self.kept)
        self.output = NULL
        self.kept = NULL
        self.kept_size = 0

    def __dealloc__(self):
        self.close()

    # --- input

    def feed(self, bytes data not None) -> None:
        """Takes received bytes and runs the commands that are complete, as many as a turn may have.

        REQUIRES: state was MORE.
        """
        cdef const char* at = PyBytes_AS_STRING(data)
        cdef size_t size = <size_t>PyBytes_GET_SIZE(data)
        self.session.bytes_in += size
        self.shared.bytes_in += size
        with nogil:
            self.take(at, size)

    def go_on(self) -> None:
        """The next turn, when state was AGAIN or a request was answered."""
        with nogil:
            self.run(self.kept, self.kept_size)

    cdef void take(self, const char* data, size_t size) noexcept nogil:
        cdef size_t part
        cdef char* place
        while self.session.parser.filling != NULL and size:      # ends: each round takes some of the bytes
            place = session_fill_room(self.session, &part)
            if place == NULL:
                self.failed = True
                return
            part = part if part < size else size
            memcpy(place, data, part)
            session_filled(self.session, part)
            data += part
            size -= part
        if self.session.parser.filling != NULL:
            return
        if self.kept_size == 0:
            self.run(data, size)
        elif self.room(self.kept_size + size):
            memcpy(self.kept + self.kept_size, data, size)
            self.run(self.kept, self.kept_size + size)

    cdef bint room(self, size_t size) noexcept nogil:
        """Makes room for so many kept bytes."""
        cdef char* place
        if size <= self.kept_capacity:
            return True
        place = <char*>realloc(self.kept, size + size // 2)
        if place != NULL:
            self.kept = place
            self.kept_capacity = size + size // 2
            return True
        self.failed = True
        return False

    cdef void run(self, const char* data, size_t size) noexcept nogil:
        """Executes from `data`, which may be what is kept, and keeps the rest."""
        cdef Executor* executor = self.shared.executor
        cdef size_t used
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        executor.now_us = <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000
        executor.now_ms = executor.now_us // 1000
        executor.budget = COMMANDS_A_TURN
        used = session_feed(self.session, executor, data, size)
        size -= used
        if size + parser_memory_bytes(&self.session.parser) > load_relaxed_u64(
                &self.shared.limits.limits.query_bytes_max):
            self.failed = True
        if size == 0:
            free(self.kept)
            self.kept = NULL
            self.kept_capacity = 0
        elif data == self.kept:
            memmove(self.kept, data + used, size)
        elif self.room(size):
            memcpy(self.kept, data + used, size)
        else:
            size = 0
        self.kept_size = size
        store_relaxed_u64(&self.session.input_bytes, size)
        self.collect()
        self.again = self.session.state == SESSION_CONTINUING or (executor.budget == 0 and size > 0)

    # --- what it waits for

    @property
    def state(self) -> int:
        """MORE, AGAIN, PARKED or CLOSING."""
        if self.failed or load_relaxed_u32(&self.session.killed):
            return CLOSING
        if self.session.state == SESSION_CLOSING:
            return CLOSING
        if self.session.state == SESSION_PARKED:
            return PARKED
        return AGAIN if self.again else MORE

    @property
    def postponed(self) -> bool:
        """Whether the state is AGAIN because a long command was in the way."""
        return self.session.postponed != NULL

    def request(self) -> TrioRequest:
        """The command that waits for Python. REQUIRES: state is PARKED."""
        cdef TrioRequest request = TrioRequest.__new__(TrioRequest)
        request.carrier = self
        request.take(self.session)
        return request

    # --- output

    def wait_log(self, uint64_t position) -> bool:
        """Blocks until the log is durable up to `position`; false: it never will be. For another thread."""
        cdef Log* log = self.shared.store.keyspace.log
        cdef bint durable
        with nogil:
            durable = log_wait(log, position)
        return durable

    cdef void collect(self) noexcept nogil:
        """Moves the executor's reply to this session's output."""
        cdef Executor* executor = self.shared.executor
        cdef Cursor start
        memset(&start, 0, sizeof(start))
        self.gate = max(self.gate, executor.gate)
        executor.gate = 0
        if self.shared.store.keyspace.log != NULL:
            log_kick(self.shared.store.keyspace.log)
        if executor.reply.failed:
            self.failed = True
        elif output_size(&executor.reply) and not output_queue(&self.output, &executor.reply, &start):
            self.failed = True
        if self.failed:
            writer_close(&executor.reply)
            writer_init(&executor.reply)
        store_relaxed_u64(&self.session.output_bytes, output_pending(self.output))
        self.count_memory()
        if self.output != NULL and output_over_limit(self.output, &self.shared.limits.limits, executor.now_ms):
            self.failed = True

    cdef void count_memory(self) noexcept nogil:
        """Tells what the session takes."""
        clients_count(
            &self.shared.service.service.clients, self.shared.store.keyspace, self.session,
            sizeof(Session) + self.kept_capacity + output_memory_bytes(self.output))

    @property
    def held_until(self) -> int:
        """The position that the log must have made durable before the output may be sent; 0: it may."""
        cdef const Log* log = self.shared.store.keyspace.log
        if log == NULL or self.gate <= log_durable(log) or not log_holds_back(log):
            return 0
        return self.gate

    @property
    def pending_bytes(self) -> int:
        """Bytes to be sent."""
        return output_pending(self.output)

    def chunk(self, size_t size_max) -> bytes:
        """The next bytes to send, up to size_max; they stay until sent() says so."""
        cdef size_t size = output_pending(self.output)
        if size > size_max:
            size = size_max
        if size == 0:
            return b""
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        size = output_copy(self.output, PyBytes_AS_STRING(data), size)
        return data if <size_t>len(data) == size else data[:size]

    def sent(self, size_t size) -> None:
        """The first `size` bytes of chunk() have gone out."""
        if self.session == NULL:
            return
        output_skip(self.output, size)
        self.session.bytes_out += size
        self.shared.bytes_out += size
        if output_pending(self.output) == 0:
            output_free(self.output)
            self.output = NULL
        store_relaxed_u64(&self.session.output_bytes, output_pending(self.output))
        with nogil:
            self.count_memory()


cdef class TrioRequest(Request):
    """A command of a session that a trio task carries. After the answer: go_on(), and look at the state again."""

    cdef void answer(self, bytes reply):
        cdef TrioSession carrier = self.carrier
        cdef Block* block
        if carrier.session == NULL:
            return
        block = block_of(reply)
        if block == NULL:
            session_become(carrier.session, SESSION_CLOSING)
            return
        with nogil:
            session_resume(carrier.session, carrier.shared.executor, block)
            block_release(block)
            carrier.collect()
            carrier.again = carrier.session.state == SESSION_OPEN

    cdef void answer_helped(self, Helped* helped):
        cdef TrioSession carrier = self.carrier
        if helped == NULL:                   # the session is CLOSING
            return
        with nogil:
            helped_hand_over(helped, carrier.shared.executor)
            carrier.collect()
            carrier.again = carrier.session.state in (SESSION_OPEN, SESSION_CONTINUING)

    cdef Keyspace* keyspace(self):
        return (<TrioSession>self.carrier).shared.store.keyspace

    cdef Service* service(self):
        return (<TrioSession>self.carrier).shared.service.service
