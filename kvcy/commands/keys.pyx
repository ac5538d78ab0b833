# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands on keys whatever they hold: DEL, UNLINK, EXISTS, TYPE, TOUCH, RENAME, RENAMENX, COPY, MOVE.

All shards of a command's keys are locked by the executor, so each is one atomic step. A key's shard does not depend on
the database, so MOVE and COPY ... DB lock no more than their keys. UNLINK is DEL: what is large is freed off the hot
path in both.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN, int64_t, uint32_t
from libc.string cimport memcmp
from kvcy.commands.call cimport (
    Call, arg_int_or_reply, arg_is, call_event, reply_out_of_memory, reply_syntax_error,
)
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.engine.entry cimport (
    Entry, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STRING, TYPE_ZSET, entry_type,
)
from kvcy.engine.events cimport (
    EVENT_COPY_TO, EVENT_DEL, EVENT_MOVE_FROM, EVENT_MOVE_TO, EVENT_RENAME_FROM, EVENT_RENAME_TO, event_raise)
from kvcy.engine.keyspace cimport keyspace_get, keyspace_remove
from kvcy.engine.rename cimport keyspace_copy, keyspace_rename
from kvcy.engine.shards cimport DATABASES_MAX, Key
from kvcy.engine.status cimport NO_MEMORY, NOT_FOUND, OK, Status
from kvcy.protocol.writer cimport write_error, write_int, write_ok, write_simple

ROWS = (
    Row("del", arity=-2, flags="write", keys=(1, -1, 1), group="generic", since="1.0.0", key_flags="RM delete",
        tips=("request_policy:multi_shard", "response_policy:agg_sum"),
        complexity="O(N) with N keys", summary="Deletes keys and answers how many there were.", syntax="key [key ...]"),
    Row("unlink", arity=-2, flags="write fast", keys=(1, -1, 1), group="generic", since="4.0.0", key_flags="RM delete",
        tips=("request_policy:multi_shard", "response_policy:agg_sum"),
        complexity="O(N) with N keys", summary="Deletes keys as DEL does; large values are freed in the background.",
        syntax="key [key ...]"),
    Row("exists", arity=-2, flags="readonly fast", keys=(1, -1, 1), group="generic", since="1.0.0", key_flags="RO",
        tips=("request_policy:multi_shard", "response_policy:agg_sum"),
        complexity="O(N) with N keys", summary="Counts how many of the keys exist, a repeated key every time.",
        syntax="key [key ...]"),
    Row("type", arity=2, flags="readonly fast", keys=(1, 1, 1), group="generic", since="1.0.0", key_flags="RO",
        complexity="O(1)", summary="Names the type of value a key holds, or none.", syntax="key"),
    Row("touch", arity=-2, flags="readonly fast", keys=(1, -1, 1), group="generic", since="3.2.1", key_flags="RO",
        tips=("request_policy:multi_shard", "response_policy:agg_sum"),
        complexity="O(N) with N keys", summary="Marks keys as just used and answers how many there are.",
        syntax="key [key ...]"),
    Row("rename", arity=3, flags="write", keys=(1, 2, 1), group="generic", since="1.0.0",
        key_flags="RW access delete / OW update",
        complexity="O(1)", summary="Renames a key, replacing a key that has the new name.", syntax="key newkey"),
    Row("renamenx", arity=3, flags="write fast", keys=(1, 2, 1), group="generic", since="1.0.0",
        key_flags="RW access delete / OW insert",
        complexity="O(1)", summary="Renames a key unless the new name is taken.", syntax="key newkey"),
    Row("copy", arity=-3, flags="write denyoom", keys=(1, 2, 1), group="generic", since="6.2.0",
        key_flags="RO access / OW update",
        complexity="O(1) for strings: a large value is shared",
        summary="Copies a key's value and expiry to another key, in the same or in another database.",
        syntax="source destination [DB destination-db] [REPLACE]"),
    Row("move", arity=3, flags="write fast", keys=(1, 1, 1), group="generic", since="1.0.0",
        key_flags="RW access update", complexity="O(1)",
        summary="Moves a key to another database unless it exists there.", syntax="key db"),
)


cdef const char* type_name(int type) noexcept nogil:
    if type == TYPE_STRING:
        return "string"
    if type == TYPE_LIST:
        return "list"
    if type == TYPE_SET:
        return "set"
    if type == TYPE_ZSET:
        return "zset"
    if type == TYPE_HASH:
        return "hash"
    return "stream"


cdef bint arg_database_or_reply(Call* call, uint32_t index, int* database) noexcept nogil:
    cdef int64_t number = 0
    if not arg_int_or_reply(call, index, &number):
        return False
    if number < INT32_MIN or number > INT32_MAX:
        write_error(call.reply, "ERR value is out of range, value must between -2147483648 and 2147483647")
        return False
    if number < 0 or number >= DATABASES_MAX:
        write_error(call.reply, "ERR DB index is out of range")
        return False
    database[0] = <int> number
    return True


cdef Entry* lookup_no_touch(Call* call, uint32_t index) noexcept nogil:
    cdef bint no_touch = call.access.no_touch
    cdef Entry* entry
    call.access.no_touch = True
    entry = keyspace_get(&call.access, &call.keys[index])
    call.access.no_touch = no_touch
    return entry


cdef inline bint same_key(const Key* first, const Key* second) noexcept nogil:
    return (first.bits == second.bits and first.size == second.size
            and memcmp(first.data, second.data, first.size) == 0)


cdef void del_command(Call* call) noexcept nogil:
    """DEL and UNLINK."""
    cdef int64_t deleted = 0
    cdef uint32_t index
    for index in range(call.key_count):
        deleted += keyspace_remove(&call.access, &call.keys[index], EVENT_DEL)
    write_int(call.reply, deleted)


cdef void exists_command(Call* call) noexcept nogil:
    cdef int64_t found = 0
    cdef uint32_t index
    for index in range(call.key_count):
        found += lookup_no_touch(call, index) != NULL
    write_int(call.reply, found)


cdef void type_command(Call* call) noexcept nogil:
    cdef const Entry* entry = lookup_no_touch(call, 0)
    if entry == NULL:
        write_simple(call.reply, "none")
    else:
        write_simple(call.reply, type_name(entry_type(entry)))


cdef void touch_command(Call* call) noexcept nogil:
    """Touches even for a client that has said CLIENT NO-TOUCH ON."""
    cdef bint no_touch = call.access.no_touch
    cdef int64_t found = 0
    cdef uint32_t index
    call.access.no_touch = False
    for index in range(call.key_count):
        found += keyspace_get(&call.access, &call.keys[index]) != NULL
    call.access.no_touch = no_touch
    write_int(call.reply, found)


cdef Status rename_key(Call* call, bint replace) noexcept nogil:
    cdef Status status = keyspace_rename(&call.access, &call.keys[0], &call.keys[1], call.access.database, replace)
    if status == OK and not same_key(&call.keys[0], &call.keys[1]):
        call_event(call, EVENT_RENAME_FROM, &call.keys[0])
        call_event(call, EVENT_RENAME_TO, &call.keys[1])
    return status


cdef void rename_command(Call* call) noexcept nogil:
    cdef Status status = rename_key(call, True)
    if status == OK:
        write_ok(call.reply)
    elif status == NOT_FOUND:
        write_error(call.reply, "ERR no such key")
    else:
        reply_out_of_memory(call)


cdef void renamenx_command(Call* call) noexcept nogil:
    cdef Status status = rename_key(call, False)
    if status == NOT_FOUND:
        write_error(call.reply, "ERR no such key")
    else:
        reply_done(call, status)


cdef void reply_done(Call* call, Status status) noexcept nogil:
    """1 if it was done, 0 if there was no source or the target was taken."""
    if status == NO_MEMORY:
        reply_out_of_memory(call)
    else:
        write_int(call.reply, status == OK)


cdef void copy_command(Call* call) noexcept nogil:
    cdef int database = call.access.database
    cdef bint replace = False
    cdef uint32_t index = 3
    cdef Status status
    while index < call.argc:
        if arg_is(&call.argv[index], "replace"):
            replace = True
        elif arg_is(&call.argv[index], "db") and index + 1 < call.argc:
            index += 1
            if not arg_database_or_reply(call, index, &database):
                return
        else:
            reply_syntax_error(call)
            return
        index += 1
    if database == call.access.database and same_key(&call.keys[0], &call.keys[1]):
        write_error(call.reply, "ERR source and destination objects are the same")
        return
    if keyspace_get(&call.access, &call.keys[0]) == NULL:      # a read of the source, counted as such
        write_int(call.reply, 0)
        return
    status = keyspace_copy(&call.access, &call.keys[0], &call.keys[1], database, replace)
    if status == OK:
        event_raise(&call.access.keyspace.events, EVENT_COPY_TO, database, call.keys[1].data, call.keys[1].size)
    reply_done(call, status)


cdef void move_command(Call* call) noexcept nogil:
    cdef int database = 0
    cdef Status status
    if not arg_database_or_reply(call, 2, &database):
        return
    if database == call.access.database:
        write_error(call.reply, "ERR source and destination objects are the same")
        return
    status = keyspace_rename(&call.access, &call.keys[0], &call.keys[0], database, False)
    if status == OK:
        call_event(call, EVENT_MOVE_FROM, call.keys)
        event_raise(&call.access.keyspace.events, EVENT_MOVE_TO, database, call.keys.data, call.keys.size)
    reply_done(call, status)


bind("del", del_command)
bind("unlink", del_command)
bind("exists", exists_command)
bind("type", type_command)
bind("touch", touch_command)
bind("rename", rename_command)
bind("renamenx", renamenx_command)
bind("copy", copy_command)
bind("move", move_command)
