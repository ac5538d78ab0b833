# cython: language_level=3
"""The registry of all sessions of a server, for CLIENT LIST, INFO, KILL and the counts in INFO.

One mutex protects the list and the texts in each session; other fields are read as they are (relaxed). A session is
in the registry from session_new's caller adding it until it removes it, so one that is listed is alive."""
from libc.stdint cimport uint32_t, uint64_t
from kvcy.commands.session cimport Session
from kvcy.protocol.writer cimport Writer

cdef struct Clients:
    uint32_t lock
    Session* first
    uint64_t count
    uint64_t next_id
    uint64_t total_connections

cdef void clients_add(Clients* clients, Session* session) noexcept nogil
cdef void clients_remove(Clients* clients, Session* session) noexcept nogil
# Replaces one of a session's owned texts (&session.name, ...); text may be NULL. False: no memory.
cdef bint clients_set_text(Clients* clients, char** place, const char* text, size_t size) noexcept nogil
# Appends one line of CLIENT LIST for the session, as plain text with \n, to the writer's buffer.
cdef void clients_describe(Clients* clients, const Session* session, uint64_t now_ms, Writer* text) noexcept nogil
