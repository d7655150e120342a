/* What does a disk do to the books that fails at one operation, half of it or all of it, or stops the machine there?
 *
 * Preloaded into a child of `disks.rs`. From the moment a file `armed` lies in SEKISHO_DISK_DIR, it counts what is done to
 * books.db and its write-ahead log; at operation SEKISHO_DISK_AT it does SEKISHO_DISK_FAULT, once, and is well again. One
 * letter for each operation goes to the file `operations`, and that of the fault, before it is done, to `struck`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long counted;

static int ends_with(const char *path, const char *end) {
    size_t has = strlen(path), wants = strlen(end);
    return has >= wants && strcmp(path + has - wants, end) == 0;
}

/* Whether this is an operation on the books, while armed. */
static int of_the_books(int fd) {
    const char *folder = getenv("SEKISHO_DISK_DIR");
    char link[64], path[4096];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!ends_with(path, "/books.db") && !ends_with(path, "/books.db-wal")) return 0;
    snprintf(path, sizeof path, "%s/armed", folder);
    return access(path, F_OK) == 0;
}

static void note(const char *file, char operation) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SEKISHO_DISK_DIR"), file);
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (fd >= 0) {
        syscall(SYS_write, fd, &operation, 1);
        syscall(SYS_close, fd);
    }
}

/* The fault of this operation; none for all but one. */
static const char *fault(int fd, char operation) {
    int saved = errno;
    const char *is = NULL;
    if (of_the_books(fd)) {
        const char *at = getenv("SEKISHO_DISK_AT");
        note("operations", operation);
        counted += 1;
        if (at && atol(at) == counted) {
            is = getenv("SEKISHO_DISK_FAULT");
            note("struck", operation);
        }
    }
    errno = saved;
    return is;
}

static int killed(const char *is) { return strncmp(is, "killed", 6) == 0; }

static long failed(const char *is) {
    if (killed(is)) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = EIO;
    return -1;
}

/* How many of these bytes are written before the fault. */
static size_t before_fault(const char *is, size_t count) {
    if (strstr(is, "torn")) return count / 2;
    return strstr(is, "done") ? count : 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    const char *is = fault(fd, 'w');
    if (!is) return syscall(SYS_write, fd, bytes, count);
    size_t some = before_fault(is, count);
    if (some) syscall(SYS_write, fd, bytes, some);
    return failed(is);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    const char *is = fault(fd, 'w');
    if (!is) return syscall(SYS_pwrite64, fd, bytes, count, at);
    size_t some = before_fault(is, count);
    if (some) syscall(SYS_pwrite64, fd, bytes, some, at);
    return failed(is);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

static int synced(int fd, long call) {
    const char *is = fault(fd, 's');
    if (!is) return syscall(call, fd);
    if (strstr(is, "done")) syscall(call, fd);
    return failed(is);
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int ftruncate64(int fd, off64_t length) {
    const char *is = fault(fd, 't');
    if (!is) return syscall(SYS_ftruncate, fd, length);
    if (strstr(is, "done")) syscall(SYS_ftruncate, fd, length);
    return failed(is);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
