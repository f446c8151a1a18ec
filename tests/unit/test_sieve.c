/* Which addresses of a name stay for its route, in which order, and why none did. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "policy/policy.h"

enum { ADDRESSES_MAX = 8 };

static struct policy *policy;

static struct route *add_route(const char *name, enum address_demand demand, const char *four, const char *six)
{
    struct route *route = policy_add_route(policy, name, "test:1");
    cr_assert(route != NULL);
    route->addresses = demand;
    route->sources = calloc(2, sizeof(*route->sources));
    if (four != NULL)
        route->sources[route->source_count++].local = net_address(four);
    if (six != NULL)
        route->sources[route->source_count++].local = net_address(six);
    return route;
}

static struct network network(const char *text)
{
    struct network read;
    const char *why;
    cr_assert(network_read(&read, text, strlen(text), &why), "%s: %s", text, why);
    return read;
}

static void list(struct route *route, const char *text)
{
    const struct network read = network(text);
    cr_assert(network_set_add(route->listed, &read));
}

static void never(const char *text, uint16_t port)
{
    const struct network read = network(text);
    cr_assert(policy_add_never(policy, &read, port));
}

static void build(void)
{
    policy = policy_new();
    cr_assert(policy != NULL);
    add_route("open", ADDRESSES_PUBLIC, NULL, NULL);
    add_route("four", ADDRESSES_PUBLIC, "192.0.2.1", NULL);
    add_route("six", ADDRESSES_PUBLIC, NULL, "2001:db8::1");
    add_route("both", ADDRESSES_PUBLIC, "192.0.2.1", "2001:db8::1");
    add_route("any", ADDRESSES_ANY, NULL, NULL);
    add_route("any4", ADDRESSES_ANY, "192.0.2.1", NULL);
    struct route *vpn = add_route("vpn", ADDRESSES_LISTED, NULL, NULL);
    list(vpn, "10.0.0.0/8");
    list(vpn, "169.254.169.254");
    list(add_route("vpn6", ADDRESSES_LISTED, NULL, "2001:db8::1"), "fd00::/8");
    never("9.9.9.9", 443);
    never("10.0.3.0/28", 0);
    cr_assert(policy_seal(policy));
}

static void destroy(void)
{
    policy_free(policy);
}

TestSuite(sieve, .init = build, .fini = destroy);

static size_t read_addresses(struct address *addresses, const char *text)
{
    char words[256], *rest = words;
    size_t count = 0;
    strcpy(words, text);
    for (const char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word != '\0')
            addresses[count++] = net_address(word);
    return count;
}

static void write_addresses(char *out, const struct address *addresses, size_t count)
{
    char text[ADDRESS_TEXT_MAX];
    *out = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(strcat(out, i > 0 ? " " : ""), address_text(&addresses[i], text));
}

/* `kept` is what is left of `resolved`; nothing: the reason. */
struct row {
    const char *route;
    uint16_t port;
    const char *resolved, *kept;
    enum reason reason;
};

static void expect_row(const struct row *row)
{
    struct address addresses[ADDRESSES_MAX];
    char got[ADDRESSES_MAX * ADDRESS_TEXT_MAX];
    enum reason reason = REASON_RULE_ALLOW;
    const struct route *route = policy_find_route(policy, row->route);
    size_t count = read_addresses(addresses, row->resolved);
    cr_assert(route != NULL, "no route %s", row->route);
    size_t kept = policy_sieve(policy, route, row->port, addresses, count, &reason);
    write_addresses(got, addresses, kept);
    cr_expect_str_eq(got, row->kept, "%s port %u of %s keeps \"%s\", not \"%s\"", row->route, row->port, row->resolved, got, row->kept);
    if (kept == 0)
        cr_expect_eq(reason, row->reason, "%s of %s: %s", row->route, row->resolved, reason_row(reason)->code);
}

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_row(&rows[i]);
}

#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof((rows)[0]))

Test(sieve, a_pinned_route_speaks_the_families_of_its_sources)
{
    static const struct row rows[] = {
        {"open", 443, "8.8.8.8 2600::1", "8.8.8.8 2600::1", 0},
        {"both", 443, "8.8.8.8 2600::1", "8.8.8.8 2600::1", 0},
        {"four", 443, "8.8.8.8 2600::1", "8.8.8.8", 0},
        {"four", 443, "2600::1 8.8.8.8", "8.8.8.8", 0},
        {"six", 443, "8.8.8.8 2600::1", "2600::1", 0},
        {"any4", 443, "fd00::1 10.0.0.1", "10.0.0.1", 0},
        {"four", 443, "2600::1 2600::2", "", REASON_ROUTE_UNAVAILABLE},
        {"six", 443, "8.8.8.8", "", REASON_ROUTE_UNAVAILABLE},
        {"any4", 443, "::1 2600::1", "", REASON_ROUTE_UNAVAILABLE},
        {"vpn6", 443, "10.0.0.1", "", REASON_ROUTE_UNAVAILABLE},
    };
    EXPECT_ROWS(rows);
}

Test(sieve, what_the_route_does_not_accept_is_dropped)
{
    static const struct row rows[] = {
        {"open", 443, "10.0.0.1", "", REASON_ADDRESS_FORBIDDEN},
        {"open", 443, "127.0.0.1 ::1", "", REASON_ADDRESS_FORBIDDEN},
        {"open", 80, "169.254.169.254 fd00:ec2::254", "", REASON_ADDRESS_FORBIDDEN},
        {"open", 443, "127.0.0.1 8.8.8.8 169.254.169.254", "8.8.8.8", 0},
        {"both", 443, "fd00::1 10.0.0.1", "", REASON_ADDRESS_FORBIDDEN},
        {"vpn", 443, "8.8.8.8 10.0.0.1 127.0.0.1", "10.0.0.1", 0},
        {"vpn", 80, "169.254.169.254 169.254.170.2", "169.254.169.254", 0},
        {"vpn", 443, "8.8.8.8 2600::1", "", REASON_ADDRESS_FORBIDDEN},
        {"vpn6", 443, "fd00::1 10.0.0.1 2600::1", "fd00::1", 0},
        {"any", 443, "8.8.8.8 10.0.0.1 127.0.0.1 169.254.169.254 ::1", "8.8.8.8 10.0.0.1 127.0.0.1 169.254.169.254 ::1", 0},
        {"any", 443, "0.0.0.0 224.0.0.1 ::", "", REASON_ADDRESS_FORBIDDEN},
    };
    EXPECT_ROWS(rows);
}

/* The route could have spoken to one of them: it is that one's fault, wherever it stands. */
Test(sieve, forbidden_goes_before_unavailable)
{
    static const struct row rows[] = {
        {"four", 443, "2600::1 10.0.0.1", "", REASON_ADDRESS_FORBIDDEN},
        {"four", 443, "10.0.0.1 2600::1", "", REASON_ADDRESS_FORBIDDEN},
        {"six", 443, "8.8.8.8 ::1", "", REASON_ADDRESS_FORBIDDEN},
        {"four", 443, "fd00::1", "", REASON_ROUTE_UNAVAILABLE},
    };
    EXPECT_ROWS(rows);
}

Test(sieve, the_order_is_the_resolvers)
{
    static const struct row rows[] = {
        {"open", 443, "2600::2 10.0.0.1 8.8.8.8 ::1 2600::1 1.1.1.1 127.0.0.1", "2600::2 8.8.8.8 2600::1 1.1.1.1", 0},
        {"open", 443, "8.8.8.8 1.1.1.1 8.8.4.4", "8.8.8.8 1.1.1.1 8.8.4.4", 0},
        {"six", 443, "2600::9 1.1.1.1 2600::1 8.8.8.8 2600::5", "2600::9 2600::1 2600::5", 0},
    };
    EXPECT_ROWS(rows);
}

Test(sieve, what_is_never_dialled_is_so_by_its_port)
{
    static const struct row rows[] = {
        {"open", 443, "9.9.9.9 8.8.8.8", "8.8.8.8", 0},
        {"open", 443, "9.9.9.9", "", REASON_ADDRESS_FORBIDDEN},
        {"open", 8443, "9.9.9.9", "9.9.9.9", 0},
        {"any", 1, "10.0.3.1 10.0.3.16", "10.0.3.16", 0},
        {"vpn", 443, "10.0.3.15", "", REASON_ADDRESS_FORBIDDEN},
    };
    EXPECT_ROWS(rows);
}

Test(sieve, without_a_route_or_an_address_nothing_is_kept)
{
    struct address addresses[] = {net_address("8.8.8.8"), {.family = FAMILY_NONE}};
    enum reason reason = REASON_RULE_ALLOW;
    cr_expect_eq(policy_sieve(policy, NULL, 443, addresses, 1, &reason), 0);
    cr_expect_eq(reason, REASON_ROUTE_UNAVAILABLE);
    cr_expect_eq(policy_sieve(policy, policy_find_route(policy, "any"), 443, addresses, 0, &reason), 0);
    cr_expect_neq(reason, REASON_RULE_ALLOW);
    cr_expect_eq(policy_sieve(policy, policy_find_route(policy, "any"), 443, addresses + 1, 1, &reason), 0);
    cr_expect_eq(reason, REASON_ADDRESS_FORBIDDEN);
}
