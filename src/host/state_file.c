/* The file that keeps what a server knew for the next start of exeat: read and written without ever waiting for its disk. */
#include "host/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define STATE_MODE 0640
#define WAIT_EVERY_MS 5

static bool state_file_is_one(int fd)
{
    char head[sizeof(STATE_FILE_HEAD)];
    struct stat status;
    const size_t len = strlen(STATE_FILE_HEAD);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > STATE_FILE_MAX)
        return false;
    return status.st_size == 0 || (pread(fd, head, len, 0) == (ssize_t)len && memcmp(head, STATE_FILE_HEAD, len) == 0);
}

int state_file_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || state_file_is_one(fd))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

#define COPY_FROM_FD 3

/* In a process of its own, which has nothing but this to do: a disk that hangs hangs nobody else. Only calls that are safe behind a fork. */
static bool state_file_copy(const char *temporary, const char *path, int from)
{
    struct stat status;
    off_t at = 0;
    unlink(temporary);
    int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, STATE_MODE);
    bool good = to >= 0 && fstat(from, &status) == 0 && status.st_size <= STATE_FILE_MAX;
    while (good && at < status.st_size)
        good = sendfile(to, from, &at, (size_t)(status.st_size - at)) > 0;
    return good && close(to) == 0 && rename(temporary, path) == 0;
}

pid_t state_file_write(const char *path, int fd)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        bool alone = dup2(fd, COPY_FROM_FD) >= 0 && close_range(COPY_FROM_FD + 1, ~0U, 0) == 0; /* else it would keep channels open */
        _exit(alone && state_file_copy(temporary, path, COPY_FROM_FD) ? 0 : 1);
    }
    return pid;
}

void state_file_wait(pid_t writer, unsigned patience_ms)
{
    for (unsigned waited_ms = 0; waitpid(writer, NULL, WNOHANG) == 0 && waited_ms < patience_ms; waited_ms += WAIT_EVERY_MS)
        clock_pause_ms(WAIT_EVERY_MS);
}
