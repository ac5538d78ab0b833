# cython: language_level=3
"""An executor's life: what it is made of, and its end. What it does is in executor.pxd."""
from kvcy.commands.types cimport Executor, Service
from kvcy.engine.shards cimport Keyspace

# Registered with the service until executor_free. NULL: no memory. REQUIRES: the registry is loaded.
cdef Executor* executor_new(Keyspace* keyspace, Service* service) noexcept nogil
cdef void executor_free(Executor* executor) noexcept nogil
# From now on data commands are served. An executor that was made while service.loading was set needs this once; its
# carrier calls it between two feeds, when it has seen service.loading go to 0 and is ready for a keyspace with a log.
cdef void executor_load_done(Executor* executor) noexcept nogil
