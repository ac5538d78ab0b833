# cython: language_level=3
"""Commands with any number of keys: their keys, the shards these lie in, and the locks of those."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Call, Executor, Row
from kvcy.engine.block cimport Bytes
from kvcy.engine.shards cimport Key, ShardSet

# The keys of a command, in executor.keys; NULL when there is no memory for them.
cdef Key* command_keys(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc,
                       uint32_t* count) noexcept nogil
# Adds the shards that the command's keys are in, or all of them if it concerns the whole keyspace. False: no memory.
cdef bint command_shards(Executor* executor, const Row* row, const Bytes* argv, uint32_t argc,
                         ShardSet* shards) noexcept nogil
# Locks shards exclusively for changes that belong together; what is logged until the unlocking becomes one record.
cdef void command_lock(Call* call, const ShardSet* shards) noexcept nogil
cdef void command_unlock(Call* call, const ShardSet* shards) noexcept nogil
# Runs the handler of a command under its locks, if it has any to take. One that is to be logged as a group, and finds
# no memory for that, is refused before it has changed anything.
# REQUIRES: none of its locks is held. Where a long command is in the way of its locks, it is postponed instead.
cdef void command_run_locked(Call* call) noexcept nogil
# After a read: removes those of its keys that have expired, and applies touches for which there was no room. Both are
# left undone while long commands run: the keys wait for whoever comes next, the order of some touches is lost.
cdef void command_settle(Call* call) noexcept nogil
