# cython: language_level=3
"""SIEVE (Zhang et al., NSDI 2024): a queue and a hand that sweeps it from the oldest entry to the newest.

What the hand meets and has been used since is spared and counts as unused; the first that has not been used goes. New
entries come to the head of the queue. Here the queue is two: one of what is ahead of the hand, one of what it has
passed. When the first is empty the hand begins anew, and they change roles. The outcome is the same, and no hand has to
be kept right when entries leave.
"""
from libc.stdint cimport int64_t

from kvcy.engine.partition cimport AccessKind
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace

cdef AccessKind sieve_kind
cdef bint sieve_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil
