# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands on ranges of keys, in order: KRANGE, KCOUNT, KDEL, and KEYS with a prefix.

They go by the ordered indexes (engine/ranging.pxd) and work in slices, as the walks of scan.pyx do. What the first
command of a database finds missing of its indexes it builds, 512 slots at a time under one shard's exclusive lock.

    KRANGE  a step holds all shards, shared, for up to STEP_KEYS keys: some 100 us. The next one begins behind the last
            key. So a range of up to STEP_KEYS keys is what it was at one moment; in a longer one a key that comes or
            goes meanwhile may be listed or not, one that is there all the time is listed exactly once.
    KCOUNT  and KDEL take one shard after another. KDEL is not one step: others see a part of the range deleted.

Inside EXEC, where all shards are held, each is one step. Bounds are those of ZRANGEBYLEX.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from kvcy.commands.admission cimport admission_write_error
from kvcy.commands.call cimport (
    Call, arg_int_or_reply, arg_is, call_continue, call_slice_over, reply_out_of_memory, reply_syntax_error,
)
from kvcy.commands.collector cimport (
    Collector, collector_add, collector_add_pair, collector_close, collector_init, collector_send,
)
from kvcy.commands.glob cimport glob_is_literal
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.engine.entry cimport Entry, entry_key, entry_value
from kvcy.engine.keyspace cimport Access
from kvcy.engine.memory cimport memory_free, memory_new, memory_resize
from kvcy.engine.ordered_bound cimport (
    EDGE_EXCLUSIVE, EDGE_HIGHEST, EDGE_INCLUSIVE, EDGE_LOWEST, OrderedBound, OrderedEdge)
from kvcy.engine.ranging cimport (
    INDEX_COMPLETE, INDEX_NO_MEMORY, INDEX_SLOTS, Indexed, KeyRange, range_count, range_delete, range_prepare,
    range_ready, range_ready_all, range_walk)
from kvcy.engine.shards cimport (
    ShardSet, shard_lock, shard_unlock, shards_add_all, shards_clear, shards_lock, shards_unlock)
from kvcy.engine.status cimport NOT_FOUND, NO_MEMORY, Status
from kvcy.protocol.writer cimport write_error, write_int

ROWS = (
    Row("krange", arity=-3, flags="readonly self_locking", group="generic", since="0.1.0",
        complexity="O(S*log(N)+M) with S shards, N keys and M keys passed over or listed",
        summary="Lists the keys of a range in order.",
        syntax="start stop [REV] [LIMIT offset count] [WITHVALUES]", tips=("request_policy:all_shards",)),
    Row("kcount", arity=3, flags="readonly self_locking", group="generic", since="0.1.0",
        complexity="O(S*log(N)+M/100) with S shards, N keys and M keys in the range; O(S*log(N)+M) when keys expire",
        summary="Counts the keys of a range.", syntax="start stop",
        tips=("request_policy:all_shards", "response_policy:agg_sum")),
    Row("kdel", arity=3, flags="write self_locking", group="generic", since="0.1.0", categories="dangerous",
        complexity="O(M*log(N)) with N keys and M keys in the range",
        summary="Deletes the keys of a range; answers how many there were.", syntax="start stop",
        tips=("request_policy:all_shards", "response_policy:agg_sum")),
)

cdef enum:
    STEP_KEYS = 256                # of KRANGE, passed over or listed under one hold of the locks
    STEP_DELETIONS = 64            # of KDEL, under one hold of a shard's lock

cdef enum RangeKind:
    LIST_KEYS
    COUNT_KEYS
    DELETE_KEYS

cdef struct RangeWalk:
    RangeKind kind
    int database
    KeyRange keys                  # what is still to be done (of the shard, when it goes shard by shard)
    OrderedBound first             # the range's own low end; its bytes lie behind the struct
    char* resume                   # owned: the key where the walk goes on
    size_t resume_capacity
    uint32_t shard                 # of COUNT_KEYS and DELETE_KEYS
    uint32_t build_shard           # the next one whose index is to be completed
    bint building
    bint done
    bint failed                    # there is no memory
    int log_error                  # why the log takes no deletions any more
    bint with_values
    bint pairs                     # of key and value, as arrays
    int64_t offset                 # keys to pass over
    int64_t limit                  # keys to list; negative: all
    uint64_t total
    Collector found


# --- steps: each takes its locks itself, unless EXEC holds all

cdef ShardSet all_shards(const Call* call) noexcept nogil:
    cdef ShardSet everything
    shards_clear(&everything)
    shards_add_all(&everything, call.access.keyspace)
    return everything


cdef void lock_all(Call* call) noexcept nogil:
    cdef ShardSet everything
    if call.held == NULL:
        everything = all_shards(call)
        shards_lock(call.access.keyspace, &everything, False)
        call.access.exclusive = False


cdef void unlock_all(Call* call) noexcept nogil:
    cdef ShardSet everything
    if call.held == NULL:
        everything = all_shards(call)
        shards_unlock(call.access.keyspace, &everything, False)


cdef void lock_one(Call* call, uint32_t shard, bint exclusive) noexcept nogil:
    if call.held == NULL:
        shard_lock(call.access.keyspace, shard, exclusive)
        call.access.exclusive = exclusive


cdef void unlock_one(Call* call, uint32_t shard) noexcept nogil:
    if call.held == NULL:
        shard_unlock(call.access.keyspace, shard, call.access.exclusive)


cdef void resume_at(RangeWalk* walk, const Entry* entry, OrderedEdge edge) noexcept nogil:
    """Lets the next step begin at the entry, or behind it."""
    cdef Bytes key = entry_key(entry)
    cdef OrderedBound* bound = &walk.keys.high if walk.keys.reverse else &walk.keys.low
    cdef char* grown
    if walk.resume == NULL or walk.resume_capacity < key.size:
        grown = <char*> memory_resize(walk.resume, key.size + 64)
        if grown == NULL:
            walk.failed = True
            return
        walk.resume = grown
        walk.resume_capacity = key.size + 64
    memcpy(walk.resume, key.data, key.size)
    bound.data = walk.resume
    bound.size = key.size
    bound.edge = edge


cdef bint list_entry(Access* access, const Entry* entry, void* context) noexcept nogil:
    """A RangeVisitor."""
    cdef RangeWalk* walk = <RangeWalk*> context
    if walk.offset:
        walk.offset -= 1
        return True
    if walk.pairs:
        collector_add_pair(&walk.found, entry_key(entry), entry_value(entry))
    else:
        collector_add(&walk.found, entry_key(entry))
        if walk.with_values:
            collector_add(&walk.found, entry_value(entry))
    if walk.limit > 0:
        walk.limit -= 1
    return walk.limit != 0


cdef void list_step(Call* call, RangeWalk* walk) noexcept nogil:
    cdef const Entry* last = NULL
    lock_all(call)
    if range_ready_all(&call.access):
        range_walk(&call.access, &walk.keys, STEP_KEYS, list_entry, walk, &last)
        walk.failed = walk.found.failed
        walk.done = last == NULL or walk.limit == 0
        if not walk.done:
            resume_at(walk, last, EDGE_EXCLUSIVE)
    else:
        walk.building = True
    unlock_all(call)


cdef void shard_done(Call* call, RangeWalk* walk) noexcept nogil:
    walk.shard += 1
    walk.keys.low = walk.first
    walk.done = walk.shard == call.access.keyspace.shard_count


cdef void count_step(Call* call, RangeWalk* walk) noexcept nogil:
    cdef const Entry* next
    cdef uint32_t shard = walk.shard
    lock_one(call, shard, False)
    if range_ready(&call.access, shard):
        next = range_count(&call.access, shard, &walk.keys, &walk.total)
        if next == NULL:
            shard_done(call, walk)
        else:
            resume_at(walk, next, EDGE_INCLUSIVE)
    else:
        walk.building = True
    unlock_one(call, shard)


cdef void delete_step(Call* call, RangeWalk* walk) noexcept nogil:
    cdef uint32_t shard = walk.shard
    cdef Status status
    walk.log_error = admission_write_error(call.access.keyspace)
    if walk.log_error:
        return
    lock_one(call, shard, True)
    if not range_ready(&call.access, shard):
        walk.failed = range_prepare(&call.access, shard, INDEX_SLOTS) == INDEX_NO_MEMORY
    else:
        status = range_delete(&call.access, shard, &walk.keys, STEP_DELETIONS, &walk.total)
        walk.failed = status == NO_MEMORY
        if status == NOT_FOUND:
            shard_done(call, walk)
    unlock_one(call, shard)


cdef void build_step(Call* call, RangeWalk* walk) noexcept nogil:
    """Goes on with the indexes that are missing."""
    cdef uint32_t shard = walk.build_shard
    cdef Indexed indexed
    lock_one(call, shard, True)
    indexed = range_prepare(&call.access, shard, INDEX_SLOTS)
    unlock_one(call, shard)
    walk.failed = indexed == INDEX_NO_MEMORY
    if indexed == INDEX_COMPLETE:
        walk.build_shard += 1
        if walk.build_shard == call.access.keyspace.shard_count:
            walk.build_shard = 0
            walk.building = False


cdef bint range_slice(Call* call, RangeWalk* walk) noexcept nogil:
    """Does steps until the turn is old enough; at least one. True when all is done."""
    cdef bint exclusive = call.access.exclusive
    cdef int steps = 0
    while not (walk.done or walk.failed or walk.log_error):
        if call_slice_over(call, steps):
            break
        if walk.building:
            build_step(call, walk)
        elif walk.kind == LIST_KEYS:
            list_step(call, walk)
        elif walk.kind == COUNT_KEYS:
            count_step(call, walk)
        else:
            delete_step(call, walk)
        steps += 1
    call.access.exclusive = exclusive
    return walk.done or walk.failed or walk.log_error != 0


# --- the walk from the arguments to the reply

cdef void range_reply(Call* call, RangeWalk* walk) noexcept nogil:
    if walk.failed:
        reply_out_of_memory(call)
    elif walk.log_error:
        write_error(call.reply, "MISCONF Errors writing to the AOF file: a part of the range was not deleted")
    elif walk.kind == LIST_KEYS:
        collector_send(&walk.found, call.reply)
    else:
        write_int(call.reply, <int64_t> walk.total)


cdef void range_discard(void* state) noexcept nogil:
    cdef RangeWalk* walk = <RangeWalk*> state
    collector_close(&walk.found)
    memory_free(walk.resume)
    memory_free(walk)


cdef bint range_go_on(Call* call, void* state) noexcept nogil:
    """A later slice (Step)."""
    cdef RangeWalk* walk = <RangeWalk*> state
    call.access.database = walk.database
    if not range_slice(call, walk):
        return False
    range_reply(call, walk)
    return True


cdef void range_run(Call* call, RangeWalk* walk) noexcept nogil:
    """Runs the walk to its reply, or its first slice. Takes it over."""
    if range_slice(call, walk):
        range_reply(call, walk)
        range_discard(walk)
    else:
        call_continue(call, range_go_on, range_discard, walk)


cdef RangeWalk* range_new(Call* call, RangeKind kind, const OrderedBound* low, const OrderedBound* high) noexcept nogil:
    """A walk with its own copies of the bounds; NULL: it has replied that there is no memory."""
    cdef RangeWalk* walk = <RangeWalk*> memory_new(sizeof(RangeWalk) + low.size + high.size)
    cdef char* texts
    if walk == NULL:
        reply_out_of_memory(call)
        return NULL
    memset(walk, 0, sizeof(RangeWalk))
    texts = <char*> (walk + 1)
    memcpy(texts, low.data, low.size)
    memcpy(texts + low.size, high.data, high.size)
    walk.kind = kind
    walk.database = call.access.database
    walk.keys.low = low[0]
    walk.keys.low.data = texts
    walk.keys.high = high[0]
    walk.keys.high.data = texts + low.size
    walk.first = walk.keys.low
    walk.limit = -1
    collector_init(&walk.found)
    return walk


cdef bint parse_bound(const Bytes* arg, OrderedBound* bound) noexcept nogil:
    """A bound as ZRANGEBYLEX takes it."""
    cdef char kind = arg.data[0] if arg.size else 0
    bound.data = arg.data
    bound.size = 0
    if kind == c"[" or kind == c"(":
        bound.edge = EDGE_INCLUSIVE if kind == c"[" else EDGE_EXCLUSIVE
        bound.data = arg.data + 1
        bound.size = arg.size - 1
        return True
    if kind != c"-" and kind != c"+":
        return False
    bound.edge = EDGE_LOWEST if kind == c"-" else EDGE_HIGHEST
    return arg.size == 1 or arg.data[1] == 0


cdef RangeWalk* range_of_arguments(Call* call, RangeKind kind, uint32_t low_at, uint32_t high_at) noexcept nogil:
    """NULL: it has replied."""
    cdef OrderedBound low, high
    if not parse_bound(&call.argv[low_at], &low) or not parse_bound(&call.argv[high_at], &high):
        write_error(call.reply, "ERR min or max not valid string range item")
        return NULL
    return range_new(call, kind, &low, &high)


cdef void krange_command(Call* call) noexcept nogil:
    cdef RangeWalk* walk
    cdef bint reverse = False
    cdef bint with_values = False
    cdef int64_t offset = 0
    cdef int64_t limit = -1
    cdef uint32_t at = 3
    while at < call.argc:
        if arg_is(&call.argv[at], "rev"):
            reverse = True
        elif arg_is(&call.argv[at], "withvalues"):
            with_values = True
        elif arg_is(&call.argv[at], "limit") and at + 2 < call.argc:
            if not arg_int_or_reply(call, at + 1, &offset) or not arg_int_or_reply(call, at + 2, &limit):
                return
            at += 2
        else:
            reply_syntax_error(call)
            return
        at += 1
    walk = range_of_arguments(call, LIST_KEYS, 2 if reverse else 1, 1 if reverse else 2)
    if walk == NULL:
        return
    walk.keys.reverse = reverse
    walk.with_values = with_values
    walk.pairs = with_values and call.reply.resp3
    walk.offset = offset
    walk.limit = limit
    walk.done = limit == 0 or offset < 0
    range_run(call, walk)


cdef void run_on_arguments(Call* call, RangeKind kind) noexcept nogil:
    cdef RangeWalk* walk = range_of_arguments(call, kind, 1, 2)
    if walk != NULL:
        range_run(call, walk)


cdef void kcount_command(Call* call) noexcept nogil:
    run_on_arguments(call, COUNT_KEYS)


cdef void kdel_command(Call* call) noexcept nogil:
    run_on_arguments(call, DELETE_KEYS)


# --- KEYS, and what it shares with SCAN

cdef void prefix_range(KeyRange* keys, const char* prefix, size_t size, char* end) noexcept nogil:
    memcpy(end, prefix, size)
    keys.reverse = False
    keys.low.edge = EDGE_INCLUSIVE
    keys.low.data = prefix
    keys.low.size = size
    while size and end[size - 1] == c"\xff":
        size -= 1
    if size:
        end[size - 1] += 1
    keys.high.edge = EDGE_EXCLUSIVE if size else EDGE_HIGHEST
    keys.high.data = end
    keys.high.size = size


cdef bint index_is_there(Call* call) noexcept nogil:
    cdef bint exclusive = call.access.exclusive
    cdef bint ready
    lock_all(call)
    ready = range_ready_all(&call.access)
    unlock_all(call)
    call.access.exclusive = exclusive
    return ready


cdef bint keys_by_index(Call* call, const Bytes* pattern) noexcept nogil:
    cdef KeyRange keys
    cdef RangeWalk* walk
    cdef char* end
    if pattern.size < 2 or pattern.data[pattern.size - 1] != c"*" or \
            not glob_is_literal(pattern.data, pattern.size - 1) or not index_is_there(call):
        return False
    end = <char*> memory_new(pattern.size)
    if end == NULL:
        reply_out_of_memory(call)
        return True
    prefix_range(&keys, pattern.data, pattern.size - 1, end)
    walk = range_new(call, LIST_KEYS, &keys.low, &keys.high)
    memory_free(end)
    if walk != NULL:
        range_run(call, walk)
    return True


bind("krange", krange_command)
bind("kcount", kcount_command)
bind("kdel", kdel_command)
