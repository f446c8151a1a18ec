/* What a server leaves for the next one, and what of it is in its file: the supervisor's part of [admin] state. */
#include "host/state_keeper.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "host/state_file.h"

/* A stop waits this long for the counts of rules to be in their file. */
#define END_PATIENCE_MS 1000

bool state_keeper_open(struct state_keeper *keeper, const char *path)
{
    if (path == NULL || (keeper->fd = state_file_open(path)) >= 0 || errno == ENOENT)
        return true;
    log_error("%s ([admin] state): %s", path, errno == EINVAL ? "is not what exeat keeps there: it is not written over" : strerror(errno));
    return false;
}

/* One write at a time: what comes while the disk hangs is written behind it. */
static void state_keeper_write(struct state_keeper *keeper, const char *path)
{
    if (path == NULL || !keeper->waits || keeper->writer != 0)
        return;
    keeper->waits = false;
    keeper->writer = state_file_write(path, keeper->fd);
    if (keeper->writer > 0)
        return;
    log_warn("%s ([admin] state): %s", path, strerror(errno));
    keeper->writer = 0;
}

void state_keeper_take(struct state_keeper *keeper, const char *path, int fd)
{
    if (keeper->fd >= 0)
        close(keeper->fd);
    keeper->fd = fd;
    keeper->waits = true;
    state_keeper_write(keeper, path);
}

bool state_keeper_reap(struct state_keeper *keeper, const char *path, pid_t pid, int status)
{
    if (pid != keeper->writer)
        return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        log_warn("%s ([admin] state) cannot be written: what became of the rules is lost with the next start", path);
    keeper->writer = 0;
    state_keeper_write(keeper, path);
    return true;
}

/* Twice: for what is being written, and for what came meanwhile. */
void state_keeper_end(struct state_keeper *keeper, const char *path)
{
    for (int times = 0; times < 2 && keeper->writer != 0; times++) {
        state_file_wait(keeper->writer, END_PATIENCE_MS);
        keeper->writer = 0;
        state_keeper_write(keeper, path);
    }
    if (keeper->fd >= 0)
        close(keeper->fd);
}
