# cython: language_level=3
"""The registry of all sessions of a server, for CLIENT LIST, INFO, KILL and the counts in INFO.

One leaf spin lock protects the list and the texts in each session; other fields are read as they are (relaxed). A
session is in the registry from session_new's caller adding it until it removes it, so one that is listed is alive.
Whoever holds the lock takes no other lock and never waits."""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.commands.types cimport Clients, Session
from kvcy.engine.shards cimport Keyspace
from kvcy.protocol.writer cimport Writer

cdef void clients_init(Clients* clients) noexcept nogil
cdef void clients_add(Clients* clients, Session* session) noexcept nogil
cdef void clients_remove(Clients* clients, Session* session) noexcept nogil
# For walking the list: clients.first and session.next are valid between the two.
cdef void clients_lock(Clients* clients) noexcept nogil
cdef void clients_unlock(Clients* clients) noexcept nogil
# Replaces one of a session's owned texts (&session.name, ...); text may be NULL. False: no memory.
cdef bint clients_set_text(Clients* clients, char** place, const char* text, size_t size) noexcept nogil
# Appends one line of CLIENT LIST for the session, as plain text with \n, to the writer's buffer.
# REQUIRES: clients_lock, or the session is the caller's own.
cdef void clients_describe(Clients* clients, const Session* session, int64_t now_ms, Writer* text) noexcept nogil
# Raises `killed` and wakes the carrier. REQUIRES: clients_lock.
cdef void clients_kill(Session* session) noexcept nogil
# The session's carrier says what the session, itself and its buffers take now (blocks are counted where they are made):
# keyspace.client_bytes follows. When that passes maxmemory-clients, those who take the most are killed. It is called
# only when a buffer was allocated, grown or freed, by the carrier's thread. REQUIRES: no lock held.
cdef void clients_count(Clients* clients, Keyspace* keyspace, Session* session, size_t bytes) noexcept nogil
# Kills those who take the most until the others together are within maxmemory-clients; CLIENT NO-EVICT exempts.
# REQUIRES: no lock held.
cdef void clients_evict(Clients* clients) noexcept nogil
# What the session takes, with its unfinished command, queue and texts.
cdef size_t session_memory_bytes(const Session* session) noexcept nogil
