# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""server/output.pxd for the tests."""
from libc.string cimport memcpy, memset

from kvcy.engine.block cimport Block, block_bytes_total, block_new, block_release
from kvcy.protocol.writer cimport Writer, write_raw, write_raw_block, writer_clear, writer_close, writer_init
from kvcy.server.limits cimport ClientLimits
from kvcy.server.output cimport (
    OUTPUT_TURN_BYTES_MAX, SEND_FAILED, SENT_ALL, Cursor, Output, SendResult, output_copy, output_free,
    output_over_limit, output_pending, output_queue, output_release_sent, output_send, output_shrink, output_skip,
)

TURN_BYTES = OUTPUT_TURN_BYTES_MAX


def blocks_bytes() -> int:
    """Memory that all blocks of the process hold."""
    return block_bytes_total()


cdef class OutputProbe:
    """A reply writer, as an executor has one, and a connection's queue."""
    cdef Writer reply
    cdef Output* queue

    def __cinit__(self):
        writer_init(&self.reply)

    def __dealloc__(self):
        writer_close(&self.reply)
        output_free(self.queue)

    def write(self, data: bytes) -> None:
        write_raw(&self.reply, data, len(data))

    def write_block(self, data: bytes, start: int, size: int) -> None:
        """Bytes [start, start + size) of a block that holds `data`."""
        cdef Block* block = block_new(len(data))
        memcpy(block.data, <const char*> data, len(data))
        block.size = len(data)
        write_raw_block(&self.reply, block, start, size)
        block_release(block)

    def send(self, int fd) -> str:
        """Sends the reply, or queues what was not taken, as a reactor does."""
        cdef Cursor cursor
        cdef SendResult result
        memset(&cursor, 0, sizeof(cursor))
        if self.queue != NULL:
            assert output_queue(&self.queue, &self.reply, &cursor)
            return "queued"
        result = output_send(fd, &self.reply, &cursor)
        if result == SENT_ALL:
            writer_clear(&self.reply)
            return "all"
        if result == SEND_FAILED:
            return "failed"
        assert output_queue(&self.queue, &self.reply, &cursor)
        return "part"

    def send_queue(self, int fd) -> str:
        cdef SendResult result
        if self.queue == NULL:
            return "empty"
        result = output_send(fd, &self.queue.writer, &self.queue.cursor)
        if result == SENT_ALL:
            output_free(self.queue)
            self.queue = NULL
            return "all"
        return "failed" if result == SEND_FAILED else "part"

    def put_aside(self) -> None:
        """Queues the reply without sending any of it."""
        cdef Cursor cursor
        memset(&cursor, 0, sizeof(cursor))
        assert output_queue(&self.queue, &self.reply, &cursor)

    def take(self, size_t size) -> bytes:
        """Copies from the queue, and marks as sent, up to `size` bytes."""
        cdef bytearray place = bytearray(size)
        if self.queue == NULL:
            return b""
        size = output_copy(self.queue, place, size)
        output_skip(self.queue, size)
        output_release_sent(self.queue)
        return bytes(place[:size])

    def shrink(self) -> bool:
        return output_shrink(self.queue)

    def pending(self) -> int:
        return output_pending(self.queue)

    def queued_bytes(self) -> int:
        """Bytes that the queue's own buffer holds, sent ones included."""
        return 0 if self.queue == NULL else self.queue.writer.size

    def over_limit(self, ClientLimits limits, long now_ms) -> bool:
        return output_over_limit(self.queue, &limits.limits, now_ms)
