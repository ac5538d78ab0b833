# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Window TinyLFU: see tinylfu.pxd.

    a shard's words     blocks of 8, a cache line where the array is a large one, of which each key has one:
                        4 rows of 16 counters of 4 bits, a word a row, and 256 bits of the doorkeeper

Readers count under shared locks, so all is atomic, but two at once may count as one. What is made, halved and freed
is under the exclusive lock, when a key comes.
"""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from kvcy.engine.platform cimport (
    add_relaxed_u64, load_relaxed_u32, load_relaxed_u64, prefetch, store_relaxed_u32, store_relaxed_u64, unlikely)
from kvcy.engine.queues cimport (
    Climb, History, access_used, history_hint, history_make, history_replace, queue_access, queue_count, queue_hash,
    queue_move, queue_oldest, queue_uses, queues_of)
from kvcy.engine.rwlock cimport spin_lock, spin_unlock
from kvcy.engine.shards cimport databases_total
from kvcy.engine.tails cimport Order, Tail, tails_ahead, tails_done, tails_evict

cdef enum:
    WINDOW = 0
    MAIN = 1                     # and the next: the two that are swept in turn
    USES_TO_STAY = 2
    SAMPLE = 10                  # uses an entry between two halvings
    SAMPLE_ENTRIES_MIN = 1024    # of the store: fewer count as so many
    BLOCK = 8                    # words
    ROWS = 4
    BLOCK_ENTRIES = 4
    BLOCKS_MIN = 4
    COUNTER_MAX = 15
    WHOLE = 65536                # of shares and ratios
    SHARE_FIRST = 6554           # of all entries, in the window: a tenth
    SHARE_MIN = 655
    SHARE_MAX = 58982
    STEP_FIRST = 4096
    STEP_KEPT_PERCENT = 98
    RESTART = 3277               # a change of the ratio of hits after which steps are large again
    RATIO_NONE = 65537
    RIVAL_NONE = -1              # in place of a frequency: it stays, or it goes, whatever its own is
    RIVAL_ANY = 255

cdef extern from *:
    """
    #define KVCY_HALVED 0x7777777777777777u
    """
    uint64_t HALVED "KVCY_HALVED"


# --- the sketch

cdef inline uint64_t mix(uint64_t hash) noexcept nogil:
    """Spreads 32 bits over 64 (the finalizer of MurmurHash3)."""
    hash = (<uint32_t> hash + 1) * 0x9E3779B97F4A7C15ULL
    hash = (hash ^ hash >> 33) * 0xFF51AFD7ED558CCDULL
    return hash ^ hash >> 33


cdef inline uint64_t* block_of(const History* sketch, uint64_t mixed) noexcept nogil:
    return &sketch.words[(mixed >> 32) * BLOCK & (sketch.count - 1)]


cdef inline int counter_shift(uint64_t mixed, int row) noexcept nogil:
    """Where the key's counter is in the row's word."""
    return <int> (mixed >> (4 * row) & 15) * 4


cdef inline bint at_door(uint64_t* block, uint64_t mixed, bint enter) noexcept nogil:
    """Whether the key has come in before; if not, it does now, if it may."""
    cdef uint64_t* first = &block[ROWS + (mixed >> 22 & 3)]
    cdef uint64_t* second = &block[ROWS + (mixed >> 30 & 3)]
    cdef int first_bit = <int> (mixed >> 16 & 63)
    cdef int second_bit = <int> (mixed >> 24 & 63)
    if load_relaxed_u64(first) >> first_bit & load_relaxed_u64(second) >> second_bit & 1:
        return True
    if enter:
        store_relaxed_u64(first, load_relaxed_u64(first) | <uint64_t> 1 << first_bit)
        store_relaxed_u64(second, load_relaxed_u64(second) | <uint64_t> 1 << second_bit)
    return False


cdef void sketch_add(History* sketch, uint64_t hash) noexcept nogil:
    cdef uint64_t mixed = mix(hash)
    cdef uint64_t* block = block_of(sketch, mixed)
    cdef uint64_t before
    cdef int row, shift
    store_relaxed_u64(&sketch.additions, load_relaxed_u64(&sketch.additions) + 1)
    if not at_door(block, mixed, True):
        return
    for row in range(ROWS):
        before = load_relaxed_u64(&block[row])
        shift = counter_shift(mixed, row)
        if before >> shift & COUNTER_MAX != COUNTER_MAX:
            store_relaxed_u64(&block[row], before + (<uint64_t> 1 << shift))


cdef uint32_t sketch_estimate(const History* sketch, uint64_t hash) noexcept nogil:
    cdef uint64_t mixed = mix(hash)
    cdef uint32_t least = COUNTER_MAX
    cdef uint64_t* block
    cdef int row
    if sketch.words == NULL or sketch.kind != &tinylfu_kind:
        return 0
    block = block_of(sketch, mixed)
    for row in range(ROWS):
        least = min(least, <uint32_t> (load_relaxed_u64(&block[row]) >> counter_shift(mixed, row) & COUNTER_MAX))
    return least + at_door(block, mixed, False)


cdef void tinylfu_prefetch(const Keyspace* keyspace, uint64_t hash) noexcept nogil:
    cdef History sketch = history_hint(keyspace, hash)
    if sketch.count:
        prefetch(block_of(&sketch, mix(hash)))


cdef void sketch_halve(History* sketch) noexcept nogil:
    cdef uint64_t i
    sketch.additions //= 2
    for i in range(sketch.count):
        sketch.words[i] = sketch.words[i] >> 1 & HALVED if i % BLOCK < ROWS else 0


cdef bint sketch_fits(History* sketch, uint64_t entries) noexcept nogil:
    """Makes it large enough for so many entries, as far as memory allows. A larger one knows what the smaller knew.
    False: there is none. REQUIRES: the shard locked exclusively."""
    cdef bint own = sketch.words != NULL and sketch.kind == &tinylfu_kind
    cdef uint64_t blocks = BLOCKS_MIN
    cdef History grown
    cdef uint64_t i
    if own and sketch.count >= BLOCK // BLOCK_ENTRIES * entries:
        return True
    while blocks * BLOCK_ENTRIES < entries:
        blocks *= 2
    if not history_make(&grown, &tinylfu_kind, blocks * BLOCK):
        return own
    if own:
        for i in range(grown.count):
            grown.words[i] = sketch.words[i & (sketch.count - 1)]
        grown.additions = sketch.additions
        grown.hits = sketch.hits
    history_replace(sketch, &grown)
    return True


cdef int frequency(Keyspace* keyspace, const Tail* tail) noexcept nogil:
    return <int> sketch_estimate(&queues_of(keyspace).histories[tail.shard], queue_hash(keyspace, tail))


# --- the size of the window

cdef inline void climb_tell(Climb* climb, History* sketch) noexcept nogil:
    """A key has come: what the shard has counted since the last one. REQUIRES: the shard locked exclusively."""
    add_relaxed_u64(&climb.uses, sketch.hits + 1)
    add_relaxed_u64(&climb.hits, sketch.hits)
    sketch.hits = 0


cdef void climb_step(Climb* climb, uint32_t ratio) noexcept nogil:
    """REQUIRES: the lock."""
    cdef int32_t gain = <int32_t> ratio - <int32_t> climb.ratio
    cdef int32_t step = climb.step if gain >= 0 else -climb.step
    if climb.ratio != RATIO_NONE:
        store_relaxed_u32(&climb.share, <uint32_t> min(
            max(<int32_t> climb.share + step, <int32_t> SHARE_MIN), <int32_t> SHARE_MAX))
        climb.step = step * STEP_KEPT_PERCENT // 100
        if gain >= RESTART or gain <= -RESTART:
            climb.step = STEP_FIRST if step > 0 else -STEP_FIRST
    climb.ratio = ratio


cdef uint64_t window_max(Keyspace* keyspace, uint64_t entries) noexcept nogil:
    """How many entries the window may have; takes the next step if it is time."""
    cdef Climb* climb = &queues_of(keyspace).climb
    cdef uint64_t period = SAMPLE * max(entries, <uint64_t> SAMPLE_ENTRIES_MIN)
    cdef uint64_t hits, uses
    if unlikely(load_relaxed_u32(&climb.share) == 0 or load_relaxed_u64(&climb.uses) >= period):
        spin_lock(&climb.lock)
        hits = load_relaxed_u64(&climb.hits)
        uses = load_relaxed_u64(&climb.uses)
        if load_relaxed_u32(&climb.share) == 0:      # what was used while there was room says nothing
            climb.step = STEP_FIRST
            climb.ratio = RATIO_NONE
            store_relaxed_u32(&climb.share, SHARE_FIRST)
        elif uses >= period:
            climb_step(climb, <uint32_t> min(hits * WHOLE // uses, <uint64_t> WHOLE))
        else:
            hits = uses = 0                          # another thread was here first
        add_relaxed_u64(&climb.hits, 0 - hits)
        add_relaxed_u64(&climb.uses, 0 - uses)
        spin_unlock(&climb.lock)
    return max(entries * load_relaxed_u32(&climb.share) // WHOLE, <uint64_t> 1)


# --- the queues

cdef uint32_t note(const void* context, uint64_t hash, const uint32_t* access, int64_t now_ms) noexcept nogil:
    cdef Keyspace* keyspace = <Keyspace*> context
    cdef History* sketch = &queues_of(keyspace).histories[hash >> 32]
    cdef uint64_t least = <uint64_t> SAMPLE_ENTRIES_MIN >> keyspace.shard_bits
    cdef uint64_t entries
    if access != NULL:
        if sketch.words != NULL and sketch.kind == &tinylfu_kind:
            sketch_add(sketch, hash)
            store_relaxed_u64(&sketch.hits, load_relaxed_u64(&sketch.hits) + 1)
        return access_used(load_relaxed_u32(access))
    entries = databases_total(&keyspace.shards[hash >> 32].counts[0])
    if sketch_fits(sketch, max(entries, least // 2)):        # 8 KiB of the whole store
        if sketch.additions >= SAMPLE * max(entries, least):
            sketch_halve(sketch)
        sketch_add(sketch, hash)
        climb_tell(&queues_of(keyspace).climb, sketch)
    return queue_access(keyspace, WINDOW)


cdef inline uint32_t sweeping(const Keyspace* keyspace) noexcept nogil:
    """Which of the two queues of the main part is ahead of the hand."""
    return MAIN + (load_relaxed_u32(&queues_of(keyspace).turn) & 1)


cdef bint main_victim(Keyspace* keyspace, const Policy* policy, int64_t now_ms, Order* order, Tail* tail,
                      bint* spared) noexcept nogil:
    """The next victim of the main part, its shard locked, or *spared: it was used, and the hand has passed it."""
    cdef uint32_t queue = sweeping(keyspace)
    spared[0] = False
    if queue_count(keyspace, queue) == 0:
        store_relaxed_u32(&queues_of(keyspace).turn, queue == MAIN)
        queue = sweeping(keyspace)
    if not queue_oldest(keyspace, policy, queue, now_ms, order, tail):
        return False
    if queue_uses(tail):
        queue_move(keyspace, order, tail, MAIN + (queue == MAIN), 0, False)
        tails_done(keyspace, order, tail)
        spared[0] = True
    return True


cdef bint evict_from_main(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef Order order
    cdef Tail tail
    cdef bint spared
    if not main_victim(keyspace, policy, now_ms, &order, &tail, &spared):
        return False
    if not spared:
        tails_evict(keyspace, &order, &tail)
        tails_done(keyspace, &order, &tail)
        tinylfu_prefetch(keyspace, tails_ahead(keyspace, &order))
    return True


cdef bint leave_window(Keyspace* keyspace, const Policy* policy, int64_t now_ms, int rival,
                       bint* stays) noexcept nogil:
    """The oldest of the window goes on to the main part if it was used more often than `rival` times, else it goes."""
    cdef uint32_t uses
    cdef Order order
    cdef Tail tail
    if not queue_oldest(keyspace, policy, WINDOW, now_ms, &order, &tail):
        return False
    uses = queue_uses(&tail)
    stays[0] = rival < RIVAL_ANY and (uses >= USES_TO_STAY or frequency(keyspace, &tail) > rival)
    if stays[0]:
        queue_move(keyspace, &order, &tail, sweeping(keyspace), uses if rival == RIVAL_NONE else 0, True)
    else:
        tails_evict(keyspace, &order, &tail)
    tails_done(keyspace, &order, &tail)
    tinylfu_prefetch(keyspace, tails_ahead(keyspace, &order))
    return True


cdef bint contest(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    """One goes: the oldest of the window, or the victim of the main part."""
    cdef Order order
    cdef Tail tail
    cdef bint spared, stays
    cdef int rival
    if not main_victim(keyspace, policy, now_ms, &order, &tail, &spared):
        return leave_window(keyspace, policy, now_ms, RIVAL_ANY, &stays)
    if spared:
        return True
    rival = frequency(keyspace, &tail)
    tails_done(keyspace, &order, &tail)
    if leave_window(keyspace, policy, now_ms, rival, &stays) and not stays:
        return True
    return evict_from_main(keyspace, policy, now_ms)


cdef bint tinylfu_step(Keyspace* keyspace, const Policy* policy, int64_t now_ms) noexcept nogil:
    cdef uint64_t window = queue_count(keyspace, WINDOW)
    cdef uint64_t main = queue_count(keyspace, MAIN) + queue_count(keyspace, MAIN + 1)
    cdef uint64_t most = window_max(keyspace, window + main)
    cdef bint stays
    if window > most + 1:                # they came while there was room, or the window was larger
        return leave_window(keyspace, policy, now_ms, RIVAL_NONE, &stays)
    if window > most or main == 0:
        return contest(keyspace, policy, now_ms)
    return evict_from_main(keyspace, policy, now_ms)


tinylfu_kind.note = note
tinylfu_kind.queued = True
