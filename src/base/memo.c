/* A text in a file that is nowhere, for another process: its descriptor goes there. */
#include "base/memo.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int memo_write(const char *name, const char *text, size_t len)
{
    const int fd = memfd_create(name, MFD_CLOEXEC);
    ssize_t put = fd >= 0 ? 0 : -1;
    for (size_t done = 0; put >= 0 && done < len; done += (size_t)put)
        put = write(fd, text + done, len - done);
    if (put >= 0 || fd < 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Read and not mapped: whoever wrote it could make it shorter meanwhile. */
char *memo_read(int fd, size_t max, size_t *len)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < 0 || (uintmax_t)status.st_size > max)
        return NULL;
    const size_t size = (size_t)status.st_size;
    char *text = malloc(size + 1);
    size_t done = 0;
    ssize_t got = text != NULL ? 1 : -1;
    while (got > 0 && done < size)
        if ((got = pread(fd, text + done, size - done, (off_t)done)) > 0)
            done += (size_t)got;
    if (text == NULL || done < size) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    *len = size;
    return text;
}
