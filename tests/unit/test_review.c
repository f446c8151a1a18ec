/* Judging again: each fact that makes a verdict fall, and what leaves it standing. */
#include "policy/review.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "config_text.h"
#include "net.h"

/* The tunnel that all begin with: 10.1.1.1 to name.example:443, with that SNI, by route nat from 192.0.2.1 to 93.184.215.14. */
#define LISTEN "[listen l]\naddress = 127.0.0.1:3128\n"
#define CLIENTS "[clients builds]\nfrom = 10.0.0.0/8\n"
#define NAT "[route nat]\nsource = 192.0.2.1 192.0.2.2\n"
#define RULE "[rule r]\nto = name.example\n"
#define BEFORE LISTEN CLIENTS NAT RULE

struct row {
    const char *what, *after; /* the configuration that comes later */
    enum review_result result;
    const char *reason;     /* of a denial */
    const char *host, *sni; /* NULL: name.example; sni "-": a hello without one */
    bool ech, no_hello;
    const char *today;
};

static const struct row ROWS[] = {
    {"the same", BEFORE, .result = REVIEW_STAYS},
    {"another rule, the same way", LISTEN CLIENTS NAT "[rule other]\nto = *.example\nport = 400-500\n", .result = REVIEW_STAYS},
    {"a rule before it", LISTEN CLIENTS NAT "[rule no]\nto = name.example\naction = deny\n" RULE, REVIEW_DENIED, .reason = "rule_deny"},
    {"a rule before it for others",
     LISTEN CLIENTS NAT "[clients few]\nfrom = 10.2.0.0/16\n[rule no]\nto = name.example\nfrom = few\naction = deny\n" RULE, .result = REVIEW_STAYS},
    {"the client", LISTEN "[clients builds]\nfrom = 10.2.0.0/16\n" NAT RULE, REVIEW_DENIED, .reason = "client_unknown"},
    {"the group", LISTEN CLIENTS NAT "[clients few]\nfrom = 10.2.0.0/16\n" RULE "from = few\n", REVIEW_DENIED, .reason = "default_deny"},
    {"the host", LISTEN CLIENTS NAT "[rule r]\nto = other.example\n", REVIEW_DENIED, .reason = "default_deny"},
    {"the port", LISTEN CLIENTS NAT RULE "port = 444\n", REVIEW_DENIED, .reason = "default_deny"},
    {"the server name", BEFORE, REVIEW_DENIED, .reason = "sni_mismatch", .sni = "other.example"},
    {"no server name", BEFORE, REVIEW_DENIED, .reason = "sni_missing", .sni = "-"},
    {"a server name that is none", BEFORE, REVIEW_DENIED, .reason = "sni_invalid", .sni = "192.0.2.9"},
    {"a server name that the policy has to allow", LISTEN CLIENTS NAT RULE "sni = allowed\n", REVIEW_DENIED, .reason = "sni_denied",
     .sni = "other.example"},
    {"any server name", LISTEN CLIENTS NAT RULE "sni = any\n", REVIEW_STAYS, .sni = "other.example"},
    {"ECH", BEFORE, REVIEW_DENIED, .reason = "ech_denied", .ech = true},
    {"ECH by its outer name", LISTEN CLIENTS NAT RULE "ech = outer\n", REVIEW_STAYS, .ech = true},
    {"a hello that nobody read", BEFORE, REVIEW_UNREAD, .no_hello = true},
    {"a hello that nobody need read", LISTEN CLIENTS NAT RULE "sni = off\n", REVIEW_STAYS, .no_hello = true},
    {"the last day", LISTEN CLIENTS NAT RULE "expires = 2027-03-31\n", REVIEW_STAYS, .today = "2027-03-31"},
    {"the day after", LISTEN CLIENTS NAT RULE "expires = 2027-03-31\n", REVIEW_DENIED, .reason = "rule_expired", .today = "2027-04-01"},
    {"the day after, observed", "[exeat]\nmode = observe\nobserve_route = nat\n" LISTEN CLIENTS NAT RULE "expires = 2027-03-31\n", REVIEW_STAYS,
     .today = "2027-04-01"},
    {"observed", "[exeat]\nmode = observe\nobserve_route = nat\n" LISTEN CLIENTS NAT "[rule r]\nto = other.example\n", .result = REVIEW_STAYS},
    {"observed by another route",
     "[exeat]\nmode = observe\nobserve_route = vpn\n" LISTEN CLIENTS NAT "[route vpn]\n[rule r]\nto = other.example\nroute = nat\n",
     .result = REVIEW_REROUTED},
    {"another route", LISTEN CLIENTS NAT "[route vpn]\nsource = 192.0.2.1\n" RULE "route = vpn\n", .result = REVIEW_REROUTED},
    {"the route's name", LISTEN CLIENTS "[route out]\nsource = 192.0.2.1\n" RULE, .result = REVIEW_REROUTED},
    {"the route's interface", LISTEN CLIENTS NAT "interface = wg0\n" RULE, .result = REVIEW_REROUTED},
    {"the route's mark", LISTEN CLIENTS NAT "mark = 2\n" RULE, .result = REVIEW_REROUTED},
    {"the egress address", LISTEN CLIENTS "[route nat]\nsource = 192.0.2.2\n" RULE, .result = REVIEW_EGRESS},
    {"one egress address less", LISTEN CLIENTS "[route nat]\nsource = 192.0.2.1\n" RULE, .result = REVIEW_STAYS},
    {"a route that is not pinned", LISTEN CLIENTS "[route nat]\n" RULE, .result = REVIEW_STAYS},
    {"the upstream address", LISTEN CLIENTS NAT "addresses = 10.0.0.0/8\n" RULE, .result = REVIEW_UPSTREAM},
    {"the upstream address, listed", LISTEN CLIENTS NAT "addresses = 93.184.0.0/16\n" RULE, .result = REVIEW_STAYS},
    {"a peer", "[exeat]\npeers = 93.184.215.0/24\n" BEFORE, .result = REVIEW_UPSTREAM},
    {"an address that is asked for as such", LISTEN CLIENTS NAT "[rule r]\nto = 93.184.215.0/24\n", REVIEW_STAYS, .host = "93.184.215.14",
     .sni = "-"},
    {"an address that no rule names", BEFORE, REVIEW_DENIED, .reason = "address_literal", .host = "93.184.215.14", .sni = "-"},
    {"an IPv6 address", LISTEN CLIENTS NAT "[rule r]\nto = 2001:db8::/32\n", REVIEW_STAYS, .host = "2001:db8::5", .sni = "-"},
};

static struct config *before;

static struct review_facts facts_of(const struct row *row)
{
    const char *host = row->host ? row->host : "name.example", *sni = row->sni ? row->sni : "name.example";
    struct review_facts facts = {
        .client = net_address("10.1.1.1"),
        .host = host,
        .host_len = strlen(host),
        .port = 443,
        .has_hello = !row->no_hello,
        .route = policy_find_route(before->policy, "nat"),
        .egress = net_address("192.0.2.1"),
        .upstream = {net_address("93.184.215.14"), 443},
    };
    facts.hello.ech = row->ech;
    if (strcmp(sni, "-") != 0)
        facts.hello.sni = hostname_read(facts.hello.name, sni, strlen(sni)) ? SNI_NAME : SNI_BAD;
    return facts;
}

Test(review, each_fact_that_makes_a_verdict_fall)
{
    before = config_text_load(BEFORE, NULL);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct row *row = &ROWS[i];
        const char *day = row->today ? row->today : "2026-11-22";
        struct config *after = config_text_load(row->after, NULL);
        const struct review_facts facts = facts_of(row);
        struct verdict verdict;
        uint32_t today;
        cr_assert(number_read_day(&today, day, strlen(day)));
        cr_expect_eq(policy_review(after->policy, &facts, today, &verdict), row->result, "%s", row->what);
        if (row->reason != NULL)
            cr_expect_str_eq(reason_row(verdict.reason)->code, row->reason, "%s", row->what);
        config_unref(after);
    }
    config_unref(before);
}

/* By the network: the server name is the host, and without one the address where the client meant to go. */

#define REDIRECT "[listen l]\naddress = 127.0.0.1:3129\nmode = redirect\n"

static const struct row BROUGHT[] = {
    {"the same", REDIRECT CLIENTS NAT RULE, .result = REVIEW_STAYS},
    {"the server name", REDIRECT CLIENTS NAT "[rule r]\nto = other.example\n", REVIEW_DENIED, .reason = "default_deny"},
    {"ECH", REDIRECT CLIENTS NAT RULE, REVIEW_DENIED, .reason = "ech_denied", .ech = true},
    {"no server name", REDIRECT CLIENTS NAT RULE, REVIEW_DENIED, .reason = "sni_missing", .sni = "-"},
    {"no server name, to a network", REDIRECT CLIENTS NAT "[rule r]\nto = 93.184.215.0/24\n", REVIEW_STAYS, .sni = "-"},
    {"no TLS", REDIRECT CLIENTS NAT "[rule r]\nto = 93.184.215.0/24\n", REVIEW_DENIED, .reason = "not_tls", .no_hello = true},
    {"no TLS, and none demanded", REDIRECT CLIENTS NAT "[rule r]\nto = 93.184.215.0/24\nsni = off\n", REVIEW_STAYS, .no_hello = true},
    {"another way", REDIRECT CLIENTS NAT "mark = 7\n" RULE, .result = REVIEW_REROUTED},
};

Test(review, those_that_the_network_brought)
{
    before = config_text_load(REDIRECT CLIENTS NAT RULE, NULL);
    for (size_t i = 0; i < sizeof(BROUGHT) / sizeof(BROUGHT[0]); i++) {
        const struct row *row = &BROUGHT[i];
        struct config *after = config_text_load(row->after, NULL);
        struct review_facts facts = facts_of(row);
        struct verdict verdict;
        facts.transparent = true;
        facts.original = net_address("93.184.215.14");
        cr_expect_eq(policy_review(after->policy, &facts, 20000, &verdict), row->result, "%s", row->what);
        if (row->reason != NULL)
            cr_expect_str_eq(reason_row(verdict.reason)->code, row->reason, "%s", row->what);
        config_unref(after);
    }
    config_unref(before);
}

/* Zeroed facts are those of nobody. */
Test(review, nothing_known_is_denied)
{
    struct config *config = config_text_load(BEFORE, NULL);
    const struct review_facts facts = {0};
    struct verdict verdict;
    cr_expect_eq(policy_review(config->policy, &facts, 20000, &verdict), REVIEW_DENIED);
    cr_expect_eq(verdict.kind, VERDICT_DENY);
    config_unref(config);
}
