/* own_address: this host's own, by what the kernel says. */
#include "proxy/own_address.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "net.h"

static enum own_answer ask(const char *text)
{
    struct own_address *own = own_address_new();
    cr_assert(own);
    const struct address address = net_address(text);
    enum own_answer answer = own_address_ask(own, &address, 0);
    own_address_free(own);
    return answer;
}

Test(own_address, all_of_loopback_is)
{
    cr_expect_eq(ask("127.0.0.1"), OWN_YES);
    cr_expect_eq(ask("127.200.3.4"), OWN_YES);
}

Test(own_address, what_is_elsewhere_is_not)
{
    cr_expect_eq(ask("192.0.2.1"), OWN_NO);
    cr_expect_eq(ask("2001:db8::1"), OWN_NO);
}

/* The kernel dials a mapped one as IPv4. */
Test(own_address, inside_ipv6_is_what_is_dialled)
{
    cr_expect_eq(ask("::ffff:127.0.0.1"), OWN_YES);
    cr_expect_eq(ask("::ffff:192.0.2.1"), OWN_NO);
}

Test(own_address, no_address_is_not_known)
{
    const struct address none = {0};
    struct own_address *own = own_address_new();
    cr_expect_eq(own_address_ask(own, &none, 0), OWN_UNKNOWN);
    own_address_free(own);
}

/* Also when there is not one descriptor left. */
Test(own_address, many_questions_on_one_line)
{
    struct rlimit before, none = {0, 0};
    const struct address here = net_address("127.0.0.1"), there = net_address("2001:db8::1");
    struct own_address *own = own_address_new();
    unsigned right = 0;
    cr_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none.rlim_max = before.rlim_max;
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    for (unsigned i = 0; i < 1000; i++)
        right += own_address_ask(own, &here, 0) == OWN_YES && own_address_ask(own, &there, 0) == OWN_NO;
    setrlimit(RLIMIT_NOFILE, &before);
    cr_expect_eq(right, 1000);
    own_address_free(own);
}

/* A mark may lead here where the address alone does not: so TPROXY is set up. */
Test(own_address, the_mark_counts)
{
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    if (system("ip rule add fwmark 7 lookup 100 && ip route add local 0.0.0.0/0 dev lo table 100") != 0)
        cr_skip_test("SKIPPED: ip cannot set up policy routing");
    const struct address address = net_address("192.0.2.1");
    struct own_address *own = own_address_new();
    cr_expect_eq(own_address_ask(own, &address, 7), OWN_YES);
    cr_expect_eq(own_address_ask(own, &address, 0), OWN_NO);
    own_address_free(own);
}
