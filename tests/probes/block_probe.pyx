# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""engine/block.pxd for the tests."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from kvcy.engine.block cimport (
    Block, block_bytes_total, block_leaves, block_moved, block_new, block_release, block_reserve, block_retain)
from kvcy.engine.block_heap cimport block_heap_plan, block_heap_settle, block_heap_slack
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never


cdef class BlockProbe:
    """One reference of a block, or none where there was no memory."""
    cdef Block* block

    def __cinit__(self, capacity: int | None = None) -> None:
        if capacity is not None:
            self.block = block_new(capacity)

    def __dealloc__(self) -> None:
        self.release()

    def release(self) -> None:
        if self.block != NULL:
            block_release(self.block)
            self.block = NULL

    def share(self) -> BlockProbe:
        """A second reference."""
        cdef BlockProbe other = BlockProbe()
        block_retain(self.block)
        other.block = self.block
        return other

    def reserve(self, size_t capacity) -> bool:
        cdef Block* block = block_reserve(self.block, capacity)
        if block == NULL:
            return False
        self.block = block
        return True

    def move(self) -> bool:
        """Whether a plan wanted the block elsewhere, and it is there now."""
        cdef Block* block = self.block
        if block.references == 1 and block_leaves(block):
            self.block = block_moved(block)
        return self.block != block

    def append(self, bytes data) -> None:
        assert self.block.size + len(data) <= self.block.capacity
        memcpy(&self.block.data[self.block.size], <const char*> data, len(data))
        self.block.size += len(data)

    @property
    def content(self) -> bytes:
        return self.block.data[:self.block.size]

    @property
    def capacity(self) -> int:
        return self.block.capacity

    @property
    def address(self) -> int:
        return <size_t> self.block

    @property
    def references(self) -> int:
        return self.block.references

    def __bool__(self) -> bool:
        return self.block != NULL


def bytes_total() -> int:
    """Bytes of all blocks of the process."""
    return block_bytes_total()


def slack() -> int:
    """Bytes of slabs that are resident and not in use."""
    return block_heap_slack()


def plan() -> bool:
    return block_heap_plan()


def settle() -> None:
    block_heap_settle()


def fail_after(uint64_t count) -> None:
    memory_fail_after(count)


def fail_never() -> None:
    memory_fail_never()
