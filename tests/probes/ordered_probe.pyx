# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/ordered.pxd for the tests: an index over entries that are nothing but keys, in an arena of its own."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvcy.engine.arena cimport Arena, arena_alloc, arena_at, arena_clear, arena_free
from kvcy.engine.block cimport Block, Bytes, block_new, block_release
from kvcy.engine.entry cimport ENTRY_KEY_APART, ENTRY_KEY_INLINE_MAX, Entry, entry_key, entry_key_block
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.engine.node cimport NODE_BYTES, Node, node_children, node_handles, node_max
from kvcy.engine.ordered cimport (
    OrderedPlace, ordered_bytes, ordered_count, ordered_entry, ordered_free, ordered_insert, ordered_moved,
    ordered_new, ordered_ready, ordered_remove, ordered_seek, ordered_seek_buffered, ordered_step)
from kvcy.engine.ordered_bound cimport (
    EDGE_EXCLUSIVE, EDGE_HIGHEST, EDGE_INCLUSIVE, EDGE_LOWEST, OrderedBound, OrderedEdge, ordered_beyond)
from kvcy.engine.ordered_buffer cimport (
    BUFFER_BUCKET_ITEMS_MAX, BUFFER_BUCKETS_MAX, BUFFER_CHUNK_ITEMS, BUFFER_CHUNKS_MAX, BUFFER_NEW_MAX, BUFFER_NONE,
    BufferItem, OrderedBuffer, buffer_chunk, buffer_first_items)
from kvcy.engine.ordered_compact cimport ordered_compact
from kvcy.engine.ordered_index cimport OrderedIndex, ordered_node
from kvcy.engine.ordered_merge cimport ordered_make_room
from kvcy.engine.ordered_search cimport buffer_count, buffer_next
from kvcy.engine.pages cimport PAGE_BYTES, PagePool, pool_close, pool_init
from kvcy.engine.quiet cimport quiet_reclaim

EDGES = {"lowest": EDGE_LOWEST, "[": EDGE_INCLUSIVE, "(": EDGE_EXCLUSIVE, "highest": EDGE_HIGHEST}

cdef enum:
    NODE_WORD_BYTES = 4
    NODE_WORD_DIGITS = 8
    ITEM_KEY_BYTES = 12


cdef bytes key_bytes(const Entry* entry):
    cdef Bytes key = entry_key(entry)
    return key.data[:key.size]


cdef class OrderedProbe:
    cdef PagePool pool
    cdef Arena entries
    cdef OrderedIndex* index
    cdef dict handles            # of keys

    def __cinit__(self) -> None:
        pool_init(&self.pool)
        memset(&self.entries, 0, sizeof(Arena))
        self.handles = {}
        self.index = ordered_new(&self.entries, &self.pool)
        if self.index == NULL:
            raise MemoryError

    def __dealloc__(self) -> None:
        for handle in self.handles.values():
            self.release(handle)
        ordered_free(self.index)
        arena_clear(&self.entries, &self.pool)
        pool_close(&self.pool)
        quiet_reclaim(<uint64_t> -1)

    cdef Entry* entry(self, uint32_t handle) noexcept:
        return <Entry*> arena_at(&self.entries, handle)

    cdef void release(self, uint32_t handle) noexcept:
        if self.entry(handle).meta >> 28 & ENTRY_KEY_APART:
            block_release(entry_key_block(self.entry(handle)))

    cdef uint32_t make(self, bytes key):
        cdef size_t size = len(key)
        cdef uint32_t handle
        cdef Entry* entry
        cdef Block* block
        if size > ENTRY_KEY_INLINE_MAX:
            block = block_new(size)
            memcpy(block.data, <const char*> key, size)
            block.size = size
            handle = arena_alloc(&self.entries, &self.pool, sizeof(Entry) + 8)
            entry = self.entry(handle)
            entry.meta = <uint32_t> ENTRY_KEY_APART << 28
            (<Block**> (entry + 1))[0] = block
            return handle
        handle = arena_alloc(&self.entries, &self.pool, sizeof(Entry) + size)
        entry = self.entry(handle)
        entry.meta = <uint32_t> size
        memcpy(<char*> (entry + 1), <const char*> key, size)
        return handle

    def insert(self, bytes key) -> bool:
        """False: there was no memory, and nothing was changed."""
        cdef uint32_t handle
        if not ordered_ready(self.index):
            return False
        handle = self.make(key)
        ordered_insert(self.index, handle, key, len(key))
        self.handles[key] = handle
        return True

    def insert_without_memory(self, bytes key, uint64_t allowed=0) -> bool:
        """As insert, while all allocations but the first few fail."""
        memory_fail_after(allowed)
        self.pool.bytes_limit = max(1, allowed and self.pool.bytes_used + PAGE_BYTES * allowed)
        try:
            ready = ordered_ready(self.index)
        finally:
            memory_fail_never()
            self.pool.bytes_limit = 0
        return self.insert(key) if ready else False

    def remove(self, bytes key) -> None:
        cdef uint32_t handle = self.handles.pop(key)
        ordered_remove(self.index, handle)
        self.release(handle)
        memset(self.entry(handle), 0xEE, sizeof(Entry))      # nobody may look at it any more
        arena_free(&self.entries, &self.pool, handle)

    def move(self, bytes key) -> None:
        """Give the entry another cell."""
        cdef uint32_t old = self.handles[key]
        cdef uint32_t new = self.make(key)
        ordered_moved(self.index, old, new)
        self.release(old)
        memset(self.entry(old), 0xEE, sizeof(Entry))
        arena_free(&self.entries, &self.pool, old)
        self.handles[key] = new

    def make_room(self) -> None:
        """Put the buffer's new keys into their buckets; some of these go into the tree if there is no room."""
        assert ordered_make_room(self.index)

    def buffered(self) -> list[bytes]:
        """The keys of the buffer, as they lie there."""
        return [key_bytes(self.entry(handle)) for handle, _ in self.items(None)]

    def buckets(self) -> int:
        return self.index.buffer.buckets

    cdef list items(self, bucket):
        """Handles and numbers of a bucket's items (with None of all, the new ones first)."""
        cdef const OrderedBuffer* buffer = &self.index.buffer
        cdef const BufferItem* chunk
        cdef uint32_t at, number, count
        found = []
        if bucket is None:
            for at in range(buffer.fresh):
                found.append((buffer.items[at].handle, numbers(&buffer.items[at])))
            for number in range(buffer.buckets):
                found += self.items(number)
            return found
        at = bucket
        number = buffer.firsts[at]
        count = buffer_first_items(buffer, at)
        while number:
            chunk = buffer_chunk(buffer, number)
            for at in range(count):
                found.append((chunk[at].handle, numbers(&chunk[at])))
            count = BUFFER_CHUNK_ITEMS
            number = buffer.nexts[number]
        return found

    def walk(self, low: tuple[str, bytes], high: tuple[str, bytes], bint reverse) -> list[bytes]:
        """The keys from one end of the range to the other."""
        cdef OrderedBound start = bound(high if reverse else low)
        cdef OrderedBound stop = bound(low if reverse else high)
        found = self.walk_from(ordered_seek(self.index, &start, reverse), &stop, reverse)
        others = self.walk_from(ordered_seek_buffered(self.index, &start, reverse), &stop, reverse)
        for keys in (found, others):
            assert keys == sorted(set(keys), reverse=reverse)
        return sorted(found + others, reverse=reverse)

    cdef list walk_from(self, OrderedPlace place, const OrderedBound* stop, bint reverse):
        found = []
        while place.node and not ordered_beyond(ordered_entry(self.index, place), stop, reverse):
            found.append(key_bytes(ordered_entry(self.index, place)))
            place = ordered_step(self.index, place, reverse)
        return found

    def count(self, low: tuple[str, bytes], high: tuple[str, bytes], uint32_t leaves_max) -> int:
        """How many keys the range has, the tree's counted in slices."""
        cdef OrderedBound start = bound(low)
        cdef OrderedBound stop = bound(high)
        cdef OrderedPlace first = ordered_seek(self.index, &start, False)
        cdef OrderedPlace last = ordered_seek(self.index, &stop, True)
        cdef uint32_t at = buffer_next(&self.index.buffer, &self.entries, BUFFER_NONE, &start, &stop)
        cdef uint64_t total = 0
        while at != <uint32_t> BUFFER_NONE:
            total += 1
            at = buffer_next(&self.index.buffer, &self.entries, at, &start, &stop)
        assert total == buffer_count(&self.index.buffer, &self.entries, &start, &stop)
        if not first.node or not last.node or ordered_beyond(ordered_entry(self.index, first), &stop, False):
            return total
        while first.node:
            total += ordered_count(self.index, &first, last, leaves_max)
        return total

    def compact(self) -> bool:
        """Empty one page that is hardly used; whether there may be more."""
        return ordered_compact(self.index)

    def memory_bytes(self) -> int:
        return ordered_bytes(self.index)

    def page_bytes(self) -> int:
        return self.index.nodes.page_bytes

    def nodes_in_use_bytes(self) -> int:
        return self.index.nodes.used_bytes

    def skip(self) -> int:
        """Bytes that all keys of the buffer share, and that it keeps once."""
        return self.index.buffer.skip

    def height(self) -> int:
        return self.index.height

    def check(self) -> None:
        """Every invariant that ordered.pxd and ordered_buffer.pxd state."""
        keys = self.check_level(self.index.root, self.index.height - 1, True)
        assert keys == sorted(keys)
        keys += self.check_buffer()
        assert len(keys) == self.index.count == len(self.handles)
        assert sorted(keys) == sorted(self.handles)
        leaves = self.check_links()
        spare = 0
        id = self.index.spare
        while id:
            spare += 1
            id = ordered_node(self.index, id).next
        assert spare == self.index.spare_count
        assert self.index.nodes.used_bytes == (leaves + spare) * NODE_BYTES, "a node was lost"

    cdef list check_buffer(self):
        cdef const OrderedBuffer* buffer = &self.index.buffer
        cdef uint32_t at, number
        assert buffer.fresh <= BUFFER_NEW_MAX
        assert buffer.chunks <= BUFFER_CHUNKS_MAX
        assert 1 <= buffer.buckets <= BUFFER_BUCKETS_MAX
        assert buffer.lows[0] == 0
        chunks = total = 0
        for at in range(buffer.buckets):
            held = self.items(at)
            assert len(held) == buffer.counts[at] <= BUFFER_BUCKET_ITEMS_MAX
            assert (buffer.firsts[at] != 0) == (len(held) > 0)
            words = [made >> 32 for _, made in held]
            assert all(buffer.lows[at] <= word for word in words)
            if at + 1 < buffer.buckets:
                assert buffer.lows[at] <= buffer.lows[at + 1]
                assert all(word <= buffer.lows[at + 1] for word in words)
            chunks += (len(held) + BUFFER_CHUNK_ITEMS - 1) // BUFFER_CHUNK_ITEMS
            total += len(held)
        assert total == buffer.count
        number = buffer.spare
        while number:
            chunks += 1
            number = buffer.nexts[number]
        assert chunks == buffer.chunks, "a chunk was lost"
        keys = []
        for handle, made in self.items(None):
            key = key_bytes(self.entry(handle))
            assert self.handles[key] == handle
            assert key.startswith(buffer.prefix[:buffer.skip])
            assert made == word(key, buffer.skip, ITEM_KEY_BYTES)
            keys.append(key)
        return keys

    cdef list check_level(self, uint32_t id, uint32_t level, bint root):
        cdef const Node* node = ordered_node(self.index, id)
        cdef uint32_t at
        assert node.level == level
        assert node.count <= node_max(node)
        assert node.count > (0 if level or not root else -1)
        assert not (root and level) or node.count > 1
        keys = []
        for at in range(node.count):
            key = key_bytes(self.entry(node_handles(node)[at]))
            assert self.handles[key] == node_handles(node)[at]
            assert key.startswith(node.prefix[:node.skip])
            assert node.words[at] == node_word(node, key)
            if level:
                below = self.check_level(node_children(node)[at], level - 1, False)
                assert below[0] == key
                keys += below
            else:
                keys.append(key)
        return keys

    def digit_leaves(self) -> int:
        """How many leaves have digits for words."""
        cdef const Node* node = ordered_node(self.index, self.index.root)
        leaves = 0
        while node.level:
            node = ordered_node(self.index, node_children(node)[0])
        while True:
            leaves += node.digits
            if node.next == 0:
                return leaves
            node = ordered_node(self.index, node.next)

    cdef int check_links(self) except -1:
        """Walks every level from end to end in both directions; how many nodes there are."""
        cdef uint32_t id = self.index.root
        cdef uint32_t before, at, child
        cdef const Node* node
        cdef int nodes = 0
        level = [id]
        while True:
            before = 0
            for each in level:
                node = ordered_node(self.index, each)
                nodes += 1
                assert node.previous == before
                if before:
                    assert ordered_node(self.index, before).next == <uint32_t> each
                before = each
            assert ordered_node(self.index, before).next == 0
            if ordered_node(self.index, before).level == 0:
                return nodes
            below = []
            for each in level:
                node = ordered_node(self.index, each)
                for at in range(node.count):
                    child = node_children(node)[at]
                    below.append(child)
            level = below


cdef object numbers(const BufferItem* item):
    return <object> item.word << 32 | item.more


cdef object node_word(const Node* node, bytes key):
    digits = key[node.skip:node.skip + NODE_WORD_DIGITS]
    if not node.digits:
        return word(key, node.skip, NODE_WORD_BYTES)
    assert len(digits) == NODE_WORD_DIGITS and all(digit >> 4 == 3 for digit in digits)
    return int("".join(f"{digit & 15:x}" for digit in digits), 16)


cdef object word(bytes key, uint32_t skip, int size):
    """The bytes behind `skip` as a number, filled up with zeros."""
    return int.from_bytes(key[skip:skip + size].ljust(size, b"\0"), "big")


cdef OrderedBound bound(tuple which):
    """REQUIRES: `which` outlives it."""
    cdef OrderedBound made
    made.edge = <OrderedEdge> <int> EDGES[which[0]]
    made.data = <const char*> <bytes> which[1]
    made.size = len(which[1])
    return made
