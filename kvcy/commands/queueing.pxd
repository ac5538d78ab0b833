# cython: language_level=3
"""What MULTI keeps: the queue of a session's transaction, and its end."""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Call, Session, Transaction
from kvcy.engine.shards cimport Keyspace

# MULTI: begins a transaction. False: no memory. REQUIRES: none is under way.
cdef bint transaction_begin(Session* session) noexcept nogil
# Keeps the call's command. False: no memory.
cdef bint transaction_queue(Call* call) noexcept nogil
# EXEC will answer EXECABORT, if a transaction is under way.
cdef void transaction_flag(Session* session) noexcept nogil
# Ends the transaction and all watches. REQUIRES: no shard lock held.
cdef void transaction_discard(Session* session, Keyspace* keyspace) noexcept nogil
# Ends the watches. REQUIRES: no shard lock held.
cdef void transaction_unwatch(Session* session, Keyspace* keyspace) noexcept nogil
# Frees some of what the session has queued, up to `most` arguments if they are short, and as many of its watches;
# whether nothing is left. For a session that ends, so that others do not wait for very much of it. REQUIRES: no shard
# lock held; it does nothing any more.
cdef bint transaction_shrink(Session* session, Keyspace* keyspace, uint32_t most) noexcept nogil
cdef void transaction_free(Transaction* transaction) noexcept nogil       # NULL is allowed
