/* Dialling on loopback: who wins, how losing is told apart, and that nothing is left behind. */
#include "proxy/dialer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net.h"

enum { LONG_MS = 10000, SOURCES_MAX = 4, ADDRESSES_MAX = 16 };

/* A dial under test: fill in route and addresses, then go. */
struct test {
    struct loop *loop;
    struct route route;
    struct source sources[SOURCES_MAX];
    struct address addresses[ADDRESSES_MAX];
    struct dial_request request;
    struct dial *dial;
    struct dialed dialed;
    unsigned answers;
    bool done;
    size_t descriptors;
    struct budget tries;
};

static char route_name[] = "nat", lo[] = "lo", nosuch[] = "nosuch0";

static void setup(struct test *test)
{
    *test = (struct test){.route = {.name = route_name}, .tries = {ADDRESSES_MAX, 0}};
    test->route.sources = test->sources;
    test->request = (struct dial_request){
        .route = &test->route, .client = net_address("10.20.0.1"), .addresses = test->addresses, .tries = &test->tries, .timeout_ms = LONG_MS};
    test->loop = loop_new();
    cr_assert(test->loop);
    test->descriptors = net_descriptors();
}

/* Every test ends here: only what it was given may be left. */
static void teardown(struct test *test)
{
    if (test->done && test->dialed.status == DIAL_OK)
        close(test->dialed.fd);
    cr_expect_eq(net_descriptors(), test->descriptors, "%zu descriptors, %zu before", net_descriptors(), test->descriptors);
    cr_expect_eq(test->tries.taken, 0);
    loop_free(test->loop);
}

static void add_source(struct test *test, const char *local, const char *public_ip)
{
    test->sources[test->route.source_count++] = (struct source){.local = net_address(local), .public_ip = net_address(public_ip)};
}

static void add_address(struct test *test, const char *ip)
{
    test->addresses[test->request.address_count++] = net_address(ip);
}

static void on_done(void *arg, const struct dialed *dialed)
{
    struct test *test = arg;
    test->dialed = *dialed;
    test->done = true;
    test->answers++;
    dial_cancel(test->dial); /* too late, but harmless while the callback runs */
}

static void start(struct test *test)
{
    test->done = false;
    test->dial = dial_start(test->loop, &test->request, on_done, test);
    cr_assert(test->dial);
    cr_assert_not(test->done, "done ran before dial_start returned");
}

static const struct dialed *go(struct test *test)
{
    start(test);
    cr_assert(net_run(test->loop, &test->done, LONG_MS * 2), "no answer");
    return &test->dialed;
}

static void expect(const struct dialed *dialed, enum dial_status status, int error)
{
    cr_expect_eq(dialed->status, status, "status %d (%s), not %d", dialed->status, strerror(dialed->error), status);
    cr_expect_eq(dialed->error, error, "%s, not %s", strerror(dialed->error), strerror(error));
}

static bool has_v6(void)
{
    const struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

/* A second address (of IPv4 one that no other test is at) on a port that is already had, since a dial has one port for all: refusing when the backlog
 * is negative, silent once a backlog of 0 is filled. */
static int bind_twin(const char *ip, uint16_t port, int backlog)
{
    const int on = 1;
    struct sockaddr_storage name;
    const struct endpoint at = {.ip = net_address(ip), .port = port};
    socklen_t len = (socklen_t)endpoint_to_sockaddr(&at, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (name.ss_family == AF_INET6)
        cr_assert(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    cr_assert(bind(fd, (struct sockaddr *)&name, len) == 0, "the port is taken on %s: %s", ip, strerror(errno));
    cr_assert(backlog < 0 || listen(fd, backlog) == 0);
    return fd;
}

static int fill_queue(const char *ip, uint16_t port)
{
    struct sockaddr_storage name;
    const struct endpoint at = {.ip = net_address(ip), .port = port};
    socklen_t len = (socklen_t)endpoint_to_sockaddr(&at, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (struct sockaddr *)&name, len) == 0);
    return fd;
}

Test(dialer, connects_and_dresses_the_socket)
{
    struct test test;
    struct endpoint at, peer;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_OK, 0);
    int accepted = net_accept(listener, &peer);
    cr_expect(endpoint_equal(&dialed->upstream, &at));
    cr_expect(endpoint_equal(&dialed->egress, &peer));
    cr_expect(address_equal(&dialed->egress_public, &peer.ip));
    cr_expect(fcntl(dialed->fd, F_GETFL) & O_NONBLOCK);
    cr_expect(fcntl(dialed->fd, F_GETFD) & FD_CLOEXEC);
    cr_expect_eq(net_option(dialed->fd, IPPROTO_TCP, TCP_NODELAY), 1);
    cr_expect_eq(net_option(dialed->fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    close(accepted);
    teardown(&test);
}

Test(dialer, refused)
{
    struct test test;
    struct endpoint at;
    int holder = net_refuse("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_FAILED, ECONNREFUSED);
    cr_expect(endpoint_equal(&dialed->upstream, &at));
    teardown(&test);
    close(holder);
}

Test(dialer, times_out_when_nobody_answers)
{
    struct test test;
    struct endpoint at;
    int filler, listener = net_silent("127.0.0.1", &at, &filler);
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    test.request.timeout_ms = 100;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_TIMEOUT, ETIMEDOUT);
    cr_expect(endpoint_equal(&dialed->upstream, &at));
    cr_expect_geq(dialed->took_ms, 90);
    teardown(&test);
    close(filler);
    close(listener);
}

Test(dialer, unreachable)
{
    struct test test;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test);
    add_address(&test, "203.0.113.1");
    test.request.port = 443;
    expect(go(&test), DIAL_FAILED, ENETUNREACH);
    teardown(&test);
}

/* The same silence of the kernel's tables, met by a route that is held to something: it is the route that has no way. */
Test(dialer, a_pinned_route_without_a_way)
{
    struct test test;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test);
    add_address(&test, "203.0.113.1");
    test.request.port = 443;
    test.route.mark = 2; /* by an interface alone the kernel takes all the world for a neighbour */
    expect(go(&test), DIAL_NO_WAY, ENETUNREACH);
    test.route.mark = 0;
    add_source(&test, "127.0.0.1", "127.0.0.1");
    expect(go(&test), DIAL_NO_WAY, ENETUNREACH);
    teardown(&test);
}

/* Routes that say no by themselves, as the table of a vpn's mark ends. */
Test(dialer, a_route_that_refuses_is_no_way)
{
    static const struct {
        const char *type;
        int error;
    } refusals[] = {{"unreachable", EHOSTUNREACH}, {"prohibit", EACCES}, {"blackhole", EINVAL}};
    struct test test;
    char command[64];
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test);
    add_address(&test, "203.0.113.1");
    test.request.port = 443;
    test.route.mark = 2;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        snprintf(command, sizeof(command), "ip route replace %s default", refusals[i].type);
        cr_assert(system(command) == 0, "%s", command);
        expect(go(&test), DIAL_NO_WAY, refusals[i].error);
        snprintf(command, sizeof(command), "ip route del %s default", refusals[i].type);
        cr_assert(system(command) == 0, "%s", command);
    }
    teardown(&test);
}

Test(dialer, an_interface_that_is_down_is_no_way)
{
    struct test test;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = 443;
    test.route.interface = lo;
    net_set_lo(false);
    expect(go(&test), DIAL_NO_WAY, ENETDOWN);
    net_set_lo(true);
    expect(go(&test), DIAL_FAILED, ECONNREFUSED);
    teardown(&test);
}

Test(dialer, no_address_is_no_way)
{
    struct test test;
    setup(&test);
    expect(go(&test), DIAL_NO_WAY, EADDRNOTAVAIL);
    teardown(&test);
}

Test(dialer, v6_refused_then_v4_at_once)
{
    struct test test;
    struct endpoint at;
    if (!has_v6())
        cr_skip_test("SKIPPED: no IPv6 on loopback");
    int listener = net_listen("127.0.0.1", &at);
    int refusing = bind_twin("::1", at.port, -1);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "::1");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_OK, 0);
    cr_expect_eq(dialed->upstream.ip.family, FAMILY_V4);
    cr_expect_lt(dialed->took_ms, 240, "waited %u ms for its turn", dialed->took_ms);
    teardown(&test);
    close(refusing);
    close(listener);
}

/* With an address of each family that answers, IPv4 first in the list. */
static void expect_first(enum family family, bool first_preferred)
{
    struct test test;
    struct endpoint at;
    if (!has_v6())
        cr_skip_test("SKIPPED: no IPv6 on loopback");
    int v4 = net_listen("127.0.0.1", &at);
    int v6 = bind_twin("::1", at.port, 0);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "::1");
    test.request.port = at.port;
    test.request.first_preferred = first_preferred;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_OK, 0);
    cr_expect_eq(dialed->upstream.ip.family, family);
    cr_expect_lt(accept(family == FAMILY_V4 ? v6 : v4, NULL, NULL), 0, "the other was dialled, too");
    teardown(&test);
    close(v6);
    close(v4);
}

Test(dialer, v6_goes_first)
{
    expect_first(FAMILY_V6, false);
}

Test(dialer, the_preferred_one_goes_first)
{
    expect_first(FAMILY_V4, true);
}

Test(dialer, v6_silent_then_v4_after_the_delay)
{
    struct test test;
    struct endpoint at;
    if (!has_v6())
        cr_skip_test("SKIPPED: no IPv6 on loopback");
    int listener = net_listen("127.0.0.1", &at);
    int silent = bind_twin("::1", at.port, 0);
    int filler = fill_queue("::1", at.port);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "::1");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_OK, 0);
    cr_expect_eq(dialed->upstream.ip.family, FAMILY_V4);
    cr_expect(dialed->took_ms >= 240 && dialed->took_ms < 900, "took %u ms", dialed->took_ms);
    teardown(&test); /* the loser is closed */
    close(filler);
    close(silent);
    close(listener);
}

Test(dialer, goes_through_all_addresses)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.100", &at);
    setup(&test);
    for (int i = 0; i < ADDRESSES_MAX - 1; i++)
        add_address(&test, "127.0.0.101");
    add_address(&test, "127.0.0.100");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    expect(dialed, DIAL_OK, 0);
    cr_expect(endpoint_equal(&dialed->upstream, &at));
    cr_expect_lt(dialed->took_ms, 1000);
    teardown(&test);
    close(listener);
}

Test(dialer, leaves_from_the_source_of_the_route)
{
    struct test test;
    struct endpoint at, peer;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_source(&test, "127.0.0.5", "203.0.113.17");
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    const struct dialed *dialed = go(&test);
    const struct address local = net_address("127.0.0.5"), public_ip = net_address("203.0.113.17");
    expect(dialed, DIAL_OK, 0);
    int accepted = net_accept(listener, &peer);
    cr_expect(address_equal(&peer.ip, &local));
    cr_expect(endpoint_equal(&dialed->egress, &peer));
    cr_expect(address_equal(&dialed->egress_public, &public_ip));
    close(accepted);
    teardown(&test);
    close(listener);
}

/* From which of the sources 127.0.0.5 and on the next dial leaves. */
static unsigned source_of_next(struct test *test)
{
    const struct dialed *dialed = go(test);
    expect(dialed, DIAL_OK, 0);
    close(dialed->fd);
    test->done = false;
    return dialed->egress.ip.bytes[3] - 5U;
}

Test(dialer, sticky_and_round_robin)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_source(&test, "127.0.0.5", "127.0.0.5");
    add_source(&test, "127.0.0.6", "127.0.0.6");
    add_source(&test, "127.0.0.7", "127.0.0.7");
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    unsigned first = source_of_next(&test);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(source_of_next(&test), first);
    test.route.pick = PICK_ROUND_ROBIN;
    first = source_of_next(&test);
    for (unsigned i = 1; i < 8; i++)
        cr_expect_eq(source_of_next(&test), (first + i) % 3);
    teardown(&test);
    close(listener);
}

static void count_line(void *arg, const char *line, size_t len)
{
    (void)len;
    *(unsigned *)arg += strstr(line, "does not have the source") ? 1 : 0;
}

Test(dialer, a_source_this_host_lacks_is_skipped)
{
    unsigned lines = 0;
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    test.route.pick = PICK_ROUND_ROBIN; /* so that each gets its turn */
    add_source(&test, "192.0.2.77", "192.0.2.77");
    add_source(&test, "127.0.0.5", "127.0.0.5");
    add_source(&test, "192.0.2.78", "192.0.2.78");
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    log_set_sink(count_line, &lines);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(source_of_next(&test), 0);
    cr_expect_eq(lines, 2, "two are lacking, %u lines", lines);
    teardown(&test);
    close(listener);
}

Test(dialer, never_leaves_without_a_source)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_source(&test, "192.0.2.77", "192.0.2.77");
    add_source(&test, "192.0.2.78", "192.0.2.78");
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    for (int i = 0; i < 2; i++) /* found lacking, then known to be */
        expect(go(&test), DIAL_NO_WAY, EADDRNOTAVAIL);
    cr_expect_lt(accept(listener, NULL, NULL), 0, "dialled all the same");
    teardown(&test);
    close(listener);
}

Test(dialer, a_family_without_source_is_not_dialled)
{
    struct test test;
    struct endpoint at;
    if (!has_v6())
        cr_skip_test("SKIPPED: no IPv6 on loopback");
    int v4 = net_listen("127.0.0.1", &at), v6 = bind_twin("::1", at.port, 0);
    setup(&test);
    add_source(&test, "127.0.0.5", "127.0.0.5");
    add_address(&test, "::1");
    test.request.port = at.port;
    expect(go(&test), DIAL_NO_WAY, EADDRNOTAVAIL);
    cr_expect_not(address_is_set(&test.dialed.upstream.ip), "an address was tried");
    add_address(&test, "127.0.0.1");
    expect(go(&test), DIAL_OK, 0);
    cr_expect_eq(test.dialed.upstream.ip.family, FAMILY_V4);
    cr_expect_lt(accept(v6, NULL, NULL), 0, "dialled IPv6 all the same");
    teardown(&test);
    close(v6);
    close(v4);
}

Test(dialer, a_source_without_ports_hands_over_to_the_next)
{
    struct test test;
    struct endpoint at;
    struct dialed dialed[4];
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    net_set_sysctl("ipv4/ip_local_port_range", "50000 50100");
    int listener = net_listen("127.0.0.1", &at);
    net_set_sysctl("ipv4/ip_local_port_range", "40000 40001");
    setup(&test);
    add_source(&test, "127.0.0.5", "127.0.0.5");
    add_source(&test, "127.0.0.6", "127.0.0.6");
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    unsigned from[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
        dialed[i] = *go(&test);
        expect(&dialed[i], DIAL_OK, 0);
        from[dialed[i].egress.ip.bytes[3] - 5]++;
    }
    cr_expect(from[0] == 2 && from[1] == 2, "%u and %u", from[0], from[1]);
    expect(go(&test), DIAL_NO_WAY, EADDRNOTAVAIL);
    for (int i = 0; i < 4; i++)
        close(dialed[i].fd);
    teardown(&test);
    close(listener);
}

Test(dialer, interface)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    test.route.interface = nosuch;
    expect(go(&test), DIAL_NO_WAY, ENODEV);
    test.route.interface = lo;
    expect(go(&test), DIAL_OK, 0);
    teardown(&test);
    close(listener);
}

Test(dialer, a_mark_that_may_not_be_set_is_no_way)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    test.route.mark = 2;
    if (geteuid() == 0)
        cr_assert(seteuid(65534) == 0);
    expect(go(&test), DIAL_NO_WAY, EPERM);
    cr_expect_lt(accept(listener, NULL, NULL), 0, "dialled without its mark");
    if (getuid() == 0)
        cr_assert(seteuid(0) == 0);
    teardown(&test);
    close(listener);
}

/* As many descriptors as this process has, and `more`. */
static void limit_descriptors(rlim_t more)
{
    int next = dup(0);
    const struct rlimit limit = {.rlim_cur = (rlim_t)next + more, .rlim_max = (rlim_t)next + more};
    close(next);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

Test(dialer, out_of_descriptors_is_overload)
{
    struct test test;
    struct rlimit before;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "127.0.0.2");
    test.request.port = at.port;
    getrlimit(RLIMIT_NOFILE, &before);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const struct dialed *dialed = go(&test);
    cr_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
    expect(dialed, DIAL_OVERLOAD, EMFILE);
    teardown(&test);
    close(listener);
}

Test(dialer, out_of_descriptors_leaves_what_is_under_way)
{
    struct test test;
    struct endpoint at;
    int filler, silent = net_silent("127.0.0.1", &at, &filler), listener = bind_twin("127.77.0.2", at.port, 8);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "127.77.0.2"); /* would answer, but there is no descriptor for it */
    test.request.port = at.port;
    test.request.timeout_ms = 400; /* the second try comes after 250 */
    limit_descriptors(1);
    start(&test);
    cr_expect(net_run(test.loop, &test.done, LONG_MS));
    expect(&test.dialed, DIAL_TIMEOUT, ETIMEDOUT);
    cr_expect_geq(test.dialed.took_ms, 390);
    teardown(&test);
    close(listener);
    close(filler);
    close(silent);
}

Test(dialer, cancelled_at_any_time)
{
    struct test test;
    struct endpoint at;
    int filler, listener = net_silent("127.0.0.1", &at, &filler);
    for (int turns = 0; turns < 4; turns++) {
        setup(&test);
        add_address(&test, "127.0.0.2"); /* refused */
        add_address(&test, "127.0.0.1"); /* silent */
        test.request.port = at.port;
        start(&test);
        for (int i = 0; i < turns; i++)
            event_base_loop(test.loop->base, EVLOOP_NONBLOCK);
        dial_cancel(test.dial);
        net_run(test.loop, NULL, 5);
        cr_expect_not(test.done, "done ran after cancel");
        teardown(&test);
    }
    close(filler);
    close(listener);
}

Test(dialer, cancelled_with_several_under_way)
{
    struct test test;
    struct endpoint at;
    int filler, listener = net_silent("127.0.0.1", &at, &filler);
    setup(&test);
    for (int i = 0; i < 3; i++)
        add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    start(&test);
    net_run(test.loop, NULL, 600);
    cr_expect_eq(net_descriptors(), test.descriptors + 3, "not three under way");
    cr_expect_eq(test.tries.taken, 2, "the first is its own");
    dial_cancel(test.dial);
    cr_expect_eq(net_descriptors(), test.descriptors);
    teardown(&test);
    close(filler);
    close(listener);
}

Test(dialer, a_second_try_waits_until_there_may_be_one)
{
    struct test test;
    struct endpoint at;
    int filler, silent = net_silent("127.0.0.1", &at, &filler), listener = bind_twin("127.77.0.2", at.port, 8);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "127.77.0.2");
    test.request.port = at.port;
    test.tries.max = 0; /* others have them all */
    start(&test);
    net_run(test.loop, NULL, 600);
    cr_expect_eq(net_descriptors(), test.descriptors + 1);
    cr_expect_not(test.done);
    test.tries.max = 1;
    cr_expect(net_run(test.loop, &test.done, LONG_MS));
    expect(&test.dialed, DIAL_OK, 0);
    teardown(&test);
    close(listener);
    close(filler);
    close(silent);
}

/* A try that fails gives way to the next one: that is no second one. */
Test(dialer, one_after_the_other_takes_nothing)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    for (int i = 0; i < 3; i++)
        add_address(&test, "127.0.0.2"); /* refused */
    add_address(&test, "127.0.0.1");
    test.request.port = at.port;
    test.tries.max = 0;
    expect(go(&test), DIAL_OK, 0);
    teardown(&test);
    close(listener);
}

Test(dialer, answers_once)
{
    struct test test;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    setup(&test);
    add_address(&test, "127.0.0.1");
    add_address(&test, "127.0.0.2");
    test.request.port = at.port;
    test.request.timeout_ms = 300;
    go(&test);
    net_run(test.loop, NULL, 400); /* past the next try and the deadline */
    cr_expect_eq(test.answers, 1);
    cr_expect_eq(test.dialed.status, DIAL_OK);
    teardown(&test);
    close(listener);
}
