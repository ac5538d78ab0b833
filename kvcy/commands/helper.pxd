# cython: language_level=3
"""The thread that a long command runs on (helping.pxd), from the session's point of view."""
from libc.stdint cimport uint64_t
from kvcy.commands.types cimport Executor, Service, Session
from kvcy.engine.shards cimport Keyspace
from kvcy.protocol.writer cimport Writer

cdef struct Helped:        # what it has come to; small, since its carrier frees it
    Writer reply
    uint64_t gate          # the log's position that the reply depends on

# Runs session.deferred, and frees it and all it took; the session is not PARKED any more. For a thread that may wait.
# The caller owns what is returned; NULL: there is no memory, and the session is CLOSING.
cdef Helped* helper_run(Session* session, Keyspace* keyspace, Service* service) noexcept nogil
# Moves the reply and its position to the carrier's executor, and frees it. REQUIRES: `executor.reply` is empty.
cdef void helped_hand_over(Helped* helped, Executor* executor) noexcept nogil
cdef void helped_free(Helped* helped) noexcept nogil                  # NULL is allowed
