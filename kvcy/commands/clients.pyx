# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The registry of all sessions: a doubly linked list in order of arrival, under one leaf lock.

clients_describe writes CLIENT LIST's line field by field. Numbers that belong to another thread's session are read as
they are (shown.pxd): a line need not be a consistent cut. No pointer is followed to what that thread may free. Texts
are replaced under the lock, so reading them under it is safe.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strlen
from kvcy.commands.types cimport (
    SESSION_CLOSING, SESSION_MULTI, SESSION_NO_EVICT, SESSION_NO_TOUCH, SESSION_UNIX, Clients, Row, Session,
)
from kvcy.engine.platform cimport (
    add_relaxed_u64, load_relaxed_i64, load_relaxed_u32, load_relaxed_u64, store_relaxed_u32, store_relaxed_u64)
from kvcy.engine.rwlock cimport rwlock_write, rwlock_write_done
from kvcy.protocol.parser cimport parser_array_bytes, parser_filling_bytes
from kvcy.protocol.writer cimport Writer, format_int, write_raw

cdef extern from *:
    const Row* load_row "KVCY_LOAD_RELAXED"(const Row* const*) nogil


cdef void clients_init(Clients* clients) noexcept nogil:
    clients.lock.word = 0
    clients.first = NULL
    clients.last = NULL
    clients.count = 0
    clients.next_id = 0
    clients.total_connections = 0
    clients.memory_bytes_max = 0
    clients.evicted = 0


cdef void clients_lock(Clients* clients) noexcept nogil:
    rwlock_write(&clients.lock)


cdef void clients_unlock(Clients* clients) noexcept nogil:
    rwlock_write_done(&clients.lock)


cdef void clients_add(Clients* clients, Session* session) noexcept nogil:
    rwlock_write(&clients.lock)
    session.previous = clients.last
    session.next = NULL
    if clients.last != NULL:
        clients.last.next = session
    else:
        clients.first = session
    clients.last = session
    clients.count += 1
    clients.total_connections += 1
    rwlock_write_done(&clients.lock)


cdef void clients_remove(Clients* clients, Session* session) noexcept nogil:
    rwlock_write(&clients.lock)
    if session.previous != NULL:
        session.previous.next = session.next
    else:
        clients.first = session.next
    if session.next != NULL:
        session.next.previous = session.previous
    else:
        clients.last = session.previous
    session.previous = NULL
    session.next = NULL
    clients.count -= 1
    rwlock_write_done(&clients.lock)


cdef bint clients_set_text(Clients* clients, char** place, const char* text, size_t size) noexcept nogil:
    cdef char* made = NULL
    cdef char* old
    if text != NULL:
        made = <char*> malloc(size + 1)
        if made == NULL:
            return False
        memcpy(made, text, size)
        made[size] = 0
    rwlock_write(&clients.lock)
    old = place[0]
    place[0] = made
    rwlock_write_done(&clients.lock)
    free(old)
    return True


cdef void clients_kill(Session* session) noexcept nogil:
    store_relaxed_u32(&session.killed, 1)
    if session.wake != NULL:
        session.wake(session.carrier)


cdef void clients_count(Clients* clients, Keyspace* keyspace, Session* session, size_t bytes) noexcept nogil:
    cdef uint64_t before = session.counted_bytes
    cdef uint64_t limit, total
    store_relaxed_u64(&session.array_bytes, parser_array_bytes(&session.parser))
    bytes += session.array_bytes
    if bytes == before:
        return
    store_relaxed_u64(&session.counted_bytes, bytes)
    total = add_relaxed_u64(&keyspace.client_bytes, bytes - before)
    limit = load_relaxed_u64(&clients.memory_bytes_max)
    if limit and bytes > before and total > limit:
        clients_evict(clients)


cdef void clients_evict(Clients* clients) noexcept nogil:
    cdef uint64_t limit = load_relaxed_u64(&clients.memory_bytes_max)
    cdef uint64_t total = limit + 1
    cdef uint64_t bytes, bytes_most
    cdef Session* session
    cdef Session* largest
    if limit == 0:
        return
    clients_lock(clients)
    while total > limit:                 # ends: each round kills one that takes something
        total = 0
        bytes_most = 0
        largest = NULL
        session = clients.first
        while session != NULL:
            if not load_relaxed_u32(&session.killed) and not load_relaxed_u32(&session.flags) & SESSION_NO_EVICT:
                bytes = load_relaxed_u64(&session.counted_bytes)
                total += bytes
                if bytes > bytes_most:
                    bytes_most = bytes
                    largest = session
            session = session.next
        if total > limit:
            clients_kill(largest)
            add_relaxed_u64(&clients.evicted, 1)
    clients_unlock(clients)


cdef size_t session_memory_bytes(const Session* session) noexcept nogil:
    cdef const char** texts = [session.address, session.local_address, session.name, session.library_name,
                               session.library_version]
    cdef size_t total = sizeof(Session) + load_relaxed_u64(&session.array_bytes) + parser_filling_bytes(&session.parser)
    cdef int index
    for index in range(5):
        if texts[index] != NULL:
            total += strlen(texts[index]) + 1
    return (total + load_relaxed_u64(&session.queue_bytes) + load_relaxed_u64(&session.input_bytes)
            + load_relaxed_u64(&session.output_bytes))


cdef void put(Writer* text, const char* label, const char* value) noexcept nogil:
    """` label=value`; a missing value is empty."""
    write_raw(text, label, strlen(label))
    if value != NULL:
        write_raw(text, value, strlen(value))


cdef void put_int(Writer* text, const char* label, int64_t number) noexcept nogil:
    cdef char digits[24]
    write_raw(text, label, strlen(label))
    write_raw(text, digits, format_int(digits, number))


cdef void put_flags(Writer* text, const Session* session) noexcept nogil:
    """The letters of flags=: x in MULTI, d a watched key has changed, e no eviction, T no touch, U Unix, c closing, N
    none."""
    cdef char letters[8]
    cdef size_t count = 0
    cdef uint32_t flags = load_relaxed_u32(&session.flags)
    if flags & SESSION_MULTI:
        letters[count] = c'x'
        count += 1
    if load_relaxed_u32(&session.watcher.dirty):
        letters[count] = c'd'
        count += 1
    if load_relaxed_u32(&session.state) == SESSION_CLOSING:
        letters[count] = c'c'
        count += 1
    if load_relaxed_u32(&session.killed):
        letters[count] = c'A'
        count += 1
    if flags & SESSION_UNIX:
        letters[count] = c'U'
        count += 1
    if flags & SESSION_NO_EVICT:
        letters[count] = c'e'
        count += 1
    if flags & SESSION_NO_TOUCH:
        letters[count] = c'T'
        count += 1
    if count == 0:
        letters[0] = c'N'
        count = 1
    write_raw(text, b" flags=", 7)
    write_raw(text, letters, count)


cdef int64_t seconds_since(int64_t now_ms, int64_t then_ms) noexcept nogil:
    return (now_ms - then_ms) // 1000 if now_ms > then_ms else 0


cdef void clients_describe(Clients* clients, const Session* session, int64_t now_ms, Writer* text) noexcept nogil:
    cdef uint64_t output_bytes = load_relaxed_u64(&session.output_bytes)
    cdef int64_t queued = -1
    cdef const char* command = b"NULL"
    cdef const char* events = b" events=r"
    cdef const Row* row = load_row(&session.last_row)          # it may become NULL meanwhile
    if row != NULL:
        command = row.name
    if load_relaxed_u32(&session.flags) & SESSION_MULTI:
        queued = load_relaxed_u32(&session.queue_count)
    if output_bytes:
        events = b" events=rw"
    put_int(text, b"id=", <int64_t> session.id)
    put(text, b" addr=", session.address)
    put(text, b" laddr=", session.local_address)
    put_int(text, b" fd=", session.fd)
    put(text, b" name=", session.name)
    put_int(text, b" age=", seconds_since(now_ms, session.created_ms))
    put_int(text, b" idle=", seconds_since(now_ms, load_relaxed_i64(&session.last_ms)))
    put_flags(text, session)
    put_int(text, b" db=", load_relaxed_u32(&session.database))
    put(text, b" sub=0 psub=0 ssub=0", NULL)
    put_int(text, b" multi=", queued)
    put_int(text, b" qbuf=", <int64_t> load_relaxed_u64(&session.input_bytes))
    put(text, b" qbuf-free=0 argv-mem=0", NULL)
    put_int(text, b" multi-mem=", <int64_t> load_relaxed_u64(&session.queue_bytes))
    put(text, b" rbs=0 rbp=0 obl=0", NULL)
    put_int(text, b" oll=", 1 if output_bytes else 0)
    put_int(text, b" omem=", <int64_t> output_bytes)
    put_int(text, b" tot-mem=", <int64_t> session_memory_bytes(session))
    put(text, events, NULL)
    put(text, b" cmd=", command)
    put(text, b" user=default redir=-1", NULL)
    put_int(text, b" resp=", load_relaxed_u32(&session.protocol))
    put(text, b" lib-name=", session.library_name)
    put(text, b" lib-ver=", session.library_version)
    write_raw(text, b"\n", 1)
