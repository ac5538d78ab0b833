# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The commands on expiries: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST.

An expiry is a Unix time in ms. One that is not in the future deletes the key at once. Asking for an expiry leaves the
access time alone (but counts as a hit or a miss, as in Redis).
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint32_t
from kvcy.commands.call cimport Call, arg_int_or_reply, arg_is, call_event, reply_error_quoting
from kvcy.commands.keys cimport lookup_no_touch
from kvcy.commands.registry cimport bind
from kvcy.commands.strings cimport reply_invalid_expire, reply_one_or_refused
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_expire_ms
from kvcy.engine.events cimport EVENT_DEL, EVENT_EXPIRE, EVENT_PERSIST
from kvcy.engine.keyspace cimport EXPIRE_NONE, keyspace_expire_at, keyspace_peek, keyspace_remove
from kvcy.engine.status cimport OK, Status
from kvcy.protocol.writer cimport write_error, write_int

from kvcy.commands.rows import Row

ROWS = (
    Row("expire", arity=-3, flags="write fast", keys=(1, 1, 1), group="generic", since="1.0.0",
        key_flags="RW update", complexity="O(1)", summary="Lets a key expire after a number of seconds.",
        syntax="key seconds [NX | XX | GT | LT]"),
    Row("expireat", arity=-3, flags="write fast", keys=(1, 1, 1), group="generic", since="1.2.0",
        key_flags="RW update", complexity="O(1)", summary="Lets a key expire at a Unix time in seconds.",
        syntax="key unix-time-seconds [NX | XX | GT | LT]"),
    Row("expiretime", arity=2, flags="readonly fast", keys=(1, 1, 1), group="generic", since="7.0.0",
        key_flags="RO access",
        complexity="O(1)", summary="Returns the Unix time in seconds at which a key expires.", syntax="key"),
    Row("persist", arity=2, flags="write fast", keys=(1, 1, 1), group="generic", since="2.2.0",
        key_flags="RW update", complexity="O(1)", summary="Removes a key's expiry.", syntax="key"),
    Row("pexpire", arity=-3, flags="write fast", keys=(1, 1, 1), group="generic", since="2.6.0",
        key_flags="RW update", complexity="O(1)", summary="Lets a key expire after a number of milliseconds.",
        syntax="key milliseconds [NX | XX | GT | LT]"),
    Row("pexpireat", arity=-3, flags="write fast", keys=(1, 1, 1), group="generic", since="2.6.0",
        key_flags="RW update", complexity="O(1)", summary="Lets a key expire at a Unix time in milliseconds.",
        syntax="key unix-time-milliseconds [NX | XX | GT | LT]"),
    Row("pexpiretime", arity=2, flags="readonly fast", keys=(1, 1, 1), group="generic", since="7.0.0",
        key_flags="RO access",
        complexity="O(1)", summary="Returns the Unix time in milliseconds at which a key expires.", syntax="key"),
    Row("pttl", arity=2, flags="readonly fast", keys=(1, 1, 1), group="generic", since="2.6.0",
        key_flags="RO access", tips=("nondeterministic_output",),
        complexity="O(1)", summary="Returns how many milliseconds a key has left before it expires.", syntax="key"),
    Row("ttl", arity=2, flags="readonly fast", keys=(1, 1, 1), group="generic", since="1.0.0",
        key_flags="RO access", tips=("nondeterministic_output",),
        complexity="O(1)", summary="Returns how many seconds a key has left before it expires.", syntax="key"),
)

cdef enum ExpireOption:
    OPTION_NX = 1                    # only if the key has no expiry
    OPTION_XX = 2                    # only if it has one
    OPTION_GT = 4                    # only if the new one is later (none at all is latest)
    OPTION_LT = 8                    # only if the new one is earlier

cdef void reply_unsupported_option(Call* call, Bytes option) noexcept nogil:
    """Quotes the option up to a NUL, without line ends behind it."""
    cdef size_t size = 0
    while size < option.size and option.data[size] != 0:
        size += 1
    while size > 0 and (option.data[size - 1] == c"\r" or option.data[size - 1] == c"\n"):
        size -= 1
    reply_error_quoting(call, b"ERR Unsupported option ", &option, size, b"")

cdef bint parse_options(Call* call, uint32_t* options) noexcept nogil:
    """Reads the options from the fourth argument on. Replies itself when it returns False."""
    cdef uint32_t i
    options[0] = 0
    for i in range(3, call.argc):
        if arg_is(&call.argv[i], b"nx"):
            options[0] |= OPTION_NX
        elif arg_is(&call.argv[i], b"xx"):
            options[0] |= OPTION_XX
        elif arg_is(&call.argv[i], b"gt"):
            options[0] |= OPTION_GT
        elif arg_is(&call.argv[i], b"lt"):
            options[0] |= OPTION_LT
        else:
            reply_unsupported_option(call, call.argv[i])
            return False
    if options[0] & OPTION_NX and options[0] & ~(<uint32_t> OPTION_NX):
        write_error(call.reply, b"ERR NX and XX, GT or LT options at the same time are not compatible")
        return False
    if options[0] & OPTION_GT and options[0] & OPTION_LT:
        write_error(call.reply, b"ERR GT and LT options at the same time are not compatible")
        return False
    return True

cdef bint allowed(uint32_t options, int64_t expire_ms, int64_t present_ms) noexcept nogil:
    """Whether the options let an expiry of present_ms (0: none) give way to expire_ms."""
    if options & OPTION_NX and present_ms != 0:
        return False
    if options & OPTION_XX and present_ms == 0:
        return False
    if options & OPTION_GT and (present_ms == 0 or expire_ms <= present_ms):
        return False
    if options & OPTION_LT and present_ms != 0 and expire_ms >= present_ms:
        return False
    return True

cdef int64_t unit_of(const Call* call) noexcept nogil:
    """The unit, in ms, of the times that the command takes or returns: its name begins with p if they are in ms."""
    return 1 if call.row.name[0] == c"p" else 1000

cdef void expire_key(Call* call, int64_t base_ms) noexcept nogil:
    """Sets the key's expiry to `base_ms` plus the second argument, a number of units."""
    cdef int64_t unit_ms = unit_of(call)
    cdef uint32_t options
    cdef int64_t expire_ms
    cdef Entry* entry
    cdef Status status = OK
    if not parse_options(call, &options) or not arg_int_or_reply(call, 2, &expire_ms):
        return
    if expire_ms > INT64_MAX // unit_ms or expire_ms < INT64_MIN // unit_ms:
        reply_invalid_expire(call)
        return
    expire_ms *= unit_ms
    if expire_ms > INT64_MAX - base_ms:
        reply_invalid_expire(call)
        return
    expire_ms += base_ms
    entry = keyspace_peek(&call.access, call.keys)
    if entry == NULL or not allowed(options, expire_ms, entry_expire_ms(entry)):
        write_int(call.reply, 0)
        return
    if expire_ms <= call.access.now_ms:
        keyspace_remove(&call.access, call.keys, EVENT_DEL)
    else:
        status = keyspace_expire_at(&call.access, call.keys, expire_ms)
        if status == OK:
            call_event(call, EVENT_EXPIRE, call.keys)
    reply_one_or_refused(call, status)

cdef void expire_command(Call* call) noexcept nogil:
    expire_key(call, call.access.now_ms)

cdef void expireat_command(Call* call) noexcept nogil:
    expire_key(call, 0)

cdef void persist_command(Call* call) noexcept nogil:
    cdef Entry* entry = keyspace_peek(&call.access, call.keys)
    cdef Status status
    if entry == NULL or entry_expire_ms(entry) == 0:
        write_int(call.reply, 0)
        return
    status = keyspace_expire_at(&call.access, call.keys, EXPIRE_NONE)
    if status == OK:
        call_event(call, EVENT_PERSIST, call.keys)
    reply_one_or_refused(call, status)

cdef void reply_expiry(Call* call, int64_t base_ms) noexcept nogil:
    """The key's expiry, from `base_ms` on, rounded to units; -1 if it has none, -2 if there is no key."""
    cdef int64_t unit_ms = unit_of(call)
    cdef Entry* entry = lookup_no_touch(call, 0)
    cdef int64_t expire_ms
    if entry == NULL:
        write_int(call.reply, -2)
        return
    expire_ms = entry_expire_ms(entry)
    if expire_ms == 0:
        write_int(call.reply, -1)
        return
    expire_ms = max(expire_ms - base_ms, 0)
    write_int(call.reply, expire_ms // unit_ms + (2 * (expire_ms % unit_ms) >= unit_ms))

cdef void ttl_command(Call* call) noexcept nogil:
    reply_expiry(call, call.access.now_ms)

cdef void expiretime_command(Call* call) noexcept nogil:
    reply_expiry(call, 0)

bind("expire", expire_command)
bind("expireat", expireat_command)
bind("expiretime", expiretime_command)
bind("persist", persist_command)
bind("pexpire", expire_command)
bind("pexpireat", expireat_command)
bind("pexpiretime", expiretime_command)
bind("pttl", ttl_command)
bind("ttl", ttl_command)
