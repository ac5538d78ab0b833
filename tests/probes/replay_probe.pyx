# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A replay into an empty store that is told how far it has come, and what its tables had to copy."""
from libc.stdint cimport uint32_t

from kvcy._core cimport Store
from kvcy.engine.partition cimport Partition
from kvcy.engine.replay cimport REPLAYED, Replay, replay_init, replay_record, replay_reserve, replay_settle
from kvcy.engine.table cimport table_count

from probes.operations_probe import encode


def tables(Store store not None) -> list[tuple[int, int]]:
    """Where each shard's table of database 0 lies, and how many entries it has."""
    cdef const Partition* partition
    cdef uint32_t shard
    found = []
    for shard in range(store.keyspace.shard_count):
        partition = store.keyspace.shards[shard].partitions[0]
        if partition == NULL:
            found.append((0, 0))
        else:
            found.append((<size_t> partition.table.main.at, table_count(&partition.table)))
    return found


def copied_by_reserving(Store store not None, uint32_t keys, uint32_t step) -> int:
    """Replays so many new keys, and before every `step` of them reserves room for what is expected; returns how many
    entries that has copied to larger tables."""
    cdef Replay replay
    cdef bytes data
    cdef uint32_t done, number
    copied = 0
    replay_init(&replay, store.keyspace, NULL, 0, 1, 1_000_000)
    for done in range(0, keys, step):
        before = tables(store)
        replay_reserve(&replay, done, keys)
        for (place, count), (place_now, _) in zip(before, tables(store), strict=True):
            if place != place_now:
                copied += count
        for number in range(done, min(done + step, keys)):
            data = encode([("put", 0, b"key:%d" % number, 0, False, b"value")])
            if replay_record(&replay, data, len(data), number) != REPLAYED or replay_settle(&replay) != REPLAYED:
                raise MemoryError
    return copied
