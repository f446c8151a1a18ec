/* What a service manager is told, at its own end of the socket. */
#include "host/notify.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static char directory[] = "/tmp/exeat-notify-XXXXXX";
static struct notify notify;
static int manager = -1;
static unsigned warned;

static void count_line(void *arg, const char *line, size_t len)
{
    (void)arg, (void)line, (void)len;
    warned++;
}

static void enter(void)
{
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
    log_set_sink(count_line, NULL);
}

static void leave(void)
{
    notify_close(&notify);
    if (manager >= 0)
        close(manager);
    unlink("socket");
    cr_expect(chdir("/") == 0 && rmdir(directory) == 0, "%s is not empty", directory);
}

TestSuite(notify, .init = enter, .fini = leave);

/* Binds the manager's end to a name as the kernel has it: an abstract one begins with a NUL, and is all of its bytes. */
static void listen_at(const char *name, size_t len)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, name, len);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(manager >= 0 && bind(manager, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0);
}

static void open_path(void)
{
    char path[sizeof(directory) + 8];
    snprintf(path, sizeof(path), "%s/socket", directory);
    listen_at(path, strlen(path) + 1);
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", "60000000", 1);
    notify_open(&notify);
}

/* NULL: nothing has come. */
static const char *heard(void)
{
    static char buf[4096];
    const ssize_t got = recv(manager, buf, sizeof(buf) - 1, MSG_DONTWAIT);
    buf[got > 0 ? got : 0] = '\0';
    return got > 0 ? buf : NULL;
}

Test(notify, a_path)
{
    open_path();
    cr_expect(notify_is_open(&notify));
    notify_ready(&notify, "2 workers");
    cr_expect_str_eq(heard(), "READY=1\nSTATUS=2 workers");
    notify_alive(&notify);
    cr_expect_str_eq(heard(), "WATCHDOG=1");
    notify_status(&notify, "fine");
    cr_expect_str_eq(heard(), "STATUS=fine");
    notify_stopping(&notify);
    cr_expect_str_eq(heard(), "STOPPING=1\nSTATUS=stopping");
    cr_expect_null(heard());
    cr_expect_eq(warned, 0);
}

Test(notify, an_abstract_name)
{
    char name[64], where[64];
    const int len = snprintf(name, sizeof(name), "@exeat-test-%d", (int)getpid());
    strcpy(where, name);
    name[0] = '\0';
    listen_at(name, (size_t)len);
    setenv("NOTIFY_SOCKET", where, 1);
    notify_open(&notify);
    notify_alive(&notify);
    cr_expect_null(heard(), "it has no watchdog");
    notify_status(&notify, "fine");
    cr_expect_str_eq(heard(), "STATUS=fine");
}

Test(notify, a_reload_says_when)
{
    uint64_t said = 0;
    open_path();
    const uint64_t before = clock_monotonic_us();
    notify_reloading(&notify);
    const char *message = heard();
    cr_assert_not_null(message);
    cr_assert_eq(sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &said), 1, "%s", message);
    cr_expect(before <= said && said <= clock_monotonic_us());
}

Test(notify, a_status_is_one_line)
{
    open_path();
    notify_status(&notify, "fine\nSTOPPING=1");
    cr_expect_str_eq(heard(), "STATUS=fine?STOPPING=1");
}

Test(notify, children_hear_nothing_of_it)
{
    setenv("WATCHDOG_USEC", "1000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    open_path();
    cr_expect_null(getenv("NOTIFY_SOCKET"));
    cr_expect_null(getenv("WATCHDOG_USEC"));
    cr_expect_null(getenv("WATCHDOG_PID"));
}

Test(notify, a_watchdog)
{
    char own[16];
    snprintf(own, sizeof(own), "%d", (int)getpid());
    const struct {
        const char *usec, *pid;
        uint32_t ms;
    } rows[] = {
        {NULL, NULL, 0}, {"30000000", NULL, 30000},         {"30000000", own, 30000},         {"30000000", "1", 0}, {"-1", NULL, 0}, {"", NULL, 0},
        {"3s", NULL, 0}, {"18446744073709551615", NULL, 0}, {"2147483647000", own, INT32_MAX}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setenv("NOTIFY_SOCKET", "/anywhere", 1);
        if (rows[i].usec != NULL)
            setenv("WATCHDOG_USEC", rows[i].usec, 1);
        if (rows[i].pid != NULL)
            setenv("WATCHDOG_PID", rows[i].pid, 1);
        notify_open(&notify);
        cr_expect_eq(notify.watchdog_ms, rows[i].ms, "row %zu: %u", i, notify.watchdog_ms);
        notify_close(&notify);
    }
}

Test(notify, nobody_to_tell)
{
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "1000000", 1);
    notify_open(&notify);
    cr_expect_not(notify_is_open(&notify));
    cr_expect_eq(notify.watchdog_ms, 0);
    notify_ready(&notify, "to nobody");
    cr_expect_eq(warned, 0, "which is as it should be");
}

Test(notify, what_cannot_be_an_address_is_said)
{
    char longer[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0'; /* a path that would fit but for its NUL */
    const char *const wrong[] = {"socket", "@", "/", "vsock:2:1", longer};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        warned = 0;
        notify_open(&notify);
        cr_expect_not(notify_is_open(&notify), "%s", wrong[i]);
        cr_expect_eq(warned, 1, "%s", wrong[i]);
    }
}

Test(notify, who_does_not_listen_is_said_once)
{
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify_open(&notify);
    notify_ready(&notify, "to nobody");
    notify_stopping(&notify);
    cr_expect_eq(warned, 1);
}

Test(notify, who_does_not_read_is_not_waited_for, .timeout = 60)
{
    open_path();
    const uint64_t before_ms = clock_monotonic_ms();
    for (int i = 0; i < 100000 && warned == 0; i++)
        notify_alive(&notify);
    cr_expect_eq(warned, 1, "its queue has no end");
    cr_expect_lt(clock_monotonic_ms() - before_ms, 30000);
}
