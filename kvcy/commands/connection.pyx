# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands on the connection itself: PING, ECHO, TIME, AUTH, HELLO, SELECT, RESET, QUIT.

There is one user, `default`, whose password is the service's; without a password anything opens. CLIENT is in
introspection.pyx.
"""
from libc.limits cimport INT_MAX, INT_MIN
from libc.stdint cimport int64_t, uint32_t
from kvcy.commands.call cimport (
    arg_int, arg_int_or_reply, arg_is, arg_is_visible, reply_error_quoting, reply_out_of_memory, reply_syntax_error,
    reply_wrong_arity,
)
from kvcy.commands.admission cimport admission_authenticated
from kvcy.commands.clients cimport clients_set_text
from kvcy.commands.queueing cimport transaction_discard
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.commands.service cimport service_password_matches
from kvcy.commands.shown cimport session_become, session_lower, session_raise
from kvcy.commands.types cimport (
    SESSION_AUTHENTICATED, SESSION_CLOSING, SESSION_NO_EVICT, SESSION_NO_TOUCH, SESSION_REPLY_OFF, SESSION_REPLY_SKIP,
    SESSION_REPLY_SKIP_NEXT, Call, Service, Session,
)
from kvcy.engine.block cimport Bytes
from kvcy.engine.shards cimport DATABASES_MAX
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u32, store_relaxed_u32
from kvcy.protocol.writer cimport (
    format_int, write_array, write_bulk, write_bulk_text, write_error, write_int, write_map, write_ok, write_simple,
    write_value,
)
from kvcy.version import REDIS_VERSION

_OPEN = "noscript loading stale fast no_auth allow_busy"

ROWS = (
    Row("ping", arity=-1, flags="fast", group="connection", since="1.0.0", summary="Answers PONG, or its argument.",
        syntax="[message]", tips=("request_policy:all_shards", "response_policy:all_succeeded")),
    Row("echo", arity=2, flags="loading stale fast", group="connection", since="1.0.0", summary="Answers its argument.",
        syntax="message"),
    Row("time", arity=1, flags="loading stale fast", group="server", since="2.6.0",
        summary="Returns the server's clock: Unix time in seconds, and microseconds of this second.",
        tips=("nondeterministic_output",)),
    Row("auth", arity=-2, flags=_OPEN + " secret", group="connection", since="1.0.0",
        complexity="O(N) with N the length of the password.", summary="Authenticates the connection.",
        syntax="[username] password", history=(("6.0.0", "Takes a user name."),)),
    Row("hello", arity=-1, flags=_OPEN + " secret", group="connection", since="6.0.0",
        summary="Chooses the protocol version, and may authenticate and name the connection; describes the server.",
        syntax="[protover [AUTH username password] [SETNAME clientname]]",
        history=(("6.2.0", "The version may be left out."),)),
    Row("select", arity=2, flags="loading stale fast", group="connection", since="1.0.0",
        summary="Chooses the database of the connection.", syntax="index"),
    Row("reset", arity=1, flags=_OPEN + " unqueued", group="connection", since="6.2.0",
        summary="Brings the connection back to the state of a new one."),
    Row("quit", arity=-1, flags=_OPEN + " unqueued", group="connection", since="1.0.0",
        summary="Closes the connection after its replies have been sent."),
)

cdef bytes version_text = REDIS_VERSION.encode()
cdef const char* version = version_text


cdef void ping_command(Call* call) noexcept nogil:
    if call.argc > 2:
        reply_wrong_arity(call)
    elif call.argc == 2:
        write_value(call.reply, call.argv[1])
    else:
        write_simple(call.reply, b"PONG")


cdef void echo_command(Call* call) noexcept nogil:
    write_value(call.reply, call.argv[1])


cdef void time_command(Call* call) noexcept nogil:
    cdef char[24] digits
    cdef int64_t now_us = call.executor.now_us
    write_array(call.reply, 2)
    write_bulk(call.reply, digits, format_int(digits, now_us // 1000000))
    write_bulk(call.reply, digits, format_int(digits, now_us % 1000000))


cdef bint authenticate(Call* call, const Bytes* user, const Bytes* password) noexcept nogil:
    """Lets the session in, or answers WRONGPASS. The password is compared whoever the user is."""
    cdef Service* service = call.executor.service
    cdef bint known = user == NULL or (user.size == 7 and arg_is(user, b"default") and user.data[0] == c'd')
    cdef bint matches = service_password_matches(service, password.data, password.size)
    if known and matches:
        session_raise(call.session, SESSION_AUTHENTICATED)
        return True
    add_relaxed_u64(&service.auth_failures, 1)
    write_error(call.reply, b"WRONGPASS invalid username-password pair or user is disabled.")
    return False


cdef void auth_command(Call* call) noexcept nogil:
    if call.argc > 3:
        reply_syntax_error(call)
    elif call.argc == 2 and load_relaxed_u32(&call.executor.service.password_required) == 0:
        write_error(call.reply, b"ERR AUTH <password> called without any password configured for the default user. "
                                b"Are you sure your configuration is correct?")
    elif authenticate(call, &call.argv[1] if call.argc == 3 else NULL, &call.argv[call.argc - 1]):
        write_ok(call.reply)


cdef bint hello_options(Call* call, const Bytes** user, const Bytes** name) noexcept nogil:
    """Finds AUTH (user; the password follows it) and SETNAME, or answers an error."""
    cdef uint32_t index = 2
    while index < call.argc:
        if arg_is(&call.argv[index], b"auth") and index + 2 < call.argc:
            user[0] = &call.argv[index + 1]
            index += 3
        elif arg_is(&call.argv[index], b"setname") and index + 1 < call.argc:
            name[0] = &call.argv[index + 1]
            if not arg_is_visible(name[0]):
                write_error(call.reply, b"ERR Client names cannot contain spaces, newlines or special characters.")
                return False
            index += 2
        else:
            reply_error_quoting(call, b"ERR Syntax error in HELLO option '", &call.argv[index], 400, b"'")
            return False
    return True


cdef void hello_command(Call* call) noexcept nogil:
    cdef Session* session = call.session
    cdef int64_t protocol = 0
    cdef const Bytes* user = NULL
    cdef const Bytes* name = NULL
    if call.argc > 1:
        if not arg_int(&call.argv[1], &protocol):
            write_error(call.reply, b"ERR Protocol version is not an integer or out of range")
            return
        if protocol < 2 or protocol > 3:
            write_error(call.reply, b"NOPROTO unsupported protocol version")
            return
    if not hello_options(call, &user, &name):
        return
    if user != NULL and not authenticate(call, user, user + 1):
        return
    if not admission_authenticated(session, call.executor.service):
        write_error(call.reply, b"NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                                b"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
                                b"select the RESP protocol version at the same time")
        return
    if name != NULL and not set_name(call, name):
        reply_out_of_memory(call)
        return
    if protocol:
        store_relaxed_u32(&session.protocol, <uint32_t> protocol)
        call.reply.resp3 = protocol == 3
    describe_server(call)


cdef bint set_name(Call* call, const Bytes* name) noexcept nogil:
    """Names the session; an empty name is none."""
    return clients_set_text(&call.executor.service.clients, &call.session.name, name.data if name.size else NULL,
                            name.size)


cdef void describe_server(Call* call) noexcept nogil:
    write_map(call.reply, 7)
    write_bulk_text(call.reply, b"server")
    write_bulk_text(call.reply, b"redis")
    write_bulk_text(call.reply, b"version")
    write_bulk_text(call.reply, version)
    write_bulk_text(call.reply, b"proto")
    write_int(call.reply, call.session.protocol)
    write_bulk_text(call.reply, b"id")
    write_int(call.reply, <int64_t> call.session.id)
    write_bulk_text(call.reply, b"mode")
    write_bulk_text(call.reply, b"standalone")
    write_bulk_text(call.reply, b"role")
    write_bulk_text(call.reply, b"master")
    write_bulk_text(call.reply, b"modules")
    write_array(call.reply, 0)


cdef void select_command(Call* call) noexcept nogil:
    cdef int64_t database
    if not arg_int_or_reply(call, 1, &database):
        return
    if database < INT_MIN or database > INT_MAX:
        write_error(call.reply, b"ERR value is out of range, value must between -2147483648 and 2147483647")
    elif database < 0 or database >= DATABASES_MAX:
        write_error(call.reply, b"ERR DB index is out of range")
    else:
        store_relaxed_u32(&call.session.database, <uint32_t> database)
        write_ok(call.reply)


cdef void reset_command(Call* call) noexcept nogil:
    cdef Session* session = call.session
    transaction_discard(session, call.access.keyspace)
    session_lower(session, SESSION_AUTHENTICATED | SESSION_REPLY_OFF | SESSION_REPLY_SKIP | SESSION_REPLY_SKIP_NEXT
                  | SESSION_NO_TOUCH | SESSION_NO_EVICT)
    if load_relaxed_u32(&call.executor.service.password_required) == 0:
        session_raise(session, SESSION_AUTHENTICATED)
    store_relaxed_u32(&session.database, 0)
    store_relaxed_u32(&session.protocol, 2)
    call.access.no_touch = False
    call.reply.resp3 = False
    clients_set_text(&call.executor.service.clients, &session.name, NULL, 0)
    write_simple(call.reply, b"RESET")


cdef void quit_command(Call* call) noexcept nogil:
    write_ok(call.reply)
    session_become(call.session, SESSION_CLOSING)


bind("ping", ping_command)
bind("echo", echo_command)
bind("time", time_command)
bind("auth", auth_command)
bind("hello", hello_command)
bind("select", select_command)
bind("reset", reset_command)
bind("quit", quit_command)
