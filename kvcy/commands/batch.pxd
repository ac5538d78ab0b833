# cython: language_level=3
"""Commands parsed ahead of their execution, so that the memory they need is on its way when they run.

A batch ends behind a command that may change how the bytes after it are read or when they are taken (AUTH, HELLO, EXEC,
PYTHON rows, ...: whatever has no RUNS_AHEAD), so nothing parsed is ever given back. Prefetching is only a hint: a key
may be gone, or in another database, when its turn comes. An unauthenticated session's commands are parsed one by one,
since AUTH changes the parser's limits.
"""
from libc.stdint cimport uint32_t
from kvcy.commands.types cimport Executor, Prepared, Session
from kvcy.engine.block cimport Bytes
from kvcy.protocol.parser cimport ParseResult

# Finds the row of a command that is in no batch, and hashes its key, if it has exactly one.
cdef void batch_prepare_alone(Executor* executor, Prepared* prepared, const Bytes* argv, uint32_t argc) noexcept nogil
# The same for the command last parsed into executor.arguments.
cdef void batch_prepare(Executor* executor, Prepared* prepared, const Bytes* argv, uint32_t argc) noexcept nogil
# Parses up to `limit` commands into executor.batch, behind those parsed ahead, until the bytes or what may be parsed
# ahead end; returns how many.
cdef uint32_t batch_parse(Executor* executor, Session* session, const char* data, size_t size, size_t* offset,
                          uint32_t limit, ParseResult* result) noexcept nogil
# Prefetches the home slots of all keys, or (then) the entries they name: the misses of memory overlap.
cdef void batch_prefetch(const Executor* executor, const Session* session, const Prepared* batch, uint32_t count,
                         bint entries) noexcept nogil
