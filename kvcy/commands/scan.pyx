# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands that walk the keyspace: KEYS, SCAN, RANDOMKEY.

A walk goes through the shards in order, and through each in hash order, by keyspace_walk. It proceeds in steps of at
most STEP_SLOTS slots; a step holds one shard's lock, shared, for some 10 us. Steps are done until the turn is old
enough, then the command continues in the session's next turn (types.pxd, Continuation). So neither other clients nor
writers of a shard wait for a whole walk, however large the keyspace and however many clients walk it.

    KEYS   is not one atomic step: a key that is there all the time is listed exactly once, one that comes or
           goes meanwhile may be listed or not. Inside EXEC, where all shards are held, it is atomic.
           A pattern without special characters is looked up; one whose only special character is a star at its
           end goes by the ordered index, if there is one (ordered.pyx): the keys then come in order.
    SCAN   the cursor is a place in hash order (keyspace.pxd), so a walk is not disturbed by growth or deletion: a key
           that is there all the time is returned exactly once. Any number is accepted as a cursor, as in Redis.
           Where a pattern begins with plain characters and there is an ordered index, a shard in which only some
           hundreds of keys begin so is looked through at once, by the index: what the cursor says does not change.

The strings of a reply are collected aside (collector.pxd), since their number comes first.
"""
from libc cimport errno
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from kvcy.commands.call cimport (
    Call, arg_int_or_reply, arg_is, call_continue, call_slice_over, reply_out_of_memory, reply_syntax_error,
)
from kvcy.commands.collector cimport Collector, collector_add, collector_close, collector_init, collector_send
from kvcy.commands.glob cimport glob_is_literal, glob_literal_bytes, glob_match
from kvcy.commands.keys cimport type_name
from kvcy.commands.ordered cimport keys_by_index, prefix_range
from kvcy.commands.registry cimport bind
from kvcy.commands.rows import Row
from kvcy.engine.block cimport Bytes
from kvcy.engine.entry cimport Entry, entry_key, entry_type
from kvcy.engine.keyspace cimport Access, keyspace_peek
from kvcy.engine.ranging cimport KeyRange, range_ready, range_visit
from kvcy.engine.shards cimport Key, keyspace_key, shard_lock, shard_unlock
from kvcy.engine.whole cimport keyspace_random_in, keyspace_walk
from kvcy.engine.memory cimport memory_free, memory_new
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u64
from kvcy.protocol.writer cimport write_array, write_bulk, write_bulk_int, write_error, write_null

ROWS = (
    Row("keys", arity=2, flags="readonly self_locking", group="generic", since="1.0.0", categories="dangerous",
        complexity="O(N) with N keys in the database; O(1) for a pattern without special characters",
        summary="Lists all keys that match a pattern.", syntax="pattern",
        tips=("request_policy:all_shards", "nondeterministic_output_order")),
    Row("scan", arity=-2, flags="readonly self_locking", group="generic", since="2.8.0",
        complexity="O(1) a call, O(N) for a whole walk over N keys",
        summary="Walks over the keys in portions, from a cursor to the next one.",
        syntax="cursor [MATCH pattern] [COUNT count] [TYPE type]",
        tips=("nondeterministic_output", "request_policy:special")),
    Row("randomkey", arity=1, flags="readonly self_locking", group="generic", since="1.0.0",
        complexity="O(S) with S shards", summary="Names a key chosen at random.",
        tips=("request_policy:all_shards", "nondeterministic_output")),
)

cdef enum:
    STEP_SLOTS = 128               # visited under one hold of a shard's lock
    PATTERN_BYTES_CHEAP = 64       # a longer pattern makes steps shorter
    COUNT_DEFAULT = 10
    PREFIX_BYTES_MAX = 64          # that are looked up in the ordered index

cdef struct Walk:
    uint64_t cursor                # where the next step begins; 0 when all is done and `started`
    uint64_t count                 # SCAN: slots still to be visited; 0: enough
    bint scan                      # SCAN, which has a cursor in its reply; else KEYS
    bint started
    int database
    const char* pattern            # NULL: everything matches
    size_t pattern_size
    Bytes type_                    # a type's name; data is NULL when all types are wanted
    uint64_t visited               # by the step under way
    size_t prefix_size             # SCAN: bytes that the pattern begins with as they are, PREFIX_BYTES_MAX at most
    Collector found


cdef extern from "<stdlib.h>" nogil:
    unsigned long long strtoull(const char* text, char** end, int base)


cdef bint visit(Access* access, const Entry* entry, void* context) noexcept nogil:
    """Takes up one entry of a walk, if it is wanted."""
    cdef Walk* walk = <Walk*> context
    cdef Bytes key = entry_key(entry)
    walk.visited += 1
    if walk.type_.data != NULL and not arg_is(&walk.type_, type_name(entry_type(entry))):
        return True
    if walk.pattern == NULL or glob_match(walk.pattern, walk.pattern_size, key.data, key.size, False):
        collector_add(&walk.found, key)
    return True


cdef bint walk_done(const Walk* walk) noexcept nogil:
    return walk.found.failed or (walk.started and (walk.cursor == 0 or walk.count == 0))


cdef bint shard_by_index(Call* call, Walk* walk, uint32_t shard) noexcept nogil:
    """Finds what the shard has left for the cursor by its ordered index, and moves on to the next one. False: there is
    no complete index, or too many keys begin so. REQUIRES: the shard is locked."""
    cdef char end[64]              # PREFIX_BYTES_MAX
    cdef KeyRange keys
    if not range_ready(&call.access, shard):
        return False
    prefix_range(&keys, walk.pattern, walk.prefix_size, end)
    if not range_visit(&call.access, shard, &keys, <uint32_t> walk.cursor, visit, walk):
        return False
    walk.visited += 1              # a shard without any costs a search
    shard += 1
    walk.cursor = <uint64_t> shard << 32 if shard < call.access.keyspace.shard_count else 0
    return True


cdef void walk_step(Call* call, Walk* walk) noexcept nogil:
    """Visits some slots of one shard. REQUIRES: not walk_done."""
    cdef uint32_t shard = <uint32_t> (walk.cursor >> 32)
    cdef uint64_t slots = min(<uint64_t> STEP_SLOTS, walk.count)
    cdef bint exclusive = call.access.exclusive
    if walk.pattern_size > PATTERN_BYTES_CHEAP:
        slots = max(<uint64_t> 1, min(slots, <uint64_t> (STEP_SLOTS * PATTERN_BYTES_CHEAP) / walk.pattern_size))
    walk.started = True
    walk.visited = 0
    if walk.cursor >> 32 >= call.access.keyspace.shard_count:
        walk.cursor = 0
        return
    if call.held == NULL:
        call.access.exclusive = False
        shard_lock(call.access.keyspace, shard, False)
    if not (walk.prefix_size and shard_by_index(call, walk, shard)):
        walk.cursor = keyspace_walk(&call.access, walk.cursor, slots, visit, walk)
    if call.held == NULL:
        shard_unlock(call.access.keyspace, shard, False)
        call.access.exclusive = exclusive
    if walk.cursor >> 32 == shard and walk.visited < slots:
        walk.visited = slots           # expired entries count as well
    walk.count -= min(walk.visited, walk.count)


cdef bint walk_slice(Call* call, Walk* walk) noexcept nogil:
    """Does steps until the turn is old enough; at least one. True when the walk is finished."""
    cdef int steps = 0
    while not walk_done(walk):
        if call_slice_over(call, steps):
            return False
        walk_step(call, walk)
        steps += 1
    return True


cdef void walk_reply(Call* call, Walk* walk) noexcept nogil:
    if walk.found.failed:
        reply_out_of_memory(call)
        return
    if walk.scan:
        write_array(call.reply, 2)
        write_bulk_int(call.reply, walk.cursor)
    collector_send(&walk.found, call.reply)


cdef void walk_discard(void* state) noexcept nogil:
    cdef Walk* walk = <Walk*> state
    collector_close(&walk.found)
    memory_free(walk)


cdef bint walk_go_on(Call* call, void* state) noexcept nogil:
    """A later slice (Step)."""
    cdef Walk* walk = <Walk*> state
    call.access.database = walk.database
    if not walk_slice(call, walk):
        return False
    walk_reply(call, walk)
    return True


cdef Walk* walk_keep(const Walk* walk) noexcept nogil:
    """The walk on the heap, with its own copies of what it borrowed from the arguments; NULL: no memory."""
    cdef Walk* kept = <Walk*> memory_new(sizeof(Walk) + walk.pattern_size + walk.type_.size)
    cdef char* texts
    if kept == NULL:
        return NULL
    kept[0] = walk[0]
    texts = <char*> (kept + 1)
    if walk.pattern != NULL:
        memcpy(texts, walk.pattern, walk.pattern_size)
        kept.pattern = texts
    if walk.type_.data != NULL:
        texts += walk.pattern_size
        memcpy(texts, walk.type_.data, walk.type_.size)
        kept.type_.data = texts
        kept.type_.block = NULL
    return kept


cdef void walk_run(Call* call, Walk* walk) noexcept nogil:
    """Runs the walk to its reply, or its first slice."""
    cdef Walk* kept
    if walk_slice(call, walk):
        walk_reply(call, walk)
        collector_close(&walk.found)
        return
    kept = walk_keep(walk)
    if kept == NULL:
        reply_out_of_memory(call)
        collector_close(&walk.found)
        return
    call_continue(call, walk_go_on, walk_discard, kept)


cdef void walk_init(Walk* walk, const Call* call, uint64_t cursor, uint64_t count, bint scan) noexcept nogil:
    walk.cursor = cursor
    walk.count = count
    walk.scan = scan
    walk.started = False
    walk.database = call.access.database
    walk.pattern = NULL
    walk.pattern_size = 0
    walk.type_.data = NULL
    walk.type_.size = 0
    walk.type_.block = NULL
    walk.visited = 0
    walk.prefix_size = 0
    collector_init(&walk.found)


cdef void walk_match(Walk* walk, const Bytes* pattern) noexcept nogil:
    """Sets the pattern; a lone star is none."""
    if pattern.size == 1 and pattern.data[0] == c'*':
        walk.pattern = NULL
        walk.pattern_size = 0
    else:
        walk.pattern = pattern.data
        walk.pattern_size = pattern.size


cdef void reply_key_if_there(Call* call, const Bytes* name) noexcept nogil:
    """The answer of KEYS to a pattern that only one key can match."""
    cdef Key key = keyspace_key(call.access.keyspace, name.data, name.size)
    cdef bint exclusive = call.access.exclusive
    cdef bint found
    if call.held == NULL:
        call.access.exclusive = False
        shard_lock(call.access.keyspace, key.shard, False)
    found = keyspace_peek(&call.access, &key) != NULL
    if call.held == NULL:
        shard_unlock(call.access.keyspace, key.shard, False)
        call.access.exclusive = exclusive
    write_array(call.reply, found)
    if found:
        write_bulk(call.reply, name.data, name.size)


cdef void keys_command(Call* call) noexcept nogil:
    cdef const Bytes* pattern = &call.argv[1]
    cdef Walk walk
    if glob_is_literal(pattern.data, pattern.size):
        reply_key_if_there(call, pattern)
        return
    if keys_by_index(call, pattern):
        return
    walk_init(&walk, call, 0, UINT64_MAX, False)
    walk_match(&walk, pattern)
    walk_run(call, &walk)


cdef bint parse_cursor(const Bytes* arg, uint64_t* cursor) noexcept nogil:
    """A cursor as Redis takes it, by the rules of strtoul: decimal, a sign is allowed, nothing at all is 0."""
    cdef char text[32]
    cdef char* end = NULL
    if arg.size >= sizeof(text) or (arg.size and is_space(arg.data[0])):
        return False
    memcpy(text, arg.data, arg.size)
    text[arg.size] = 0
    errno.errno = 0
    cursor[0] = strtoull(text, &end, 10)
    return end[0] == 0 and errno.errno != errno.ERANGE


cdef inline bint is_space(char character) noexcept nogil:
    return character == c' ' or c'\t' <= character <= c'\r'


cdef bint parse_scan_options(Call* call, Walk* walk) noexcept nogil:
    """Reads MATCH, COUNT and TYPE; false: it has replied."""
    cdef uint32_t index = 2
    cdef int64_t count = 0
    while index < call.argc:
        if index + 1 == call.argc:
            reply_syntax_error(call)
            return False
        if arg_is(&call.argv[index], "match"):
            walk_match(walk, &call.argv[index + 1])
        elif arg_is(&call.argv[index], "count"):
            if not arg_int_or_reply(call, index + 1, &count):
                return False
            if count < 1:
                reply_syntax_error(call)
                return False
            walk.count = count
        elif arg_is(&call.argv[index], "type"):
            walk.type_ = call.argv[index + 1]
        else:
            reply_syntax_error(call)
            return False
        index += 2
    return True


cdef void scan_command(Call* call) noexcept nogil:
    cdef Walk walk
    cdef uint64_t cursor = 0
    if not parse_cursor(&call.argv[1], &cursor):
        write_error(call.reply, "ERR invalid cursor")
        return
    walk_init(&walk, call, cursor, COUNT_DEFAULT, True)
    if not parse_scan_options(call, &walk):
        return
    if walk.pattern != NULL:
        walk.prefix_size = min(glob_literal_bytes(walk.pattern, walk.pattern_size), <size_t> PREFIX_BYTES_MAX)
    walk_run(call, &walk)


cdef uint64_t random_state = 0


cdef uint64_t next_random() noexcept nogil:
    """The next number of SplitMix64 (Steele, Lea and Flood, 2014), shared by all threads."""
    cdef uint64_t mixed = add_relaxed_u64(&random_state, 0x9E3779B97F4A7C15ULL)
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL
    return mixed ^ (mixed >> 31)


cdef uint32_t random_shard(Call* call) noexcept nogil:
    """A shard, each as likely as it has keys in the database."""
    cdef int database = call.access.database
    cdef uint64_t total = 0, left, count
    cdef uint32_t shard
    for shard in range(call.access.keyspace.shard_count):
        total += load_relaxed_u64(&call.access.keyspace.shards[shard].counts[database])
    if total == 0:
        return 0
    left = next_random() % total
    for shard in range(call.access.keyspace.shard_count):
        count = load_relaxed_u64(&call.access.keyspace.shards[shard].counts[database])
        if left < count:
            return shard
        left -= count
    return 0                           # keys have gone meanwhile


cdef bint reply_random_in(Call* call, uint32_t shard) noexcept nogil:
    """Answers with a random key of the shard; false: it has none that is alive."""
    cdef bint exclusive = call.access.exclusive
    cdef const Entry* entry
    cdef Bytes key
    if call.held == NULL:
        call.access.exclusive = False
        shard_lock(call.access.keyspace, shard, False)
    entry = keyspace_random_in(&call.access, shard, next_random())
    if entry != NULL:
        key = entry_key(entry)
        write_bulk(call.reply, key.data, key.size)
    if call.held == NULL:
        shard_unlock(call.access.keyspace, shard, False)
        call.access.exclusive = exclusive
    return entry != NULL


cdef void randomkey_command(Call* call) noexcept nogil:
    cdef uint32_t shards = call.access.keyspace.shard_count
    cdef uint32_t first = random_shard(call)
    cdef uint32_t offset
    for offset in range(shards):
        if reply_random_in(call, (first + offset) % shards):
            return
    write_null(call.reply)


cdef void seed_random() noexcept:
    cdef timespec now
    global random_state
    clock_gettime(CLOCK_REALTIME, &now)
    random_state = <uint64_t> now.tv_sec * 1000000000 + now.tv_nsec


seed_random()
bind("keys", keys_command)
bind("scan", scan_command)
bind("randomkey", randomkey_command)
