# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands on whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

FLUSHDB, FLUSHALL and SWAPDB hold every shard, but only for as long as it takes to swap or detach pointers: the detached
partitions are freed in the background, so ASYNC and SYNC do the same.
"""
from libc.stdint cimport INT32_MAX, INT32_MIN, int64_t
from kvcy.commands.call cimport Call, arg_int, arg_is, reply_syntax_error
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.engine.shards cimport DATABASES_MAX
from kvcy.engine.whole cimport keyspace_count, keyspace_flush, keyspace_swap
from kvcy.protocol.writer cimport write_error, write_int, write_ok

ROWS = (
    Row("dbsize", arity=1, flags="readonly fast", group="server", since="1.0.0", categories="keyspace",
        tips=("request_policy:all_shards", "response_policy:agg_sum"),
        complexity="O(1)", summary="Counts the keys of the selected database."),
    Row("flushdb", arity=-1, flags="write all_shards", group="server", since="1.0.0", categories="keyspace dangerous",
        tips=("request_policy:all_shards", "response_policy:all_succeeded"),
        complexity="O(1); memory is freed in the background", summary="Removes all keys of the selected database.",
        syntax="[ASYNC | SYNC]"),
    Row("flushall", arity=-1, flags="write all_shards", group="server", since="1.0.0", categories="keyspace dangerous",
        tips=("request_policy:all_shards", "response_policy:all_succeeded"),
        complexity="O(1); memory is freed in the background", summary="Removes all keys of all databases.",
        syntax="[ASYNC | SYNC]"),
    Row("swapdb", arity=3, flags="write fast all_shards", group="server", since="4.0.0",
        categories="keyspace dangerous",
        complexity="O(N) with N watched keys", summary="Exchanges the contents of two databases.",
        syntax="index1 index2"),
)


cdef void dbsize_command(Call* call) noexcept nogil:
    write_int(call.reply, keyspace_count(call.access.keyspace, call.access.database))


cdef void flush(Call* call, int database) noexcept nogil:
    if call.argc > 2 or (call.argc == 2 and not arg_is(&call.argv[1], "async") and not arg_is(&call.argv[1], "sync")):
        reply_syntax_error(call)
        return
    keyspace_flush(&call.access, database)
    write_ok(call.reply)


cdef void flushdb_command(Call* call) noexcept nogil:
    flush(call, call.access.database)


cdef void flushall_command(Call* call) noexcept nogil:
    flush(call, -1)


cdef void swapdb_command(Call* call) noexcept nogil:
    cdef int64_t first = 0, second = 0
    if not arg_int(&call.argv[1], &first) or not INT32_MIN <= first <= INT32_MAX:
        write_error(call.reply, "ERR invalid first DB index")
        return
    if not arg_int(&call.argv[2], &second) or not INT32_MIN <= second <= INT32_MAX:
        write_error(call.reply, "ERR invalid second DB index")
        return
    if not 0 <= first < DATABASES_MAX or not 0 <= second < DATABASES_MAX:
        write_error(call.reply, "ERR DB index is out of range")
        return
    if first != second:
        keyspace_swap(&call.access, <int> first, <int> second)
    write_ok(call.reply)


bind("dbsize", dbsize_command)
bind("flushdb", flushdb_command)
bind("flushall", flushall_command)
bind("swapdb", swapdb_command)
