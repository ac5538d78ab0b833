# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The implementation of collector.pxd.

A block is written only here, while its other references are held by pieces of the same collector, and never after
collector_send: so it is immutable for whoever sends it.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from kvcy.engine.block cimport Block, Bytes, block_new, block_release, block_retain
from kvcy.engine.memory cimport memory_free, memory_resize
from kvcy.protocol.writer cimport WRITER_BLOCK_BYTES_MIN, Writer, format_int, write_array, write_raw, write_raw_block

cdef enum:
    FIRST_BLOCK_BYTES = 4096
    LARGEST_BLOCK_BYTES = 262144
    HEADER_BYTES_MAX = 32          # "$", the digits of a length, CR LF
    COPIED_BYTES_MAX = 16384       # a list up to this size is copied into the reply


cdef void collector_init(Collector* collector) noexcept nogil:
    collector.pieces = NULL
    collector.count = 0
    collector.capacity = 0
    collector.room = NULL
    collector.items = 0
    collector.bytes = 0
    collector.failed = False


cdef void collector_close(Collector* collector) noexcept nogil:
    cdef uint32_t at
    for at in range(collector.count):
        block_release(collector.pieces[at].block)
    memory_free(collector.pieces)
    collector_init(collector)


cdef Piece* push_piece(Collector* collector, Block* block, size_t start, size_t size) noexcept nogil:
    """Appends a piece, which takes over one reference of the block (also when it fails); NULL: no memory."""
    cdef Piece* pieces
    cdef uint32_t capacity
    if collector.count == collector.capacity:
        capacity = 2 * collector.capacity if collector.capacity else 4
        pieces = <Piece*> memory_resize(collector.pieces, capacity * sizeof(Piece))
        if pieces == NULL:
            collector.failed = True
            block_release(block)
            return NULL
        collector.pieces = pieces
        collector.capacity = capacity
    pieces = &collector.pieces[collector.count]
    pieces.block = block
    pieces.start = start
    pieces.size = size
    collector.count += 1
    return pieces


cdef Block* larger_room(Collector* collector, size_t size) noexcept nogil:
    """A new block to fill with at least `size` bytes, with its piece; NULL: no memory."""
    cdef size_t capacity = FIRST_BLOCK_BYTES
    cdef Block* block
    if collector.room != NULL:
        capacity = min(4 * collector.room.capacity, <size_t> LARGEST_BLOCK_BYTES)
    block = block_new(max(capacity, size))
    if block == NULL or push_piece(collector, block, 0, 0) == NULL:
        collector.failed = True
        return NULL
    collector.room = block
    return block


cdef char* collector_room(Collector* collector, size_t size) noexcept nogil:
    """Room for `size` bytes behind what has been collected, counted as filled; NULL: no memory."""
    cdef Block* block = collector.room
    cdef Piece* last
    cdef char* place
    if block == NULL or block.capacity - block.size < size:
        block = larger_room(collector, size)
        if block == NULL:
            return NULL
    last = &collector.pieces[collector.count - 1]
    if last.block != block:        # a block that is not ours came in between
        block_retain(block)
        last = push_piece(collector, block, block.size, 0)
        if last == NULL:
            return NULL
    place = block.data + block.size
    block.size += size
    last.size += size
    collector.bytes += size
    return place


cdef void collector_add(Collector* collector, Bytes text) noexcept nogil:
    cdef char header[HEADER_BYTES_MAX]
    cdef size_t header_size
    cdef bint apart = text.block != NULL and text.size >= WRITER_BLOCK_BYTES_MIN
    cdef char* place
    if collector.failed:
        return
    header[0] = c'$'
    header_size = 1 + format_int(header + 1, text.size)
    header[header_size] = c'\r'
    header[header_size + 1] = c'\n'
    header_size += 2
    if not apart:
        place = collector_room(collector, header_size + text.size + 2)
        if place == NULL:
            return
        memcpy(place, header, header_size)
        memcpy(place + header_size, text.data, text.size)
        place += header_size + text.size
    else:
        place = collector_room(collector, header_size)
        if place == NULL:
            return
        memcpy(place, header, header_size)
        block_retain(text.block)
        if push_piece(collector, text.block, text.data - text.block.data, text.size) == NULL:
            return
        collector.bytes += text.size
        place = collector_room(collector, 2)
        if place == NULL:
            return
    place[0] = c'\r'
    place[1] = c'\n'
    collector.items += 1


cdef void collector_add_pair(Collector* collector, Bytes first, Bytes second) noexcept nogil:
    cdef char* place
    if collector.failed:
        return
    place = collector_room(collector, 4)
    if place == NULL:
        return
    memcpy(place, <const char*> b"*2\r\n", 4)
    collector_add(collector, first)
    collector_add(collector, second)
    collector.items -= 1


cdef void collector_send(const Collector* collector, Writer* reply) noexcept nogil:
    cdef uint32_t at
    cdef const Piece* piece
    write_array(reply, collector.items)
    for at in range(collector.count):
        piece = &collector.pieces[at]
        if collector.bytes <= COPIED_BYTES_MAX:
            write_raw(reply, piece.block.data + piece.start, piece.size)
        else:
            write_raw_block(reply, piece.block, piece.start, piece.size)
