# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A replay whose threads a test puts in order: the reader's last step may be taken back and given again."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from kvcy._core cimport Store
from kvcy.engine.futex cimport add_ordered_u32, futex_wake, load_ordered_u32
from kvcy.engine.log_reader cimport LogReader, reader_close, reader_open
from kvcy.engine.replay_stream cimport ReplayStream, stream_close, stream_init, stream_read, stream_work


cdef class Stream:
    """Replays a log from its beginning into an empty store."""
    cdef Store store
    cdef ReplayStream* stream
    cdef LogReader* reader

    def __cinit__(
            self, Store store not None, int directory, bytes history not None, uint64_t segment_bytes,
            uint32_t workers):
        cdef int error = 0
        self.store = store
        self.stream = <ReplayStream*> malloc(sizeof(ReplayStream))
        if self.stream == NULL or not stream_init(self.stream, store.keyspace, NULL, workers, 0):
            raise MemoryError
        self.reader = reader_open(directory, <const unsigned char*> <const char*> history, segment_bytes, 0, &error)
        if self.reader == NULL:
            raise OSError(error, "reader_open")

    def __dealloc__(self) -> None:
        if self.reader != NULL:
            reader_close(self.reader)
        if self.stream != NULL:
            stream_close(self.stream)
            free(self.stream)

    def read(self) -> None:
        """The reader's thread."""
        with nogil:
            stream_read(self.stream, self.reader)

    def work(self, uint32_t number) -> None:
        """A worker's thread."""
        with nogil:
            stream_work(self.stream, number)

    def take_back_the_end(self) -> None:
        """As it is just before read() counts the end: all chunks are there, and `ended` is set."""
        add_ordered_u32(&self.stream.produced, <uint32_t> -1)

    def give_the_end(self) -> None:
        add_ordered_u32(&self.stream.produced, 1)
        futex_wake(&self.stream.produced)

    def consumed(self, uint32_t number) -> int:
        """Chunks that a worker is done with."""
        return load_ordered_u32(&self.stream.consumed[number])

    @property
    def total(self) -> int:
        return self.stream.total

    @property
    def failed(self) -> bool:
        return self.stream.failed != 0
