/* The program that may follow this one in place: tried aside first, then executed, with what it is left. */
#include "host/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/memo.h"
#include "base/number.h"
#include "host/capability.h"

/* `FD`, or `try:FD`. */
#define SUCCESSOR_VARIABLE "EXEAT_HANDOVER"
#define SUCCESSOR_TRIAL "try:"

#define SUCCESSOR_WORDS_MAX 32

/* ---- which program ---- */

/* The kernel's own name for it, which is of use only while the file is there. */
static char *successor_itself(void)
{
    char path[4096];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len < 0)
        return NULL;
    path[len] = '\0';
    return strdup(path);
}

char *successor_program(void)
{
    const char *started = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
    char *path = NULL;
    if (started == NULL || started[0] == '\0' || strncmp(started, "/dev/fd/", 8) == 0 || strncmp(started, "/proc/", 6) == 0)
        return successor_itself();
    if (started[0] == '/')
        return strdup(started);
    if (strncmp(started, "./", 2) == 0)
        started += 2;
    char *directory = getcwd(NULL, 0);
    if (directory == NULL || asprintf(&path, "%s/%s", directory, started) < 0)
        path = NULL;
    free(directory);
    return path;
}

static void successor_exec(const struct successor *successor)
{
    char *words[SUCCESSOR_WORDS_MAX + 2] = {successor->program};
    size_t count = 0;
    while (successor->words[count] != NULL && count < SUCCESSOR_WORDS_MAX) {
        words[count + 1] = successor->words[count];
        count++;
    }
    if (successor->words[count] != NULL)
        errno = E2BIG;
    else
        execve(successor->program, words, environ);
}

static bool successor_leave(int fd, bool trial)
{
    char text[32];
    snprintf(text, sizeof(text), "%s%d", trial ? SUCCESSOR_TRIAL : "", fd);
    return setenv(SUCCESSOR_VARIABLE, text, 1) == 0;
}

/* ---- aside ---- */

static bool successor_pass(int fd)
{
    return fd < 0 || fcntl(fd, F_SETFD, 0) == 0;
}

/* In the child. It has nothing else of the supervisor's, and does not outlive it. */
static void successor_try_here(const struct successor *successor, const struct handover *handover, int left, int said)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDOUT_FILENO) >= 0 && dup2(said, STDERR_FILENO) >= 0 && successor_pass(left) &&
        successor_pass(handover->configuration) && successor_pass(handover->origin)) {
        sigprocmask(SIG_SETMASK, &none, NULL);
        successor_exec(successor);
    }
    dprintf(STDERR_FILENO, "%s: %s\n", successor->program, strerror(errno));
    _exit(127);
}

pid_t successor_try(const struct successor *successor, const struct handover *handover, int *said)
{
    const int left = handover_store(handover);
    *said = memo_write("exeat-said", "", 0);
    pid_t pid = -1;
    if (left >= 0 && *said >= 0 && successor_leave(left, true) && (pid = fork()) == 0)
        successor_try_here(successor, handover, left, *said);
    const int error = errno;
    unsetenv(SUCCESSOR_VARIABLE);
    if (left >= 0)
        close(left);
    if (pid < 0 && *said >= 0)
        close(*said);
    errno = error;
    return pid;
}

/* ---- in place ---- */

/* The capabilities are passed on whole: it gives up what it does not need, as this one did. */
void successor_become(const struct successor *successor, const struct handover *handover)
{
    const int left = handover_store(handover);
    if (left < 0)
        return;
    if (successor_leave(left, false) && successor_pass(left) && handover_set_cloexec(handover, false) && capability_pass_on(CAPABILITY_ALL))
        successor_exec(successor);
    const int error = errno;
    capability_limit(handover->capabilities[0] | handover->capabilities[1], handover->capabilities[0]);
    handover_set_cloexec(handover, true);
    unsetenv(SUCCESSOR_VARIABLE);
    close(left);
    errno = error;
}

/* ---- in the new program ---- */

int successor_left(bool *trial)
{
    const char *value = getenv(SUCCESSOR_VARIABLE);
    uint64_t fd = 0;
    *trial = value != NULL && strncmp(value, SUCCESSOR_TRIAL, strlen(SUCCESSOR_TRIAL)) == 0;
    if (value != NULL && *trial)
        value += strlen(SUCCESSOR_TRIAL);
    const bool found =
        value != NULL && number_read(&fd, value, strlen(value), INT32_MAX) && fd > STDERR_FILENO && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0;
    unsetenv(SUCCESSOR_VARIABLE);
    return found ? (int)fd : -1;
}
