# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""One database's part of one shard: see partition.pxd.

Every change is made in the order allocate, check, commit. An entry keeps its cell while the new content fits and wastes
no more than an eighth of it; else it moves: the slot, the two list neighbours and those in the wheel are updated.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memmove, memset

from kvcy.engine.arena cimport arena_alloc, arena_clear, arena_disown, arena_free, arena_room
from kvcy.engine.block cimport block_new, block_release, block_retain, block_set_leaving
from kvcy.engine.entry cimport (
    ENTRY_EDITED, ENTRY_EXPIRES, ENTRY_HEADER_BYTES, ENTRY_INLINE_MAX, ENTRY_KEY_APART, ENTRY_KEY_INLINE_MAX,
    ENTRY_VALUE_APART, EntryExpiry, entry_expiry, entry_flags, entry_key_block, entry_payload, entry_value_block)
from kvcy.engine.holdings cimport holdings_add, holdings_release
from kvcy.engine.lru cimport lru_moved, lru_push, lru_remove
from kvcy.engine.memory cimport memory_array_set_leaving, memory_free, memory_new_lines
from kvcy.engine.ordered cimport ordered_free, ordered_insert, ordered_moved, ordered_ready, ordered_remove
from kvcy.engine.ordered_buffer cimport buffer_bytes
from kvcy.engine.platform cimport add_relaxed_u64, invariant, load_acquire_u32, unlikely
from kvcy.engine.table cimport (
    table_bytes, table_close, table_from, table_init, table_insert, table_remove, table_reserve, table_set_handle)
from kvcy.engine.wheel cimport (
    wheel_add, wheel_advance, wheel_changed, wheel_free, wheel_moved, wheel_new, wheel_next, wheel_remove)


cdef inline bint kind_queued(const AccessKind* kind) noexcept nogil:
    return kind != NULL and kind.queued


cdef Partition* partition_new(PagePool* pool, const AccessKind* kind) noexcept nogil:
    cdef Partition* partition = <Partition*> memory_new_lines(sizeof(Partition))
    if partition == NULL:
        return NULL
    partition.pool = pool
    partition.kind = kind
    add_relaxed_u64(&pool.cell_bytes, sizeof(Partition))
    table_init(&partition.table)
    return partition


cdef void count_all(Partition* partition, bint here) noexcept nogil:
    """All its entries come to the queues they are in, or leave them."""
    cdef uint64_t count
    cdef int i
    for i in range(LISTS_COUNT):
        count = partition.lists[i].count
        if kind_queued(partition.kind) and count:
            add_relaxed_u64(&partition.pool.queued[i], count if here else 0 - count)


cdef inline void count_one(Partition* partition, const Entry* entry, bint here) noexcept nogil:
    if unlikely(kind_queued(partition.kind)):
        add_relaxed_u64(&partition.pool.queued[entry.access >> QUEUE_SHIFT], 1 if here else <uint64_t> -1)


cdef uint64_t own_bytes(const Partition* partition) noexcept nogil:
    """What it takes of its own that counts in cell_bytes."""
    return sizeof(Partition) + (sizeof(Wheel) if partition.wheel != NULL else 0)


cdef uint64_t own_array_bytes(const Partition* partition) noexcept nogil:
    """What it takes of memory_array_new, without its arenas."""
    cdef uint64_t total = table_bytes(&partition.table)
    return total + buffer_bytes(&partition.ordered.buffer) if partition.ordered != NULL else total


cdef void partition_disown(Partition* partition) noexcept nogil:
    invariant(not partition.disowned)
    partition.disowned = True
    count_all(partition, False)
    partition.kind = NULL
    add_relaxed_u64(&partition.pool.cell_bytes, 0 - own_bytes(partition))
    memory_array_set_leaving(own_array_bytes(partition), True)
    block_set_leaving(partition.held.bytes, True)
    arena_disown(&partition.arena, partition.pool)
    if partition.ordered != NULL:
        arena_disown(&partition.ordered.nodes, partition.pool)


cdef void release_all(Partition* partition) noexcept nogil:
    """Gives up the blocks of all entries, which are leaving."""
    cdef const Slot* slot
    cdef uint64_t bits = 0
    cdef uint64_t held_bytes
    cdef uint32_t same
    while partition.held.count:
        slot = table_from(&partition.table, bits)
        if slot == NULL:
            break
        same = slot.bits
        bits = <uint64_t> same + 1
        while slot.handle and slot.bits == same:
            held_bytes = partition.held.bytes
            holdings_release(&partition.held, partition_entry(partition, slot))
            block_set_leaving(held_bytes - partition.held.bytes, False)
            slot += 1
    invariant(partition.held.count == 0 and partition.held.bytes == 0)


cdef void partition_free(Partition* partition) noexcept nogil:
    cdef uint64_t array_bytes
    if not partition.disowned:
        partition_disown(partition)
    release_all(partition)
    array_bytes = own_array_bytes(partition)
    table_close(&partition.table)
    wheel_free(partition.wheel)
    arena_clear(&partition.arena, partition.pool)
    ordered_free(partition.ordered)      # it has a page; the pool may be gone when the last pages are back
    memory_array_set_leaving(array_bytes, False)
    memory_free(partition)


cdef inline LruList* list_of(Partition* partition, const Entry* entry, uint32_t flags) noexcept nogil:
    """partition_list, for who knows the entry's flags: an entry just made may still be on its way to the cache."""
    if unlikely(kind_queued(partition.kind)):
        return &partition.lists[entry.access >> QUEUE_SHIFT]
    return &partition.lists[LIST_VOLATILE if flags & ENTRY_EXPIRES else LIST_LASTING]


cdef LruList* partition_list(Partition* partition, const Entry* entry) noexcept nogil:
    return list_of(partition, entry, entry_flags(entry))


cdef void partition_set_kind(Partition* partition, const AccessKind* kind, const void* context, uint32_t shard,
                             int64_t now_ms) noexcept nogil:
    cdef LruList[4] before       # LISTS_COUNT
    cdef bint listed_anew = kind_queued(partition.kind) or kind_queued(kind)
    cdef uint32_t handle, previous
    cdef Entry* entry
    cdef int i
    if partition.kind == kind:
        return
    count_all(partition, False)
    partition.kind = kind
    if not listed_anew:
        return
    memcpy(before, partition.lists, sizeof(before))
    memset(partition.lists, 0, sizeof(before))
    for i in range(LISTS_COUNT):
        handle = before[i].tail
        while handle:
            entry = <Entry*> arena_at(&partition.arena, handle)
            previous = entry.previous
            entry.access = <uint32_t> (now_ms >> 2)
            if kind != NULL:
                entry.access = kind.note(context, <uint64_t> shard << 32, NULL, now_ms)
            lru_push(partition_list(partition, entry), &partition.arena, handle)
            handle = previous
    count_all(partition, True)


cdef uint64_t partition_entry_bytes(const Partition* partition, const Entry* entry, uint32_t handle) noexcept nogil:
    cdef uint64_t total = arena_room(&partition.arena, handle)
    cdef uint32_t flags = entry_flags(entry)
    if flags & ENTRY_KEY_APART:
        total += sizeof(Block) + entry_key_block(entry).capacity
    if flags & ENTRY_VALUE_APART:
        total += sizeof(Block) + entry_value_block(entry).capacity
    return total


# --- making entries

cdef uint32_t plan_flags(const EntryPlan* plan) noexcept nogil:
    cdef uint32_t flags = 0
    cdef size_t key_inline = plan.key_size
    if plan.expire_ms:
        flags |= ENTRY_EXPIRES
    if plan.edited:
        flags |= ENTRY_EDITED
    if plan.key_size > ENTRY_KEY_INLINE_MAX:
        flags |= ENTRY_KEY_APART
        key_inline = 0
    if key_inline + plan.value.size > ENTRY_INLINE_MAX:
        flags |= ENTRY_VALUE_APART
    return flags


cdef size_t plan_bytes(const EntryPlan* plan, uint32_t flags) noexcept nogil:
    """The cell an entry of this plan needs."""
    cdef size_t size = ENTRY_HEADER_BYTES
    if flags & ENTRY_EXPIRES:
        size += sizeof(EntryExpiry)
    size += 8 if flags & ENTRY_KEY_APART else plan.key_size
    size += 8 if flags & ENTRY_VALUE_APART else plan.value.size
    return size


cdef Block* block_of(const char* data, size_t size) noexcept nogil:
    cdef Block* block = block_new(size)
    if block != NULL:
        memcpy(block.data, data, size)
        block.size = size
    return block


cdef Block* block_for_value(const Bytes* value) noexcept nogil:
    """A reference of a block whose whole content is the value: the value's own if it is one, else a copy; or NULL."""
    cdef Block* block = value.block
    if block != NULL and value.data == block.data and value.size == block.size and \
            block.capacity - block.size <= block.size >> 3:
        block_retain(block)
        return block
    return block_of(value.data, value.size)


cdef void entry_fill(Entry* entry, const EntryPlan* plan, uint32_t flags, Block* key_block,
                     Block* value_block) noexcept nogil:
    """Writes all of an entry but its links. The blocks are given to it."""
    cdef char* at = <char*> (entry + 1)
    cdef uint32_t key_length = 0
    cdef uint32_t value_length = 0
    entry.access = plan.access
    if flags & ENTRY_EXPIRES:
        (<EntryExpiry*> at).expire_ms = plan.expire_ms
        at += sizeof(EntryExpiry)
    if flags & ENTRY_KEY_APART:
        (<Block**> at)[0] = key_block
        at += 8
    if flags & ENTRY_VALUE_APART:
        (<Block**> at)[0] = value_block
        at += 8
    if not flags & ENTRY_KEY_APART:
        key_length = <uint32_t> plan.key_size
        memcpy(at, plan.key, key_length)
        at += key_length
    if not flags & ENTRY_VALUE_APART:
        value_length = <uint32_t> plan.value.size
        memmove(at, plan.value.data, value_length)      # may be the entry's own bytes
    entry.meta = key_length | value_length << 12 | <uint32_t> plan.type << 24 | flags << 28


cdef uint32_t entry_make(Partition* partition, const EntryPlan* plan, uint32_t flags) noexcept nogil:
    """A new cell filled after the plan, in no list and no slot; 0 when there is no memory."""
    cdef Block* key_block = NULL
    cdef Block* value_block = NULL
    cdef uint32_t handle
    if flags & ENTRY_KEY_APART:
        key_block = block_of(plan.key, plan.key_size)
        if key_block == NULL:
            return 0
    if flags & ENTRY_VALUE_APART:
        value_block = block_for_value(&plan.value)
        if value_block == NULL:
            if key_block != NULL:
                block_release(key_block)
            return 0
    handle = arena_alloc(&partition.arena, partition.pool, plan_bytes(plan, flags))
    if handle == 0:
        if key_block != NULL:
            block_release(key_block)
        if value_block != NULL:
            block_release(value_block)
        return 0
    if key_block != NULL:
        holdings_add(&partition.held, key_block)
    if value_block != NULL:
        holdings_add(&partition.held, value_block)
    entry_fill(<Entry*> arena_at(&partition.arena, handle), plan, flags, key_block, value_block)
    return handle


cdef bint wheel_ready(Partition* partition, uint32_t flags) noexcept nogil:
    """Makes sure that there is a wheel if an entry with these flags needs one; false: no memory."""
    if flags & ENTRY_EXPIRES and partition.wheel == NULL:
        partition.wheel = wheel_new()
        if partition.wheel == NULL:
            return False
        add_relaxed_u64(&partition.pool.cell_bytes, sizeof(Wheel))
    return True


cdef bint partition_add(Partition* partition, uint32_t bits, const EntryPlan* plan) noexcept nogil:
    cdef uint32_t flags = plan_flags(plan)
    cdef uint32_t handle
    cdef Entry* entry
    if not table_reserve(&partition.table) or not wheel_ready(partition, flags):
        return False
    if partition_indexed(partition, bits) and not ordered_ready(partition.ordered):
        return False
    handle = entry_make(partition, plan, flags)
    if handle == 0:
        return False
    if partition_indexed(partition, bits):
        ordered_insert(partition.ordered, handle, plan.key, plan.key_size)
    table_insert(&partition.table, bits, handle)
    entry = <Entry*> arena_at(&partition.arena, handle)
    lru_push(list_of(partition, entry, flags), &partition.arena, handle)
    count_one(partition, entry, True)
    if flags & ENTRY_EXPIRES:
        wheel_add(partition.wheel, &partition.arena, handle)
    return True


# --- changing entries

cdef inline void change_expiry(Partition* partition, uint32_t handle, int64_t expire_ms) noexcept nogil:
    """REQUIRES: the entry has an expiry, and keeps one."""
    cdef EntryExpiry* expiry = entry_expiry(<const Entry*> arena_at(&partition.arena, handle))
    cdef int64_t old_ms = expiry.expire_ms
    expiry.expire_ms = expire_ms
    wheel_changed(partition.wheel, &partition.arena, handle, old_ms)


cdef inline bint fits_inline(const Partition* partition, const Slot* slot, const EntryPlan* plan,
                             uint32_t flags) noexcept nogil:
    """Whether nothing but value and expiry changes, and the cell stays well used."""
    cdef size_t need, room
    if (flags ^ entry_flags(partition_entry(partition, slot))) & ~<uint32_t> ENTRY_EDITED or flags & ENTRY_VALUE_APART:
        return False
    need = plan_bytes(plan, flags)
    room = arena_room(&partition.arena, slot.handle)
    return need <= room and room - need <= 8 + (room >> 3)


cdef bint replace_inline(Partition* partition, Slot* slot, const EntryPlan* plan, uint32_t flags) noexcept nogil:
    """Overwrites value and expiry inside the cell, if they fit."""
    cdef Entry* entry = partition_entry(partition, slot)
    if not fits_inline(partition, slot, plan, flags):
        return False
    if flags & ENTRY_EXPIRES:
        change_expiry(partition, slot.handle, plan.expire_ms)
    memmove(<char*> entry_payload(entry) + (entry.meta & 4095), plan.value.data, plan.value.size)
    entry.meta = entry.meta & 4095 | <uint32_t> plan.value.size << 12 | <uint32_t> plan.type << 24 | flags << 28
    entry.access = plan.access
    return True


cdef bint fits_block(const Entry* entry, const EntryPlan* plan, uint32_t flags) noexcept nogil:
    """Whether the value fits into the entry's own block, which nobody else holds and which stays well used."""
    cdef const Block* block
    if (flags ^ entry_flags(entry)) & ~<uint32_t> ENTRY_EDITED or not flags & ENTRY_VALUE_APART:
        return False
    block = entry_value_block(entry)
    if plan.value.block != NULL or load_acquire_u32(&block.references) != 1:
        return False
    return plan.value.size <= block.capacity and block.capacity - plan.value.size <= block.capacity >> 3


cdef bint replace_in_block(Partition* partition, Slot* slot, const EntryPlan* plan, uint32_t flags) noexcept nogil:
    """Overwrites the content of the entry's own block, if it fits."""
    cdef Entry* entry = partition_entry(partition, slot)
    cdef Block* block
    if not fits_block(entry, plan, flags):
        return False
    block = entry_value_block(entry)
    if flags & ENTRY_EXPIRES:
        change_expiry(partition, slot.handle, plan.expire_ms)
    memcpy(block.data, plan.value.data, plan.value.size)
    block.size = plan.value.size
    entry.meta = entry.meta & 4095 | <uint32_t> plan.type << 24 | flags << 28
    entry.access = plan.access
    return True


cdef bint partition_fits(const Partition* partition, const Slot* slot, const EntryPlan* plan) noexcept nogil:
    cdef uint32_t flags = plan_flags(plan)
    return fits_inline(partition, slot, plan, flags) or fits_block(partition_entry(partition, slot), plan, flags)


cdef void put_in_place_of(Partition* partition, Slot* slot, uint32_t new_handle) noexcept nogil:
    """The slot, the lists and the wheel get this entry instead of the slot's, which is then out of sight. REQUIRES:
    there is a wheel if the entry expires."""
    cdef uint32_t old_handle = slot.handle
    cdef Entry* old = <Entry*> arena_at(&partition.arena, old_handle)
    cdef Entry* new = <Entry*> arena_at(&partition.arena, new_handle)
    cdef LruList* list = partition_list(partition, new)
    cdef int64_t expire_ms
    if list != partition_list(partition, old):
        lru_remove(partition_list(partition, old), &partition.arena, old_handle)
        lru_push(list, &partition.arena, new_handle)
    else:
        new.previous = old.previous
        new.next = old.next
        lru_moved(list, &partition.arena, old_handle, new_handle)
    if not entry_flags(new) & entry_flags(old) & ENTRY_EXPIRES:
        if entry_flags(new) & ENTRY_EXPIRES:
            wheel_add(partition.wheel, &partition.arena, new_handle)
        elif entry_flags(old) & ENTRY_EXPIRES:
            wheel_remove(partition.wheel, &partition.arena, old_handle)
    else:
        expire_ms = entry_expiry(new).expire_ms
        entry_expiry(new)[0] = entry_expiry(old)[0]
        wheel_moved(partition.wheel, &partition.arena, new_handle)
        change_expiry(partition, new_handle, expire_ms)
    if partition_indexed(partition, slot.bits):
        ordered_moved(partition.ordered, old_handle, new_handle)
    table_set_handle(slot, new_handle)


cdef bint partition_replace(Partition* partition, Slot* slot, const EntryPlan* plan) noexcept nogil:
    cdef uint32_t flags = plan_flags(plan)
    cdef uint32_t old_handle
    if not wheel_ready(partition, flags):
        return False
    if replace_inline(partition, slot, plan, flags) or replace_in_block(partition, slot, plan, flags):
        return True
    old_handle = partition_exchange(partition, slot, plan)
    if old_handle == 0:
        return False
    partition_drop(partition, old_handle)
    return True


cdef uint32_t partition_exchange(Partition* partition, Slot* slot, const EntryPlan* plan) noexcept nogil:
    cdef uint32_t flags = plan_flags(plan)
    cdef uint32_t old_handle = slot.handle
    cdef uint32_t new_handle
    if not wheel_ready(partition, flags):
        return 0
    new_handle = entry_make(partition, plan, flags)
    if new_handle == 0:
        return 0
    put_in_place_of(partition, slot, new_handle)
    return old_handle


cdef void partition_exchange_back(Partition* partition, Slot* slot, uint32_t handle) noexcept nogil:
    cdef uint32_t given_up = slot.handle
    put_in_place_of(partition, slot, handle)
    partition_drop(partition, given_up)


cdef void partition_drop(Partition* partition, uint32_t handle) noexcept nogil:
    holdings_release(&partition.held, <const Entry*> arena_at(&partition.arena, handle))
    arena_free(&partition.arena, partition.pool, handle)


cdef void partition_remove(Partition* partition, Slot* slot) noexcept nogil:
    cdef uint32_t handle = slot.handle
    cdef Entry* entry = partition_entry(partition, slot)
    lru_remove(partition_list(partition, entry), &partition.arena, handle)
    count_one(partition, entry, False)
    if entry_flags(entry) & ENTRY_EXPIRES:
        wheel_remove(partition.wheel, &partition.arena, handle)
    if partition_indexed(partition, slot.bits):
        ordered_remove(partition.ordered, handle)
    table_remove(&partition.table, slot)
    partition_drop(partition, handle)


cdef Entry* partition_due(Partition* partition, int64_t now_ms, uint32_t* looks) noexcept nogil:
    cdef uint32_t handle
    if partition.wheel == NULL:
        return NULL
    wheel_advance(partition.wheel, &partition.arena, now_ms)
    handle = wheel_next(partition.wheel, &partition.arena, now_ms, looks)
    return NULL if handle == 0 else <Entry*> arena_at(&partition.arena, handle)
