/* Disk faults on demand (LD_PRELOAD): the n-th call that changes something below a folder fails, or writes too little.
 *
 * It sits between this process, whatever language its libraries are written in, and the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct plan {
    char folder[PATH_MAX];
    volatile long calls, at;     /* calls so far; the one that fails, 0: none */
    volatile int error, lasting; /* errno, 0: a short write; whether all later calls fail as well */
    char failed[PATH_MAX + 32];  /* the call that failed first, and its path */
};
static struct plan own, *plan = &own;

/* The workers of a process count with it: all of them map the file that FAULTS_SHARED names. */
__attribute__((constructor)) static void share(void) {
    const char *path = getenv("FAULTS_SHARED");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return;
    void *mapped = ftruncate(file, sizeof own) ? MAP_FAILED : mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) plan = mapped;
}

void fault_arm(const char *below, long number, int code, int stays) {
    snprintf(plan->folder, sizeof plan->folder, "%s", below);
    plan->calls = 0, plan->error = code, plan->lasting = stays, plan->failed[0] = 0;
    plan->at = number;
}
long fault_calls(void) { return plan->calls; }
const char *fault_failed(void) { return plan->failed; }

static int below(const char *path) {
    return plan->folder[0] && path && !strncmp(path, plan->folder, strlen(plan->folder));
}

/* Whether this call fails. A short write is asked for at calls that write only. */
static int fails(const char *name, const char *path) {
    int saved = errno;
    if (!below(path)) { errno = saved; return 0; }
    long number = __sync_add_and_fetch(&plan->calls, 1);
    int hit = plan->at && (number == plan->at || (plan->lasting && number > plan->at));
    if (hit && !plan->failed[0]) snprintf(plan->failed, sizeof plan->failed, "%s %s", name, path);
    errno = saved;
    return hit;
}

static int fd_fails(const char *name, int fd) {
    char link[64], path[PATH_MAX];
    if (!plan->folder[0]) return 0;
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (size < 0) return 0;
    path[size] = 0;
    return fails(name, path);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define REFUSE(value) do { errno = plan->error ? plan->error : ENOSPC; return value; } while (0)

/* Short: half of it, once; of one byte nothing can be left out, so the disk is full there. */
#define WRITE(name, type, parameters, whole, half)                                     \
    ssize_t name parameters {                                                          \
        REAL(name);                                                                    \
        if (!fd_fails(#name, fd)) return whole;                                        \
        if (plan->error || size < 2) REFUSE(-1);                                       \
        return half;                                                                   \
    }
WRITE(write, off_t, (int fd, const void *data, size_t size), real(fd, data, size), real(fd, data, size / 2))
WRITE(pwrite, off_t, (int fd, const void *data, size_t size, off_t to), real(fd, data, size, to), real(fd, data, size / 2, to))
WRITE(pwrite64, off64_t, (int fd, const void *data, size_t size, off64_t to), real(fd, data, size, to), real(fd, data, size / 2, to))

#define CALL(type, name, parameters, test, arguments)                                  \
    type name parameters {                                                             \
        REAL(name);                                                                    \
        if (test && plan->error) REFUSE(-1);                                           \
        return real arguments;                                                         \
    }
CALL(int, fsync, (int fd), fd_fails("fsync", fd), (fd))
CALL(int, fdatasync, (int fd), fd_fails("fdatasync", fd), (fd))
CALL(int, ftruncate, (int fd, off_t size), fd_fails("ftruncate", fd), (fd, size))
CALL(int, ftruncate64, (int fd, off64_t size), fd_fails("ftruncate64", fd), (fd, size))
CALL(int, rename, (const char *from, const char *to), fails("rename", to), (from, to))
CALL(int, symlink, (const char *to, const char *path), fails("symlink", path), (to, path))
CALL(int, mkdir, (const char *path, mode_t mode), fails("mkdir", path), (path, mode))
CALL(int, link, (const char *from, const char *path), fails("link", path), (from, path))

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...) {                                       \
        REAL(name);                                                                    \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        if ((flags & O_CREAT) && fails(#name, path) && plan->error) REFUSE(-1);        \
        return real(path, flags, mode);                                                \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                                   \
    int name(int in, const char *path, int flags, ...) {                               \
        REAL(name);                                                                    \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        if ((flags & O_CREAT) && fails(#name, path) && plan->error) REFUSE(-1);        \
        return real(in, path, flags, mode);                                            \
    }
OPENAT(openat)
OPENAT(openat64)
