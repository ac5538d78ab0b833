# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The commands on parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE, SUBSTR.

A part of a large value is sent from where the value is, not copied. APPEND and SETRANGE edit in place where there is
room (keyspace_splice) and keep the expiry; APPEND to a missing key stores the value as SET does.
"""
from libc.stdint cimport int64_t
from kvcy.commands.call cimport Call, arg_int_or_reply, call_event, reply_wrong_type
from kvcy.commands.registry cimport bind
from kvcy.commands.strings cimport reply_refused
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport TYPE_STRING, Entry, entry_type, entry_value
from kvcy.engine.events cimport EVENT_APPEND, EVENT_SETRANGE
from kvcy.engine.keyspace cimport (
    EXPIRE_NONE, VALUE_BYTES_MAX, keyspace_get, keyspace_peek, keyspace_put, keyspace_splice)
from kvcy.engine.status cimport OK, TOO_LARGE, WRONG_TYPE, Status
from kvcy.protocol.writer cimport write_bulk, write_error, write_int, write_value_part

from kvcy.commands.rows import Row

ROWS = (
    Row("append", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string", since="2.0.0",
        key_flags="RW insert", complexity="O(1), amortised over appends to the same value",
        summary="Adds bytes at the end of a string, which is created if missing.", syntax="key value"),
    Row("getrange", arity=4, flags="readonly", keys=(1, 1, 1), group="string", since="2.4.0",
        key_flags="RO access", complexity="O(N) where N is the length of the part",
        summary="Returns the part of a string between two offsets, both included.", syntax="key start end"),
    Row("setrange", arity=4, flags="write denyoom", keys=(1, 1, 1), group="string", since="2.2.0",
        key_flags="RW update",
        complexity="O(N) where N is the length of the value given, or of the zero bytes put before it",
        summary="Overwrites part of a string from an offset on, which may lie behind its end.",
        syntax="key offset value"),
    Row("strlen", arity=2, flags="readonly fast", keys=(1, 1, 1), group="string", since="2.2.0",
        key_flags="RO", complexity="O(1)", summary="Returns the length of a string in bytes.", syntax="key"),
    Row("substr", arity=4, flags="readonly", keys=(1, 1, 1), group="string", since="1.0.0",
        key_flags="RO access",
        complexity="O(N) where N is the length of the part", summary="The former name of GETRANGE.",
        syntax="key start end"),
)

cdef void strlen_command(Call* call) noexcept nogil:
    cdef Entry* entry = keyspace_get(&call.access, call.keys)
    if entry == NULL:
        write_int(call.reply, 0)
    elif entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
    else:
        write_int(call.reply, <int64_t> entry_value(entry).size)

cdef void getrange_command(Call* call) noexcept nogil:
    cdef int64_t start
    cdef int64_t end
    cdef int64_t size
    cdef Entry* entry
    cdef Bytes value
    if not arg_int_or_reply(call, 2, &start) or not arg_int_or_reply(call, 3, &end):
        return
    entry = keyspace_get(&call.access, call.keys)
    if entry == NULL:
        write_bulk(call.reply, b"", 0)
        return
    if entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
        return
    value = entry_value(entry)
    size = <int64_t> value.size
    if size == 0 or (start < 0 and end < 0 and start > end):
        write_bulk(call.reply, b"", 0)
        return
    if start < 0:
        start = max(start + size, 0)
    if end < 0:
        end = max(end + size, 0)
    end = min(end, size - 1)
    if start > end:
        write_bulk(call.reply, b"", 0)
    else:
        write_value_part(call.reply, value, <size_t> start, <size_t> (end - start + 1))

cdef void append_command(Call* call) noexcept nogil:
    cdef Entry* entry = keyspace_peek(&call.access, call.keys)
    cdef Bytes added = call.argv[2]
    cdef size_t size = added.size
    cdef Status status
    if entry == NULL:
        status = keyspace_put(&call.access, call.keys, added, EXPIRE_NONE)
    elif entry_type(entry) != TYPE_STRING:
        status = WRONG_TYPE
    else:
        status = keyspace_splice(&call.access, call.keys, entry_value(entry).size, added, &size)
    if status == OK:
        call_event(call, EVENT_APPEND, call.keys)
        write_int(call.reply, <int64_t> size)
    else:
        reply_refused(call, status)

cdef void setrange_command(Call* call) noexcept nogil:
    cdef Bytes patch = call.argv[3]
    cdef Entry* entry
    cdef int64_t offset
    cdef size_t size = 0
    cdef Status status = OK
    if not arg_int_or_reply(call, 2, &offset):
        return
    if offset < 0:
        write_error(call.reply, b"ERR offset is out of range")
        return
    entry = keyspace_peek(&call.access, call.keys)
    if entry != NULL and entry_type(entry) != TYPE_STRING:
        status = WRONG_TYPE
    elif patch.size == 0:                               # changes nothing, creates nothing
        size = entry_value(entry).size if entry != NULL else 0
    elif offset > VALUE_BYTES_MAX or patch.size > VALUE_BYTES_MAX - <size_t> offset:
        status = TOO_LARGE
    else:
        status = keyspace_splice(&call.access, call.keys, <size_t> offset, patch, &size)
        if status == OK:
            call_event(call, EVENT_SETRANGE, call.keys)
    if status == OK:
        write_int(call.reply, <int64_t> size)
    else:
        reply_refused(call, status)

bind("append", append_command)
bind("getrange", getrange_command)
bind("setrange", setrange_command)
bind("strlen", strlen_command)
bind("substr", getrange_command)
