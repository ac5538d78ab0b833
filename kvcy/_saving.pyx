# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Making snapshots: the file, its name, and the removal of what it makes needless.

    with a log       blocks are copied beside everything else; replay brings them to one moment (engine/snapshot.pxd)
    without one      nothing would do that: the image is of one moment. Every shard is locked, shared, until the file is
                     written, as Redis blocks in SAVE: reading goes on, changes wait (engine/rwlock.pxd has the
                     exception). It waits for the disk alone, so nothing can lock up.

    by a child       the image is of the moment of the fork, with a log or without (engine/fork.pxd)

A snapshot takes its name when it is on disk and the log is durable up to the last change in it; then, and only then,
older snapshots and the segments before it go, as far as `keep_bytes` lets them. Without a log its position is where the
log ended, so a log that is begun later goes on from there.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from kvcy._conversions cimport clock_ms
from kvcy._core cimport Store
from kvcy.engine.files cimport file_forget_gently
from kvcy.engine.fork cimport ForkResult, fork_possible, snapshot_fork, snapshot_fork_close
from kvcy.engine.log cimport log_appended, log_error, log_kick, log_wait
from kvcy.engine.log_segment cimport segments_remove_before
from kvcy.engine.platform cimport load_relaxed_u64, store_relaxed_u32
from kvcy.engine.shards cimport ShardSet, shards_add_all, shards_clear, shards_lock, shards_unlock
from kvcy.engine.snapshot cimport (
    SNAPSHOT_BASED, SNAPSHOT_UNLOGGED, snapshot_write, snapshot_writer_free, snapshot_writer_new)

import errno
import os
import signal
from contextlib import suppress

from kvcy.engine.directory import NEW_SUFFIX, Directory, refusing, segment_name, snapshot_name
from kvcy.errors import DirectoryError, KvcyError, LogError, SaveStopped

SYNC_BYTES = 16 << 20        # written between two syncs, so that none takes long
UNNAMED = "snapshot" + NEW_SUFFIX

can_fork = fork_possible()


cdef SnapshotWriter* writer_new() except NULL:
    cdef SnapshotWriter* writer = snapshot_writer_new()
    if writer == NULL:
        raise MemoryError("no memory for a snapshot")
    return writer


cdef class Snapshots:
    """The snapshots of a store.

    Args:
        store: what is in them.
        directory: where they go, locked; None: nowhere yet, claim() will say.
        manifest: of the directory that is there, or is to be.
    """

    def __cinit__(self, Store store not None, directory, manifest):
        self.store = store
        self.directory = directory
        self.manifest = manifest
        self.log = NULL

    def claim(self, path: str) -> None:
        """Makes `path` the directory, if there is none yet: locks it and writes the manifest.

        Raises:
            DirectoryInUseError: another process uses it.
            DirectoryError: it cannot be used, or holds other data.
        """
        if self.directory is not None:
            return
        directory = Directory(path)
        try:
            with refusing(f"{directory.path} cannot be used"):
                if directory.read_manifest() is not None:
                    raise DirectoryError(f"{directory.path} holds data that this process has not read; start on it, or "
                                         "choose another 'dir'")
                directory.write_manifest(self.manifest)
        except BaseException:
            directory.close()
            raise
        self.directory = directory

    def save(self, *, bint gives_way=False) -> str:
        """Writes a snapshot and removes what it makes needless; the snapshot's name.

        Blocks; runs without the GIL. With a log the store is used meanwhile; without one, changes wait.
        REQUIRES: there is a directory, and no other thread is in here.

        Args:
            gives_way: pause half of the time, so that who shares a processor is hardly held up.

        Raises:
            SaveStopped: stop() was called.
            LogError: the log is broken, so the snapshot cannot be vouched for.
            DirectoryError: the file could not be written.
            MemoryError: no memory for the writer.
        """
        cdef SnapshotWriter* writer = writer_new()
        cdef SnapshotPlan plan
        cdef int file
        cdef int result = 0
        self.plan_for(&plan)
        plan.quiet = self.log == NULL
        plan.gives_way = gives_way and not plan.quiet
        new = snapshot_name(plan.begin_position) + NEW_SUFFIX
        path = os.path.join(self.directory.path, new)
        try:
            with refusing(f"{path} could not be written"):
                with self.directory.writing(new) as file:
                    with nogil:
                        result = self.write(writer, &plan, file)
                    if result == 0:
                        self.directory.system.sync(file)
                if result == -errno.ECANCELED:
                    raise SaveStopped("the snapshot was given up")
                if result:
                    raise OSError(-result, os.strerror(-result))
                return self.publish(&plan, new)
        except KvcyError:
            with suppress(OSError):
                self.directory.remove(new)
            raise
        finally:
            snapshot_writer_free(writer)

    cdef int plan_for(self, SnapshotPlan* plan) except -1:
        """A plan for a snapshot from now on."""
        cdef bytes history = self.manifest.history
        cdef const char* name = history
        memset(plan, 0, sizeof(SnapshotPlan))
        memcpy(plan.history, name, 16)
        plan.created_ms = clock_ms()
        plan.flags = self.flags if self.log != NULL else SNAPSHOT_UNLOGGED | SNAPSHOT_BASED
        plan.begin_position = log_appended(self.log) if self.log != NULL else self.end
        plan.sync_bytes = SYNC_BYTES
        return 0

    def fork(self) -> ForkedSnapshot:
        """Begins a snapshot in a child process. Its owner waits for it, takes it, and closes it.

        REQUIRES: the main thread calls, the child ends with it; there is a directory; no other snapshot is being made.

        Raises:
            DirectoryError: no child, or no file, could be made.
            MemoryError: no memory for the writer.
        """
        cdef ForkedSnapshot forked = ForkedSnapshot.__new__(ForkedSnapshot)
        cdef SnapshotWriter* writer = writer_new()
        cdef int file
        cdef int result = 0
        self.plan_for(&forked.plan)
        forked.plan.quiet = True
        forked.new = UNNAMED
        forked.received = b""
        forked.snapshots = self
        try:
            with refusing(f"{self.directory.path}/{UNNAMED} could not be made"):
                with self.directory.writing(UNNAMED) as file:
                    with nogil:
                        result = snapshot_fork(&forked.save, writer, self.store.keyspace, file, &forked.plan, self.log)
        finally:
            snapshot_writer_free(writer)
        if result < 0:
            forked.save.pid = 0
            self.directory.remove(UNNAMED)
            raise DirectoryError(f"no child process could be made: {os.strerror(-result)}")
        return forked

    cdef int write(self, SnapshotWriter* writer, SnapshotPlan* plan, int file) noexcept nogil:
        """Writes the file: 0 or a negative errno."""
        cdef ShardSet all_shards
        cdef int result
        if plan.quiet:
            shards_clear(&all_shards)
            shards_add_all(&all_shards, self.store.keyspace)
            shards_lock(self.store.keyspace, &all_shards, False)
        result = snapshot_write(writer, self.store.keyspace, file, plan, &self.progress)
        if plan.quiet:
            shards_unlock(self.store.keyspace, &all_shards, False)
        return result

    @property
    def keys(self) -> int:
        """How many the save() that is under way, or was last, has written."""
        return load_relaxed_u64(&self.progress.keys)

    def prepare(self) -> None:
        """To be called before save(): what stop() does from here on concerns the next snapshot."""
        memset(&self.progress, 0, sizeof(self.progress))

    def stop(self) -> None:
        """Lets a save() that is under way end early. From any thread."""
        store_relaxed_u32(&self.progress.stop, 1)

    def wait(self, uint64_t position) -> bool:
        """Blocks until the log is durable up to `position`; false: it never will be."""
        cdef bint durable
        if self.log == NULL:
            return True
        with nogil:
            log_kick(self.log)
            durable = log_wait(self.log, position)
        return durable

    cdef str publish(self, SnapshotPlan* plan, str new):
        """Names the complete and synced file `new` when the log is durable, and removes what it makes needless."""
        if not self.wait(self.progress.greatest_position):
            raise LogError(f"the log is broken ({os.strerror(log_error(self.log))}): no snapshot can be made")
        name = snapshot_name(plan.begin_position)
        self.directory.publish(name, new)
        self.position = plan.begin_position
        self.bytes = self.progress.bytes
        self.flags = plan.flags & SNAPSHOT_BASED
        self.remove_needless(plan.begin_position, plan.gives_way)
        return name

    cdef int remove_needless(self, uint64_t position, bint gives_way) except -1:
        """Removes what neither the snapshot at `position` nor a restore to one of the `keep_bytes` before it needs."""
        cdef uint64_t target = position - min(self.keep_bytes, position)
        cdef uint64_t segment_bytes = self.manifest.segment_bytes
        cdef uint64_t needed
        cdef int file = self.directory.file
        cdef int result
        snapshots = self.directory.snapshots()
        base = max((one for one in snapshots if one <= target), default=None)
        if base is None:
            return 0  # the log's beginning, or the oldest snapshot, is needed
        if gives_way:
            self.forget([snapshot_name(one) for one in snapshots if one < base])
            self.forget([segment_name(one) for one in self.directory.segments() if one < base // segment_bytes])
        for one in snapshots:
            if one < base:
                self.directory.remove(snapshot_name(one))
                self.directory.sync()  # none may go before an older one: docs/durability.md, "Kept history"
        needed = base
        with nogil:  # the disk may take long, and every command that is answered in Python would wait
            result = segments_remove_before(file, segment_bytes, needed)
        if result < 0:
            raise DirectoryError(
                f"old segments in {self.directory.path} could not be removed: {os.strerror(-result)}")
        return 0

    cdef int forget(self, list names) except -1:
        """Lets the system forget these files before they are removed."""
        cdef int directory = self.directory.file
        cdef bytes name
        cdef const char* text
        for word in names:
            name = word.encode()
            text = name
            with nogil:
                file_forget_gently(directory, text)
        return 0


cdef class ForkedSnapshot:
    """A snapshot that a child process writes; made by Snapshots.fork(). For one thread at a time."""

    @property
    def pid(self) -> int:
        """The child's; 0 after close()."""
        return self.save.pid

    @property
    def pipe(self) -> int:
        """A descriptor that becomes readable when there is something for read()."""
        return self.save.pipe

    @property
    def pause_us(self) -> int:
        """How long the fork kept changes waiting, in microseconds."""
        return self.save.pause_us

    @property
    def cow_bytes(self) -> int:
        """Memory that the child had for itself alone at its end; 0 when it did not say."""
        return self.result.cow_bytes

    @property
    def keys(self) -> int:
        """Written so far."""
        return self.save.progress.keys if self.save.pid else 0

    def read(self) -> bool:
        """Takes what the child has sent; true when it has ended."""
        while True:
            try:
                data = os.read(self.save.pipe, sizeof(ForkResult))
            except BlockingIOError:
                return False
            if not data:
                return True
            self.received += data

    def take(self) -> str:
        """Names the snapshot and removes what it makes needless, as Snapshots.save() does; its name.

        REQUIRES: read() has answered true.

        Raises:
            DirectoryError: the child could not write the file, or was killed.
            LogError: the log is broken, so the snapshot cannot be vouched for.
        """
        cdef const char* data = self.received
        path = f"{self.snapshots.directory.path}/{self.new}"
        if len(self.received) != sizeof(ForkResult):
            raise DirectoryError(f"{path} could not be written: the child process was ended before it had done so")
        memcpy(&self.result, data, sizeof(ForkResult))
        if self.result.error:
            raise DirectoryError(f"{path} could not be written: {os.strerror(-self.result.error)}")
        self.snapshots.progress = self.save.progress[0]
        with refusing(f"{path} could not be named"):
            return self.snapshots.publish(&self.plan, self.new)

    def kill(self) -> None:
        """Ends the child. read() will soon answer true."""
        if self.save.pid:
            os.kill(self.save.pid, signal.SIGKILL)

    def close(self) -> None:
        """Reaps the child, ending it first if need be, and removes the file if it has no name yet."""
        if not self.save.pid:
            return
        self.kill()
        os.waitpid(self.save.pid, 0)
        self.save.pid = 0
        snapshot_fork_close(&self.save)
        with suppress(OSError):
            self.snapshots.directory.remove(self.new)
