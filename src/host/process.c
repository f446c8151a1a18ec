/* Starting one of our own processes: fork and exec of this program in another role. */
#include "host/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "host/capability.h"
#include "host/channel.h"

char PROCESS_ROLE_SERVER[] = "-server";
char PROCESS_ROLE_JOURNAL[] = "-journal";

/* Standard output may be the audit file: only the journal has it. */
static bool process_keep_output(const char *role)
{
    if (role == PROCESS_ROLE_JOURNAL)
        return true;
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return null >= 0 && dup2(null, STDOUT_FILENO) >= 0;
}

/* The channel is copied twice, since a dup2() onto itself would leave close-on-exec set. The program is executed by descriptor: it is the one
 * that runs now, whatever an installation put in its place meanwhile. */
static void process_become(char *role, int channel, uint64_t capabilities)
{
    static char name[] = "exeat";
    char *words[] = {name, role, NULL};
    sigset_t none;
    process_settle(); /* before they are unblocked: what is ignored stays so over exec */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    capability_pass_on(capabilities); /* what it lacks then it says itself, when it comes to that */
    int spare = dup(channel);
    if (spare >= 0 && process_keep_output(role) && dup2(spare, CHANNEL_CHILD_FD) >= 0) {
        if (spare != CHANNEL_CHILD_FD)
            close(spare);
        fexecve(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), words, environ);
    }
    _exit(127);
}

pid_t process_start(char *role, int channel, uint64_t capabilities)
{
    pid_t pid = fork();
    if (pid == 0)
        process_become(role, channel, capabilities);
    return pid;
}

void process_settle(void)
{
    const int not_ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++)
        signal(not_ours[i], SIG_IGN);
}

void process_give_back(void)
{
    malloc_trim(0);
}
