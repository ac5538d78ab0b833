# cython: language_level=3
"""How an executor that serves others keeps clear of long commands on other threads (helping.pxd)."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Executor
from kvcy.engine.platform cimport load_relaxed_u32, unlikely
from kvcy.engine.shards cimport shard_lock, shard_try_lock


cdef inline bint long_commands_run(const Executor* executor) noexcept nogil:
    """Whether this executor has to keep out of the way of long commands."""
    return unlikely(load_relaxed_u32(&executor.keyspace.long_commands) != 0) and executor.serves_others


cdef inline bint executor_shard_lock(const Executor* executor, uint32_t shard, bint exclusive) noexcept nogil:
    """Locks the shard; false: a long command may be in the way."""
    if long_commands_run(executor):
        return shard_try_lock(executor.keyspace, shard, exclusive)
    shard_lock(executor.keyspace, shard, exclusive)
    return True
