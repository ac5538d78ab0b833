# cython: language_level=3
"""What policies with queues have in common: entries in up to four queues over all shards, reads that only count.

    Entry.access      queue:2 | uses:2 | place:28      (high to low bits)

A queue is one list a partition (partition.pxd), the newest at the head, and by its places one order over all shards.
A read raises `uses`, to 3 at most; nothing else moves or is locked. So these policies cost reads less than LRU does.
A shard's History is what a policy remembers of keys, those that have gone included.

Places go round after 2^28 insertions: then an entry that has not been moved for so long may pass for a newer one among
those of other shards.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from kvcy.engine.arena cimport arena_at
from kvcy.engine.entry cimport Entry
from kvcy.engine.partition cimport QUEUE_SHIFT, AccessKind
from kvcy.engine.platform cimport add_relaxed_u64, load_relaxed_u64
from kvcy.engine.policy cimport Policy
from kvcy.engine.shards cimport Keyspace
from kvcy.engine.tails cimport Order, Tail

cdef enum:
    USES_SHIFT = 28
    USES_MAX = 3
    PLACE_MASK = 0x0FFFFFFF

cdef struct History:             # of a shard, under its lock
    const AccessKind* kind       # whose it is
    uint64_t* words              # NULL: nothing is remembered
    uint64_t count               # of words, a power of two
    uint64_t additions           # atomic, as far as the policy says so
    uint64_t hits                # atomic: uses of keys that were there, not yet in Climb (tinylfu)

cdef struct Climb:               # how tinylfu finds the size of its window; atomic, but for what is under the lock
    uint64_t uses                # of keys, there or not, since the last step
    uint64_t hits                # of them, of keys that were there
    uint32_t share               # of all entries, that the window may have, in 65,536ths; 0: it has not begun
    uint32_t lock                # leaf spin lock
    int32_t step                 # how share changes next
    uint32_t ratio               # of hits to uses before the last step, in 65,536ths

cdef struct Queues:
    uint32_t turn                # atomic: which of two queues is swept (sieve)
    uint32_t shard_count
    uint64_t departed            # atomic: keys noted in histories so far
    Climb climb
    History histories[1024]      # SHARDS_MAX; [shard_count]

# Makes keyspace.eviction.queues if it is not there; false: no memory. REQUIRES: no lock held; one thread at a time.
cdef bint queues_make(Keyspace* keyspace) noexcept nogil
# Frees what another policy remembered. REQUIRES: the shard locked exclusively.
cdef void queues_adopt(Keyspace* keyspace, uint32_t shard, const AccessKind* kind) noexcept nogil
# A history with `count` words, all 0. False: no memory.
cdef bint history_make(History* history, const AccessKind* kind, uint64_t count) noexcept nogil
cdef void history_free(History* history) noexcept nogil
# Frees what it has; `grown`'s words are its own from now on.
cdef void history_replace(History* history, const History* grown) noexcept nogil

# The oldest entry of the queue, its shard locked exclusively, until tails_done. False: the queue is empty.
cdef bint queue_oldest(Keyspace* keyspace, const Policy* policy, uint32_t queue, int64_t now_ms, Order* order,
                       Tail* tail) noexcept nogil
# Moves it to the head of `queue`, with so many uses: at a place anew, or at the one it had.
cdef void queue_move(Keyspace* keyspace, const Order* order, const Tail* tail, uint32_t queue, uint32_t uses,
                     bint anew) noexcept nogil
# The hash of its key, as NoteAccess gets it.
cdef uint64_t queue_hash(const Keyspace* keyspace, const Tail* tail) noexcept nogil


cdef inline Queues* queues_of(const void* keyspace) noexcept nogil:
    return <Queues*> (<const Keyspace*> keyspace).eviction.queues


cdef inline History history_hint(const void* keyspace, uint64_t hash) noexcept nogil:
    """A shard's words and how many, read without its lock, for prefetching only; maybe stale, or not of the same."""
    cdef const History* history = &queues_of(keyspace).histories[hash >> 32]
    cdef History seen = History(kind=NULL, words=NULL, count=0, additions=0, hits=0)
    seen.words = <uint64_t*> load_relaxed_u64(<const uint64_t*> &history.words)
    seen.count = load_relaxed_u64(&history.count)
    return seen


cdef inline uint64_t queue_count(const Keyspace* keyspace, uint32_t queue) noexcept nogil:
    return load_relaxed_u64(&keyspace.pool.queued[queue])


cdef inline uint32_t queue_access(Keyspace* keyspace, uint32_t queue) noexcept nogil:
    """Entry.access of what comes to the head of the queue."""
    return queue << QUEUE_SHIFT | <uint32_t> add_relaxed_u64(&keyspace.pool.places, 1) & PLACE_MASK


cdef inline uint32_t access_uses(uint32_t access) noexcept nogil:
    return access >> USES_SHIFT & USES_MAX


cdef inline uint32_t queue_uses(const Tail* tail) noexcept nogil:
    """Of the entry, since it was queued."""
    return access_uses((<const Entry*> arena_at(&tail.partition.arena, tail.handle)).access)


cdef inline uint32_t access_used(uint32_t access) noexcept nogil:
    """Entry.access after one more use."""
    return access if access_uses(access) == USES_MAX else access + (<uint32_t> 1 << USES_SHIFT)
