# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sending what a Writer holds, blocks included, without copying them (see output.pxd).

    writer.data   |.........|..............|......|
                            ^ marks[0]     ^ marks[1]      the wire: data up to the mark, the block's part, data, ...

The common reply has no marks and is one `send`. Limits: 64 pieces a sendmsg, OUTPUT_TURN_BYTES_MAX bytes a turn.
"""
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove, memset
from kvcy.engine.block cimport block_release
from kvcy.engine.memory cimport memory_drop
from kvcy.engine.platform cimport invariant, load_relaxed_u64, unlikely
from kvcy.protocol.writer cimport (
    Mark, Writer, write_raw, writer_clear, writer_close, writer_init, writer_memory_bytes)
from kvcy.server.limits cimport Limits

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t send(int fd, const void* data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    PIECES_MAX = 64
    COMPACT_BYTES_MIN = 65536      # sent bytes in front of a queue worth removing
    DROP_BYTES_MIN = 262144        # sent bytes whose memory is worth giving back before all is sent
    SHRINK_BYTES = 1048576         # of a queue that nobody will read, given back at a time


cdef size_t output_size(const Writer* writer) noexcept nogil:
    return writer.size + writer.marked_bytes


cdef size_t output_pending(const Output* output) noexcept nogil:
    if output == NULL:
        return 0
    return output.writer.size + output.writer.marked_bytes - output.cursor.bytes_sent


cdef size_t output_memory_bytes(const Output* output) noexcept nogil:
    return 0 if output == NULL else sizeof(Output) + writer_memory_bytes(&output.writer)


cdef bint output_over_limit(Output* output, const Limits* limits, int64_t now_ms) noexcept nogil:
    cdef uint64_t pending = output_pending(output)
    cdef uint64_t hard = load_relaxed_u64(&limits.output_hard_bytes)
    cdef uint64_t soft = load_relaxed_u64(&limits.output_soft_bytes)
    if hard and pending > hard:
        return True
    if not soft or pending <= soft:
        output.soft_since_ms = 0
    elif output.soft_since_ms == 0:
        output.soft_since_ms = now_ms
    else:
        return now_ms - output.soft_since_ms > <int64_t>load_relaxed_u64(&limits.output_soft_ms)
    return False


cdef inline bint add_piece(iovec* at, uint32_t* count, const char* data, size_t length, size_t* size) noexcept nogil:
    """Adds what the turn's share has room for. True: the share is used up."""
    cdef size_t room = OUTPUT_TURN_BYTES_MAX - size[0]
    at[count[0]].iov_base = <void*>data
    at[count[0]].iov_len = length if length < room else room
    size[0] += at[count[0]].iov_len
    count[0] += 1
    return length >= room


cdef uint32_t pieces(const Writer* writer, const Cursor* cursor, iovec* at, size_t* size) noexcept nogil:
    """Collects up to PIECES_MAX pieces from the cursor on; *size is their length, OUTPUT_TURN_BYTES_MAX at most."""
    cdef size_t data_at = cursor.data_sent
    cdef size_t skip = cursor.mark_sent
    cdef uint32_t mark = cursor.mark
    cdef uint32_t count = 0
    cdef size_t end
    cdef const Mark* piece
    size[0] = 0
    while count + 2 <= PIECES_MAX:                   # ends: each round takes a mark or returns
        piece = &writer.marks[mark] if mark < writer.mark_count else NULL
        end = piece.offset if piece != NULL else writer.size
        if end > data_at and add_piece(at, &count, writer.data + data_at, end - data_at, size):
            break
        data_at = end
        if piece == NULL or piece.size > skip \
                and add_piece(at, &count, <const char*>piece.block.data + piece.start + skip, piece.size - skip, size):
            break
        skip = 0
        mark += 1
    return count


cdef void advance(const Writer* writer, Cursor* cursor, size_t size) noexcept nogil:
    """Moves the cursor `size` bytes further."""
    cdef size_t end, part
    cdef const Mark* piece
    cursor.bytes_sent += size
    while True:                      # ends: each round moves over the data before a mark and the mark, or returns
        piece = &writer.marks[cursor.mark] if cursor.mark < writer.mark_count else NULL
        end = piece.offset if piece != NULL else writer.size
        part = end - cursor.data_sent
        if size < part or piece == NULL:
            invariant(size <= part)
            cursor.data_sent += size
            return
        cursor.data_sent = end
        size -= part
        part = piece.size - cursor.mark_sent
        if size < part:
            cursor.mark_sent += size
            return
        size -= part
        cursor.mark += 1
        cursor.mark_sent = 0


cdef SendResult output_send(int fd, const Writer* writer, Cursor* cursor) noexcept nogil:
    cdef iovec at[PIECES_MAX]
    cdef msghdr message
    cdef size_t size
    cdef size_t total = 0
    cdef ssize_t sent
    while cursor.bytes_sent < writer.size + writer.marked_bytes:
        if writer.mark_count == cursor.mark:
            size = writer.size - cursor.data_sent
            if unlikely(size > OUTPUT_TURN_BYTES_MAX):
                size = OUTPUT_TURN_BYTES_MAX
            sent = send(fd, writer.data + cursor.data_sent, size, MSG_NOSIGNAL | MSG_DONTWAIT)
        else:
            memset(&message, 0, sizeof(message))
            message.msg_iovlen = pieces(writer, cursor, at, &size)
            message.msg_iov = at
            sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
        if unlikely(sent < 0):
            if errno == EINTR:
                continue
            return SENT_PART if errno == EAGAIN else SEND_FAILED
        advance(writer, cursor, <size_t>sent)
        total += <size_t>sent
        if <size_t>sent < size or total >= OUTPUT_TURN_BYTES_MAX:
            break
    return SENT_ALL if cursor.bytes_sent == writer.size + writer.marked_bytes else SENT_PART


cdef void output_release_sent(Output* output) noexcept nogil:
    cdef Mark* mark
    while output.released < output.cursor.mark:
        mark = &output.writer.marks[output.released]
        block_release(mark.block)
        mark.block = NULL
        output.released += 1
    if output.cursor.data_sent - output.dropped >= DROP_BYTES_MIN:
        memory_drop(output.writer.data + output.dropped, output.cursor.data_sent - output.dropped)
        output.dropped = output.cursor.data_sent


cdef bint output_shrink(Output* output) noexcept nogil:
    cdef size_t size
    if output == NULL:
        return True
    output_release_sent(output)
    size = output_pending(output)
    if size <= SHRINK_BYTES:
        return True
    advance(&output.writer, &output.cursor, SHRINK_BYTES)
    return False


cdef void drop_sent(Output* output) noexcept nogil:
    """Removes what has been sent from the front of the queue."""
    cdef Writer* writer = &output.writer
    cdef Cursor* cursor = &output.cursor
    cdef size_t gone = cursor.data_sent
    cdef uint32_t marks_gone = cursor.mark
    cdef uint32_t i
    output_release_sent(output)
    output.released = 0
    output.dropped = 0
    for i in range(marks_gone):
        cursor.bytes_sent -= writer.marks[i].size
        writer.marked_bytes -= writer.marks[i].size
    writer.mark_count -= marks_gone
    if writer.mark_count:
        memmove(writer.marks, writer.marks + marks_gone, writer.mark_count * sizeof(Mark))
    for i in range(writer.mark_count):
        writer.marks[i].offset -= gone
    if writer.size > gone:                           # data may be NULL where there are blocks only
        memmove(writer.data, writer.data + gone, writer.size - gone)
    writer.size -= gone
    cursor.bytes_sent -= gone
    cursor.data_sent = 0
    cursor.mark = 0
    invariant(cursor.bytes_sent == cursor.mark_sent)


cdef bint append(Writer* queue, Writer* reply, const Cursor* cursor) noexcept nogil:
    """Moves what the cursor has not passed behind what `queue` holds. The marks' references change hands."""
    cdef uint32_t count = reply.mark_count - cursor.mark
    cdef uint32_t capacity
    cdef size_t shift = queue.size - cursor.data_sent      # may wrap; the sums below do not
    cdef Mark* marks
    cdef Mark* mark
    cdef uint32_t i
    if queue.mark_count + count > queue.mark_capacity:
        capacity = (queue.mark_count + count) * 2
        marks = <Mark*>realloc(queue.marks, capacity * sizeof(Mark))
        if marks == NULL:
            return False
        queue.marks = marks
        queue.mark_capacity = capacity
    write_raw(queue, reply.data + cursor.data_sent, reply.size - cursor.data_sent)
    if queue.failed:
        return False
    for i in range(count):
        mark = &queue.marks[queue.mark_count + i]
        mark[0] = reply.marks[cursor.mark + i]
        mark.offset += shift
        if i == 0:
            mark.start += cursor.mark_sent
            mark.size -= cursor.mark_sent
        queue.marked_bytes += mark.size
    queue.mark_count += count
    # The first marks have been sent, the others have another owner now: writer_clear releases the first ones only.
    reply.mark_count = cursor.mark
    writer_clear(reply)
    return True


cdef bint output_queue(Output** output, Writer* reply, const Cursor* cursor) noexcept nogil:
    cdef Output* queue = output[0]
    cdef bint resp3 = reply.resp3
    if queue == NULL:
        queue = <Output*>calloc(1, sizeof(Output))
        if queue == NULL:
            return False
        output[0] = queue
        if reply.mark_count or reply.size - cursor.data_sent > OUTPUT_STEAL_BYTES_MIN:
            queue.writer = reply[0]
            queue.cursor = cursor[0]
            writer_init(reply)
            reply.resp3 = resp3
            return True
        writer_init(&queue.writer)
    elif queue.cursor.data_sent > COMPACT_BYTES_MIN and queue.cursor.data_sent > queue.writer.size // 2 \
            or queue.cursor.mark > 256:
        drop_sent(queue)
    return append(&queue.writer, reply, cursor)


cdef size_t output_copy(const Output* output, char* place, size_t size) noexcept nogil:
    cdef iovec at[PIECES_MAX]
    cdef size_t all_of_it
    cdef size_t done = 0
    cdef size_t part
    cdef uint32_t count = pieces(&output.writer, &output.cursor, at, &all_of_it)
    cdef uint32_t i
    for i in range(count):
        part = at[i].iov_len if at[i].iov_len < size - done else size - done
        memcpy(place + done, at[i].iov_base, part)
        done += part
    return done


cdef void output_skip(Output* output, size_t size) noexcept nogil:
    advance(&output.writer, &output.cursor, size)


cdef void output_free(Output* output) noexcept nogil:
    if output != NULL:
        writer_close(&output.writer)
        free(output)
