/* What each process may still do in its sandbox: tried in a child that has given up what that process gives up. */
#include "host/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/landlock.h"
#include "host/syscalls.h"

static char directory[] = "/tmp/exeat-sandbox-XXXXXX";
static char audit_directory[64], audit_file[80], next_file[80], other_file[64], made_file[64];
static pid_t parent; /* of who tries: the children may not ask */

static void make_file(const char *path)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    cr_assert(fd >= 0);
    close(fd);
}

static void make_files(void)
{
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(audit_directory, sizeof(audit_directory), "%s/audit", directory);
    snprintf(audit_file, sizeof(audit_file), "%s/audit.jsonl", audit_directory);
    snprintf(next_file, sizeof(next_file), "%s/audit.jsonl.1", audit_directory);
    snprintf(other_file, sizeof(other_file), "%s/other", directory);
    snprintf(made_file, sizeof(made_file), "%s/made", directory);
    parent = getpid();
    cr_assert(mkdir(audit_directory, 0755) == 0);
    make_file(audit_file);
    make_file(other_file);
}

static void remove_files(void)
{
    unlink(audit_file);
    unlink(next_file);
    unlink(other_file);
    unlink(made_file);
    rmdir(audit_directory);
    rmdir(directory);
}

TestSuite(sandbox, .init = make_files, .fini = remove_files, .timeout = 120);

/* ---- attempts: the result of the call ---- */

static int try_open(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : close(fd);
}

static int read_audit(void)
{
    return try_open(audit_file, O_RDONLY);
}

static int write_audit(void)
{
    return try_open(audit_file, O_RDWR | O_APPEND);
}

static int make_next(void)
{
    return try_open(next_file, O_RDWR | O_CREAT | O_EXCL);
}

static int list_audit(void)
{
    return try_open(audit_directory, O_RDONLY | O_DIRECTORY);
}

static int read_other(void)
{
    return try_open(other_file, O_RDONLY);
}

static int write_other(void)
{
    return try_open(other_file, O_WRONLY);
}

static int make_other(void)
{
    return try_open(made_file, O_WRONLY | O_CREAT);
}

static int read_etc(void)
{
    return try_open("/etc/passwd", O_RDONLY);
}

static int read_null(void)
{
    return try_open("/dev/null", O_RDONLY);
}

static int read_own_memory(void)
{
    return try_open("/proc/self/mem", O_RDONLY);
}

static int read_parents_memory(void)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)parent);
    return try_open(path, O_RDONLY);
}

static int remove_audit(void)
{
    return unlink(audit_file);
}

static int rename_audit(void)
{
    return rename(audit_file, next_file);
}

static int truncate_audit(void)
{
    return truncate(audit_file, 0);
}

static int make_directory(void)
{
    return mkdir(next_file, 0755);
}

static int try_socket(int family, int type, int protocol)
{
    const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    return fd < 0 ? -1 : close(fd);
}

static int tcp(void)
{
    return try_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static int udp(void)
{
    return try_socket(AF_INET, SOCK_DGRAM, 0);
}

static int raw(void)
{
    return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int packets(void)
{
    return try_socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int local(void)
{
    return try_socket(AF_UNIX, SOCK_STREAM, 0);
}

static int routes(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int firewall(void)
{
    return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static int try_bind(uint16_t port)
{
    const struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&name, sizeof(name));
}

static int bind_source(void)
{
    return try_bind(0);
}

static int bind_port(void)
{
    return try_bind(61);
}

static int try_listen(void)
{
    return listen(STDIN_FILENO, 1);
}

static int try_connect(void)
{
    const struct sockaddr_in name = {.sin_family = AF_INET};
    return connect(-1, (const struct sockaddr *)&name, sizeof(name));
}

static int try_exec(void)
{
    char *words[] = {NULL};
    return execve("/bin/true", words, words);
}

static int try_fork(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid;
}

static int try_trace(void)
{
    return (int)ptrace(PTRACE_ATTACH, parent, NULL, NULL);
}

static int steal_memory(void)
{
    char byte;
    const struct iovec ours = {&byte, 1}, theirs = {&byte, 1};
    return (int)process_vm_readv(parent, &ours, 1, &theirs, 1, 0);
}

static int signal_parent(void)
{
    return kill(parent, 0);
}

static int signal_parents_thread(void)
{
    return (int)syscall(SYS_tgkill, parent, parent, 0);
}

static int signal_by_descriptor(void)
{
    return fcntl(STDIN_FILENO, F_SETOWN, parent);
}

static int map_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int show_memory(void)
{
    return prctl(PR_SET_DUMPABLE, 1);
}

static int raise_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) != 0 ? 0 : setrlimit(RLIMIT_NOFILE, &limit);
}

static int ask_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit);
}

static int become_root(void)
{
    return setuid(0);
}

static int leave_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static void *thread_run(void *arg)
{
    free(malloc(1 << 20));
    return arg;
}

static int start_thread(void)
{
    pthread_t thread;
    const int error = pthread_create(&thread, NULL, thread_run, NULL);
    errno = error;
    return error != 0 ? -1 : pthread_join(thread, NULL);
}

/* ---- what becomes of them ---- */

enum { DIES = -1 }; /* else an errno; 0: it is served */

static const struct attempt {
    const char *name;
    int (*try)(void);
    int server, journal;
} ATTEMPTS[] = {
    /* the server writes no file, and reads none but what its resolver needs */
    {"read the audit file", read_audit, EACCES, 0},
    {"write the audit file", write_audit, ENOSYS, 0},
    {"make the next audit file", make_next, ENOSYS, 0},
    {"list the audit file's directory", list_audit, EACCES, 0},
    {"read another file", read_other, EACCES, EACCES},
    {"write another file", write_other, ENOSYS, EACCES},
    {"make another file", make_other, ENOSYS, EACCES},
    {"read below /etc", read_etc, 0, EACCES},
    {"read /dev/null", read_null, 0, EACCES},
    {"read its own memory as a file", read_own_memory, EACCES, EACCES},
    {"read the supervisor's memory as a file", read_parents_memory, EACCES, EACCES},
    /* history is not rewritten by name */
    {"remove the audit file", remove_audit, ENOSYS, ENOSYS},
    {"rename the audit file", rename_audit, ENOSYS, ENOSYS},
    {"truncate the audit file by name", truncate_audit, ENOSYS, ENOSYS},
    {"make a directory", make_directory, ENOSYS, ENOSYS},
    /* sockets of TCP, UDP and rtnetlink for the server, none for the journal */
    {"TCP", tcp, 0, ENOSYS},
    {"UDP", udp, 0, ENOSYS},
    {"raw IP", raw, ENOSYS, ENOSYS},
    {"raw packets", packets, ENOSYS, ENOSYS},
    {"a unix socket", local, ENOSYS, ENOSYS},
    {"rtnetlink", routes, 0, ENOSYS},
    {"nfnetlink", firewall, ENOSYS, ENOSYS},
    {"bind a source", bind_source, 0, ENOSYS},
    {"bind a port", bind_port, EACCES, ENOSYS},
    {"listen", try_listen, DIES, DIES},
    {"connect", try_connect, EBADF, DIES},
    /* no other program, no other process */
    {"exec", try_exec, DIES, DIES},
    {"fork", try_fork, DIES, DIES},
    {"trace the supervisor", try_trace, DIES, DIES},
    {"read the supervisor's memory", steal_memory, DIES, DIES},
    {"signal the supervisor", signal_parent, ENOSYS, ENOSYS},
    {"signal a thread of the supervisor", signal_parents_thread, ENOSYS, ENOSYS},
    {"let a descriptor signal the supervisor", signal_by_descriptor, ENOSYS, ENOSYS},
    {"map code that can be written", map_code, ENOSYS, ENOSYS},
    {"turn data into code", make_code, ENOSYS, ENOSYS},
    {"show its memory", show_memory, ENOSYS, ENOSYS},
    {"set a limit", raise_limit, ENOSYS, ENOSYS},
    {"become root", become_root, ENOSYS, ENOSYS},
    {"enter a namespace", leave_namespace, ENOSYS, ENOSYS},
    /* what libraries need */
    {"ask for a limit", ask_limit, 0, 0},
    {"start a thread", start_thread, 0, 0},
};

static const char *expectation_text(int expected)
{
    return expected == DIES ? "death by SIGSYS" : expected == 0 ? "success" : strerror(expected);
}

static int child_outcome(pid_t pid)
{
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? DIES : 1000 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

static int outcome_of(enum sandbox_process process, int (*try)(void))
{
    char holds[SANDBOX_TEXT_MAX];
    const struct sandbox_settings settings = {.mode = SANDBOX_ON, .audit_file = audit_file};
    const pid_t pid = fork();
    if (pid == 0) {
        if (!sandbox_enter(process, &settings, holds))
            _exit(255);
        errno = 0;
        _exit(try() < 0 ? errno : 0);
    }
    return child_outcome(pid);
}

static bool is_instrumented(void)
{
    const struct sandbox_settings settings = {.mode = SANDBOX_AUTO};
    const pid_t pid = fork();
    if (pid == 0) {
        char holds[SANDBOX_TEXT_MAX];
        _exit(sandbox_enter(SANDBOX_SUPERVISOR, &settings, holds) && strstr(holds, "a build with") != NULL);
    }
    return child_outcome(pid) == 1;
}

static void need_sandbox(void)
{
    if (is_instrumented())
        cr_skip_test("SKIPPED: a build with sanitizers or counters has no sandbox");
    if (landlock_abi() == 0)
        cr_skip_test("SKIPPED: this kernel has no Landlock");
}

static void expect_outcomes(enum sandbox_process process)
{
    need_sandbox();
    for (size_t i = 0; i < sizeof(ATTEMPTS) / sizeof(ATTEMPTS[0]); i++) {
        const struct attempt *attempt = &ATTEMPTS[i];
        const int expected = process == SANDBOX_SERVER ? attempt->server : attempt->journal;
        if (attempt->try == bind_port && landlock_abi() < 4)
            continue;
        const int found = outcome_of(process, attempt->try);
        cr_expect_eq(found, expected, "%s: %d (%s), expected %s", attempt->name, found, expectation_text(found), expectation_text(expected));
    }
}

Test(sandbox, the_server_does_what_it_is_for_and_nothing_else)
{
    expect_outcomes(SANDBOX_SERVER);
}

Test(sandbox, the_journal_does_what_it_is_for_and_nothing_else)
{
    expect_outcomes(SANDBOX_JOURNAL);
}

/* What a failed assertion needs, so that its death is known for what it is. */
static int try_abort(void)
{
    abort();
}

Test(sandbox, abort_is_an_abort)
{
    need_sandbox();
    cr_expect_eq(outcome_of(SANDBOX_SERVER, try_abort), 1000 + SIGABRT);
    cr_expect_eq(outcome_of(SANDBOX_JOURNAL, try_abort), 1000 + SIGABRT);
}

/* The file that a link leads to may be in a directory of its own. */
Test(sandbox, the_journal_follows_a_link)
{
    need_sandbox();
    cr_assert(symlink(other_file, next_file) == 0);
    const struct sandbox_settings settings = {.mode = SANDBOX_ON, .audit_file = next_file};
    const pid_t pid = fork();
    if (pid == 0) {
        char holds[SANDBOX_TEXT_MAX];
        _exit(!sandbox_enter(SANDBOX_JOURNAL, &settings, holds) || try_open(next_file, O_RDWR | O_APPEND) != 0 || write_audit() != 0);
    }
    cr_expect_eq(child_outcome(pid), 0);
}

Test(sandbox, the_supervisor_starts_programs)
{
    need_sandbox();
    cr_expect_eq(outcome_of(SANDBOX_SUPERVISOR, try_fork), 0);
    cr_expect_eq(outcome_of(SANDBOX_SUPERVISOR, try_exec), 0);
    cr_expect_eq(outcome_of(SANDBOX_SUPERVISOR, read_own_memory), 0);
}

Test(sandbox, off_is_off)
{
    const struct sandbox_settings settings = {.mode = SANDBOX_OFF, .audit_file = audit_file};
    const pid_t pid = fork();
    if (pid == 0) {
        char holds[SANDBOX_TEXT_MAX];
        const bool entered = sandbox_enter(SANDBOX_SERVER, &settings, holds);
        _exit(!entered || strstr(holds, "no sandbox") == NULL || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0 || write_other() != 0);
    }
    cr_expect_eq(child_outcome(pid), 0);
}

/* ---- Landlock alone: nothing above would show if seccomp did its work, too ---- */

static int outcome_of_landlock(const struct landlock_grant *grants, size_t count, bool binds, int (*try)(void))
{
    const pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || landlock_restrict(grants, count, binds) != 0)
            _exit(255);
        errno = 0;
        _exit(try() < 0 ? errno : 0);
    }
    return child_outcome(pid);
}

Test(sandbox, landlock_grants_what_is_asked_and_no_more)
{
    need_sandbox();
    const struct landlock_grant read = {audit_directory, LANDLOCK_READ}, all = {audit_directory, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_LIST};
    cr_expect_eq(outcome_of_landlock(&read, 1, false, read_audit), 0);
    cr_expect_eq(outcome_of_landlock(&read, 1, false, write_audit), EACCES);
    cr_expect_eq(outcome_of_landlock(&read, 1, false, list_audit), EACCES);
    cr_expect_eq(outcome_of_landlock(&read, 1, false, read_other), EACCES);
    cr_expect_eq(outcome_of_landlock(&read, 1, false, try_exec), EACCES);
    cr_expect_eq(outcome_of_landlock(&all, 1, false, write_audit), 0);
    cr_expect_eq(outcome_of_landlock(&all, 1, false, make_directory), EACCES);
    cr_expect_eq(outcome_of_landlock(&all, 1, false, make_next), 0);
    cr_expect_eq(outcome_of_landlock(&all, 1, false, list_audit), 0);
    cr_expect_eq(outcome_of_landlock(&all, 1, false, remove_audit), EACCES);
    cr_expect_eq(outcome_of_landlock(NULL, 0, false, read_etc), EACCES);
}

/* A file takes the rights that files have, and what is not there none. */
Test(sandbox, landlock_takes_files_and_what_is_missing)
{
    need_sandbox();
    const struct landlock_grant grants[] = {
        {audit_file, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_LIST}, {"/nonexistent/exeat", LANDLOCK_READ}, {NULL, LANDLOCK_READ}};
    cr_expect_eq(outcome_of_landlock(grants, 3, false, write_audit), 0);
    cr_expect_eq(outcome_of_landlock(grants, 3, false, read_other), EACCES);
}

Test(sandbox, landlock_binds_no_port_and_signals_nobody)
{
    need_sandbox();
    if (landlock_abi() < 6)
        cr_skip_test("SKIPPED: this kernel's Landlock knows of neither");
    cr_expect_eq(outcome_of_landlock(NULL, 0, true, bind_source), 0);
    cr_expect_eq(outcome_of_landlock(NULL, 0, true, bind_port), EACCES);
    cr_expect_eq(outcome_of_landlock(NULL, 0, false, bind_source), EACCES);
    cr_expect_eq(outcome_of_landlock(NULL, 0, false, signal_parent), EPERM);
    cr_expect_eq(outcome_of_landlock(NULL, 0, false, try_trace), EPERM);
    cr_expect_eq(outcome_of_landlock(NULL, 0, false, steal_memory), EPERM);
}
