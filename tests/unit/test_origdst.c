/* Where a connection was meant to go, as far as one network without netfilter can show; the rest is seen in tests/lab. */
#include "proxy/origdst.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

static struct endpoint found_by(const char *ip, enum listener_mode mode, struct endpoint *at)
{
    struct endpoint from, found;
    struct sockaddr_storage name;
    int listener = net_listen(ip, at), client = socket(at->ip.family == FAMILY_V6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)endpoint_to_sockaddr(at, &name);
    cr_assert(connect(client, (struct sockaddr *)&name, len) == 0);
    int accepted = net_accept(listener, &from);
    cr_expect(origdst_find(&found, accepted, mode));
    close(accepted);
    close(client);
    close(listener);
    return found;
}

Test(origdst, who_comes_straight_meant_the_listener)
{
    struct endpoint at, found;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    static const char *const ips[] = {"127.0.0.1", "::1"};
    for (size_t i = 0; i < 2; i++) {
        found = found_by(ips[i], LISTENER_REDIRECT, &at);
        cr_expect(endpoint_equal(&found, &at));
        found = found_by(ips[i], LISTENER_TPROXY, &at);
        cr_expect(endpoint_equal(&found, &at));
    }
}

Test(origdst, what_is_no_connection_was_meant_for_nobody)
{
    struct endpoint found = {.port = 1};
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_expect_not(origdst_find(&found, file, LISTENER_REDIRECT));
    cr_expect_not(address_is_set(&found.ip));
    cr_expect_eq(found.port, 0);
    close(file);
}
