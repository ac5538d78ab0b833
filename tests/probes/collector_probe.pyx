# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""commands/collector.pxd for the tests: collects texts and sends them to a writer."""
from libc.stdint cimport UINT64_MAX, uint64_t
from libc.string cimport memcpy

from kvcy.commands.collector cimport Collector, collector_add, collector_close, collector_init, collector_send
from kvcy.engine.block cimport Block, Bytes, block_bytes_total, block_new, block_release
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.protocol.writer cimport Mark, Writer, writer_close, writer_init


def fail_after(uint64_t count) -> None:
    """The engine's allocations fail after some more have succeeded."""
    memory_fail_after(count)


def fail_never() -> None:
    """They succeed again."""
    memory_fail_never()


def held_bytes() -> int:
    """Bytes of all blocks of the process."""
    return block_bytes_total()


cdef bytes output(const Writer* writer):
    """What the writer would send."""
    cdef size_t at = 0, marked
    cdef const Mark* mark
    parts = []
    for marked in range(writer.mark_count):
        mark = &writer.marks[marked]
        parts += [writer.data[at:mark.offset], (mark.block.data + mark.start)[:mark.size]]
        at = mark.offset
    return b"".join([*parts, writer.data[at:writer.size]])


cdef void add(Collector* collector, bytes text, bint apart):
    """Collects the text, from a block of its own if `apart`."""
    cdef Bytes view
    cdef Block* block = NULL
    view.data = text
    view.size = len(text)
    view.block = NULL
    if apart:
        block = block_new(view.size)
        memcpy(block.data, view.data, view.size)
        block.size = view.size
        view.data = block.data
        view.block = block
    collector_add(collector, view)
    if apart:
        block_release(block)


def collect(list texts, bint apart=False, uint64_t fail_after=UINT64_MAX) -> tuple:
    """The reply for the texts and how many parts of it were not copied; None when memory ended after some allocations.

    The collector is closed before the reply is read, as a command does.
    """
    cdef Collector collector
    cdef Writer writer
    collector_init(&collector)
    writer_init(&writer)
    if fail_after != UINT64_MAX:
        memory_fail_after(fail_after)
    for text in texts:
        add(&collector, text, apart)
    memory_fail_never()
    failed = collector.failed
    if not failed:
        collector_send(&collector, &writer)
    collector_close(&collector)
    result = None if failed else (output(&writer), writer.mark_count)
    writer_close(&writer)
    return result
