/* The addresses that are listened on, from one configuration to the next: kept, new, dropped, and none of it when one cannot be had. */
#include "host/bounds.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bounds_text.h"
#include "host/bind.h"
#include "net.h"

enum { WORKERS = 2 };

#define REST "[clients a]\nfrom = 127.0.0.0/8\n[route nat]\n[rule r]\nto = a.example\n"

static void enter_network(void)
{
    (void)net_own_network(); /* a port that was free a moment ago may be somebody's now, outside of one's own */
}

TestSuite(bounds, .init = enter_network);

/* Plans and commits; the number of faults. */
static size_t go_over(struct bounds *now, const char *listeners)
{
    char text[1024], said[1024];
    snprintf(text, sizeof(text), "%s" REST, listeners);
    return bounds_text_go_over(now, text, said, sizeof(said));
}

/* Non-blocking: >= 0 with whatever became of it so far. */
static int dial(const struct endpoint *to)
{
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(to, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert(fd >= 0);
    (void)connect(fd, (struct sockaddr *)&name, len);
    return fd;
}

static bool is_connected(int fd, int patience_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int error = -1;
    socklen_t len = sizeof(error);
    return poll(&poll_fd, 1, patience_ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

static bool answers(const struct endpoint *to)
{
    int fd = dial(to);
    const bool connected = is_connected(fd, 300);
    close(fd);
    return connected;
}

static bool is_transparent(const struct bounds *bounds)
{
    int on = 0;
    socklen_t len = sizeof(on);
    cr_assert(bounds->count == 1 && getsockopt(bounds->all[0].fds[WORKERS - 1], IPPROTO_IP, IP_TRANSPARENT, &on, &len) == 0);
    return on != 0;
}

Test(bounds, one_that_stays_is_tproxy_only_when_the_plan_is_taken)
{
    struct bounds now = {.workers = WORKERS};
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    const bool may = setsockopt(probe, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) == 0;
    close(probe);
    if (!may)
        cr_skip_test("SKIPPED: sockets may not be made transparent here");
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\n"), 0);
    cr_expect_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\nmode = tproxy\n[listen b]\naddress = 192.0.2.1:1\n"), 1);
    cr_expect_not(is_transparent(&now), "it was refused");
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\nmode = tproxy\n"), 0);
    cr_expect(is_transparent(&now));
    cr_expect_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\nmode = tproxy\n[listen b]\naddress = 192.0.2.1:1\n"), 1);
    cr_expect(is_transparent(&now), "it was so before");
    bounds_fini(&now);
}

Test(bounds, what_stays_keeps_its_sockets)
{
    struct bounds now = {.workers = WORKERS};
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0 [::1]:0\n[listen b]\naddress = 127.0.0.1:0\n"), 0);
    cr_assert_eq(now.count, 3);
    const struct bound was[] = {now.all[0], now.all[1], now.all[2]};
    const int fds[] = {was[0].fds[0], was[1].fds[1], was[2].fds[0]};
    const size_t held = net_descriptors();
    cr_assert_eq(go_over(&now, "[listen b]\naddress = 127.0.0.1:0\n[listen a]\naddress = [::1]:0 127.0.0.1:0\n"), 0);
    cr_assert_eq(now.count, 3);
    cr_expect_eq(net_descriptors(), held);
    cr_expect(now.all[0].number == was[2].number && now.all[0].fds[0] == fds[2] && now.all[0].listener == 0 && !now.all[0].fresh);
    cr_expect(now.all[1].number == was[1].number && now.all[1].fds[1] == fds[1] && now.all[1].listener == 1);
    cr_expect(now.all[2].number == was[0].number && now.all[2].fds[0] == fds[0] && endpoint_equal(&now.all[2].address, &was[0].address));
    bounds_fini(&now);
    cr_expect_eq(net_descriptors(), held - (size_t)3 * WORKERS);
}

/* A port that somebody chose is the same under any name. */
Test(bounds, a_listener_may_change_its_name)
{
    struct bounds now = {.workers = WORKERS}, other = {.workers = WORKERS};
    char before[64], after[64];
    cr_assert_eq(go_over(&other, "[listen a]\naddress = 127.0.0.1:0\n"), 0);
    const uint16_t port = other.all[0].address.port;
    bounds_fini(&other);
    snprintf(before, sizeof(before), "[listen a]\naddress = 127.0.0.1:%u\n", port);
    snprintf(after, sizeof(after), "[listen z]\naddress = 127.0.0.1:%u\n", port);
    cr_assert_eq(go_over(&now, before), 0);
    const uint32_t number = now.all[0].number;
    cr_assert_eq(go_over(&now, after), 0);
    cr_expect_eq(now.all[0].number, number);
    cr_expect_str_eq(now.all[0].name, "z");
    bounds_fini(&now);
}

Test(bounds, one_that_cannot_be_had_leaves_everything)
{
    struct bounds now = {.workers = WORKERS};
    struct endpoint taken;
    char text[160], held_text[ENDPOINT_TEXT_MAX];
    int other = net_listen("127.0.0.1", &taken);
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\n"), 0);
    const struct bound was = now.all[0];
    const size_t held = net_descriptors();
    snprintf(text, sizeof(text), "[listen new]\naddress = 127.0.0.1:0\n[listen clash]\naddress = %s\n", endpoint_text(&taken, held_text));
    cr_expect_eq(go_over(&now, text), 1);
    cr_expect_eq(net_descriptors(), held, "what was bound for nothing is closed");
    cr_expect(now.count == 1 && now.all[0].number == was.number && answers(&was.address));
    bounds_fini(&now);
    close(other);
}

/* A wildcard in place of an address of it, and back: the one that goes is ours. */
Test(bounds, a_wildcard_takes_the_place_of_an_address)
{
    struct bounds now = {.workers = WORKERS};
    char one[64], all[64];
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\n"), 0);
    const uint16_t port = now.all[0].address.port;
    snprintf(one, sizeof(one), "[listen a]\naddress = 127.0.0.1:%u\n", port);
    snprintf(all, sizeof(all), "[listen a]\naddress = 0.0.0.0:%u\n", port);
    cr_expect_eq(go_over(&now, all), 0);
    cr_expect_eq(go_over(&now, one), 0);
    cr_expect_eq(go_over(&now, all), 0);
    bounds_fini(&now);
}

/* Who has connected is in the queue of the server's copies still, and hears no reset; who comes later hears nothing, and then that nobody is
 * there. */
Test(bounds, what_goes_lets_in_who_was_there)
{
    struct bounds now = {.workers = WORKERS};
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\n[listen b]\naddress = 127.0.0.1:0\n"), 0);
    const struct endpoint gone = now.all[1].address;
    int copies[WORKERS], early[8], accepted = 0;
    for (int i = 0; i < WORKERS; i++)
        copies[i] = dup(now.all[1].fds[i]);
    for (int i = 0; i < 8; i++) {
        early[i] = dial(&gone);
        cr_assert(is_connected(early[i], 2000));
    }
    cr_assert_eq(go_over(&now, "[listen a]\naddress = 127.0.0.1:0\n"), 0);
    cr_expect_not(answers(&gone), "nobody is let in any more");
    for (int i = 0; i < WORKERS; i++)
        for (int fd; (fd = accept(copies[i], NULL, NULL)) >= 0; accepted++) {
            cr_expect_eq(write(fd, "x", 1), 1);
            close(fd);
        }
    cr_expect_eq(accepted, 8);
    for (int i = 0; i < WORKERS; i++)
        close(copies[i]);
    for (int i = 0; i < 8; i++) {
        char byte;
        struct pollfd readable = {.fd = early[i], .events = POLLIN};
        cr_expect(poll(&readable, 1, 2000) == 1 && read(early[i], &byte, 1) == 1, "connection %d", i);
        close(early[i]);
    }
    int late = dial(&gone);
    cr_expect_not(is_connected(late, 2000));
    close(late);
    bounds_fini(&now);
}
