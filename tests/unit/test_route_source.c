/* Which source a client leaves from, and what a dressed socket is held to. */
#include "proxy/route_source.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net.h"

enum { CLIENTS = 4096 };

static char name[] = "nat", lo[] = "lo", vrf[] = "vrf0", nosuch[] = "nosuch0";

static struct address client_at(unsigned number)
{
    return (struct address){.family = FAMILY_V4, .bytes = {10, 20, (uint8_t)(number >> 8), (uint8_t)number}};
}

/* `count` sources from 192.0.2.1 on. */
static void fill(struct source *sources, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        sources[i].local = (struct address){.family = FAMILY_V4, .bytes = {192, 0, 2, (uint8_t)(i + 1)}};
        sources[i].public_ip = sources[i].local;
    }
}

static const struct source *pick(const struct route *route, unsigned client, unsigned attempt)
{
    const struct address from = client_at(client);
    return route_source_at(route, FAMILY_V4, &from, 0, attempt);
}

Test(route_source, families_keep_apart)
{
    struct source sources[3] = {{.local = net_address("192.0.2.1")}, {.local = net_address("2001:db8::1")}, {.local = net_address("192.0.2.2")}};
    const struct route route = {.name = name, .sources = sources, .source_count = 3};
    const struct address client = client_at(1);
    cr_expect_eq(route_source_at(&route, FAMILY_V6, &client, 0, 0), &sources[1]);
    cr_expect_null(route_source_at(&route, FAMILY_V6, &client, 0, 1));
    cr_expect_eq(pick(&route, 1, 0)->local.family, FAMILY_V4);
    cr_expect_neq(pick(&route, 1, 0), pick(&route, 1, 1));
    cr_expect_null(pick(&route, 1, 2));
}

Test(route_source, unpinned_has_none)
{
    const struct route route = {.name = name};
    cr_expect_null(pick(&route, 1, 0));
}

Test(route_source, sticky_tries_each_once_and_stays)
{
    struct source sources[8];
    fill(sources, 8);
    const struct route route = {.name = name, .sources = sources, .source_count = 8};
    for (unsigned client = 0; client < CLIENTS; client++) {
        unsigned seen = 0;
        const struct address from = client_at(client);
        for (unsigned attempt = 0; attempt < 8; attempt++)
            seen |= 1U << (pick(&route, client, attempt) - sources);
        cr_assert_eq(seen, 0xff, "client %u: %x", client, seen);
        cr_assert_eq(pick(&route, client, 0), route_source_at(&route, FAMILY_V4, &from, 12345, 0), "the turn moved client %u", client);
    }
}

Test(route_source, sticky_spreads_clients_and_what_spills_over)
{
    struct source sources[8];
    unsigned first[8] = {0}, second[8] = {0};
    fill(sources, 8);
    const struct route route = {.name = name, .sources = sources, .source_count = 8};
    for (unsigned client = 0; client < CLIENTS; client++) {
        const struct source *source = pick(&route, client, 0);
        first[source - sources]++;
        if (source == &sources[3])
            second[pick(&route, client, 1) - sources]++;
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_expect(first[i] > CLIENTS / 8 * 3 / 4 && first[i] < CLIENTS / 8 * 5 / 4, "source %u has %u clients", i, first[i]);
        cr_expect(i == 3 ? second[i] == 0 : second[i] > first[3] / 7 / 2 && second[i] < first[3] / 7 * 2, "%u spill to source %u", second[i], i);
    }
}

Test(route_source, a_removed_source_moves_only_its_own_clients)
{
    struct source eight[8], seven[7];
    fill(eight, 8);
    memcpy(seven, eight, 2 * sizeof *seven);
    memcpy(seven + 2, eight + 3, 5 * sizeof *seven);
    const struct route before = {.name = name, .sources = eight, .source_count = 8}, after = {.name = name, .sources = seven, .source_count = 7};
    for (unsigned client = 0; client < CLIENTS; client++) {
        const struct source *was = pick(&before, client, 0);
        if (was != &eight[2])
            cr_assert(address_equal(&was->local, &pick(&after, client, 0)->local), "client %u moved", client);
    }
}

Test(route_source, round_robin_goes_in_a_circle)
{
    struct source sources[3];
    const struct address client = client_at(1);
    fill(sources, 3);
    const struct route route = {.name = name, .sources = sources, .source_count = 3, .pick = PICK_ROUND_ROBIN};
    for (unsigned turn = 0; turn < 7; turn++)
        for (unsigned attempt = 0; attempt < 3; attempt++)
            cr_assert_eq(route_source_at(&route, FAMILY_V4, &client, turn, attempt), &sources[(turn + attempt) % 3]);
    cr_expect_null(route_source_at(&route, FAMILY_V4, &client, 5, 3));
}

static void count_line(void *arg, const char *line, size_t len)
{
    (void)len;
    *(unsigned *)arg += strstr(line, "[route nat] this host") ? 1 : 0;
}

Test(route_source, a_lacking_source_is_said_once_and_skipped)
{
    struct source sources[3];
    unsigned lines = 0;
    fill(sources, 3);
    const struct route route = {.name = name, .sources = sources, .source_count = 3, .pick = PICK_ROUND_ROBIN};
    log_set_sink(count_line, &lines);
    route_source_lacks(&route, &sources[1]);
    route_source_lacks(&route, &sources[1]);
    cr_expect_eq(lines, 1, "said %u times", lines);
    cr_expect_eq(pick(&route, 1, 0), &sources[0]);
    cr_expect_eq(pick(&route, 1, 1), &sources[2]);
    cr_expect_null(pick(&route, 1, 2));
    /* by address, so a reload does not forget it; but the same address on another interface is another thing */
    struct source again = sources[1];
    const struct route reloaded = {.name = name, .sources = &again, .source_count = 1};
    const struct route elsewhere = {.name = name, .sources = &again, .source_count = 1, .interface = vrf};
    cr_expect_null(pick(&reloaded, 1, 0));
    cr_expect_eq(pick(&elsewhere, 1, 0), &again);
}

Test(route_source, a_source_that_binds_is_had_again)
{
    struct source source = {.local = net_address("127.0.0.9"), .public_ip = net_address("127.0.0.9")};
    const struct route route = {.name = name, .sources = &source, .source_count = 1};
    unsigned lines = 0;
    log_set_sink(count_line, &lines);
    route_source_lacks(&route, &source);
    cr_assert_null(pick(&route, 1, 0));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(route_dress(&route, fd, FAMILY_V4, &source), 0);
    cr_expect_eq(pick(&route, 1, 0), &source);
    cr_expect_eq(lines, 2, "said %u times", lines);
    close(fd);
}

enum { THREADS = 4, POOL = 200 };

static struct source shared_sources[POOL];
static const struct route shared_route = {.name = name, .sources = shared_sources, .source_count = POOL, .pick = PICK_ROUND_ROBIN};

static void *lack_even_ones(void *arg)
{
    log_set_sink(count_line, arg);
    for (unsigned i = 0; i < POOL; i += 2) {
        route_source_lacks(&shared_route, &shared_sources[i]);
        (void)pick(&shared_route, i, i);
    }
    return arg;
}

Test(route_source, workers_agree_on_what_is_lacking)
{
    pthread_t threads[THREADS];
    unsigned lines[THREADS] = {0}, said = 0, left = 0;
    fill(shared_sources, POOL);
    for (int i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&threads[i], NULL, lack_even_ones, &lines[i]) == 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        said += lines[i];
    }
    for (const struct source *source; (source = pick(&shared_route, 1, left)); left++)
        cr_assert_eq((source - shared_sources) % 2, 1);
    cr_expect_eq(left, POOL / 2);
    cr_expect_eq(said, POOL / 2, "%u lines for %d sources", said, POOL / 2);
}

Test(route_source, dress_binds_without_a_port)
{
    struct source source = {.local = net_address("127.0.0.7")};
    const struct route route = {.name = name, .sources = &source, .source_count = 1};
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    struct endpoint bound;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(route_dress(&route, fd, FAMILY_V4, &source), 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&at, &len) == 0 && endpoint_from_sockaddr(&bound, (struct sockaddr *)&at, len));
    cr_expect(address_equal(&bound.ip, &source.local));
    cr_expect_eq(bound.port, 0, "a port is taken before connect knows the four-tuple");
    close(fd);
}

Test(route_source, dress_refuses_what_would_leave_by_another_way)
{
    struct source foreign = {.local = net_address("192.0.2.200")};
    const struct route pinned = {.name = name, .sources = &foreign, .source_count = 1}, open = {.name = name};
    const struct route nowhere = {.name = name, .interface = nosuch};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_expect_eq(route_dress(&pinned, fd, FAMILY_V4, &foreign), EADDRNOTAVAIL);
    cr_expect_eq(route_dress(&pinned, fd, FAMILY_V4, NULL), EADDRNOTAVAIL);
    cr_expect_eq(route_dress(&pinned, fd, FAMILY_V6, &foreign), EAFNOSUPPORT);
    cr_expect_eq(route_dress(&nowhere, fd, FAMILY_V4, NULL), ENODEV);
    cr_expect_eq(route_dress(&open, fd, FAMILY_V4, NULL), 0);
    close(fd);
}

Test(route_source, dress_sets_interface_and_mark)
{
    const struct route route = {.name = name, .interface = lo, .mark = 0x2};
    char interface[32] = "";
    socklen_t interface_len = sizeof interface, mark_len = sizeof(uint32_t);
    uint32_t mark = 0;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    int error = route_dress(&route, fd, FAMILY_V6, NULL);
    if (error == EPERM)
        cr_skip_test("SKIPPED: a mark needs CAP_NET_RAW");
    cr_assert_eq(error, 0);
    cr_assert(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, &interface_len) == 0);
    cr_assert(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &mark_len) == 0);
    cr_expect_str_eq(interface, "lo");
    cr_expect_eq(mark, 0x2);
    close(fd);
}
