/* Preloaded into exeat: lets allocations of one of its processes fail, one in so many, as a file in memory says at the time; and counts those
 * there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct failing {
    _Atomic uint32_t one_in; /* 0: none fails */
    _Atomic uint32_t failed;
};

static struct failing *failing;
static _Atomic uint32_t asked;

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *path = getenv("FAILING_MALLOC"), *role = getenv("FAILING_ROLE"); /* the first word after the program's name */
    if (path == NULL || role == NULL || argc < 2 || strcmp(argv[1], role) != 0)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *page = fd >= 0 ? mmap(NULL, sizeof(*failing), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    failing = page != MAP_FAILED ? page : NULL;
}

/* Not each nth, which might be the same one of every connection. */
static bool fails(void)
{
    const uint32_t one_in = failing != NULL ? failing->one_in : 0;
    if (one_in == 0 || (atomic_fetch_add(&asked, 1) * 2654435761u >> 12) % one_in != 0)
        return false;
    atomic_fetch_add(&failing->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    static void *(*real)(size_t);
    if (real == NULL)
        real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    return fails() ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    if (real == NULL)
        real = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    return fails() ? NULL : real(count, size);
}

void *realloc(void *block, size_t size)
{
    static void *(*real)(void *, size_t);
    if (real == NULL)
        real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    return fails() ? NULL : real(block, size);
}

void *reallocarray(void *block, size_t count, size_t size)
{
    static void *(*real)(void *, size_t, size_t);
    if (real == NULL)
        real = (void *(*)(void *, size_t, size_t))dlsym(RTLD_NEXT, "reallocarray");
    return fails() ? NULL : real(block, count, size);
}
