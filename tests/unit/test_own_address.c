/* own_address: this host's own, by what the kernel says. */
#include "proxy/own_address.h"

#include <criterion/criterion.h>
#include <string.h>

static struct address address_of(const char *text)
{
    struct address address;
    cr_assert(address_read(&address, text, strlen(text)), "%s", text);
    return address;
}

static bool is_own(const char *text)
{
    struct address address = address_of(text);
    return own_address_is(&address);
}

Test(own_address, all_of_loopback_is)
{
    cr_expect(is_own("127.0.0.1"));
    cr_expect(is_own("127.200.3.4"));
}

Test(own_address, what_is_elsewhere_is_not)
{
    cr_expect_not(is_own("192.0.2.1"));
    cr_expect_not(is_own("2001:db8::1"));
}

Test(own_address, none_at_all_is_taken_for_own)
{
    const struct address none = {0};
    cr_expect(own_address_is(&none));
}
