/* Times the turns of event loops: what a thread does between two calls of epoll_wait. To be preloaded.

   Into the file that TURN_TIMES names, a slot a thread: its id, its turns, and of the longest turn since somebody wrote
   zeros there the processor time and the time by the clock on the wall. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 64 };

struct slot {
    int64_t thread, turns, cpu_ns_max, wall_ns_max;
};

typedef int wait_function(int, struct epoll_event *, int, int);

static struct slot *slots;
static int32_t used;
static wait_function *real_wait;
static __thread struct slot *own;
static __thread int64_t cpu_began, wall_began;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TURN_TIMES");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *place = file < 0 ? MAP_FAILED : mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    slots = place == MAP_FAILED ? NULL : place;
    real_wait = (wait_function *)dlsym(RTLD_NEXT, "epoll_wait");
}

static int64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void note(int64_t *most, int64_t value) {
    if (value > __atomic_load_n(most, __ATOMIC_RELAXED))
        __atomic_store_n(most, value, __ATOMIC_RELAXED);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms) {
    int result;
    if (own) {
        note(&own->cpu_ns_max, now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began);
        note(&own->wall_ns_max, now_ns(CLOCK_MONOTONIC) - wall_began);
        __atomic_store_n(&own->turns, own->turns + 1, __ATOMIC_RELAXED);
    } else if (slots) {
        int32_t place = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
        if (place < SLOTS) {
            own = &slots[place];
            own->thread = syscall(SYS_gettid);
        }
    }
    result = real_wait(epoll, events, count, timeout_ms);
    cpu_began = now_ns(CLOCK_THREAD_CPUTIME_ID);
    wall_began = now_ns(CLOCK_MONOTONIC);
    return result;
}
