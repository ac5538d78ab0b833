# cython: language_level=3
"""Policies by samples: random, by expiry (ttl) and by frequency (lfu).

Of two random shards the fuller one is taken, there a database by its share, and of `samples` of its keys the one of the
highest rank goes. Where few keys may go, samples come from the end of their list, which is turned round as they are
looked at, so that each has its turn.

The frequency is kept as Redis documents it: 24 bits of minutes and a logarithmic counter of 8 bits that loses one every
lfu-decay-time minutes.

Limits: a volatile-random victim is the next of the list, not a random one, where less than a quarter of a database's
keys have an expiry.
"""
from libc.stdint cimport int64_t, uint32_t

from kvcy.engine.entry cimport Entry
from kvcy.engine.partition cimport AccessKind
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef enum:
    SAMPLES = 16

cdef AccessKind frequencies      # Entry.access counts accesses
cdef bint sampling_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
cdef int64_t rank_none(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil
cdef int64_t rank_expiry(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil
cdef int64_t rank_frequency(const Keyspace* keyspace, const Entry* entry, int64_t now_ms) noexcept nogil
# The count in Entry.access as it has decayed until now.
cdef uint32_t decayed(const Keyspace* keyspace, uint32_t access, int64_t now_ms) noexcept nogil
