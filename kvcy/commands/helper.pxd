# cython: language_level=3
"""The thread that a long command runs on (helping.pxd), from the session's point of view."""
from kvcy.commands.types cimport Executor, Service, Session
from kvcy.engine.shards cimport Keyspace

# Runs session.deferred, and frees it; the session is not PARKED any more. For a thread that may wait. The reply and the
# log's position that it depends on are in the executor returned, which the caller frees; NULL: there is no memory, and
# the session is CLOSING.
cdef Executor* helper_run(Session* session, Keyspace* keyspace, Service* service) noexcept nogil
# Moves the reply and its position to the carrier's executor, and frees the helper. REQUIRES: `executor.reply` is empty.
cdef void helper_hand_over(Executor* helper, Executor* executor) noexcept nogil
