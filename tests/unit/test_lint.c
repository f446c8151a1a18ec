/* What is allowed but unwise: each lint speaks where it should, and is silent beside it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/lint_notes.h"
#include "config/lint_pattern.h"
#include "config/lint_shadow.h"
#include "config_text.h"

#define DAY 20778 /* 2026-11-21 */
#define BASE "[listen a]\naddress = 127.0.0.1:0\n[route r]\nsource = 127.0.0.1\naddresses = any\n"

static void lint_says(const char *text, const char *warnings)
{
    struct fault_list *list = fault_list_new();
    struct config *config = config_text_load(text, NULL);
    config_lint(config, DAY, list);
    char *said = config_text_print(list, true, true);
    cr_expect_str_eq(said, warnings);
    cr_expect_eq(fault_count(list), 0, "a lint is no fault");
    free(said);
    config_unref(config);
    fault_list_free(list);
}

Test(lint, silence)
{
    lint_says(BASE "[clients c]\nfrom = 10.0.0.0/8\n[hosts h]\nhost = a.example *.b.example\n[rule r]\nfrom = c\nto = @h @buildkite\n", "");
}

static const char *pattern_says(const char *text)
{
    struct pattern pattern;
    const char *why;
    cr_assert(pattern_read(&pattern, text, strlen(text), &why), "%s: %s", text, why);
    const char *what = lint_pattern(&pattern);
    return what ? what : "";
}

Test(lint, patterns)
{
    static const struct {
        const char *pattern, *word;
    } rows[] = {
        {"*.co.uk", "public suffix"},
        {"*.github.io", "public suffix"},
        {"*.s3.amazonaws.com", "any tenant"},
        {"*.s3.eu-west-1.amazonaws.com", "any tenant"},
        {"*.s3.dualstack.eu-west-1.amazonaws.com", "any tenant"},
        {"*.s3-accelerate.amazonaws.com", "any tenant"},
        {"*.amazonaws.com", "any tenant"},
        {"*.amazonaws.com.cn", "any tenant"},
        {"*.eu-west-1.amazonaws.com", "any tenant"},
        {"*.us-gov-east-1.amazonaws.com", "any tenant"},
        {"*.cn-north-1.amazonaws.com.cn", "any tenant"},
        {"*.dualstack.eu-west-1.amazonaws.com", "any tenant"},
        {"*.dualstack.cn-north-1.amazonaws.com.cn", "any tenant"},
        {"*.blob.core.windows.net", "any tenant"},
        {"*.windows.net", "any tenant"},
        {"s3.amazonaws.com", "every tenant"},
        {"s3.eu-west-1.amazonaws.com", "every tenant"},
        {"storage.googleapis.com", "every tenant"},
        {"*.duckdns.org", "others run DNS"},
        {"*.nip.io", "others run DNS"},
        {"dns.google", "DNS-over-HTTPS"},
        {"*.cloudflare-dns.com", "DNS-over-HTTPS"},
        {"*.quad9.net", "DNS-over-HTTPS"},
        {"1.1.1.1", "DNS-over-HTTPS"},
        {"1.0.0.0/24", "DNS-over-HTTPS"},
        {"8.8.8.8", "DNS-over-HTTPS"},
        {"8.8.4.4", "DNS-over-HTTPS"},
        {"9.9.9.9", "DNS-over-HTTPS"},
        {"149.112.112.112", "DNS-over-HTTPS"},
        {"0.0.0.0/0", "DNS-over-HTTPS"},
        {"2606:4700:4700::1111", "DNS-over-HTTPS"},
        {"2606:4700:4700::1001", "DNS-over-HTTPS"},
        {"2001:4860:4860::8888", "DNS-over-HTTPS"},
        {"2001:4860:4860::8844", "DNS-over-HTTPS"},
        {"2620:fe::fe", "DNS-over-HTTPS"},
        {"2620:fe::9", "DNS-over-HTTPS"},
        {"2620:fe::/48", "DNS-over-HTTPS"},
    };
    static const char *const silent[] = {
        "my-bucket.s3.amazonaws.com",
        "*.my-bucket.s3.amazonaws.com",
        "s3-cache.s3.eu-west-1.amazonaws.com",
        "account.blob.core.windows.net",
        "*.example.com",
        "example.co.uk",
        "*.example.co.uk",
        "sts.eu-west-1.amazonaws.com",
        "me.duckdns.org",
        "nodns.google.example",
        "10.0.0.0/8",
        "*.sts.eu-west-1.amazonaws.com",
        "*.execute-api.eu-west-1.amazonaws.com",
        "eu-west-1.amazonaws.com",
        "*.eu-west-1.amazonaws.com.example",
        "1.1.1.2",
        "8.8.8.0/29",
        "2620:fe::/127",
        "2001:db8::/32",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect(strstr(pattern_says(rows[i].pattern), rows[i].word) != NULL, "%s: \"%s\"", rows[i].pattern, pattern_says(rows[i].pattern));
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        cr_expect_str_eq(pattern_says(silent[i]), "", "%s: \"%s\"", silent[i], pattern_says(silent[i]));
}

Test(lint, a_pattern_is_named_where_it_stands)
{
    lint_says(BASE "[hosts h]\nhost = a.example\n   *.s3.amazonaws.com\n[rule r]\nto = @h *.co.uk\n",
              "test.conf:8: [hosts h] host: *.s3.amazonaws.com covers storage that any tenant can write to; prefer the bucket's own host, such as "
              "my-bucket.s3.amazonaws.com (warning)\n"
              "test.conf:10: [rule r] to: *.co.uk is a wildcard over a public suffix: below it anyone can have a name (warning)\n");
}

Test(lint, an_address_is_named_as_it_is_written)
{
    lint_says(BASE "[rule r]\nto = 8.8.8.8 8.8.4.0/24 2620:fe::9\n",
              "test.conf:7: [rule r] to: 8.8.8.8 covers a public DNS-over-HTTPS resolver, through which names and data leave unseen (warning)\n"
              "test.conf:7: [rule r] to: 8.8.4.0/24 covers a public DNS-over-HTTPS resolver, through which names and data leave unseen (warning)\n"
              "test.conf:7: [rule r] to: 2620:fe::9 covers a public DNS-over-HTTPS resolver, through which names and data leave unseen (warning)\n");
}

/* Lists for denials are full of such names. */
Test(lint, what_is_only_denied_may_be_anything)
{
    lint_says(BASE "[hosts doh]\nhost = dns.google\n[rule no]\nto = @doh *.co.uk\naction = deny\n", "");
}

Test(lint, a_built_in_list_is_named_once_by_the_rule)
{
    lint_says(BASE "[rule r]\nto = @azure-blob\n",
              "test.conf:6: [rule r] to: @azure-blob: *.blob.core.windows.net covers storage that any tenant can write to; "
              "prefer the bucket's own host, such as my-bucket.s3.amazonaws.com (warning)\n");
}

#define SHADOWED(line) "test.conf:" line ": [rule late]: never decides: [rule early] at test.conf:8 matches all of it before (warning)\n"
#define GROUPS BASE "[clients c]\nfrom = 10.0.0.0/8\n"

Test(lint, shadowed_rules)
{
    lint_says(GROUPS "[rule early]\nto = a.example\n[rule late]\nfrom = c\nto = a.example\n", SHADOWED("10"));
    lint_says(GROUPS "[rule early]\nto = *.example\naction = deny\n[rule late]\nto = a.example *.b.example\n", SHADOWED("11"));
    lint_says(GROUPS "[rule early]\nto = @buildkite\nport = 1-442 443-500\n[rule late]\nto = agent.buildkite.com\nport = 80 400-450\n",
              SHADOWED("11"));
    lint_says(GROUPS "[rule early]\nto = 10.0.0.0/8\n[rule late]\nto = 10.1.0.0/16\n", SHADOWED("10"));
    lint_says(GROUPS "[rule early]\nfrom = c\nto = @github\n[rule late]\nfrom = c\nto = @github\n", SHADOWED("11"));
}

Test(lint, rules_that_still_decide_something)
{
    lint_says(GROUPS "[rule early]\nfrom = c\nto = a.example\n[rule late]\nto = a.example\n", "");
    lint_says(GROUPS "[rule early]\nto = a.example\n[rule late]\nto = a.example\nport = 443 8443\n", "");
    lint_says(GROUPS "[rule early]\nto = a.example\n[rule late]\nto = a.example b.example\n", "");
    lint_says(GROUPS "[rule early]\nto = *.a.example\n[rule late]\nto = a.example\n", "");
    lint_says(GROUPS "[rule early]\nto = a.example\n[rule late]\nto = *.a.example\n", "");
    lint_says(GROUPS "[rule early]\nto = a.example\nport = 1-442 444-65535\n[rule late]\nto = a.example\nport = 400-500\n", "");
    lint_says(GROUPS "[rule early]\nto = 10.1.0.0/16\n[rule late]\nto = 10.0.0.0/8\n", "");
}

/* Comparing costs at least as much as it compares, and ends where it may cost no more. */
Test(lint, shadows_are_not_sought_for_ever)
{
    struct config *config = config_text_load(BASE "[rule early]\nto = a.example b.example c.example\n[rule late]\nto = c.example\n", NULL);
    const struct rule *early = policy_rule_at(config->policy, 0), *late = policy_rule_at(config->policy, 1);
    size_t steps = 100;
    cr_expect(lint_shadow(config->notes, early, late, &steps));
    cr_expect_eq(steps, 100 - 1 - 3);
    cr_expect_not(lint_shadow(config->notes, late, early, &steps));
    for (steps = 1; steps <= 4; steps++) {
        size_t left = steps;
        cr_expect_not(lint_shadow(config->notes, early, late, &left), "%zu steps", steps);
        cr_expect_eq(left, 0);
    }
    config_unref(config);
}

/* Lists that cover one another but for a name, which took a minute when only pairs of rules were counted. */
Test(lint, hundreds_of_rules_nearly_alike, .timeout = 20)
{
    enum { RULES = 600, HOSTS = 250 };
    size_t room = RULES * (HOSTS * 24 + 100), len;
    char *text = malloc(room);
    len = (size_t)sprintf(text, "%s", BASE);
    for (int rule = 0; rule < RULES; rule++) {
        len += (size_t)sprintf(text + len, "[rule r%d]\nto =", rule);
        for (int host = 0; host < HOSTS; host++)
            len += (size_t)sprintf(text + len, "\n n%d.example", host);
        len += (size_t)sprintf(text + len, "\n own%d.example\n", rule);
    }
    cr_assert(len < room);
    lint_says(text, "");
    free(text);
}

Test(lint, groups_and_lists_nobody_uses)
{
    lint_says(BASE
              "[clients c]\nfrom = 10.0.0.0/8\n[clients d]\nfrom = 11.0.0.0/8\n[hosts h]\nhost = a.example\n[rule r]\nfrom = c\nto = b.example\n",
              "test.conf:8: [clients d]: no rule names this group (warning)\ntest.conf:10: [hosts h]: no rule names this list (warning)\n");
    lint_says(BASE "[clients c]\nfrom = 10.1.0.0/16\n[clients bound]\nfrom = 10.0.0.0/8\nupload = 1G/h\n[rule r]\nfrom = c\nto = b.example\n", "");
}

Test(lint, a_rule_without_from_is_for_every_group)
{
    lint_says(BASE "[clients c]\nfrom = 10.0.0.0/8\n[rule r]\nto = b.example\n", "");
}

Test(lint, unpinned_route)
{
    lint_says("[listen a]\naddress = 127.0.0.1:0\n[route nat]\n",
              "test.conf:3: [route nat] source: not pinned: connections leave from whichever address the kernel picks (warning)\n");
}

Test(lint, sources_of_another_host)
{
    lint_says("[listen a]\naddress = 127.0.0.1:0\n[route nat]\nsource = 127.9.9.9 203.0.113.7\n",
              "test.conf:3: [route nat] source: this host does not have 203.0.113.7 (warning)\n");
    lint_says("[listen a]\naddress = 127.0.0.1:0\n[route nat]\nsource = 203.0.113.8/30\n",
              "test.conf:3: [route nat] source: this host does not have 203.0.113.8 and 3 more of 4 (warning)\n");
}

#define CLIENTS "[clients c]\nfrom = 203.0.113.250\n[rule r]\nto = a.example\n"

Test(lint, a_port_that_no_firewall_can_name)
{
    lint_says(BASE "[listen b]\naddress = 0.0.0.0:0 [::]:0\nmode = tproxy\n" CLIENTS,
              "test.conf:6: [listen b] address: port 0 is another one at each start, and netfilter's rules must name it (warning)\n");
    lint_says(BASE "[listen b]\naddress = 0.0.0.0:3129 [::]:0\nmode = redirect\n" CLIENTS,
              "test.conf:6: [listen b] address: port 0 is another one at each start, and netfilter's rules must name it (warning)\n");
    lint_says(BASE "[listen b]\naddress = 0.0.0.0:3129\nmode = redirect\n" CLIENTS, "");
}

#define TO_LOOPBACK                                                                                                                                  \
    "test.conf:6: [listen b] address: REDIRECT brings the network's connections to an address of the interface they come in by, never to "

Test(lint, nothing_is_redirected_to_loopback)
{
    lint_says(BASE "[listen b]\naddress = 127.0.0.2:3129\nmode = redirect\n" CLIENTS,
              TO_LOOPBACK "127.0.0.2; only this host's own go there, and it is in no [clients] (warning)\n");
    lint_says(BASE "[listen b]\naddress = 0.0.0.0:3129 [::1]:3129\nmode = redirect\n" CLIENTS,
              TO_LOOPBACK "::1; only this host's own go there, and it is in no [clients] (warning)\n");
    lint_says(BASE "[listen b]\naddress = 0.0.0.0:3129 [2001:db8::1]:3129\nmode = redirect\n" CLIENTS, "");
    lint_says(BASE "[listen b]\naddress = 127.0.0.2:3129 [::1]:3129\nmode = tproxy\n" CLIENTS, "");
    lint_says(BASE "[listen b]\naddress = 127.0.0.2:3129 [::1]:3129\n" CLIENTS, "");
}

Test(lint, what_this_host_itself_sends_is_redirected_to_loopback)
{
    lint_says(BASE "[listen b]\naddress = 127.0.0.2:3129\nmode = redirect\n[clients here]\nfrom = 127.0.0.1\n" CLIENTS, "");
}

Test(lint, expiry)
{
    lint_says(BASE "[rule a]\nto = a.example\nexpires = 2026-11-20\n[rule b]\nto = b.example\nexpires = 2026-11-21\n"
                   "[rule c]\nto = c.example\nexpires = 2026-12-05\n[rule d]\nto = d.example\nexpires = 2026-12-06\n",
              "test.conf:6: [rule a] expires: its last day was yesterday: what it matches is denied (warning)\n"
              "test.conf:9: [rule b] expires: its last day is today, then what it matches is denied (warning)\n"
              "test.conf:12: [rule c] expires: its last day is in 14 days, then what it matches is denied (warning)\n");
    lint_says(BASE "[rule a]\nto = a.example\nexpires = 2026-11-01\n",
              "test.conf:6: [rule a] expires: its last day was 20 days ago: what it matches is denied (warning)\n");
}

static void lint_mapped(unsigned count, const char *warnings)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text), "[listen a]\naddress = 127.0.0.1:0\n[route nat]\nsource =\n");
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "  127.0.0.%u=203.0.113.%u\n", i + 1, 2 * i + 1);
    lint_says(text, warnings);
}

Test(lint, more_cidrs_than_a_token_takes)
{
    lint_mapped(24, "");
    lint_mapped(25, "test.conf:3: [route nat] source: its public range is 25 CIDRs; a Buildkite token's Allowed IP Addresses take 24 (warning)\n");
    lint_says("[listen a]\naddress = 127.0.0.1:0\n[route nat]\nsource = 127.0.0.0/26\n", "");
}

/* As `exeat ranges --format buildkite` leaves them out. */
Test(lint, private_addresses_are_no_cidrs_of_a_token)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text), "[listen a]\naddress = 127.0.0.1:0\n[route vpn]\nsource =\n");
    for (unsigned i = 0; i < 30; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "  127.0.0.%u\n", 2 * i + 1);
    lint_says(text, "");
}
