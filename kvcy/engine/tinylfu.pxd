# cython: language_level=3
"""Window TinyLFU (Einziger, Friedman and Manes, 2017): frequency decides whom a new key may replace.

A new key enters the window, at first a tenth of all entries. At its end it meets the next victim of the main part, and
the one goes that a sketch says was used less often; in doubt the new one. What was used in the window twice or more
needs no sketch to stay, nor what came while there was room. The main part is swept as SIEVE does (sieve.pxd).

The sketch of a shard counts how often each key, there or not, was used of late: a count-min sketch of 4 rows with 4
bits a counter, 16 counters an entry, and before it a doorkeeper, a Bloom filter that takes a key's first use, so that
what comes once costs the counters nothing. Both are in blocks, of which each key has one, so that a look is one miss of
the cache. After ten uses an entry all counters are halved and the doorkeeper is emptied. A store of less than 1,024
entries counts as one of so many: what comes again after more than ten uses an entry would always seem less frequent
than what has just come, and the ratio of hits in few uses says little.

How large the window had best be depends on what is asked for: nearly all where what is new is used next, hardly
anything where scans and loops come. So it is found by hill climbing (Einziger, Eytan, Friedman and Manes, 2018; the
numbers are those of Caffeine): every ten uses an entry the window grows or shrinks by a sixteenth of all entries, the
way that gave more hits the last time, and by 2 % less from step to step, till hits change by a twentieth. It has a
hundredth of all entries at least, and nine tenths at most.
"""
from libc.stdint cimport int64_t, uint64_t

from kvcy.engine.partition cimport AccessKind
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef AccessKind tinylfu_kind
cdef bint tinylfu_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
# Fetches what is remembered of a key with this hash (key_hash). No lock needed.
cdef void tinylfu_prefetch(const Keyspace* keyspace, uint64_t hash) noexcept nogil
