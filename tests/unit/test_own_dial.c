/* own_dial: what was dialled is known again, by both its ends. */
#include "proxy/own_dial.h"

#include <criterion/criterion.h>

#include "net.h"

#define NOW 1000000

Test(own_dial, by_both_ends)
{
    const struct endpoint from = {net_address("192.0.2.1"), 40000}, to = {net_address("198.51.100.1"), 443};
    const struct endpoint other_port = {to.ip, 8443}, other_ip = {net_address("198.51.100.2"), 443}, v6 = {net_address("2001:db8::1"), 443};
    cr_expect_not(own_dial_was(&from, &to, NOW));
    own_dial_note(&from, &to, NOW);
    cr_expect(own_dial_was(&from, &to, NOW));
    cr_expect_not(own_dial_was(&to, &from, NOW));
    cr_expect_not(own_dial_was(&from, &other_port, NOW));
    cr_expect_not(own_dial_was(&from, &other_ip, NOW));
    own_dial_note(&v6, &to, NOW);
    cr_expect(own_dial_was(&v6, &to, NOW));
}

Test(own_dial, for_a_while)
{
    const struct endpoint from = {net_address("192.0.2.1"), 40000}, to = {net_address("198.51.100.1"), 443};
    own_dial_note(&from, &to, NOW);
    cr_expect(own_dial_was(&from, &to, NOW + OWN_DIAL_MS - 1));
    cr_expect_not(own_dial_was(&from, &to, NOW + OWN_DIAL_MS));
    own_dial_note(&from, &to, NOW + OWN_DIAL_MS);
    cr_expect(own_dial_was(&from, &to, NOW + OWN_DIAL_MS));
}

Test(own_dial, the_last_of_thousands)
{
    struct endpoint from = {net_address("192.0.2.1"), 0};
    const struct endpoint to = {net_address("198.51.100.1"), 443};
    unsigned known = 0;
    for (unsigned port = 1024; port < 65535; port++) {
        from.port = (uint16_t)port;
        own_dial_note(&from, &to, NOW);
        cr_assert(own_dial_was(&from, &to, NOW));
    }
    for (unsigned port = 64535; port < 65535; port++) {
        from.port = (uint16_t)port;
        known += own_dial_was(&from, &to, NOW);
    }
    cr_expect_gt(known, 900, "%u of the last 1000 are known", known);
}
