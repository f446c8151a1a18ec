/* A policy that does not do what is written beside it is at fault, and the fault says what it does. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "config_text.h"

#define BASE                                                                                                          \
    "[listen a]\naddress = 127.0.0.1:0\n"                                                                             \
    "[clients a]\nfrom = 10.0.0.0/8\n"                                                                                \
    "[route nat]\naddresses = public\n"                                                                               \
    "[rule names]\nto = allowed.example *.wild.example\nexpires = 2026-11-30\n"                                       \
    "[rule no]\nto = no.example\naction = deny\n"                                                                     \
    "[rule seen]\nto = seen.example\naction = observe\n"                                                              \
    "[rule literals]\nto = 192.0.2.0/24 127.0.0.0/8 8.8.8.0/24\nport = 53\n"

static void expect_faults(const char *text, uint32_t today, const char *faults)
{
    struct fault_list *list = fault_list_new();
    struct config *config = config_text_load(text, NULL);
    config_expect(config, today, list);
    char *said = config_text_print(list, true, true);
    cr_expect_str_eq(said, faults);
    free(said);
    config_unref(config);
    fault_list_free(list);
}

#define DAY 20778 /* 2026-11-21 */

Test(expect, fulfilled)
{
    expect_faults(BASE "[expect e]\nfrom = 10.0.0.1\nallow = allowed.example a.b.wild.example:443 8.8.8.8:53 ALLOWED.example.\n"
                       "deny = no.example allowed.example:80 wild.example 8.8.8.8 127.0.0.1:53 [::1]:53 other.example\n",
                  DAY, "");
}

Test(expect, says_verdict_reason_and_rule)
{
    expect_faults(
        BASE "[expect e]\nfrom = 10.0.0.1\nallow = no.example other.example:8443 127.0.0.1:53\ndeny = x.wild.example\n", DAY,
        "test.conf:19: [expect e] allow: no.example from 10.0.0.1: the verdict is deny, rule_deny by [rule no] at test.conf:10\n"
        "test.conf:19: [expect e] allow: other.example:8443 from 10.0.0.1: the verdict is deny, default_deny\n"
        "test.conf:19: [expect e] allow: 127.0.0.1:53 from 10.0.0.1: the verdict is deny, address_forbidden by [rule literals] at test.conf:16\n"
        "test.conf:19: [expect e] deny: x.wild.example from 10.0.0.1: the verdict is allow, rule_allow by [rule names] at test.conf:7\n");
}

Test(expect, from_decides)
{
    expect_faults(BASE "[expect e]\nfrom = 11.0.0.1\nallow = allowed.example\n", DAY,
                  "test.conf:19: [expect e] allow: allowed.example from 11.0.0.1: the verdict is deny, client_unknown\n");
}

Test(expect, today_decides)
{
    expect_faults(BASE "[expect e]\nfrom = 10.0.0.1\nallow = allowed.example\n", DAY + 9, "");
    expect_faults(
        BASE "[expect e]\nfrom = 10.0.0.1\nallow = allowed.example\n", DAY + 10,
        "test.conf:19: [expect e] allow: allowed.example from 10.0.0.1: the verdict is deny, rule_expired by [rule names] at test.conf:7\n");
}

/* While a policy is tried out its tests are about what it says, not about what is let out for the time being. */
Test(expect, observing_changes_no_expectation)
{
    expect_faults(BASE "[exeat]\nmode = observe\nobserve_route = nat\n"
                       "[expect e]\nfrom = 10.0.0.1\nallow = allowed.example seen.example\ndeny = no.example other.example\n",
                  DAY, "");
}
