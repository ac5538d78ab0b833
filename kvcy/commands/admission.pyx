# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The checks between a parsed command and its handler, in Redis's order, and what becomes of a command that is not run.

Order: does it exist, arity, authentication, may it stand inside MULTI, are the data loaded, can the log be written,
memory, then queueing by MULTI, then PYTHON rows. The executor comes here only when something is out of the ordinary:
data commands of an authenticated client outside MULTI pass a short test of its own. A refused command flags a
transaction under way; a refused EXEC ends it, and says so.

A web page can make a browser send a request to any port of its machine, and lines of its choice in the request's body.
So the first line that shows HTTP ends the connection: no line behind it is taken for a command.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy, strerror, strlen
from kvcy.commands.call cimport arg_is, call_keep, reply_out_of_memory
from kvcy.commands.errorcodes cimport error_count
from kvcy.commands.queueing cimport transaction_discard, transaction_flag, transaction_queue
from kvcy.commands.registry cimport row_resolve
from kvcy.commands.shown cimport session_become, session_ran
from kvcy.commands.types cimport (
    DENYOOM, LOADING, NO_AUTH, NO_MULTI, PYTHON, SESSION_AUTHENTICATED, SESSION_CLOSING, SESSION_MULTI, SESSION_PARKED,
    UNQUEUED, WRITE, Call, Row, Service, Session,
)
from kvcy.engine.block cimport Bytes
from kvcy.engine.eviction cimport EVICTION_NOTHING, eviction_run
from kvcy.engine.shards cimport keyspace_counted_bytes
from kvcy.engine.platform cimport add_own_u64, likely, load_relaxed_u32, load_relaxed_u64
from kvcy.protocol.writer cimport write_error_part, write_simple

cdef enum:
    NAME_SHOWN_MAX = 128          # bytes of an unknown name that are shown, and of its arguments
    TEXT_BYTES = 512
    ERROR_TEXT_BYTES = 160

cdef struct Text:
    char data[512]
    size_t size


cdef void add(Text* text, const char* data, size_t size) noexcept nogil:
    if size > TEXT_BYTES - text.size:
        size = TEXT_BYTES - text.size
    memcpy(text.data + text.size, data, size)
    text.size += size


cdef void add_words(Text* text, const char* words) noexcept nogil:
    add(text, words, strlen(words))


cdef size_t shown(const Bytes* arg) noexcept nogil:
    """How many bytes of an argument an error shows: at most 128, and none behind a NUL, as Redis's printf does."""
    cdef size_t size = 0
    while size < arg.size and size < NAME_SHOWN_MAX and arg.data[size] != 0:
        size += 1
    return size


cdef bint is_exec(const Row* row) noexcept nogil:
    return row != NULL and row.name_size == 4 and memcmp(row.name, <const char*> b"exec", 4) == 0


cdef void refuse(Call* call, const char* code, const char* data, size_t size) noexcept nogil:
    """Answers `-code data`, or EXECABORT when it is EXEC that is refused, and flags the transaction."""
    cdef Text text
    text.size = 0
    if is_exec(call.row):
        transaction_discard(call.session, call.executor.keyspace)
        add_words(&text, b"EXECABORT Transaction discarded because of: ")
        if memcmp(code, <const char*> b"ERR", 3) != 0:
            add_words(&text, code)
            add_words(&text, b" ")
    else:
        transaction_flag(call.session)
        add_words(&text, code)
        add_words(&text, b" ")
    add(&text, data, size)
    write_error_part(call.reply, text.data, text.size)
    add_own_u64(&call.executor.errors, 1)
    error_count(&call.executor.error_counts, text.data, text.size)
    if call.row != NULL:
        add_own_u64(&call.executor.stats[call.row.number].rejected, 1)


cdef void refuse_words(Call* call, const char* code, const char* words) noexcept nogil:
    refuse(call, code, words, strlen(words))


cdef void refuse_unknown(Call* call) noexcept nogil:
    """Names the command and shows the beginning of its arguments, or names the container's unknown subcommand."""
    cdef const Row* container
    cdef Text text
    cdef size_t size, start, at
    cdef uint32_t index
    text.size = 0
    row_resolve(call.argv, call.argc, &container)
    if container != NULL:
        add_words(&text, b"unknown subcommand '")
        add(&text, call.argv[1].data, shown(&call.argv[1]))
        add_words(&text, b"'. Try ")
        for at in range(container.name_size):
            text.data[text.size] = container.name[at] & 0xDF
            text.size += 1
        add_words(&text, b" HELP.")
    else:
        add_words(&text, b"unknown command '")
        add(&text, call.argv[0].data, shown(&call.argv[0]))
        add_words(&text, b"', with args beginning with: ")
        start = text.size
        for index in range(1, call.argc):
            if text.size - start >= NAME_SHOWN_MAX:
                break
            size = shown(&call.argv[index])
            if size > NAME_SHOWN_MAX - (text.size - start):
                size = NAME_SHOWN_MAX - (text.size - start)
            add_words(&text, b"'")
            add(&text, call.argv[index].data, size)
            add_words(&text, b"' ")
    refuse(call, b"ERR", text.data, text.size)


cdef bint is_of_http(const Bytes* word) noexcept nogil:
    """Whether a line begins so in a request that a browser was made to send here: `POST ...`, `Host: ...`."""
    return arg_is(word, b"post") or arg_is(word, b"host:")


cdef void refuse_arity(Call* call) noexcept nogil:
    cdef Text text
    text.size = 0
    add_words(&text, b"wrong number of arguments for '")
    add(&text, call.row.name, call.row.name_size)
    add_words(&text, b"' command")
    refuse(call, b"ERR", text.data, text.size)


cdef bint admission_authenticated(const Session* session, const Service* service) noexcept nogil:
    return session.flags & SESSION_AUTHENTICATED != 0 or load_relaxed_u32(&service.password_required) == 0


cdef inline bint memory_is_short(Call* call, uint64_t limit) noexcept nogil:
    """Whether more is in use than the limit, and eviction can do nothing about it.

    What a slice of eviction does not manage is left to the commands that follow: these go on while there is something
    to evict, as in Redis. Nothing is evicted while the data are loaded, nor when the log cannot take it.
    """
    cdef uint64_t queued = call.session.queue_bytes
    if likely(keyspace_counted_bytes(call.executor.keyspace, limit) + queued <= limit):
        return False
    if call.executor.ordinary_mask == 0 or admission_write_error(call.executor.keyspace) != 0:
        return True
    return eviction_run(call.executor.keyspace, call.executor.now_ms, queued) == EVICTION_NOTHING


cdef bint over_memory(Call* call) noexcept nogil:
    """Whether the memory limit is passed and forbids this command."""
    cdef Session* session = call.session
    cdef uint64_t limit = load_relaxed_u64(&call.executor.keyspace.memory_bytes_max)
    cdef uint32_t flags = call.row.flags
    if limit == 0:
        return False
    if session.flags & SESSION_MULTI:
        # What is queued takes memory too; EXEC is judged by what it would run.
        if flags & UNQUEUED == 0:
            flags |= DENYOOM
        elif is_exec(call.row):
            flags |= session.transaction.flags_or
    return flags & DENYOOM != 0 and memory_is_short(call, limit)


cdef bint is_loading(Call* call) noexcept nogil:
    """Whether the data are being loaded, and the command needs them. WATCH does although Redis allows it: who loads
    takes no locks. EXEC's queue holds nothing that would be refused."""
    return call.executor.ordinary_mask == 0 and (call.row.flags & LOADING == 0 or call.row.first_key != 0)


cdef bint write_is_refused(Call* call) noexcept nogil:
    """Whether nothing can take what the command, or EXEC's queue, would write."""
    cdef uint32_t flags = call.row.flags
    if call.session.flags & SESSION_MULTI and is_exec(call.row):
        flags |= call.session.transaction.flags_or
    return flags & WRITE != 0 and admission_stops_writes(call)


cdef const char* misconfigured(Call* call, char* text) noexcept nogil:
    """What is wrong with the log or the snapshots, in words; `text` has ERROR_TEXT_BYTES."""
    cdef int error = admission_write_error(call.executor.keyspace)
    if error == 0:
        return "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands " \
            "that may modify the data set are disabled, because this instance is configured to report errors during " \
            "writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for " \
            "details about the RDB error."
    snprintf(text, ERROR_TEXT_BYTES, "Errors writing to the AOF file: %s", strerror(error))
    return text


cdef void admission_park(Call* call) noexcept nogil:
    call.session.deferred = call_keep(call)
    if call.session.deferred == NULL:
        reply_out_of_memory(call)
        return
    session_become(call.session, SESSION_PARKED)
    add_own_u64(&call.executor.stats[call.row.number].calls, 1)


cdef bint admission_check(Call* call) noexcept nogil:
    cdef const Row* row = call.row
    cdef Session* session = call.session
    cdef char[ERROR_TEXT_BYTES] text
    session_ran(session, row)
    if row == NULL:
        refuse_unknown(call)
        if is_of_http(&call.argv[0]):
            session_become(session, SESSION_CLOSING)
    elif (row.arity > 0 and <int> call.argc != row.arity) or <int> call.argc < -row.arity:
        refuse_arity(call)
    elif row.flags & NO_AUTH == 0 and not admission_authenticated(session, call.executor.service):
        refuse_words(call, b"NOAUTH", b"Authentication required.")
    elif session.flags & SESSION_MULTI and row.flags & NO_MULTI:
        refuse_words(call, b"ERR", b"Command not allowed inside a transaction")
    elif is_loading(call):
        refuse_words(call, b"LOADING", b"Redis is loading the dataset in memory")
    elif write_is_refused(call):
        refuse_words(call, b"MISCONF", misconfigured(call, text))
    elif over_memory(call):
        refuse_words(call, b"OOM", b"command not allowed when used memory > 'maxmemory'.")
    elif session.flags & SESSION_MULTI and row.flags & UNQUEUED == 0:
        if transaction_queue(call):
            write_simple(call.reply, b"QUEUED")
        else:
            refuse_words(call, b"OOM", b"command not allowed when used memory > 'maxmemory'.")
    elif row.flags & PYTHON:
        admission_park(call)
    else:
        return True
    return False
