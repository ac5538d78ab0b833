# cython: language_level=3
"""Sending what a Writer holds: its buffer and, in between, the blocks its marks name, without copying them.

A Cursor says how far a writer has been sent. A connection has an Output only while the kernel has not taken all of its
replies; it owns the writer in it (buffer and block references).
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from kvcy.protocol.writer cimport Writer
from kvcy.server.limits cimport Limits

cdef enum:
    OUTPUT_STEAL_BYTES_MIN = 16384       # more than this left: the reply's buffer itself moves to the connection
    OUTPUT_TURN_BYTES_MAX = 131072       # sent to one client in one turn

cdef enum SendResult:
    SENT_ALL = 0
    SENT_PART = 1          # the kernel takes no more now, or the turn's share is used up
    SEND_FAILED = 2        # the connection is broken

cdef struct Cursor:
    size_t data_sent       # bytes of writer.data
    uint32_t mark          # the next mark, or the one under way
    size_t mark_sent       # bytes of it
    size_t bytes_sent      # in all

cdef struct Output:
    Writer writer
    Cursor cursor
    uint32_t released      # of the marks that have been sent: their blocks are released
    size_t dropped         # bytes of writer.data that have been sent, and whose memory was given back
    int64_t soft_since_ms  # since when it has been above the soft limit, 0 when it is not

cdef size_t output_size(const Writer* writer) noexcept nogil           # bytes to send in all
# Bytes a connection still has to send; 0 for NULL.
cdef size_t output_pending(const Output* output) noexcept nogil
# What it takes: its buffer and marks, not the blocks; 0 for NULL.
cdef size_t output_memory_bytes(const Output* output) noexcept nogil
# Whether client-output-buffer-limit says that the client must be closed.
cdef bint output_over_limit(Output* output, const Limits* limits, int64_t now_ms) noexcept nogil
# Sends from the cursor on.
cdef SendResult output_send(int fd, const Writer* writer, Cursor* cursor) noexcept nogil
# Gives back the blocks and the memory of what has been sent: in each turn some, rather than very much at the end.
cdef void output_release_sent(Output* output) noexcept nogil
# Gives back some of what will not be sent any more; whether little is left, which output_free frees. NULL: nothing is.
cdef bint output_shrink(Output* output) noexcept nogil
# Moves what the cursor has not passed from `reply` behind what *output holds (made if NULL), and leaves `reply` empty.
# False: no memory, the connection must be closed.
cdef bint output_queue(Output** output, Writer* reply, const Cursor* cursor) noexcept nogil
# Copies up to `size` bytes from the cursor on; how many. The cursor stays.
cdef size_t output_copy(const Output* output, char* place, size_t size) noexcept nogil
# Moves the cursor over `size` bytes, which have been sent.
cdef void output_skip(Output* output, size_t size) noexcept nogil
cdef void output_free(Output* output) noexcept nogil                   # NULL is fine
