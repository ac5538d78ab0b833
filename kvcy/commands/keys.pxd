# cython: language_level=3
"""What the commands on keys share: names of types, database arguments, looking without touching."""
from libc.stdint cimport uint32_t
from kvcy.commands.call cimport Call
from kvcy.engine.entry cimport Entry

# "string", "list", ...: the name TYPE shows, NUL-terminated.
cdef const char* type_name(int type) noexcept nogil
# A database number; when it is not one, answers Redis's error itself and is false.
cdef bint arg_database_or_reply(Call* call, uint32_t index, int* database) noexcept nogil
# The entry of call.keys[index] or NULL; counts a hit or miss but leaves the access time alone.
cdef Entry* lookup_no_touch(Call* call, uint32_t index) noexcept nogil
