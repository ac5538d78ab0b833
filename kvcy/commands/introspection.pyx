# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""CLIENT: what the server knows of its connections, and what they may set for themselves.

LIST, INFO and KILL walk the registry under its lock (clients.pxd), which is a leaf: nothing else is locked and nothing
waits meanwhile, so they may also run inside EXEC. KILL raises `killed` and wakes the carrier; the connection closes
when its carrier notices, at the latest before its next batch. The only type of client is `normal`, the only user
`default`.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, strlen
from kvcy.commands.call cimport (
    arg_int, arg_is, arg_is_visible, reply_error_quoting, reply_out_of_memory, reply_syntax_error,
)
from kvcy.commands.clients cimport (
    clients_describe, clients_kill, clients_lock, clients_set_text, clients_unlock,
)
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.commands.shown cimport session_become, session_lower, session_raise
from kvcy.commands.types cimport (
    SESSION_CLOSING, SESSION_NO_EVICT, SESSION_NO_TOUCH, SESSION_REPLY_OFF, SESSION_REPLY_SKIP, SESSION_REPLY_SKIP_NEXT,
    Call, Clients, Session,
)
from kvcy.engine.block cimport Bytes
from kvcy.protocol.writer cimport (
    Writer, write_bulk_text, write_error, write_int, write_null, write_ok, write_raw, write_verbatim, writer_close,
    writer_init,
)

_OPEN = "noscript loading stale"
_ADMIN = "admin noscript loading stale"


def _row(name, arity, summary, syntax="", flags=_OPEN, since="2.6.9", **more):
    return Row(name, arity=arity, flags=flags, group="connection", since=since, summary=summary, syntax=syntax, **more)


ROWS = (
    Row("client", arity=-2, group="connection", since="2.4.0", complexity="Depends on subcommand.",
        summary="Looks at connections and sets what one of them may choose.", subcommands=(
            _row("id", 2, "Returns the number of this connection.", since="5.0.0"),
            _row("getname", 2, "Returns the name of this connection."),
            _row("setname", 3, "Names this connection.", "connection-name"),
            _row("setinfo", 4, "Notes the name or version of the client's library.",
                 "<LIB-NAME libname | LIB-VER libver>", since="7.2.0"),
            _row("reply", 3, "Drops the replies of this connection, of its next command, or of none.",
                 "<ON | OFF | SKIP>", since="3.2.0"),
            _row("no-evict", 3, "Keeps this connection from being closed to save memory.", "<ON | OFF>", flags=_ADMIN,
                 since="7.0.0"),
            _row("no-touch", 3, "Lets commands of this connection leave access times alone.", "<ON | OFF>",
                 since="7.2.0"),
            _row("info", 2, "Describes this connection.", since="6.2.0", tips=("nondeterministic_output",)),
            _row("list", -2, "Describes all connections, or some.",
                 "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", flags=_ADMIN,
                 since="2.4.0", complexity="O(N) with N the number of connections.", tips=("nondeterministic_output",)),
            _row("kill", -3, "Closes connections.",
                 "<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] | [USER username] | "
                 "[ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage] ...>>", flags=_ADMIN,
                 since="2.4.0", complexity="O(N) with N the number of connections."),
            _row("help", 2, "Lists the subcommands.", since="5.0.0", flags="loading stale"),
        )),
)


cdef void id_command(Call* call) noexcept nogil:
    write_int(call.reply, <int64_t> call.session.id)


# --- what a connection sets for itself

cdef void set_text(Call* call, char** place, const Bytes* text) noexcept nogil:
    """Replaces a text of the session, by nothing if it is empty, and answers OK."""
    if clients_set_text(&call.executor.service.clients, place, text.data if text.size else NULL, text.size):
        write_ok(call.reply)
    else:
        reply_out_of_memory(call)


cdef void getname_command(Call* call) noexcept nogil:
    if call.session.name == NULL:
        write_null(call.reply)
    else:
        write_bulk_text(call.reply, call.session.name)


cdef void setname_command(Call* call) noexcept nogil:
    if arg_is_visible(&call.argv[2]):
        set_text(call, &call.session.name, &call.argv[2])
    else:
        write_error(call.reply, b"ERR Client names cannot contain spaces, newlines or special characters.")


cdef void setinfo_command(Call* call) noexcept nogil:
    cdef char** place
    if arg_is(&call.argv[2], b"lib-name"):
        place = &call.session.library_name
    elif arg_is(&call.argv[2], b"lib-ver"):
        place = &call.session.library_version
    else:
        reply_error_quoting(call, b"ERR Unrecognized option '", &call.argv[2], 400, b"'")
        return
    if arg_is_visible(&call.argv[3]):
        set_text(call, place, &call.argv[3])
    else:
        reply_error_quoting(call, b"ERR ", &call.argv[2], 64,
                            b" cannot contain spaces, newlines or special characters.")


cdef void reply_command(Call* call) noexcept nogil:
    """The executor drops what was written while one of the flags stands."""
    cdef Session* session = call.session
    if arg_is(&call.argv[2], b"on"):
        session_lower(session, SESSION_REPLY_OFF | SESSION_REPLY_SKIP)
        write_ok(call.reply)
    elif arg_is(&call.argv[2], b"off"):
        session_raise(session, SESSION_REPLY_OFF)
    elif arg_is(&call.argv[2], b"skip"):
        if session.flags & SESSION_REPLY_OFF == 0:
            session_raise(session, SESSION_REPLY_SKIP_NEXT)
    else:
        reply_syntax_error(call)


cdef void switch_flag(Call* call, uint32_t flag) noexcept nogil:
    """Sets or clears a flag of the session as the argument says."""
    if arg_is(&call.argv[2], b"on"):
        session_raise(call.session, flag)
    elif arg_is(&call.argv[2], b"off"):
        session_lower(call.session, flag)
    else:
        reply_syntax_error(call)
        return
    write_ok(call.reply)


cdef void no_evict_command(Call* call) noexcept nogil:
    switch_flag(call, SESSION_NO_EVICT)


cdef void no_touch_command(Call* call) noexcept nogil:
    switch_flag(call, SESSION_NO_TOUCH)
    call.access.no_touch = call.session.flags & SESSION_NO_TOUCH != 0


# --- descriptions

cdef void info_command(Call* call) noexcept nogil:
    cdef Writer text
    writer_init(&text)
    clients_describe(&call.executor.service.clients, call.session, call.access.now_ms, &text)
    reply_text(call, &text)


cdef void reply_text(Call* call, Writer* text) noexcept nogil:
    """Answers what was collected, and frees it."""
    cdef const char* data = b""
    if text.size:
        data = text.data
    if text.failed:
        reply_out_of_memory(call)
    else:
        write_verbatim(call.reply, b"txt", data, text.size)
    writer_close(text)


cdef bint parse_type(Call* call, const Bytes* arg, bint* normal) noexcept nogil:
    """Whether it is a type of client (and the only one there is); else answers an error."""
    normal[0] = arg_is(arg, b"normal")
    if normal[0] or arg_is(arg, b"master") or arg_is(arg, b"replica") or arg_is(arg, b"slave"):
        return True
    if arg_is(arg, b"pubsub"):
        return True
    reply_error_quoting(call, b"ERR Unknown client type '", arg, 400, b"'")
    return False


cdef bint listed(const Call* call, const Session* session) noexcept nogil:
    """Whether the ids from argv[3] on, if there are any, have this session's."""
    cdef uint32_t index
    cdef int64_t id
    if call.argc == 2 or not arg_is(&call.argv[2], b"id"):
        return True
    for index in range(3, call.argc):
        if arg_int(&call.argv[index], &id) and <uint64_t> id == session.id:
            return True
    return False


cdef void list_command(Call* call) noexcept nogil:
    cdef Clients* clients = &call.executor.service.clients
    cdef Session* session
    cdef Writer text
    cdef int64_t id
    cdef uint32_t index
    cdef bint normal = True
    if call.argc == 4 and arg_is(&call.argv[2], b"type"):
        if not parse_type(call, &call.argv[3], &normal):
            return
    elif call.argc > 3 and arg_is(&call.argv[2], b"id"):
        for index in range(3, call.argc):
            if not arg_int(&call.argv[index], &id):
                write_error(call.reply, b"ERR Invalid client ID")
                return
    elif call.argc != 2:
        reply_syntax_error(call)
        return
    writer_init(&text)
    clients_lock(clients)
    session = clients.first if normal else NULL
    while session != NULL:
        if listed(call, session):
            clients_describe(clients, session, call.access.now_ms, &text)
        session = session.next
    clients_unlock(clients)
    reply_text(call, &text)


# --- KILL

cdef struct Filter:
    int64_t id                  # 0: any
    const Bytes* address
    const Bytes* local_address
    int64_t age_s               # at least this old; 0: any
    bint normal                 # false: a type that no client has
    bint skip_me


cdef bint same_text(const Bytes* wanted, const char* text) noexcept nogil:
    if wanted == NULL:
        return True
    return text != NULL and strlen(text) == wanted.size and memcmp(text, wanted.data, wanted.size) == 0


cdef bint kill_option(Call* call, const Bytes* option, const Bytes* value, Filter* kill_filter) noexcept nogil:
    """Takes one pair; false after answering an error."""
    if arg_is(option, b"id"):
        if arg_int(value, &kill_filter.id) and kill_filter.id > 0:
            return True
        write_error(call.reply, b"ERR client-id should be greater than 0")
    elif arg_is(option, b"maxage"):
        if not arg_int(value, &kill_filter.age_s):
            write_error(call.reply, b"ERR maxage is not an integer or out of range")
        elif kill_filter.age_s <= 0:
            write_error(call.reply, b"ERR maxage should be greater than 0")
        else:
            return True
    elif arg_is(option, b"type"):
        return parse_type(call, value, &kill_filter.normal)
    elif arg_is(option, b"addr"):
        kill_filter.address = value
        return True
    elif arg_is(option, b"laddr"):
        kill_filter.local_address = value
        return True
    elif arg_is(option, b"user"):
        if value.size == 7 and memcmp(value.data, <const char*> b"default", 7) == 0:
            return True
        reply_error_quoting(call, b"ERR No such user '", value, 400, b"'")
    elif arg_is(option, b"skipme") and (arg_is(value, b"yes") or arg_is(value, b"no")):
        kill_filter.skip_me = arg_is(value, b"yes")
        return True
    else:
        reply_syntax_error(call)
    return False


cdef int64_t kill_matching(Call* call, const Filter* kill_filter) noexcept nogil:
    """Kills all that the filter names; the caller's own connection closes after its reply."""
    cdef Clients* clients = &call.executor.service.clients
    cdef Session* session
    cdef int64_t count = 0
    clients_lock(clients)
    session = clients.first if kill_filter.normal else NULL
    while session != NULL:
        if ((kill_filter.id == 0 or <uint64_t> kill_filter.id == session.id)
                and same_text(kill_filter.address, session.address)
                and same_text(kill_filter.local_address, session.local_address)
                and (kill_filter.age_s == 0
                     or (call.access.now_ms - session.created_ms) // 1000 >= kill_filter.age_s)
                and not (kill_filter.skip_me and session == call.session)):
            count += 1
            if session == call.session:
                session_become(session, SESSION_CLOSING)
            else:
                clients_kill(session)
        session = session.next
    clients_unlock(clients)
    return count


cdef void kill_command(Call* call) noexcept nogil:
    cdef Filter kill_filter
    cdef uint32_t index
    kill_filter.id = 0
    kill_filter.address = NULL
    kill_filter.local_address = NULL
    kill_filter.age_s = 0
    kill_filter.normal = True
    kill_filter.skip_me = call.argc > 3
    if call.argc == 3:
        kill_filter.address = &call.argv[2]
        if kill_matching(call, &kill_filter):
            write_ok(call.reply)
        else:
            write_error(call.reply, b"ERR No such client")
        return
    for index in range(2, call.argc, 2):
        if index + 1 == call.argc:
            reply_syntax_error(call)
            return
        if not kill_option(call, &call.argv[index], &call.argv[index + 1], &kill_filter):
            return
    write_int(call.reply, kill_matching(call, &kill_filter))


# --- HELP

HELP = (
    b"CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"GETNAME",
    b"    Return the name of this connection.",
    b"ID",
    b"    Return the number of this connection.",
    b"INFO",
    b"    Describe this connection.",
    b"KILL <ip:port>",
    b"    Close the connection from <ip:port>.",
    b"KILL <option> <value> [<option> <value> [...]]",
    b"    Close the connections that meet all of: ID <client-id>, ADDR <ip:port>, LADDR <ip:port>,",
    b"    TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <username>, MAXAGE <seconds>, SKIPME (YES|NO).",
    b"LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <client-id> [...]]",
    b"    Describe all connections, or some.",
    b"NO-EVICT (ON|OFF)",
    b"    Keep this connection from being closed to save memory.",
    b"NO-TOUCH (ON|OFF)",
    b"    Leave access times alone.",
    b"REPLY (ON|OFF|SKIP)",
    b"    Drop the replies of this connection, of its next command, or of none.",
    b"SETINFO <LIB-NAME | LIB-VER> <text>",
    b"    Note the name or version of the client's library.",
    b"SETNAME <name>",
    b"    Name this connection.",
    b"HELP",
    b"    Print this help.",
)
cdef bytes help_reply = b"*%d\r\n" % len(HELP) + b"".join(b"+%s\r\n" % line for line in HELP)
cdef const char* help_data = help_reply
cdef size_t help_size = len(help_reply)


cdef void help_command(Call* call) noexcept nogil:
    write_raw(call.reply, help_data, help_size)


bind("client|id", id_command)
bind("client|getname", getname_command)
bind("client|setname", setname_command)
bind("client|setinfo", setinfo_command)
bind("client|reply", reply_command)
bind("client|no-evict", no_evict_command)
bind("client|no-touch", no_touch_command)
bind("client|info", info_command)
bind("client|list", list_command)
bind("client|kill", kill_command)
bind("client|help", help_command)
