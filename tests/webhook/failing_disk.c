/* Preloaded into the receiver: while the file that $FAILING_DISK names exists, its first word says which calls
   fail and with which error: "write 28", "sync 5", ... Only files whose path holds "journal.sqlite" fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int problem(const char *call, int fd)
{
    char kind[16] = "", link[64], path[4096];
    int number = 0;
    const char *control = getenv("FAILING_DISK");
    FILE *file = control ? fopen(control, "r") : NULL;
    ssize_t length;
    if (!file)
        return 0;
    if (fscanf(file, "%15s %d", kind, &number) != 2)
        number = 0;
    fclose(file);
    if (!number || strcmp(kind, call))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return strstr(path, "journal.sqlite") ? number : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(call, fd) do { int number = problem(call, fd); if (number) { errno = number; return -1; } } while (0)

int fsync(int fd) { FAIL("sync", fd); return REAL(fsync)(fd); }
int fdatasync(int fd) { FAIL("sync", fd); return REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *data, size_t size) { FAIL("write", fd); return REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { FAIL("write", fd); return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { FAIL("write", fd); return REAL(pwrite64)(fd, data, size, at); }
