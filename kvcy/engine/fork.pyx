# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The forked snapshot: see fork.pxd.

Signals are blocked around the fork: a handler in the child would write to what both share. The child gives those that
its parent handles their usual effect, and lets them in again.
"""
from libc.stdint cimport uint64_t

from kvcy.engine.clock cimport monotonic_ns
from kvcy.engine.files cimport file_sync
from kvcy.engine.log cimport Log, log_appended
from kvcy.engine.shards cimport Keyspace, ShardSet, shards_add_all, shards_clear, shards_lock, shards_unlock
from kvcy.engine.snapshot cimport SnapshotPlan, SnapshotProgress, SnapshotWriter, snapshot_write

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <signal.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/resource.h>
    #include <sys/types.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #endif
    #if defined(__linux__) && defined(SYS_close_range) && defined(PR_SET_PDEATHSIG)
    #define KVCY_CAN_FORK 1
    #endif

    static int kvcy_close_range(unsigned first, unsigned last) {
    #ifdef KVCY_CAN_FORK
        return first > last ? 0 : (int) syscall(SYS_close_range, first, last, 0);
    #else
        (void) first;
        (void) last;
        errno = ENOSYS;
        return -1;
    #endif
    }

    /* A range without any descriptor: closes none, but for ENOSYS. */
    static int kvcy_fork_possible(void) { return kvcy_close_range(~0u, ~0u) == 0; }

    static int kvcy_fork_pipe(int* ends) {
        if (pipe(ends) != 0)
            return -errno;
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        return 0;
    }

    static void* kvcy_fork_share(size_t size) {
        void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }

    /* fork(2) with all signals blocked in the child; 0 there. */
    static int kvcy_fork(void) {
        sigset_t all, old;
        pid_t child;
        int error;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        child = fork();
        error = errno;
        if (child != 0)
            pthread_sigmask(SIG_SETMASK, &old, NULL);
        return child < 0 ? -error : (int) child;
    }

    /* What the child does first. */
    static void kvcy_fork_settle(int parent, int file, int pipe_end, int niceness) {
        unsigned low = (unsigned) (file < pipe_end ? file : pipe_end);
        unsigned high = (unsigned) (file < pipe_end ? pipe_end : file);
        sigset_t none;
        int number;
    #ifdef KVCY_CAN_FORK
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    #endif
        if (getppid() != parent)
            _exit(1);
        if ((low > 0 && kvcy_close_range(0, low - 1) != 0) || kvcy_close_range(low + 1, high - 1) != 0
                || kvcy_close_range(high + 1, ~0u) != 0)
            _exit(1);
        for (number = 1; number < NSIG; number++) {
            struct sigaction action;
            if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                signal(number, SIG_DFL);
        }
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        setpriority(PRIO_PROCESS, 0, niceness);
    }

    /* Of this process, from /proc; 0 where the system does not tell. Calls nothing but the system. */
    static uint64_t kvcy_private_dirty_bytes(void) {
        char text[4096];
        const char* found;
        ssize_t size;
        int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return 0;
        size = read(file, text, sizeof(text) - 1);
        close(file);
        if (size <= 0)
            return 0;
        text[size] = 0;
        found = strstr(text, "Private_Dirty:");
        return found == NULL ? 0 : strtoull(found + 14, NULL, 10) * 1024;
    }
    """
    bint kvcy_fork_possible() nogil
    int kvcy_fork_pipe(int* ends) nogil
    void* kvcy_fork_share(size_t size) nogil
    int kvcy_fork() nogil
    void kvcy_fork_settle(int parent, int file, int pipe_end, int niceness) nogil
    uint64_t kvcy_private_dirty_bytes() nogil

cdef extern from "<unistd.h>" nogil:
    int getpid()
    int close(int file)
    ssize_t write(int file, const void* data, size_t size)
    void _exit(int status)

cdef extern from "<sys/mman.h>" nogil:
    int munmap(void* memory, size_t size)

cdef extern from "<errno.h>" nogil:
    const int ENOMEM


cdef bint fork_possible() noexcept nogil:
    return kvcy_fork_possible()


cdef void child_run(SnapshotWriter* writer, Keyspace* keyspace, int file, const SnapshotPlan* plan,
                    SnapshotProgress* progress, int pipe_end) noexcept nogil:
    """The rest of the child's life."""
    cdef ForkResult result
    result.reserved = 0
    result.error = snapshot_write(writer, keyspace, file, plan, progress)
    if result.error == 0:
        result.error = file_sync(file)
    result.cow_bytes = kvcy_private_dirty_bytes()
    _exit(0 if write(pipe_end, &result, sizeof(ForkResult)) == sizeof(ForkResult) else 1)


cdef int snapshot_fork(ForkedSave* save, SnapshotWriter* writer, Keyspace* keyspace, int file, SnapshotPlan* plan,
                       const Log* log) noexcept nogil:
    cdef ShardSet all_shards
    cdef int ends[2]
    cdef int parent = getpid()
    cdef int error = kvcy_fork_pipe(ends)
    cdef uint64_t began_us
    if error < 0:
        return error
    save.pipe = ends[0]
    save.progress = <SnapshotProgress*> kvcy_fork_share(sizeof(SnapshotProgress))
    if save.progress == NULL:
        close(ends[0])
        close(ends[1])
        return -ENOMEM
    shards_clear(&all_shards)
    shards_add_all(&all_shards, keyspace)
    began_us = monotonic_ns() // 1000
    shards_lock(keyspace, &all_shards, False)
    if log != NULL:
        plan.begin_position = log_appended(log)
    save.pid = kvcy_fork()
    if save.pid == 0:
        kvcy_fork_settle(parent, file, ends[1], FORK_NICE)
        child_run(writer, keyspace, file, plan, save.progress, ends[1])
    shards_unlock(keyspace, &all_shards, False)
    save.pause_us = monotonic_ns() // 1000 - began_us
    close(ends[1])
    if save.pid < 0:
        snapshot_fork_close(save)
        return save.pid
    return 0


cdef void snapshot_fork_close(ForkedSave* save) noexcept nogil:
    close(save.pipe)
    munmap(save.progress, sizeof(SnapshotProgress))
