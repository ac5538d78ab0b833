# cython: language_level=3
"""Long commands on other threads, so that none who share a reactor with its client wait for one of them.

A command with very many keys, or an EXEC of very many commands, is one step for every observer, so it cannot be done
in slices: it holds its shards' locks from its first key to its last. An executor that serves others therefore does not
run it (Executor.serves_others). Its session is parked, with the command in session.deferred, as for a command that
Python answers; the carrier has it run on another thread (helper.pxd), and goes on with the session.

While long commands are under way (Keyspace.long_commands), an executor that serves others does not wait for a shard's
lock. It tries it; where it is not to be had, the command is postponed, with what its batch has behind it: the session
is SESSION_CONTINUING, and the next turn tries again. What takes locks in the midst of its work, or locks of all shards,
is postponed without a try. A helper lets GRACE_US pass before it takes the first lock, so that those have done who
looked before. So a reactor's thread waits for nobody; clients who want what is locked do.
"""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Call, Deferred, Executor, Postponed, Session

cdef enum:
    LONG_WEIGHT_MIN = 1500                  # so many keys or watches, or what MULTI has queued: Transaction.weight

cdef struct Postponed:                      # what a batch still has to run
    uint32_t count
    uint32_t done
    Deferred** commands                     # [count]; those from `done` on are owned

# How many keys the command has, by its row. REQUIRES: as many arguments as the row wants.
cdef uint32_t helping_keys(const Call* call) noexcept nogil
# Whether a command that is about to run is to go to a helper. REQUIRES: not inside EXEC.
cdef bint helping_wanted(const Call* call) noexcept nogil
# Whether what ends the session's transaction and watches is.
cdef bint helping_ends_long(const Session* session) noexcept nogil
# Parks the session with it.
cdef void helping_park(Call* call) noexcept nogil
# Whether the session waits for a helper, not for Python.
cdef bint helping_is_awaited(const Session* session) noexcept nogil

# Whether a command must be tried again later while long commands run: it would take locks in a way that cannot be given
# up half-way.
cdef bint helping_forbids(const Call* call) noexcept nogil
# Takes up `count` commands that are to be tried again; false: no memory.
cdef bint postponed_begin(Session* session, uint32_t count) noexcept nogil
cdef bint postponed_add(Session* session, Call* call) noexcept nogil
# What a session is that has waited for its answer: CONTINUING if it has commands to be tried again, else OPEN.
cdef uint32_t session_state_after(const Session* session) noexcept nogil
cdef void postponed_free(Session* session) noexcept nogil            # nothing is done if there is none
