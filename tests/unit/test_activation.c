/* Sockets that a service manager passes: what is taken for one, by whom, and what is said of the others. Each in a process of its own, since
 * descriptors from 3 on are Criterion's. */
#include "host/activation.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "bounds_text.h"
#include "host/bind.h"
#include "host/bounds.h"
#include "net.h"

enum { FIRST = 3, PASSED_MAX = 8, WORKERS = 4 };

static char said[2048]; /* in the log */

static void keep_line(void *arg, const char *line, size_t len)
{
    (void)arg;
    strncat(said, line, len < sizeof(said) - strlen(said) - 1 ? len : sizeof(said) - strlen(said) - 1);
}

static void check_at(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s; said: %s\n", __FILE__, line, what, said);
    _exit(1);
}
#define CHECK(what) check_at(what, #what, __LINE__)

static void in_child(void (*body)(void))
{
    int status = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        log_set_sink(keep_line, NULL);
        (void)net_own_network();
        body();
        _exit(0);
    }
    cr_assert(waitpid(pid, &status, 0) == pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "see the lines above");
}

/* As a manager does it: they stand from 3 on, open over exec, and the variables are this process's. */
static void pass(const int *fds, size_t count, const char *names)
{
    char text[32];
    int copies[PASSED_MAX];
    for (size_t i = 0; i < count; i++)
        copies[i] = fcntl(fds[i], F_DUPFD, 100);
    for (size_t i = 0; i < count; i++)
        CHECK(dup2(copies[i], FIRST + (int)i) == FIRST + (int)i && close(copies[i]) == 0);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof(text), "%zu", count);
    setenv("LISTEN_FDS", text, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

/* A listener out of the way of those that are passed. */
static int listen_high(const char *ip, struct endpoint *at)
{
    const int fd = net_listen(ip, at), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    close(fd);
    return high;
}

static bool variables_are_gone(void)
{
    return getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL && getenv("LISTEN_FDNAMES") == NULL;
}

static void take_each_by_its_address(void)
{
    struct activation passed;
    struct endpoint four, six;
    int sockets[] = {listen_high("127.0.0.1", &four), listen_high("::1", &six)}, fds[2] = {-1, -1};
    fcntl(sockets[0], F_SETFL, 0); /* as a manager has it, which is shared by all copies */
    pass(sockets, 2, "one:two");
    CHECK(activation_open(&passed) && passed.count == 2 && variables_are_gone());
    CHECK(fcntl(FIRST, F_GETFD) == FD_CLOEXEC && fcntl(FIRST + 1, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(FIRST, F_GETFL) & O_NONBLOCK);
    CHECK(activation_take(&passed, &(struct endpoint){.ip = four.ip, .port = 1}, fds, 2) == 0);
    CHECK(activation_take(&passed, &six, fds, 2) == 1 && fds[0] == FIRST + 1);
    CHECK(activation_take(&passed, &six, fds, 2) == 0);
    CHECK(!activation_is_used(&passed) && strstr(said, "descriptor 3, which the service manager passed (one, 127.0.0.1:") != NULL);
    CHECK(activation_take(&passed, &four, fds, 2) == 1 && fds[0] == FIRST && activation_is_used(&passed));
    activation_close(&passed);
    CHECK(fcntl(FIRST, F_GETFD) == FD_CLOEXEC);
}

Test(activation, each_is_taken_once_by_its_address)
{
    in_child(take_each_by_its_address);
}

static void leave_one(void)
{
    struct activation passed;
    struct endpoint at;
    const int socket_fd = listen_high("127.0.0.1", &at);
    pass(&socket_fd, 1, NULL);
    CHECK(activation_open(&passed));
    activation_close(&passed);
    CHECK(fcntl(FIRST, F_GETFD) == -1);
}

Test(activation, what_nobody_took_is_closed)
{
    in_child(leave_one);
}

static void expect_nothing(const char *variable, const char *value)
{
    struct activation passed = {.count = 7};
    struct endpoint at;
    const int socket_fd = listen_high("127.0.0.1", &at);
    pass(&socket_fd, 1, "name");
    if (value != NULL)
        setenv(variable, value, 1);
    else
        unsetenv(variable);
    CHECK(activation_open(&passed) && passed.count == 0 && activation_is_used(&passed) && variables_are_gone());
    CHECK(fcntl(FIRST, F_GETFD) == 0);
    activation_close(&passed);
    close(socket_fd);
}

static void be_somebody_else(void)
{
    expect_nothing("LISTEN_PID", "1");
    expect_nothing("LISTEN_PID", "");
    expect_nothing("LISTEN_PID", "12x");
    expect_nothing("LISTEN_PID", NULL);
    expect_nothing("LISTEN_FDS", NULL);
    expect_nothing("LISTEN_FDS", "0");
}

Test(activation, what_is_for_another_process_is_left_alone)
{
    in_child(be_somebody_else);
}

static void pass_a_bad_number(void)
{
    static const char *const numbers[] = {"-1", "1025", "99999999999999999999", "one", ""};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct activation passed;
        pass(NULL, 0, NULL);
        setenv("LISTEN_FDS", numbers[i], 1);
        said[0] = '\0';
        CHECK(!activation_open(&passed) && variables_are_gone() && strstr(said, "LISTEN_FDS") != NULL);
        activation_close(&passed);
    }
}

Test(activation, a_number_that_is_none_is_a_fault)
{
    in_child(pass_a_bad_number);
}

/* It alone, beside a good one. */
static void refuse(int bad, const char *why)
{
    struct activation passed;
    struct endpoint at;
    const int sockets[] = {listen_high("127.0.0.1", &at), bad};
    said[0] = '\0';
    pass(sockets, 2,
         "good:b\x01"
         "d");
    CHECK(!activation_open(&passed));
    CHECK(strstr(said, "descriptor 4, which the service manager passed (b?d") != NULL && strstr(said, why) != NULL && strstr(said, "good") == NULL);
    activation_close(&passed);
    close(bad);
    close(sockets[0]);
}

static int tcp_socket(int family, int protocol)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    close(fd);
    return high;
}

static int listen_both_families(const char *ip)
{
    const int off = 0, fd = tcp_socket(AF_INET6, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    CHECK(inet_pton(AF_INET6, ip, &any.sin6_addr) == 1);
    CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
          listen(fd, 1) == 0);
    return fd;
}

static int listen_abstract(void)
{
    const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0exeat-activation-test"};
    const int fd = tcp_socket(AF_UNIX, 0);
    CHECK(bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 1) == 0);
    return fd;
}

static void pass_what_is_nothing(void)
{
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    const int reading = fcntl(ends[0], F_DUPFD_CLOEXEC, 200);
    refuse(reading, "no socket that listens");
    refuse(tcp_socket(AF_INET, 0), "no socket that listens"); /* Accept=yes passes one that is connected */
    refuse(listen_both_families("::"), "BindIPv6Only");
    refuse(listen_both_families("::ffff:127.0.0.1"), "BindIPv6Only");
    refuse(listen_abstract(), "without a path");
}

Test(activation, nothing_but_a_listener_is_served_on)
{
    in_child(pass_what_is_nothing);
}

static void pass_fewer_than_said(void)
{
    struct activation passed;
    struct endpoint at;
    const int socket_fd = listen_high("127.0.0.1", &at);
    pass(&socket_fd, 1, NULL);
    setenv("LISTEN_FDS", "3", 1);
    close(FIRST + 1);
    close(FIRST + 2);
    CHECK(!activation_open(&passed) && strstr(said, "descriptor 4") != NULL && strstr(said, "descriptor 5") != NULL);
    activation_close(&passed);
}

Test(activation, one_that_is_not_there_is_a_fault)
{
    in_child(pass_fewer_than_said);
}

static void take_a_path(void)
{
    struct activation passed;
    char directory[] = "/tmp/exeat-activation-XXXXXX";
    ino_t inode;
    CHECK(mkdtemp(directory) != NULL && chdir(directory) == 0);
    const int fd = bind_unix("door", &inode), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    pass(&high, 1, NULL);
    CHECK(activation_open(&passed) && activation_take_unix(&passed, "doo") == -1 && activation_take_unix(&passed, "") == -1);
    CHECK(!activation_is_used(&passed) && strstr(said, "(without a name, unix:door)") != NULL);
    CHECK(activation_take_unix(&passed, "door") == FIRST && activation_take_unix(&passed, "door") == -1);
    activation_close(&passed);
    unlink("door");
    CHECK(chdir("/") == 0 && rmdir(directory) == 0);
}

Test(activation, a_unix_socket_is_taken_by_its_path)
{
    in_child(take_a_path);
}

/* ---- as listeners ---- */

static size_t go_over(struct bounds *now, const char *address, const char *more)
{
    char text[512];
    snprintf(text, sizeof(text), "[listen a]\naddress = %s\n%s[clients a]\nfrom = 127.0.0.0/8\n[route nat]\n[rule r]\nto = a.example\n", address,
             more);
    return bounds_text_go_over(now, text, said, sizeof(said));
}

static bool is_answered(const struct endpoint *at)
{
    struct sockaddr_storage name;
    const socklen_t len = (socklen_t)endpoint_to_sockaddr(at, &name);
    const int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(fd, (struct sockaddr *)&name, len);
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    int error = -1;
    socklen_t error_len = sizeof(error);
    const bool answered = poll(&writable, 1, 300) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) == 0 && error == 0;
    close(fd);
    return answered;
}

/* One for all workers, kept by reloads, not to be dropped by one, and as it was when we have gone: its manager starts the next with it. */
static void serve_by_one(void)
{
    struct activation passed;
    struct endpoint at;
    struct bounds now = {.workers = WORKERS, .passed = &passed};
    char address[ENDPOINT_TEXT_MAX];
    const int manager = listen_high("127.0.0.1", &at);
    pass(&manager, 1, NULL);
    endpoint_text(&at, address);
    CHECK(activation_open(&passed) && go_over(&now, address, "") == 0 && activation_is_used(&passed));
    activation_close(&passed);
    CHECK(now.count == 1 && now.all[0].inherited && now.all[0].fresh && endpoint_equal(&now.all[0].address, &at));
    for (int i = 0; i < WORKERS; i++)
        CHECK(fcntl(now.all[0].fds[i], F_GETFD) == FD_CLOEXEC && (i == 0 || now.all[0].fds[i] != now.all[0].fds[i - 1]));
    CHECK(go_over(&now, address, "[listen b]\naddress = 127.0.0.1:0\n") == 0 && now.all[0].inherited && !now.all[0].fresh && !now.all[1].inherited);
    CHECK(go_over(&now, "127.0.0.1:0", "") == 1 && strstr(said, address) != NULL && strstr(said, "socket unit") != NULL && now.count == 2);
    struct bounds nowhere = {.workers = WORKERS};
    bounds_commit(&now, &nowhere);
    CHECK(is_answered(&at));
    close(manager);
}

Test(activation, one_socket_serves_all_workers_and_outlives_them)
{
    in_child(serve_by_one);
}

static void serve_by_several(int count)
{
    struct activation passed;
    struct bounds now = {.workers = WORKERS, .passed = &passed};
    struct endpoint at = {.ip = net_address("127.0.0.1")};
    int sockets[PASSED_MAX];
    char address[ENDPOINT_TEXT_MAX];
    CHECK(bind_listeners(&at, false, sockets, (size_t)count));
    for (int i = 0; i < count; i++) {
        const int low = sockets[i];
        sockets[i] = fcntl(low, F_DUPFD_CLOEXEC, 200);
        close(low);
    }
    pass(sockets, (size_t)count, NULL);
    CHECK(activation_open(&passed) && go_over(&now, endpoint_text(&at, address), "") == 0);
    CHECK(activation_is_used(&passed) == (count <= WORKERS));
    activation_close(&passed);
    bounds_fini(&now);
    for (int i = 0; i < count; i++)
        close(sockets[i]);
}

static void serve_by_all_counts(void)
{
    for (int count = 2; count <= WORKERS + 1; count++)
        serve_by_several(count);
    CHECK(strstr(said, "than there are workers") != NULL);
}

Test(activation, more_sockets_than_workers_are_too_many)
{
    in_child(serve_by_all_counts);
}
