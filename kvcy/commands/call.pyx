# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Helpers of command handlers: standard errors, arguments, commands kept for later.

Error texts are Redis's, word for word. An error that quotes what a client sent goes through write_error_part, which
turns CR and LF into spaces, so no argument can forge a second reply.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from kvcy.commands.cycles cimport cycles
from kvcy.commands.shown cimport session_become
from kvcy.commands.types cimport SESSION_CONTINUING, Call, Deferred, Discard, Row, Step
from kvcy.commands.yielding cimport long_commands_run
from kvcy.engine.block cimport Bytes, block_retain, blocks_release
from kvcy.protocol.gathered cimport Gathered, gathered_bytes, gathered_release
from kvcy.protocol.writer cimport write_error, write_error_part


cdef enum:
    STEPS_MAX = 64                 # in one slice, should the clock stand still
    SLICE_US = 500                 # how old a turn may get


cdef bint call_slice_over(const Call* call, int steps) noexcept nogil:
    cdef timespec now
    if call.held != NULL:
        return False
    if long_commands_run(call.executor):
        return True
    if steps == 0:
        return False
    clock_gettime(CLOCK_REALTIME, &now)
    return (steps == STEPS_MAX
            or <int64_t> now.tv_sec * 1000000 + now.tv_nsec // 1000 - call.executor.now_us > SLICE_US)


cdef void call_continue(Call* call, Step step, Discard discard, void* state) noexcept nogil:
    call.session.continuation.step = step
    call.session.continuation.discard = discard
    call.session.continuation.state = state
    call.session.continuation.row = call.row
    session_become(call.session, SESSION_CONTINUING)


cdef void reply_syntax_error(Call* call) noexcept nogil:
    write_error(call.reply, b"ERR syntax error")


cdef void reply_wrong_type(Call* call) noexcept nogil:
    write_error(call.reply, b"WRONGTYPE Operation against a key holding the wrong kind of value")


cdef void reply_not_an_integer(Call* call) noexcept nogil:
    write_error(call.reply, b"ERR value is not an integer or out of range")


cdef void reply_out_of_memory(Call* call) noexcept nogil:
    write_error(call.reply, b"OOM command not allowed when used memory > 'maxmemory'.")


cdef void reply_wrong_arity(Call* call) noexcept nogil:
    cdef Bytes name
    name.data = call.row.name
    name.size = call.row.name_size
    name.block = NULL
    reply_error_quoting(call, b"ERR wrong number of arguments for '", &name, 64, b"' command")


cdef void reply_error_quoting(Call* call, const char* before, const Bytes* arg, size_t bytes_max,
                              const char* after) noexcept nogil:
    cdef char text[512]
    cdef size_t size = strlen(before)
    cdef size_t tail = strlen(after)
    cdef size_t quoted = arg.size if arg.size < bytes_max else bytes_max
    if quoted > sizeof(text) - size - tail:
        quoted = sizeof(text) - size - tail
    memcpy(text, before, size)
    memcpy(text + size, arg.data, quoted)
    size += quoted
    memcpy(text + size, after, tail)
    write_error_part(call.reply, text, size + tail)


cdef bint arg_is(const Bytes* arg, const char* name) noexcept nogil:
    cdef size_t at = 0
    cdef char c
    while at < arg.size:
        c = arg.data[at]
        if c >= 65 and c <= 90:
            c += 32
        if name[at] == 0 or c != name[at]:
            return False
        at += 1
    return name[at] == 0


cdef bint arg_is_visible(const Bytes* arg) noexcept nogil:
    cdef size_t at
    for at in range(arg.size):
        if arg.data[at] < c'!' or arg.data[at] > c'~':
            return False
    return True


cdef bint parse_int(const char* data, size_t size, int64_t* number) noexcept nogil:
    cdef bint negative = False
    cdef uint64_t value = 0
    cdef uint64_t limit = <uint64_t> INT64_MAX
    cdef unsigned int digit
    cdef size_t at = 0
    if size == 1 and data[0] == c'0':
        number[0] = 0
        return True
    if size > 0 and data[0] == c'-':
        negative = True
        limit += 1
        at = 1
    if at == size or size > 20 or data[at] < c'1' or data[at] > c'9':
        return False
    while at < size:
        digit = <unsigned int> <unsigned char> data[at] - 48
        if digit > 9 or value > (limit - digit) / 10:
            return False
        value = value * 10 + digit
        at += 1
    number[0] = <int64_t> (0 - value) if negative else <int64_t> value
    return True


cdef bint arg_int(const Bytes* arg, int64_t* number) noexcept nogil:
    return parse_int(arg.data, arg.size, number)


cdef bint arg_int_or_reply(Call* call, uint32_t index, int64_t* number) noexcept nogil:
    if parse_int(call.argv[index].data, call.argv[index].size, number):
        return True
    reply_not_an_integer(call)
    return False


cdef Deferred* deferred_new(const Row* row, const Bytes* argv, uint32_t argc) noexcept nogil:
    cdef size_t size = sizeof(Deferred) + argc * sizeof(Bytes)
    cdef size_t held = 0
    cdef uint32_t index
    cdef char* at
    cdef Deferred* deferred
    for index in range(argc):
        if argv[index].block == NULL:
            size += argv[index].size
        else:
            held += argv[index].size
    deferred = <Deferred*> malloc(size)
    if deferred == NULL:
        return NULL
    deferred.row = row
    deferred.argc = argc
    deferred.argv = <Bytes*> (deferred + 1)
    deferred.memory_bytes = size + held
    deferred.began = cycles()
    memset(&deferred.gathered, 0, sizeof(Gathered))
    at = <char*> (deferred.argv + argc)
    for index in range(argc):
        deferred.argv[index] = argv[index]
        if argv[index].block == NULL:
            memcpy(at, argv[index].data, argv[index].size)
            deferred.argv[index].data = at
            at += argv[index].size
        else:
            block_retain(argv[index].block)
    return deferred


cdef Deferred* deferred_adopt(Gathered* gathered) noexcept nogil:
    cdef Deferred* deferred = <Deferred*> malloc(sizeof(Deferred))
    if deferred == NULL:
        return NULL
    deferred.row = NULL
    deferred.argc = gathered.count
    deferred.argv = gathered.at
    deferred.memory_bytes = sizeof(Deferred) + gathered_bytes(gathered) + gathered.block_bytes
    deferred.began = cycles()
    deferred.gathered = gathered[0]
    memset(gathered, 0, sizeof(Gathered))
    return deferred


cdef Deferred* call_keep(Call* call) noexcept nogil:
    cdef Deferred* kept = call.whole
    if kept == NULL:
        return deferred_new(call.row, call.argv, call.argc)
    call.whole = NULL
    kept.row = call.row
    kept.began = cycles()
    return kept


cdef void deferred_free(Deferred* deferred) noexcept nogil:
    if deferred == NULL:
        return
    if deferred.gathered.at != NULL:
        gathered_release(&deferred.gathered)
    else:
        blocks_release(deferred.argv, deferred.argc)
    free(deferred)
