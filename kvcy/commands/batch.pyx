# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Batches of commands: see batch.pxd."""
from kvcy.commands.registry cimport row_find, row_subcommand
from kvcy.commands.types cimport ONE_KEY, RUNS_AHEAD, SESSION_MULTI, Row
from kvcy.engine.eviction cimport eviction_prefetch
from kvcy.engine.partition cimport AccessKind
from kvcy.engine.shards cimport keyspace_key, keyspace_prefetch_entry, keyspace_prefetch_slot, load_kind
from kvcy.protocol.parser cimport PARSE_COMMAND, PARSE_MORE, parser_next


cdef inline void prepare(Executor* executor, Prepared* prepared, const Row* row, const Bytes* argv,
                         uint32_t argc) noexcept nogil:
    if row != NULL and row.subcommand_count and argc > 1:
        row = row_subcommand(row, argv[1].data, argv[1].size)
    prepared.row = row
    if row != NULL and row.flags & ONE_KEY and <int> argc > row.first_key:
        prepared.key = keyspace_key(executor.keyspace, argv[row.first_key].data, argv[row.first_key].size)


cdef void batch_prepare(Executor* executor, Prepared* prepared, const Bytes* argv, uint32_t argc) noexcept nogil:
    if not executor.arguments.opening.repeated:
        executor.opening_row = row_find(executor.rows, argv[0].data, argv[0].size)
    prepare(executor, prepared, executor.opening_row, argv, argc)


cdef void batch_prepare_alone(Executor* executor, Prepared* prepared, const Bytes* argv, uint32_t argc) noexcept nogil:
    prepare(executor, prepared, row_find(executor.rows, argv[0].data, argv[0].size), argv, argc)


cdef uint32_t batch_parse(Executor* executor, Session* session, const char* data, size_t size, size_t* offset,
                          uint32_t limit, ParseResult* result) noexcept nogil:
    cdef Prepared* batch = executor.batch + executor.ahead_count
    cdef Prepared* prepared
    cdef uint32_t count = 0
    if not session.parser.authenticated:
        limit = 1
    while count < limit:
        prepared = &batch[count]
        result[0] = parser_next(&session.parser, data, size, offset, &executor.arguments, &prepared.first,
                                &prepared.argc)
        if result[0] != PARSE_COMMAND:
            break
        if prepared.argc != 0:
            batch_prepare(executor, prepared, executor.arguments.at + prepared.first, prepared.argc)
            count += 1
            if prepared.row != NULL and prepared.row.flags & RUNS_AHEAD == 0:
                break
        if offset[0] == size:
            # Nothing is left to look at, and nothing is under way.
            result[0] = PARSE_MORE
            break
    return count


cdef void batch_prefetch(const Executor* executor, const Session* session, const Prepared* batch, uint32_t count,
                         bint entries) noexcept nogil:
    cdef const AccessKind* kind = load_kind(&executor.keyspace.kind)
    cdef bint queued = kind != NULL and kind.queued
    cdef uint32_t index
    if executor.quiet_thread < 0 or session.flags & SESSION_MULTI:
        return
    for index in range(count):
        if batch[index].row != NULL and batch[index].row.flags & ONE_KEY:
            if entries:
                keyspace_prefetch_entry(executor.keyspace, session.database, &batch[index].key)
            else:
                keyspace_prefetch_slot(executor.keyspace, session.database, &batch[index].key)
                if queued:
                    eviction_prefetch(executor.keyspace, &batch[index].key)
