# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""SET, GET and their relatives (parts of strings: ranges.pyx, counting: numbers.pyx, EXPIRE and TTL: expiry.pyx).

GET and SET without options are the hottest code of the project: one engine operation and one write, no parsing.

A reply that shows the old value (GETSET, GETDEL, GETEX, SET ... GET) is written before the change, because the change
makes pointers into the entry invalid, and is taken back if the change is refused for want of memory.

Reads that only ask whether a key may be changed use keyspace_peek: they count neither as hit nor as miss, as in Redis.
A mutation itself counts as an access. An expiry that lies in the past deletes the key at once.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint32_t
from kvcy.commands.call cimport (
    Call, arg_int_or_reply, call_event, reply_error_quoting, reply_out_of_memory, reply_syntax_error,
    reply_wrong_arity, reply_wrong_type,
)
from kvcy.commands.registry cimport bind
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport TYPE_STRING, Entry, entry_expire_ms, entry_type, entry_value
from kvcy.engine.events cimport EVENT_DEL, EVENT_EXPIRE, EVENT_EXPIRED, EVENT_NEW, EVENT_PERSIST, EVENT_SET
from kvcy.engine.keyspace cimport (
    EXPIRE_KEEP, EXPIRE_NONE, keyspace_delete, keyspace_expire_at, keyspace_get, keyspace_peek, keyspace_put,
    keyspace_remove)
from kvcy.engine.platform cimport likely
from kvcy.engine.puts cimport keyspace_put_all
from kvcy.engine.status cimport OK, TOO_LARGE, WRONG_TYPE, Status
from kvcy.protocol.writer cimport (
    WriterPosition, write_array, write_error, write_int, write_null, write_ok, write_value, writer_position,
    writer_rewind,
)

from kvcy.commands.rows import Row

ROWS = (
    Row("get", arity=2, flags="readonly fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RO access", complexity="O(1)", summary="Returns the string a key holds.", syntax="key"),
    Row("getdel", arity=2, flags="write fast", keys=(1, 1, 1), group="string", since="6.2.0",
        key_flags="RW access delete",
        complexity="O(1)", summary="Returns the string a key holds and deletes the key.", syntax="key"),
    Row("getex", arity=-2, flags="write fast", keys=(1, 1, 1), group="string", since="6.2.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Returns the string a key holds and sets or removes its expiry.",
        syntax="key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]"),
    Row("getset", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update",
        complexity="O(1)", summary="Sets a key to a string and returns the string it held before.",
        syntax="key value"),
    Row("mget", arity=-2, flags="readonly fast", keys=(1, -1, 1), group="string", since="1.0.0",
        key_flags="RO access", tips=("request_policy:multi_shard",),
        complexity="O(N) where N is the number of keys",
        summary="Returns the strings of several keys, as they are at one moment.", syntax="key [key ...]"),
    Row("mset", arity=-3, flags="write denyoom", keys=(1, -1, 2), group="string", since="1.0.1",
        key_flags="OW update", tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
        complexity="O(N) where N is the number of keys", summary="Sets several keys to strings in one step.",
        syntax="key value [key value ...]"),
    Row("msetnx", arity=-3, flags="write denyoom", keys=(1, -1, 2), group="string", since="1.0.1",
        key_flags="OW insert", tips=("request_policy:multi_shard", "response_policy:agg_min"),
        complexity="O(N) where N is the number of keys",
        summary="Sets several keys to strings in one step, if none of them exists.",
        syntax="key value [key value ...]"),
    Row("psetex", arity=4, flags="write denyoom", keys=(1, 1, 1), group="string", since="2.6.0",
        key_flags="OW update",
        complexity="O(1)", summary="Sets a key to a string that expires after a number of milliseconds.",
        syntax="key milliseconds value"),
    Row("set", arity=-3, flags="write denyoom", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RW access update variable_flags",
        complexity="O(1)", summary="Sets a key to a string, whatever it held before.",
        syntax="key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | KEEPTTL]"),
    Row("setex", arity=4, flags="write denyoom", keys=(1, 1, 1), group="string", since="2.0.0",
        key_flags="OW update",
        complexity="O(1)", summary="Sets a key to a string that expires after a number of seconds.",
        syntax="key seconds value"),
    Row("setnx", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="OW insert",
        complexity="O(1)", summary="Sets a key to a string, if the key does not exist.", syntax="key value"),
)

cdef enum StringOption:
    OPTION_NX = 1
    OPTION_XX = 2
    OPTION_GET = 4
    OPTION_KEEPTTL = 8
    OPTION_PERSIST = 16
    OPTION_EX = 32
    OPTION_PX = 64
    OPTION_EXAT = 128
    OPTION_PXAT = 256
    OPTION_EXPIRES = 480             # one of the four above
    OPTION_SECONDS = 160             # EX or EXAT
    OPTION_RELATIVE = 96             # EX or PX
    OPTIONS_SET = 495                # what SET knows
    OPTIONS_GETEX = 496              # what GETEX knows


# --- refusals

cdef void reply_refused(Call* call, Status status) noexcept nogil:
    if status == TOO_LARGE:
        write_error(call.reply, b"ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    elif status == WRONG_TYPE:
        reply_wrong_type(call)
    else:
        reply_out_of_memory(call)

cdef void reply_ok_or_refused(Call* call, Status status) noexcept nogil:
    if status == OK:
        write_ok(call.reply)
    else:
        reply_refused(call, status)

cdef void reply_one_or_refused(Call* call, Status status) noexcept nogil:
    if status == OK:
        write_int(call.reply, 1)
    else:
        reply_refused(call, status)

cdef void reply_invalid_expire(Call* call) noexcept nogil:
    cdef Bytes name
    name.data = call.row.name
    name.size = call.row.name_size
    name.block = NULL
    reply_error_quoting(call, b"ERR invalid expire time in '", &name, name.size, b"' command")

# --- options

cdef inline bint is_word(const Bytes* arg, const char* word, size_t size) noexcept nogil:
    """Whether the argument is the word, written in lower case letters only. (A capital differs from its small letter in
    bit 5, and nothing else maps to a letter by setting it.)"""
    cdef size_t i
    if arg.size != size:
        return False
    for i in range(size):
        if (arg.data[i] | 32) != word[i]:
            return False
    return True

cdef uint32_t option_of(const Bytes* arg) noexcept nogil:
    """The StringOption the argument names, or 0."""
    if is_word(arg, b"ex", 2):
        return OPTION_EX
    if is_word(arg, b"px", 2):
        return OPTION_PX
    if is_word(arg, b"nx", 2):
        return OPTION_NX
    if is_word(arg, b"xx", 2):
        return OPTION_XX
    if is_word(arg, b"get", 3):
        return OPTION_GET
    if is_word(arg, b"keepttl", 7):
        return OPTION_KEEPTTL
    if is_word(arg, b"exat", 4):
        return OPTION_EXAT
    if is_word(arg, b"pxat", 4):
        return OPTION_PXAT
    if is_word(arg, b"persist", 7):
        return OPTION_PERSIST
    return 0

cdef uint32_t conflicts_of(uint32_t option) noexcept nogil:
    """The options that may not stand before this one. Repeating an option is no conflict: the last one counts."""
    if option == OPTION_NX:
        return OPTION_XX
    if option == OPTION_XX:
        return OPTION_NX
    if option & (OPTION_KEEPTTL | OPTION_PERSIST | OPTION_EXPIRES):
        return (OPTION_KEEPTTL | OPTION_PERSIST | OPTION_EXPIRES) & ~option
    return 0

cdef bint parse_options(Call* call, uint32_t index, uint32_t known, uint32_t* options,
                        uint32_t* expire_index) noexcept nogil:
    """Reads the options from argument `index` on. Replies itself when it returns False."""
    cdef uint32_t option
    options[0] = 0
    expire_index[0] = 0
    while index < call.argc:
        option = option_of(&call.argv[index]) & known
        if option == 0 or options[0] & conflicts_of(option):
            reply_syntax_error(call)
            return False
        if option & OPTION_EXPIRES:
            index += 1
            if index == call.argc:
                reply_syntax_error(call)
                return False
            expire_index[0] = index
        options[0] |= option
        index += 1
    return True

cdef bint parse_expire(Call* call, uint32_t index, uint32_t options, int64_t* expire_ms) noexcept nogil:
    """The Unix time in ms that argument `index` means under EX, PX, EXAT or PXAT. Replies itself when False."""
    cdef int64_t number
    if not arg_int_or_reply(call, index, &number):
        return False
    if number <= 0 or (options & OPTION_SECONDS and number > INT64_MAX // 1000):
        reply_invalid_expire(call)
        return False
    if options & OPTION_SECONDS:
        number *= 1000
    if options & OPTION_RELATIVE:
        if number > INT64_MAX - call.access.now_ms:
            reply_invalid_expire(call)
            return False
        number += call.access.now_ms
    expire_ms[0] = number
    return True

# --- setting

cdef Status put_until(Call* call, Bytes value, int64_t expire_ms) noexcept nogil:
    """Sets the first key; an expiry that has passed already deletes it instead."""
    cdef bint past = 0 < expire_ms <= call.access.now_ms
    cdef Status status = OK
    if not past:
        status = keyspace_put(&call.access, call.keys, value, expire_ms)
    elif not keyspace_delete(&call.access, call.keys):
        call_event(call, EVENT_NEW, call.keys)
    if status == OK:
        call_event(call, EVENT_SET, call.keys)
        if expire_ms > 0:
            call_event(call, EVENT_EXPIRE, call.keys)
        if past:
            call_event(call, EVENT_EXPIRED, call.keys)
    return status

cdef bint write_old(Call* call, bint counted) noexcept nogil:
    """Writes the first key's string, or null. An error reply, and False, when it holds another type."""
    cdef Entry* entry
    entry = keyspace_get(&call.access, call.keys) if counted else keyspace_peek(&call.access, call.keys)
    if entry == NULL:
        write_null(call.reply)
    elif entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
        return False
    else:
        write_value(call.reply, entry_value(entry))
    return True

cdef void set_with_options(Call* call) noexcept nogil:
    cdef uint32_t options
    cdef uint32_t expire_index
    cdef int64_t expire_ms = EXPIRE_NONE
    cdef WriterPosition before
    cdef bint found
    cdef Status status
    if not parse_options(call, 3, OPTIONS_SET, &options, &expire_index):
        return
    if options & OPTION_EXPIRES:
        if not parse_expire(call, expire_index, options, &expire_ms):
            return
    elif options & OPTION_KEEPTTL:
        expire_ms = EXPIRE_KEEP
    before = writer_position(call.reply)
    if options & OPTION_GET and not write_old(call, True):
        return
    if options & (OPTION_NX | OPTION_XX):
        found = keyspace_peek(&call.access, call.keys) != NULL
        if found == ((options & OPTION_NX) != 0):
            if not options & OPTION_GET:
                write_null(call.reply)
            return
    status = put_until(call, call.argv[2], expire_ms)
    if status != OK:
        writer_rewind(call.reply, before)
        reply_refused(call, status)
    elif not options & OPTION_GET:
        write_ok(call.reply)

cdef void set_command(Call* call) noexcept nogil:
    cdef Status status
    if call.argc != 3:
        set_with_options(call)
        return
    status = keyspace_put(&call.access, call.keys, call.argv[2], EXPIRE_NONE)
    if likely(status == OK):
        call_event(call, EVENT_SET, call.keys)
        write_ok(call.reply)
    else:
        reply_refused(call, status)

cdef void set_for(Call* call, uint32_t option) noexcept nogil:
    """SETEX and PSETEX: key, time, value."""
    cdef int64_t expire_ms
    cdef Status status
    if not parse_expire(call, 2, option, &expire_ms):
        return
    status = put_until(call, call.argv[3], expire_ms)
    reply_ok_or_refused(call, status)

cdef void setex_command(Call* call) noexcept nogil:
    set_for(call, OPTION_EX)

cdef void psetex_command(Call* call) noexcept nogil:
    set_for(call, OPTION_PX)

cdef void setnx_command(Call* call) noexcept nogil:
    cdef Status status
    if keyspace_peek(&call.access, call.keys) != NULL:
        write_int(call.reply, 0)
        return
    status = keyspace_put(&call.access, call.keys, call.argv[2], EXPIRE_NONE)
    if status == OK:
        call_event(call, EVENT_SET, call.keys)
    reply_one_or_refused(call, status)

cdef void getset_command(Call* call) noexcept nogil:
    cdef WriterPosition before = writer_position(call.reply)
    cdef Status status
    if not write_old(call, True):
        return
    status = keyspace_put(&call.access, call.keys, call.argv[2], EXPIRE_NONE)
    if status == OK:
        call_event(call, EVENT_SET, call.keys)
    else:
        writer_rewind(call.reply, before)
        reply_refused(call, status)

cdef bint mset_is_paired(Call* call) noexcept nogil:
    if call.argc & 1:
        return True
    reply_wrong_arity(call)
    return False

cdef void mset_command(Call* call) noexcept nogil:
    cdef Status status
    if not mset_is_paired(call):
        return
    status = keyspace_put_all(&call.access, call.keys, call.argv + 2, 2, call.key_count)
    reply_ok_or_refused(call, status)

cdef void msetnx_command(Call* call) noexcept nogil:
    cdef uint32_t i
    cdef Status status
    if not mset_is_paired(call):
        return
    for i in range(call.key_count):
        if keyspace_peek(&call.access, &call.keys[i]) != NULL:
            write_int(call.reply, 0)
            return
    status = keyspace_put_all(&call.access, call.keys, call.argv + 2, 2, call.key_count)
    reply_one_or_refused(call, status)

# --- getting

cdef void get_command(Call* call) noexcept nogil:
    cdef Entry* entry = keyspace_get(&call.access, call.keys)
    if entry == NULL:
        write_null(call.reply)
    elif likely(entry_type(entry) == TYPE_STRING):
        write_value(call.reply, entry_value(entry))
    else:
        reply_wrong_type(call)

cdef void mget_command(Call* call) noexcept nogil:
    cdef uint32_t i
    cdef Entry* entry
    write_array(call.reply, call.key_count)
    for i in range(call.key_count):
        entry = keyspace_get(&call.access, &call.keys[i])
        if entry == NULL or entry_type(entry) != TYPE_STRING:
            write_null(call.reply)
        else:
            write_value(call.reply, entry_value(entry))

cdef void getdel_command(Call* call) noexcept nogil:
    if write_old(call, True):
        keyspace_remove(&call.access, call.keys, EVENT_DEL)

cdef void getex_command(Call* call) noexcept nogil:
    cdef uint32_t options
    cdef uint32_t expire_index
    cdef int64_t expire_ms = EXPIRE_NONE
    cdef WriterPosition before
    cdef Entry* entry
    cdef Status status = OK
    if not parse_options(call, 2, OPTIONS_GETEX, &options, &expire_index):
        return
    entry = keyspace_get(&call.access, call.keys)
    if entry == NULL:
        write_null(call.reply)
        return
    if entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
        return
    if options & OPTION_EXPIRES and not parse_expire(call, expire_index, options, &expire_ms):
        return
    before = writer_position(call.reply)
    write_value(call.reply, entry_value(entry))
    if options & OPTION_EXPIRES and expire_ms <= call.access.now_ms:
        keyspace_remove(&call.access, call.keys, EVENT_DEL)
    elif options & OPTION_EXPIRES or (options & OPTION_PERSIST and entry_expire_ms(entry) != 0):
        status = keyspace_expire_at(&call.access, call.keys, expire_ms)
        if status == OK:
            call_event(call, EVENT_EXPIRE if options & OPTION_EXPIRES else EVENT_PERSIST, call.keys)
    if status != OK:
        writer_rewind(call.reply, before)
        reply_refused(call, status)

bind("get", get_command)
bind("getdel", getdel_command)
bind("getex", getex_command)
bind("getset", getset_command)
bind("mget", mget_command)
bind("mset", mset_command)
bind("msetnx", msetnx_command)
bind("psetex", psetex_command)
bind("set", set_command)
bind("setex", setex_command)
bind("setnx", setnx_command)
