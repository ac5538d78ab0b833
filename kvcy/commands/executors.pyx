# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""An executor's life: see executors.pxd."""
from libc.stdlib cimport calloc, free
from kvcy.commands.histogram cimport histograms_free
from kvcy.commands.registry cimport row_table
from kvcy.commands.service cimport service_add_executor, service_remove_executor
from kvcy.commands.types cimport (
    AHEAD_ENOUGH, BATCH_MAX, SESSION_AUTHENTICATED, SESSION_MULTI, Executor, Prepared, RowStats, Service)
from kvcy.engine.journal cimport GROUP_BYTES
from kvcy.engine.operations cimport ops_free, ops_reserve
from kvcy.engine.platform cimport load_acquire_u32
from kvcy.engine.shards cimport Keyspace
from kvcy.protocol.arguments cimport arguments_close, arguments_init
from kvcy.protocol.writer cimport writer_close, writer_init


cdef Executor* executor_new(Keyspace* keyspace, Service* service) noexcept nogil:
    cdef Executor* executor = <Executor*> calloc(1, sizeof(Executor))
    if executor == NULL:
        return NULL
    executor.keyspace = keyspace
    executor.service = service
    executor.rows = row_table()
    executor.quiet_thread = -1
    if load_acquire_u32(&service.loading) == 0:
        executor_load_done(executor)
    executor.stats = <RowStats*> calloc(executor.rows.count + 1, sizeof(RowStats))
    executor.batch = <Prepared*> calloc(AHEAD_ENOUGH + 2 * BATCH_MAX, sizeof(Prepared))
    writer_init(&executor.reply)
    arguments_init(&executor.arguments)
    if executor.stats == NULL or executor.batch == NULL or not ops_reserve(&executor.group, GROUP_BYTES):
        executor_release(executor)
        return NULL
    service_add_executor(service, executor)
    return executor


cdef void executor_release(Executor* executor) noexcept nogil:
    """Frees what an executor owns, and itself."""
    writer_close(&executor.reply)
    arguments_close(&executor.arguments)
    histograms_free(executor.stats, executor.rows.count)
    free(executor.stats)
    ops_free(&executor.group)
    free(executor.batch)
    free(executor.keys)
    free(executor)


cdef void executor_free(Executor* executor) noexcept nogil:
    service_remove_executor(executor.service, executor)
    executor_release(executor)


cdef void executor_load_done(Executor* executor) noexcept nogil:
    executor.ordinary_mask = SESSION_AUTHENTICATED | SESSION_MULTI
