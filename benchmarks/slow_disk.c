/* A disk in memory whose syncs take a given time: a file system of FUSE with one file, "disk".

   slow_disk MIB SYNC_US MOUNTPOINT: serves until it is unmounted. Reads and writes take what copying takes; a sync of the
   file sleeps for SYNC_US, and syncs that are asked for meanwhile wait their turn, as on a disk with one queue. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static const char disk_path[] = "/disk";
static char *disk;
static off_t disk_bytes;
static struct timespec sync_time;
static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER;

static int disk_getattr(const char *path, struct stat *status, struct fuse_file_info *file)
{
    (void) file;
    memset(status, 0, sizeof *status);
    if (strcmp(path, "/") == 0) {
        status->st_mode = S_IFDIR | 0700;
        status->st_nlink = 2;
    } else if (strcmp(path, disk_path) == 0) {
        status->st_mode = S_IFREG | 0600;
        status->st_nlink = 1;
        status->st_size = disk_bytes;
    } else {
        return -ENOENT;
    }
    return 0;
}

static int disk_readdir(const char *path, void *names, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                        enum fuse_readdir_flags flags)
{
    (void) path, (void) offset, (void) file, (void) flags;
    fill(names, ".", NULL, 0, 0);
    fill(names, "..", NULL, 0, 0);
    fill(names, disk_path + 1, NULL, 0, 0);
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
    (void) file;
    return strcmp(path, disk_path) == 0 ? 0 : -ENOENT;
}

/* How many of `size` bytes at `offset` there are. */
static size_t within(size_t size, off_t offset)
{
    if (offset >= disk_bytes)
        return 0;
    return size < (size_t) (disk_bytes - offset) ? size : (size_t) (disk_bytes - offset);
}

static int disk_read(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void) path, (void) file;
    size = within(size, offset);
    memcpy(bytes, disk + offset, size);
    return (int) size;
}

static int disk_write(const char *path, const char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void) path, (void) file;
    if (within(size, offset) < size)
        return -ENOSPC;
    memcpy(disk + offset, bytes, size);
    return (int) size;
}

static int disk_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
    (void) path, (void) data_only, (void) file;
    pthread_mutex_lock(&syncing);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &sync_time, NULL);
    pthread_mutex_unlock(&syncing);
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = disk_getattr,
    .readdir = disk_readdir,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
};

int main(int count, char **words)
{
    char foreground[] = "-f";
    char *fuse_words[] = {words[0], foreground, count == 4 ? words[3] : NULL, NULL};
    if (count != 4) {
        fprintf(stderr, "usage: %s MIB SYNC_US MOUNTPOINT\n", words[0]);
        return 2;
    }
    disk_bytes = (off_t) atol(words[1]) << 20;
    sync_time.tv_sec = atol(words[2]) / 1000000;
    sync_time.tv_nsec = atol(words[2]) % 1000000 * 1000;
    disk = mmap(NULL, (size_t) disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (disk == MAP_FAILED) {
        perror("slow_disk: mmap");
        return 1;
    }
    return fuse_main(3, fuse_words, &operations, NULL);
}
