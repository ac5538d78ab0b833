# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands that look at how a value is kept: OBJECT and MEMORY.

kvcy keeps every string as its bytes; OBJECT ENCODING and REFCOUNT answer what Redis would, from the bytes: `int` for
the canonical text of a 64-bit integer, `embstr` up to 44 bytes, else `raw`, and `raw` for what APPEND or SETRANGE has
changed in place. An integer from 0 to 9999 is one of Redis's shared objects, whose count of references is 2147483647.
"""
from libc.stdint cimport int64_t, uint32_t
from kvcy.commands.call cimport Call, arg_int_or_reply, arg_is, parse_int, reply_syntax_error
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport ENTRY_EDITED, Entry, entry_flags, entry_value
from kvcy.engine.eviction cimport eviction_counts_accesses, eviction_frequency, eviction_notes_ticks
from kvcy.engine.keyspace cimport keyspace_entry_bytes, keyspace_idle_s, keyspace_peek
from kvcy.protocol.writer cimport (
    Writer, write_array, write_bulk_text, write_error, write_int, write_null, write_ok, write_simple,
)

ROWS = (
    Row("object", arity=-2, group="generic", since="2.2.3", complexity="Depends on the subcommand.",
        summary="Looks at how a key's value is kept.", subcommands=(
            Row("encoding", arity=3, flags="readonly", keys=(2, 2, 1), key_flags="RO", group="generic", since="2.2.3",
                summary="Names the encoding Redis would keep the value in.", syntax="key",
                tips=("nondeterministic_output",)),
            Row("freq", arity=3, flags="readonly", keys=(2, 2, 1), key_flags="RO", group="generic", since="4.0.0",
                summary="Tells how often a key is used, where the eviction policy counts that.", syntax="key",
                tips=("nondeterministic_output",)),
            Row("help", arity=2, flags="loading stale", group="generic", since="6.2.0",
                summary="Lists the subcommands."),
            Row("idletime", arity=3, flags="readonly", keys=(2, 2, 1), key_flags="RO", group="generic", since="2.2.3",
                summary="Tells how many seconds ago a key was last used.", syntax="key",
                tips=("nondeterministic_output",)),
            Row("refcount", arity=3, flags="readonly", keys=(2, 2, 1), key_flags="RO", group="generic", since="2.2.3",
                summary="Tells how many references Redis would count to the value.", syntax="key",
                tips=("nondeterministic_output",)),
        )),
    Row("memory", arity=-2, group="server", since="4.0.0", complexity="Depends on the subcommand.",
        summary="Tells what memory is used for.", subcommands=(
            Row("doctor", arity=2, flags="python", group="server", since="4.0.0",
                summary="Reports on problems with memory.",
                tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special")),
            Row("help", arity=2, flags="loading stale", group="server", since="4.0.0",
                summary="Lists the subcommands."),
            Row("malloc-stats", arity=2, group="server", since="4.0.0",
                summary="Shows statistics of the memory allocator, where there are any.",
                tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special")),
            Row("purge", arity=2, group="server", since="4.0.0",
                summary="Does nothing: unused pages go back to the system by themselves.",
                tips=("request_policy:all_shards", "response_policy:all_succeeded")),
            Row("stats", arity=2, flags="python", group="server", since="4.0.0",
                summary="Shows how much memory is used.",
                tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special")),
            Row("usage", arity=-3, flags="readonly", keys=(2, 2, 1), key_flags="RO", group="server", since="4.0.0",
                summary="Tells how many bytes a key and its value take.", syntax="key [SAMPLES count]"),
        )),
)

cdef enum:
    EMBEDDED_BYTES_MAX = 44
    INTEGER_BYTES_MAX = 20
    SHARED_INTEGERS = 10000
    SHARED_REFERENCES = 2147483647


cdef Entry* lookup_quietly(Call* call) noexcept nogil:
    """The entry or NULL; counts a hit or a miss, but leaves the access time alone, and is no key miss, as in Redis."""
    cdef Entry* entry = keyspace_peek(&call.access, call.keys)
    if entry == NULL:
        call.access.misses += 1
    else:
        call.access.hits += 1
    return entry


cdef bint integer_encoded(const Entry* entry, int64_t* number) noexcept nogil:
    """Whether Redis would keep the value as an integer."""
    cdef Bytes value = entry_value(entry)
    return (value.size <= INTEGER_BYTES_MAX and not entry_flags(entry) & ENTRY_EDITED
            and parse_int(value.data, value.size, number))


cdef const char* encoding_name(const Entry* entry) noexcept nogil:
    cdef int64_t number = 0
    if entry_flags(entry) & ENTRY_EDITED:
        return "raw"
    if integer_encoded(entry, &number):
        return "int"
    return "embstr" if entry_value(entry).size <= EMBEDDED_BYTES_MAX else "raw"


cdef void object_encoding_command(Call* call) noexcept nogil:
    cdef const Entry* entry = lookup_quietly(call)
    if entry == NULL:
        write_null(call.reply)
    else:
        write_bulk_text(call.reply, encoding_name(entry))


cdef void object_refcount_command(Call* call) noexcept nogil:
    cdef const Entry* entry = lookup_quietly(call)
    cdef int64_t number = 0
    if entry == NULL:
        write_null(call.reply)
    elif integer_encoded(entry, &number) and 0 <= number < SHARED_INTEGERS:
        write_int(call.reply, SHARED_REFERENCES)
    else:
        write_int(call.reply, 1)


cdef void object_idletime_command(Call* call) noexcept nogil:
    cdef const Entry* entry = lookup_quietly(call)
    if entry == NULL:
        write_null(call.reply)
    elif eviction_counts_accesses(call.access.keyspace):
        write_error(
            call.reply,
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
            "policies at runtime LRU and LFU data will take some time to adjust.")
    elif not eviction_notes_ticks(call.access.keyspace):
        write_error(call.reply, "ERR The selected maxmemory policy does not track idle time.")
    else:
        write_int(call.reply, keyspace_idle_s(&call.access, entry))


cdef void object_freq_command(Call* call) noexcept nogil:
    cdef const Entry* entry = lookup_quietly(call)
    if entry == NULL:
        write_null(call.reply)
    elif eviction_counts_accesses(call.access.keyspace):
        write_int(call.reply, eviction_frequency(call.access.keyspace, entry, call.access.now_ms))
    else:
        write_error(
            call.reply,
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
            "switching between policies at runtime LRU and LFU data will take some time to adjust.")


cdef void write_help(Writer* reply, const char** lines) noexcept nogil:
    """An array of simple strings; `lines` ends with a NULL."""
    cdef int64_t count = 0
    while lines[count] != NULL:
        count += 1
    write_array(reply, count)
    count = 0
    while lines[count] != NULL:
        write_simple(reply, lines[count])
        count += 1


cdef void object_help_command(Call* call) noexcept nogil:
    cdef const char** lines = [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Names the encoding Redis would keep the value of <key> in.",
        "FREQ <key>",
        "    Tells how often <key> is used. Only with an LFU eviction policy.",
        "IDLETIME <key>",
        "    Tells how many seconds ago <key> was last used.",
        "REFCOUNT <key>",
        "    Tells how many references Redis would count to the value of <key>.",
        "HELP",
        "    Prints this help.",
        NULL,
    ]
    write_help(call.reply, lines)


cdef void memory_help_command(Call* call) noexcept nogil:
    cdef const char** lines = [
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Reports on problems with memory.",
        "MALLOC-STATS",
        "    Shows statistics of the memory allocator, where there are any.",
        "PURGE",
        "    Does nothing: unused pages go back to the system by themselves.",
        "STATS",
        "    Shows how much memory is used.",
        "USAGE <key> [SAMPLES <count>]",
        "    Tells how many bytes <key> and its value take. SAMPLES changes nothing for strings.",
        "HELP",
        "    Prints this help.",
        NULL,
    ]
    write_help(call.reply, lines)


cdef void memory_usage_command(Call* call) noexcept nogil:
    cdef int64_t samples = 0
    cdef uint32_t index = 3
    while index < call.argc:
        if not arg_is(&call.argv[index], "samples") or index + 1 == call.argc:
            reply_syntax_error(call)
            return
        if not arg_int_or_reply(call, index + 1, &samples):
            return
        if samples < 0:
            reply_syntax_error(call)
            return
        index += 2
    if keyspace_peek(&call.access, &call.keys[0]) == NULL:
        write_null(call.reply)
    else:
        write_int(call.reply, keyspace_entry_bytes(&call.access, &call.keys[0]))


cdef void memory_malloc_stats_command(Call* call) noexcept nogil:
    write_bulk_text(call.reply, "Stats not supported for the current allocator")


cdef void memory_purge_command(Call* call) noexcept nogil:
    write_ok(call.reply)


bind("object|encoding", object_encoding_command)
bind("object|freq", object_freq_command)
bind("object|help", object_help_command)
bind("object|idletime", object_idletime_command)
bind("object|refcount", object_refcount_command)
bind("memory|help", memory_help_command)
bind("memory|malloc-stats", memory_malloc_stats_command)
bind("memory|purge", memory_purge_command)
bind("memory|usage", memory_usage_command)
