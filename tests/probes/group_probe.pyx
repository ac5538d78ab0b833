# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A connection to a Store, transactions included, whose commands can be made to find no memory."""
from libc.stdint cimport uint64_t

from kvcy._core cimport Store
from kvcy._worker cimport Worker, worker_new
from kvcy.engine.memory cimport memory_fail_after, memory_fail_never
from kvcy.protocol.writer cimport writer_room


cdef class Connection:
    """An executor of its own, whose group has grown for nobody before."""
    cdef Worker worker

    def __init__(self, Store store):
        self.worker = worker_new(store, store.keyspace, store.service)

    def run(self, list arguments):
        """The encoded reply to one command."""
        return self.worker.run(arguments, 0)

    def run_short(self, list arguments, uint64_t allocations):
        """The same, with memory for so many allocations; the reply itself always has room."""
        writer_room(&self.worker.executor.reply, 65536)
        memory_fail_after(allocations)
        try:
            return self.worker.run(arguments, 0)
        finally:
            memory_fail_never()
