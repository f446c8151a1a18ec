/* One process that the supervisor keeps alive: its channel, and when it may be started again. */
#include "host/child.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/channel.h"
#include "host/process.h"

/* A child that lived this long is started again at once; one that dies sooner waits a little longer each time, up to the last of BACKOFF_MS. */
#define LIVED_WELL_MS 1000
static const unsigned BACKOFF_MS[] = {0, 50, 100, 200, 400, 800};
#define BACKOFF_LAST (sizeof(BACKOFF_MS) / sizeof(BACKOFF_MS[0]) - 1)

static void child_back_off(struct child *child)
{
    uint64_t now = clock_monotonic_ms();
    child->failures = now - child->started_ms >= LIVED_WELL_MS ? 0 : child->failures + 1;
    child->again_ms = now + BACKOFF_MS[child->failures < BACKOFF_LAST ? child->failures : BACKOFF_LAST];
}

static pid_t child_process(struct child *child)
{
    int ends[2];
    if (!channel_pair(ends))
        return -1;
    pid_t pid = process_start(child->role, ends[1], child->capabilities);
    int error = errno;
    close(ends[1]);
    if (pid > 0)
        child->channel = ends[0];
    else
        close(ends[0]);
    errno = error;
    return pid;
}

bool child_start(struct child *child)
{
    child->started_ms = clock_monotonic_ms();
    pid_t pid = child_process(child);
    if (pid > 0)
        child->pid = pid;
    else
        child_back_off(child);
    return pid > 0;
}

void child_hang_up(struct child *child)
{
    if (child->channel >= 0)
        close(child->channel);
    child->channel = -1;
}

static void child_say_how(const struct child *child, int status)
{
    if (WIFSIGNALED(status))
        log_error("the %s died of signal %d (%s)", child->role + 1, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        log_error("the %s ended with code %d", child->role + 1, WEXITSTATUS(status));
}

void child_ended(struct child *child, int status)
{
    child_say_how(child, status);
    child_back_off(child);
    child_hang_up(child);
    child->pid = 0;
    child->yields = child->yields && WIFEXITED(status) && WEXITSTATUS(status) == 0; /* else nobody knows where it ended */
}

bool child_is_failing(const struct child *child)
{
    return child->failures >= BACKOFF_LAST;
}
