# cython: language_level=3
"""A key's value given to another key. RENAME, RENAMENX, MOVE, COPY."""
from kvcy.engine.keyspace cimport Access
from kvcy.engine.shards cimport Key
from kvcy.engine.status cimport Status

# REQUIRES for both: as keyspace_put for either key.
# Moves the value, type and expiry of `source` in access.database to `target` in `target_database`, replacing what is
# there if `replace` (else EXISTS). NOT_FOUND when there is no source. RENAME, RENAMENX, MOVE.
cdef Status keyspace_rename(Access* access, const Key* source, const Key* target, int target_database,
                            bint replace) noexcept nogil
cdef Status keyspace_copy(Access* access, const Key* source, const Key* target, int target_database,
                          bint replace) noexcept nogil
