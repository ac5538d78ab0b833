# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Commands with several keys: see locking.pxd."""
from libc.stdlib cimport realloc
from kvcy.commands.call cimport reply_out_of_memory
from kvcy.commands.types cimport ALL_SHARDS, READONLY, SELF_LOCKING
from kvcy.commands.yielding cimport long_commands_run
from kvcy.engine.journal cimport journal_commit, journal_ready
from kvcy.engine.keyspace cimport keyspace_settle
from kvcy.engine.log cimport log_appended
from kvcy.engine.operations cimport OPERATION_HEAD_MAX
from kvcy.engine.shards cimport (
    Keyspace, keyspace_key, shards_add, shards_add_all, shards_clear, shards_has, shards_lock, shards_try_lock,
    shards_unlock)


cdef Key* command_keys(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc,
                       uint32_t* count) noexcept nogil:
    cdef int last = row.last_key if row.last_key >= 0 else <int> argc + row.last_key
    cdef int index = row.first_key
    cdef uint32_t capacity
    cdef Key* grown
    count[0] = 0
    if last >= <int> argc:
        last = <int> argc - 1
    if executor.key_capacity < argc:
        capacity = argc + argc // 2 + 16
        grown = <Key*> realloc(executor.keys, capacity * sizeof(Key))
        if grown == NULL:
            return NULL
        executor.keys = grown
        executor.key_capacity = capacity
    while index <= last:
        executor.keys[count[0]] = keyspace_key(executor.keyspace, argv[index].data, argv[index].size)
        count[0] += 1
        index += row.key_step
    return executor.keys


cdef bint command_shards(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc,
                         ShardSet* shards) noexcept nogil:
    cdef uint32_t count, index
    cdef Key* keys
    if row.first_key == 0:
        if row.flags & (ALL_SHARDS | SELF_LOCKING):
            shards_add_all(shards, executor.keyspace)
        return True
    keys = command_keys(executor, row, argv, argc, &count)
    if keys == NULL:
        return False
    for index in range(count):
        shards_add(shards, keys[index].shard)
    return True


cdef void command_lock(Call* call, const ShardSet* shards) noexcept nogil:
    shards_lock(call.access.keyspace, shards, True)
    command_begin(call)


cdef void command_begin(Call* call) noexcept nogil:
    """What is changed from now on belongs together. REQUIRES: its shards are locked exclusively."""
    call.access.exclusive = True
    call.access.group = &call.executor.group


cdef bint command_ready(Call* call) noexcept nogil:
    """Makes sure of the group's memory for the small operations of a command: for each key one, be it the removal of
    what has expired or what the command is for, and one on all keys. Puts and splices see to theirs. False: it has
    replied that there is no memory."""
    cdef size_t bytes = 0
    cdef uint32_t index
    if call.access.keyspace.log == NULL or call.access.group == NULL:
        return True
    for index in range(call.key_count):
        bytes += OPERATION_HEAD_MAX + call.keys[index].size
    if journal_ready(call.access.keyspace, call.access.group, bytes, 0):
        return True
    reply_out_of_memory(call)
    return False


cdef void command_unlock(Call* call, const ShardSet* shards) noexcept nogil:
    journal_commit(call.access.keyspace, call.access.group, shards, call.access.now_ms)
    call.access.group = NULL
    gate_on(call.executor, shards)
    shards_unlock(call.access.keyspace, shards, True)


cdef void gate_on(Executor* executor, const ShardSet* shards) noexcept nogil:
    """The reply may depend on the last change of each of these shards. REQUIRES: they are locked."""
    cdef uint32_t index
    if executor.keyspace.log != NULL:
        for index in range(executor.keyspace.shard_count):
            if shards_has(shards, index):
                executor.gate = max(executor.gate, executor.keyspace.shards[index].position)


cdef void command_run_locked(Call* call) noexcept nogil:
    cdef Keyspace* keyspace = call.access.keyspace
    cdef ShardSet shards
    cdef uint32_t index
    if call.held != NULL or call.row.flags & SELF_LOCKING or (call.key_count == 0 and call.row.flags & ALL_SHARDS == 0):
        if command_ready(call):
            call.row.handler(call)
        call.access.expired_seen = 0
        if call.held == NULL and keyspace.log != NULL and call.row.flags & (SELF_LOCKING | READONLY):
            call.executor.gate = log_appended(keyspace.log)      # it has seen who knows what
        return
    shards_clear(&shards)
    if call.row.flags & ALL_SHARDS:
        shards_add_all(&shards, keyspace)
    for index in range(call.key_count):
        shards_add(&shards, call.keys[index].shard)
    if not long_commands_run(call.executor):
        shards_lock(keyspace, &shards, call.access.exclusive)
    elif not shards_try_lock(keyspace, &shards, call.access.exclusive):
        call.postponed = True
        return
    if call.access.exclusive:
        command_begin(call)
        if command_ready(call):
            call.row.handler(call)
        command_unlock(call, &shards)
    else:
        call.row.handler(call)
        gate_on(call.executor, &shards)
        shards_unlock(keyspace, &shards, False)
    if call.access.expired_seen:
        command_settle(call)


cdef void command_settle(Call* call) noexcept nogil:
    cdef uint32_t index
    call.access.expired_seen = 0
    if not long_commands_run(call.executor):
        for index in range(call.key_count):
            keyspace_settle(&call.access, &call.keys[index])
