# cython: language_level=3
"""Window TinyLFU (Einziger, Friedman and Manes, 2017): frequency decides whom a new key may replace.

A new key enters the window, a hundredth of all entries. At its end it meets the next victim of the main part, and the
one goes that a sketch says was used less often; in doubt the new one. What was used in the window twice or more needs
no sketch to stay, nor what came while there was room. The main part is swept as SIEVE does (sieve.pxd).

The sketch of a shard counts how often each key, there or not, was used of late: a count-min sketch of 4 rows with 4
bits a counter, 16 counters an entry, and before it a doorkeeper, a Bloom filter that takes a key's first use, so that
what comes once costs the counters nothing. After ten uses an entry all counters are halved and the doorkeeper is
emptied.
"""
from libc.stdint cimport int64_t

from kvcy.engine.partition cimport AccessKind
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef AccessKind tinylfu_kind
cdef bint tinylfu_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
