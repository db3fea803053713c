/* A disk that fails: preloaded into a process, it counts every call that changes a file below one folder, and lets the
 * N-th fail, once or from then on, or kills the process there. It also knows what has been written and not yet synced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define MOST 4096
enum { OUTSIDE, INSIDE, FOLDER, LOCK }; /* LOCK: its text is for people, nobody needs it synced */
static char folder[PATH_MAX];
static char kind_of[MOST];   /* by file descriptor */
static char dirty[MOST];     /* written since the last sync, by file descriptor */
static int folder_dirty;     /* a name was made or replaced since the folder was synced */
static long count, fail_at;
static int failure, for_ever, deadly;

void disk_watch(const char *path) { strncpy(folder, path, sizeof folder - 1); }
void disk_arm(long at, int error, int persistent, int kills) {
    count = 0; fail_at = at; failure = error; for_ever = persistent; deadly = kills;
}
long disk_count(void) { return count; }
int disk_unsynced(void) {
    int found = folder_dirty;
    for (int i = 0; i < MOST; i++) found += dirty[i];
    return found;
}

static int fails(void) {
    count++;
    if (!fail_at || (for_ever ? count < fail_at : count != fail_at)) return 0;
    if (deadly) kill(getpid(), SIGKILL);
    errno = failure;
    return 1;
}
static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}
static int kind(const char *path) {
    size_t length = strlen(folder);
    if (!length || strncmp(path, folder, length)) return OUTSIDE;
    if (!path[length]) return FOLDER;
    if (path[length] != '/') return OUTSIDE;
    /* Shared memory is written without calls, and is made anew after every crash. */
    return ends_with(path, "-shm") ? OUTSIDE : ends_with(path, ".lock") ? LOCK : INSIDE;
}
#define CHANGES(kind) ((kind) == INSIDE || (kind) == LOCK)
#define REAL(name, ...) static __typeof__(&name) real; if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name)

static int opened(int fd, const char *path, int flags, int was_there) {
    if (fd < 0 || fd >= MOST) return fd;
    kind_of[fd] = kind(path); dirty[fd] = 0;
    if (kind_of[fd] == INSIDE && (flags & O_CREAT) && !was_there) folder_dirty = 1;
    return fd;
}
#define OPEN(name)                                                                         \
    int name(const char *path, int flags, ...) {                                           \
        REAL(name);                                                                        \
        mode_t mode = 0;                                                                   \
        if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        if (CHANGES(kind(path)) && (flags & (O_CREAT | O_WRONLY | O_RDWR)) && fails()) return -1; \
        int was_there = !(flags & O_CREAT) || access(path, F_OK) == 0;                     \
        return opened(real(path, flags, mode), path, flags, was_there);                    \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                                       \
    int name(int at, const char *path, int flags, ...) {                                   \
        REAL(name);                                                                        \
        mode_t mode = 0;                                                                   \
        if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        if (CHANGES(kind(path)) && (flags & (O_CREAT | O_WRONLY | O_RDWR)) && fails()) return -1; \
        int was_there = !(flags & O_CREAT) || access(path, F_OK) == 0;                     \
        return opened(real(at, path, flags, mode), path, flags, was_there);                \
    }
OPENAT(openat)
OPENAT(openat64)

#define COUNTED(fd) ((fd) >= 0 && (fd) < MOST && CHANGES(kind_of[fd]))
#define WRITTEN(fd) do { if (kind_of[fd] == INSIDE) dirty[fd] = 1; } while (0)
int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < MOST) { if (dirty[fd]) folder_dirty = 1; kind_of[fd] = OUTSIDE; dirty[fd] = 0; }
    return real(fd);
}
ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    if (COUNTED(fd)) { if (fails()) return -1; WRITTEN(fd); }
    return real(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite);
    if (COUNTED(fd)) { if (fails()) return -1; WRITTEN(fd); }
    return real(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64);
    if (COUNTED(fd)) { if (fails()) return -1; WRITTEN(fd); }
    return real(fd, data, n, at);
}
int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    if (COUNTED(fd)) { if (fails()) return -1; WRITTEN(fd); }
    return real(fd, length);
}
int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    if (COUNTED(fd)) { if (fails()) return -1; WRITTEN(fd); }
    return real(fd, length);
}
#define SYNC(name)                                                                         \
    int name(int fd) {                                                                     \
        REAL(name);                                                                        \
        if (fd >= 0 && fd < MOST && (COUNTED(fd) || kind_of[fd] == FOLDER)) {              \
            if (fails()) return -1;                                                        \
            if (kind_of[fd] == FOLDER) folder_dirty = 0; else dirty[fd] = 0;               \
        }                                                                                  \
        return real(fd);                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)
int rename(const char *from, const char *to) {
    REAL(rename);
    if (kind(to) == INSIDE) { if (fails()) return -1; folder_dirty = 1; }
    return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    if (kind(to) == INSIDE) { if (fails()) return -1; folder_dirty = 1; }
    return real(a, from, b, to);
}
int unlink(const char *path) {
    REAL(unlink);
    if (kind(path) == INSIDE && fails()) return -1;
    return real(path);
}
