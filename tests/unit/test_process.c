/* What a started process finds: this program again, its channel at the descriptor it expects, and no signal that is not for it. */
#include "host/process.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/channel.h"

static char ROLE[] = "-process-test";

enum { FDS_MAX = 1024, CHILD_CODE = 7 };

static void child_add_status(char *out, const char *key)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            sprintf(out + strlen(out), "%s %llx\n", key, strtoull(line + strlen(key), NULL, 16));
    if (file != NULL)
        fclose(file);
}

static void child_add_descriptors(char *out)
{
    for (int fd = 3; fd < FDS_MAX; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            sprintf(out + strlen(out), "fd %d\n", fd);
}

/* process_start() runs this very program: started in the test's role it is no test, but the child that one looks at. It tells what it finds, then
 * answers until the channel ends. */
static __attribute__((constructor)) void child_run(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], ROLE) != 0)
        return;
    struct channel_message message = {.kind = CHANNEL_READY, .fd = -1};
    sprintf(message.text, "%s\n", argv[0]);
    child_add_descriptors(message.text);
    child_add_status(message.text, "SigBlk:");
    child_add_status(message.text, "SigIgn:");
    while (channel_send(CHANNEL_CHILD_FD, &message) && channel_receive(CHANNEL_CHILD_FD, &message, true) == 1)
        ;
    _exit(CHILD_CODE);
}

/* As the contract of process_start demands; most of the open ones are Criterion's. CHANNEL_CHILD_FD is somebody's, so that no channel is there by
 * chance. */
static void close_all_on_exec(void)
{
    if (fcntl(CHANNEL_CHILD_FD, F_GETFD) < 0)
        cr_assert(dup2(STDERR_FILENO, CHANNEL_CHILD_FD) == CHANNEL_CHILD_FD);
    for (int fd = 3; fd < FDS_MAX; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
}

TestSuite(process, .init = close_all_on_exec, .timeout = 60);

static void start(int ends[2], pid_t *pid)
{
    cr_assert(channel_pair(ends));
    *pid = process_start(ROLE, ends[1], 0);
    cr_assert(*pid > 0);
    close(ends[1]);
}

static void expect_end(int end, pid_t pid)
{
    int status;
    close(end);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_CODE, "status %x", (unsigned)status);
}

static void expect_only_the_channel(int end)
{
    static const char wanted[] = "exeat\nfd 3\nSigBlk:";
    struct channel_message found;
    cr_assert_eq(channel_receive(end, &found, true), 1);
    cr_expect(strncmp(found.text, wanted, strlen(wanted)) == 0, "%s", found.text);
}

static unsigned long long status_of(const struct channel_message *message, const char *key)
{
    const char *at = strstr(message->text, key);
    cr_assert(at != NULL, "no %s", key);
    return strtoull(at + strlen(key), NULL, 16);
}

Test(process, has_the_channel_and_nothing_else)
{
    int ends[2];
    pid_t pid;
    start(ends, &pid);
    expect_only_the_channel(ends[0]);
    expect_end(ends[0], pid);
}

/* It is close-on-exec there, as all ends are: a copy onto itself would leave it so. */
Test(process, the_channel_may_be_there_already)
{
    int ends[2], others = fcntl(CHANNEL_CHILD_FD, F_DUPFD_CLOEXEC, 0);
    cr_assert(others >= 0 && channel_pair(ends));
    cr_assert(dup3(ends[1], CHANNEL_CHILD_FD, O_CLOEXEC) == CHANNEL_CHILD_FD);
    pid_t pid = process_start(ROLE, CHANNEL_CHILD_FD, 0);
    cr_assert(dup3(others, CHANNEL_CHILD_FD, O_CLOEXEC) == CHANNEL_CHILD_FD);
    close(others);
    close(ends[1]);
    cr_assert(pid > 0);
    expect_only_the_channel(ends[0]);
    expect_end(ends[0], pid);
}

static const int not_its[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};

/* The supervisor blocks what it reads by signalfd(2); what it started must neither inherit that nor die of a signal to the whole group. */
Test(process, signals_are_ignored_and_none_is_blocked)
{
    int ends[2];
    pid_t pid;
    struct channel_message found;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGCHLD);
    cr_assert(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    start(ends, &pid);
    cr_assert_eq(channel_receive(ends[0], &found, true), 1);
    cr_expect_eq(status_of(&found, "SigBlk:"), 0);
    for (size_t i = 0; i < sizeof(not_its) / sizeof(not_its[0]); i++) {
        cr_expect(status_of(&found, "SigIgn:") & (1ULL << (not_its[i] - 1)), "%s", strsignal(not_its[i]));
        cr_assert(kill(pid, not_its[i]) == 0);
    }
    cr_expect(channel_tell(ends[0], CHANNEL_GO, 0, 0, -1));
    cr_expect_eq(channel_receive(ends[0], &found, true), 1, "it died of a signal");
    expect_end(ends[0], pid);
}

Test(process, the_starter_keeps_its_own_signals)
{
    int ends[2];
    pid_t pid;
    signal(SIGTERM, SIG_DFL);
    start(ends, &pid);
    cr_expect_eq(signal(SIGTERM, SIG_DFL), SIG_DFL);
    expect_end(ends[0], pid);
}
