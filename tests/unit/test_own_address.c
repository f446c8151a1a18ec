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

/* ---- what has been asked a moment ago ---- */

static enum own_answer ask_by(struct own_address *own, const char *text, uint32_t mark)
{
    const struct address address = net_address(text);
    return own_address_ask(own, &address, mark);
}

/* How often it asks the kernel for what does not change. */
static unsigned asked_for_the_same(void)
{
    struct own_address *own = own_address_new();
    for (unsigned i = 0; i < 100; i++) {
        cr_expect_eq(ask_by(own, "127.0.0.1", 0), OWN_YES);
        cr_expect_eq(ask_by(own, "192.0.2.1", 0), OWN_NO);
        cr_expect_eq(ask_by(own, "::ffff:192.0.2.1", 0), OWN_NO);
    }
    const unsigned asked = own_address_asked(own);
    own_address_free(own);
    return asked;
}

/* Two addresses that fall on one place push each other out, which one seed in 256 brings about: never five, one after the other. */
Test(own_address, asks_once_for_what_does_not_change)
{
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own"); /* in which nobody else changes anything */
    unsigned asked = asked_for_the_same();
    for (int again = 0; again < 4 && asked > 10; again++)
        asked = asked_for_the_same();
    cr_expect_leq(asked, 10u); /* 2, on a machine that is not that slow */
}

/* One change, what it makes of an address and a mark, and what it was before. */
struct change {
    const char *command, *address;
    uint32_t mark;
    enum own_answer before, after;
};

static const struct change CHANGES[] = {
    {"ip address add 192.0.2.1/32 dev lo", "192.0.2.1", 0, OWN_NO, OWN_YES},
    {"ip address del 192.0.2.1/32 dev lo", "192.0.2.1", 0, OWN_YES, OWN_NO},
    {"ip address add 2001:db8::1/128 dev lo; until ip -6 route show table local | grep -q 2001:db8::1; do :; done", "2001:db8::1", 0, OWN_NO,
     OWN_YES}, /* the kernel routes it a moment after the command has ended */
    {"ip address del 2001:db8::1/128 dev lo", "2001:db8::1", 0, OWN_YES, OWN_NO},
    {"ip route add local 198.51.100.0/24 dev lo", "198.51.100.7", 0, OWN_NO, OWN_YES},
    {"ip route del local 198.51.100.0/24 dev lo", "198.51.100.7", 0, OWN_YES, OWN_NO},
    {"ip -6 route add local 2001:db8:1::/48 dev lo", "2001:db8:1::7", 0, OWN_NO, OWN_YES},
    {"ip route add local 0.0.0.0/0 dev lo table 100", "198.51.100.7", 7, OWN_NO, OWN_NO},
    {"ip rule add fwmark 7 lookup 100", "198.51.100.7", 7, OWN_NO, OWN_YES},
    {"ip rule del fwmark 7 lookup 100", "198.51.100.7", 7, OWN_YES, OWN_NO},
    {"ip -6 route add local ::/0 dev lo table 100", "2001:db8:2::7", 7, OWN_NO, OWN_NO},
    {"ip -6 rule add fwmark 7 lookup 100", "2001:db8:2::7", 7, OWN_NO, OWN_YES},
    {"ip link add own0 type veth peer name own1", "203.0.113.9", 0, OWN_NO, OWN_NO}, /* and so it may go together with its link */
    {"ip address add 203.0.113.9/24 dev own0", "203.0.113.9", 0, OWN_NO, OWN_YES},
    {"ip link set own0 up", "203.0.113.9", 0, OWN_YES, OWN_YES},
    {"ip link delete own0", "203.0.113.9", 0, OWN_YES, OWN_NO},
};

/* At once, each time: there is no moment at which exeat would dial itself. */
Test(own_address, what_changes_is_known_at_once)
{
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    struct own_address *own = own_address_new();
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(*CHANGES); i++) {
        const struct change *change = &CHANGES[i];
        cr_expect_eq(ask_by(own, change->address, change->mark), change->before, "before %s", change->command);
        if (system(change->command) != 0)
            cr_skip_test("SKIPPED: this system has no ip(8) or no veth: %s", change->command);
        cr_expect_eq(ask_by(own, change->address, change->mark), change->after, "after %s", change->command);
    }
    own_address_free(own);
}

/* More than the kernel keeps for who does not listen. */
Test(own_address, more_changes_than_are_heard_are_a_change)
{
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    struct own_address *own = own_address_new();
    cr_expect_eq(ask_by(own, "192.0.2.200", 0), OWN_NO);
    if (system("for i in $(seq 1 200); do echo address add 192.0.2.$i/32 dev lo; done | ip -batch -") != 0)
        cr_skip_test("SKIPPED: ip(8) cannot add addresses");
    cr_expect_eq(ask_by(own, "192.0.2.200", 0), OWN_YES);
    cr_expect_eq(system("ip address del 192.0.2.200/32 dev lo"), 0);
    cr_expect_eq(ask_by(own, "192.0.2.200", 0), OWN_NO);
    own_address_free(own);
}
