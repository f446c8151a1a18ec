/* The resolver against a DNS server that lies, lags, drops and counts. */
#include "proxy/resolver.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dns_stub.h"
#include "net.h"
#include "proxy/dns_batch.h"
#include "proxy/dns_cache.h"
#include "proxy/dns_lookup.h"

enum { LONG_MS = 10000, NXDOMAIN = 3, SERVFAIL = 2, REFUSED = 5, SOME = 8 };

TestSuite(resolver, .timeout = 30);

static const struct dns_stub_reply script[] = {
    {"both.example", STUB_A, .ttl = 300, .addresses = "192.0.2.1 192.0.2.2"},
    {"both.example", STUB_AAAA, .ttl = 300, .addresses = "2001:db8::1"},
    {"four.example", STUB_A, .ttl = 300, .addresses = "192.0.2.4"},
    {"zero.example", STUB_A, .ttl = 0, .addresses = "192.0.2.5"},
    {"half.example", STUB_A, .ttl = 300, .addresses = "192.0.2.6"},
    {"half.example", STUB_AAAA, .rcode = SERVFAIL},
    {"none.example", 0, .rcode = NXDOMAIN},
    {"servfail.example", 0, .rcode = SERVFAIL},
    {"refused.example", 0, .rcode = REFUSED},
    {"formerr.example", 0, .rcode = 1},
    {"notauth.example", 0, .rcode = 9},
    {"alias.example", STUB_A, .ttl = 300, .cname = "target.example", .cname_ttl = 300, .addresses = "192.0.2.7"},
    {"brief-alias.example", STUB_A, .ttl = 300, .cname = "target.example", .cname_ttl = 0, .addresses = "192.0.2.7"},
    {"dangling.example", 0, .cname = "nowhere.example", .cname_ttl = 300},
    {"big.example", STUB_A, STUB_TRUNCATE, .ttl = 300, .addresses = "192.0.2.8"},
    {"big-failure.example", 0, STUB_TRUNCATE, .rcode = SERVFAIL},
    {"many.example", STUB_A, STUB_TRUNCATE, .ttl = 300, .more = 40},
    {"many.example", STUB_AAAA, .ttl = 300, .addresses = "2001:db8::1 2001:db8::2"},
    {"twice.example", STUB_A, .ttl = 300, .addresses = "192.0.2.9 192.0.2.9 192.0.2.10 192.0.2.9"},
    {"forged-id.example", STUB_A, STUB_FORGE_ID, .ttl = 300, .addresses = "192.0.2.11"},
    {"forged-question.example", STUB_A, STUB_FORGE_QUESTION, .ttl = 300, .addresses = "192.0.2.11"},
    {"forged-port.example", STUB_A, STUB_FORGE_PORT, .ttl = 300, .addresses = "192.0.2.11"},
    {"empty-first.example", STUB_A, STUB_EMPTY_FIRST, .ttl = 300, .addresses = "192.0.2.11"},
    {"cut-short.example", STUB_A, STUB_CUT_SHORT, .addresses = "192.0.2.12"},
    {"echo.example", STUB_A, .act = STUB_ECHO},
    {"silent.example", 0, .act = STUB_DROP},
    {"held.example", 0, STUB_HOLD, .ttl = 300, .addresses = "192.0.2.13 2001:db8::13"},
    {"lost.example", 0, STUB_LOSE, .ttl = 300, .addresses = "192.0.2.16"},
    {"late6.example", STUB_A, .ttl = 300, .addresses = "192.0.2.14"},
    {"late6.example", STUB_AAAA, STUB_HOLD, .ttl = 300, .addresses = "2001:db8::14"},
    {"late4.example", STUB_A, STUB_HOLD, .ttl = 300, .addresses = "192.0.2.15"},
    {"localhost", 0, .rcode = NXDOMAIN},
    {0},
};

/* One resolver and its surroundings. Families, sources and servers are set as a test needs them. */
struct bench {
    struct loop *loop;
    struct resolver *resolver;
    struct dns_stub *stub;
    struct config config;
    struct route any;    /* unpinned */
    struct route pinned; /* one IPv4 source */
    struct source source;
    struct endpoint servers[2];
};

static struct source source_of(const char *text)
{
    return (struct source){.local = net_address(text), .public_ip = net_address(text)};
}

static char any_name[] = "any", pinned_name[] = "pinned";

static void bench_open(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    bench->resolver = resolver_new(bench->loop);
    bench->stub = dns_stub_start("127.0.0.1", 0, script);
    cr_assert(bench->loop && bench->resolver);
    bench->servers[0] = dns_stub_endpoint(bench->stub);
    bench->config.dns = (struct dns_settings){
        .servers = bench->servers, .server_count = 1, .min_ttl_ms = 5000, .max_ttl_ms = 3600000, .negative_ttl_ms = 5000, .timeout_ms = 5000};
    bench->any.name = any_name;
    bench->source = source_of("127.0.0.2");
    bench->pinned = (struct route){.name = pinned_name, .sources = &bench->source, .source_count = 1};
}

static void bench_close(struct bench *bench)
{
    resolver_free(bench->resolver);
    loop_free(bench->loop);
    dns_stub_stop(bench->stub);
}

struct query {
    struct resolve *token;
    struct resolved resolved;
    unsigned calls;
    bool answered;
    struct query *cancels; /* within its own callback */
    struct resolve_taste taste;
    uint64_t started_ms, took_ms;
};

static void query_done(void *arg, const struct resolved *resolved)
{
    struct query *query = arg;
    query->resolved = *resolved;
    query->calls++;
    query->answered = true;
    query->took_ms = net_now_ms() - query->started_ms;
    if (query->cancels)
        resolve_cancel(query->cancels->token);
}

static void query_start(struct query *query, struct bench *bench, const struct route *route, const char *name)
{
    struct query *cancels = query->cancels;
    const struct resolve_taste taste = query->taste;
    *query = (struct query){.started_ms = net_now_ms(), .cancels = cancels, .taste = taste};
    query->token = resolve_start(bench->resolver, &bench->config, route, name, &taste, query_done, query);
    cr_assert(query->token != NULL);
    cr_assert_eq(query->calls, 0u, "called back before resolve_start returned");
}

static const struct resolved *query_wait(struct query *query, struct bench *bench)
{
    cr_assert(net_run(bench->loop, &query->answered, LONG_MS), "no answer");
    cr_assert_eq(query->calls, 1u);
    return &query->resolved;
}

static const struct resolved *query_ask(struct query *query, struct bench *bench, const struct route *route, const char *name)
{
    query_start(query, bench, route, name);
    return query_wait(query, bench);
}

static bool resolved_holds(const struct resolved *resolved, const char *text)
{
    struct address address = net_address(text);
    for (size_t i = 0; i < resolved->count; i++)
        if (address_equal(&resolved->addresses[i], &address))
            return true;
    return false;
}

static void expect_address(const struct resolved *resolved, const char *text)
{
    cr_expect_eq(resolved->status, RESOLVE_OK);
    cr_expect_null(resolved->detail);
    cr_expect_eq(resolved->count, 1u);
    cr_expect(resolved_holds(resolved, text), "%s is missing", text);
}

static const char NO_FAMILY[] = "the route has no source of the name's family";

static void expect_failure(const struct resolved *resolved, enum resolve_status status, const char *detail)
{
    cr_expect_eq(resolved->status, status, "status %d (%s)", resolved->status, resolved->detail ? resolved->detail : "no detail");
    cr_expect_eq(resolved->count, 0u);
    cr_assert_not_null(resolved->detail);
    if (detail)
        cr_expect_str_eq(resolved->detail, detail);
}

/* ---- answers ---- */

Test(resolver, asks_both_families_and_mixes_them)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    const struct resolved *resolved = query_ask(&query, &bench, &bench.any, "both.example");
    cr_expect_eq(resolved->status, RESOLVE_OK);
    cr_expect_eq(resolved->count, 3u);
    cr_expect(resolved_holds(resolved, "192.0.2.1") && resolved_holds(resolved, "192.0.2.2") && resolved_holds(resolved, "2001:db8::1"));
    cr_expect_not(resolved->cached);
    cr_expect_eq(dns_stub_asked(bench.stub, "both.example", STUB_A), 1u);
    cr_expect_eq(dns_stub_asked(bench.stub, "both.example", STUB_AAAA), 1u);
    bench_close(&bench);
}

Test(resolver, asks_no_family_that_the_route_has_no_source_of)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    cr_expect_eq(query_ask(&query, &bench, &bench.pinned, "both.example")->count, 2u);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, STUB_A), 1u);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, STUB_AAAA), 0u);
    bench.source = source_of("2001:db8::53");
    expect_address(query_ask(&query, &bench, &bench.pinned, "both.example"), "2001:db8::1");
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, STUB_A), 1u);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, STUB_AAAA), 1u);
    bench_close(&bench);
}

Test(resolver, one_family_may_fail_while_the_other_answers)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    expect_address(query_ask(&query, &bench, &bench.any, "half.example"), "192.0.2.6");
    expect_address(query_ask(&query, &bench, &bench.any, "four.example"), "192.0.2.4");
    bench_close(&bench);
}

Test(resolver, says_how_it_failed)
{
    static const struct {
        const char *name, *detail;
    } rows[] = {
        {"none.example", "NXDOMAIN"},
        {"servfail.example", "SERVFAIL"},
        {"refused.example", "REFUSED"},
        {"formerr.example", "FORMERR"},
        {"notauth.example", "the resolver answered with an error"},
        {"cut-short.example", "malformed answer"},
        {"echo.example", "malformed answer"},
        {"big-failure.example", "no resolver gave an answer"},
        {"hidden.onion", "NXDOMAIN"}, /* RFC 7686: never asked */
        {"localhost", "NXDOMAIN"},    /* in every /etc/hosts, which is not read */
    };
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_failure(query_ask(&query, &bench, &bench.pinned, rows[i].name), RESOLVE_FAILED, rows[i].detail);
    cr_expect_eq(dns_stub_asked(bench.stub, "hidden.onion", 0), 0u);
    cr_expect_eq(dns_stub_asked(bench.stub, "localhost", 0), 1u);
    bench_close(&bench);
}

/* A name that is there but has no IPv4 address: the route could not use another. Without such a route it is just a name without an address. */
Test(resolver, a_name_of_another_family_has_no_way)
{
    static const char *const names[] = {"unknown.example", "dangling.example"};
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        expect_failure(query_ask(&query, &bench, &bench.pinned, names[i]), RESOLVE_NO_WAY, NO_FAMILY);
        expect_failure(query_ask(&query, &bench, &bench.any, names[i]), RESOLVE_FAILED, "no address of this name");
    }
    bench_close(&bench);
}

Test(resolver, follows_aliases)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    expect_address(query_ask(&query, &bench, &bench.any, "alias.example"), "192.0.2.7");
    cr_expect_eq(dns_stub_asked(bench.stub, "target.example", 0), 0u);
    bench_close(&bench);
}

Test(resolver, asks_again_by_tcp_what_was_truncated)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    expect_address(query_ask(&query, &bench, &bench.pinned, "big.example"), "192.0.2.8");
    cr_expect_eq(dns_stub_asked_tcp(bench.stub), 1u);
    cr_expect_eq(dns_stub_asked(bench.stub, "big.example", 0), 2u);
    bench_close(&bench);
}

Test(resolver, a_family_with_many_addresses_leaves_room_for_the_other)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    const struct resolved *resolved = query_ask(&query, &bench, &bench.any, "many.example");
    cr_expect_eq(resolved->status, RESOLVE_OK);
    cr_expect_eq(resolved->count, (size_t)RESOLVED_MAX);
    cr_expect(resolved_holds(resolved, "2001:db8::1") && resolved_holds(resolved, "2001:db8::2") && resolved_holds(resolved, "10.9.0.0"));
    bench_close(&bench);
}

Test(resolver, gives_each_address_once)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    const struct resolved *resolved = query_ask(&query, &bench, &bench.any, "twice.example");
    cr_expect_eq(resolved->count, 2u);
    cr_expect(resolved_holds(resolved, "192.0.2.9") && resolved_holds(resolved, "192.0.2.10"));
    bench_close(&bench);
}

Test(resolver, believes_no_forged_answer)
{
    static const char *const names[] = {"forged-id.example", "forged-question.example", "forged-port.example", "empty-first.example"};
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct resolved *resolved = query_ask(&query, &bench, &bench.pinned, names[i]);
        cr_expect_not(resolved_holds(resolved, STUB_FORGED));
        expect_address(resolved, "192.0.2.11");
        cr_expect_eq(dns_stub_asked(bench.stub, names[i], 0), 1u, "%s had to be asked again", names[i]);
    }
    bench_close(&bench);
}

/* ---- servers ---- */

Test(resolver, a_silent_server_is_a_timeout)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    bench.config.dns.timeout_ms = 900; /* the second try comes after a third of it */
    expect_failure(query_ask(&query, &bench, &bench.any, "silent.example"), RESOLVE_TIMEOUT, NULL);
    cr_expect_geq(query.took_ms, 890u);
    cr_expect_geq(query.resolved.took_ms, 890u);
    cr_expect_gt(dns_stub_asked(bench.stub, "silent.example", STUB_A), 1u, "not tried again");
    cr_expect_eq(dns_stub_different(bench.stub, "silent.example", STUB_A), 1u);
    cr_expect_eq(resolver_cached(bench.resolver), 0u);
    bench_close(&bench);
}

Test(resolver, the_next_server_answers_for_one_that_is_silent_or_refuses)
{
    static const struct dns_stub_reply second[] = {
        {"silent.example", STUB_A, .ttl = 300, .addresses = "192.0.2.21"},
        {"refused.example", STUB_A, .ttl = 300, .addresses = "192.0.2.22"},
        {"servfail.example", STUB_A, .ttl = 300, .addresses = "192.0.2.23"},
        {0},
    };
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    struct dns_stub *other = dns_stub_start("127.0.0.3", 0, second);
    bench.servers[1] = dns_stub_endpoint(other);
    bench.config.dns.server_count = 2;
    bench.config.dns.timeout_ms = 3000; /* the second one is asked after a sixth of it */
    expect_address(query_ask(&query, &bench, &bench.pinned, "silent.example"), "192.0.2.21");
    cr_expect_lt(query.took_ms, 3000u);
    expect_address(query_ask(&query, &bench, &bench.pinned, "refused.example"), "192.0.2.22");
    expect_address(query_ask(&query, &bench, &bench.pinned, "servfail.example"), "192.0.2.23");
    dns_stub_stop(other);
    bench_close(&bench);
}

Test(resolver, a_server_that_is_down_fails_at_once)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(&(struct endpoint){.ip = net_address("127.0.0.1")}, &name);
    cr_assert(bind(fd, (struct sockaddr *)&name, len) == 0 && getsockname(fd, (struct sockaddr *)&name, &len) == 0);
    endpoint_from_sockaddr(&bench.servers[0], (struct sockaddr *)&name, len);
    close(fd);
    expect_failure(query_ask(&query, &bench, &bench.any, "four.example"), RESOLVE_FAILED, "no resolver gave an answer");
    cr_expect_lt(query.took_ms, 900u, "waited for what had been refused");
    bench_close(&bench);
}

/* In a network and a file system of its own, since the port is 53 and the file the system's. */
Test(resolver, without_servers_resolv_conf_says)
{
    char path[] = "/tmp/exeat-resolv-conf-XXXXXX";
    const char text[] = "nameserver 127.0.0.7\nsearch example\noptions ndots:5\n";
    struct bench bench;
    struct query query = {0};
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, 0644) == 0);
    close(fd);
    if (net_own_network() && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0) {
        bench_open(&bench);
        struct dns_stub *system = dns_stub_start("127.0.0.7", 53, script);
        bench.config.dns.server_count = 0;
        expect_address(query_ask(&query, &bench, &bench.pinned, "four.example"), "192.0.2.4");
        expect_failure(query_ask(&query, &bench, &bench.pinned, "four"), RESOLVE_NO_WAY, NULL); /* no search list */
        cr_expect_eq(dns_stub_asked(system, "four.example", 0), 1u);
        cr_expect_eq(dns_stub_asked(bench.stub, NULL, 0), 0u);
        dns_stub_stop(system);
        bench_close(&bench);
    } else {
        fprintf(stderr, "SKIPPED: no resolv.conf of one's own: %s\n", strerror(errno));
    }
    unlink(path);
}

/* ---- two families, and time ---- */

Test(resolver, waits_a_moment_only_for_the_second_family_and_keeps_it_for_the_next)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    expect_address(query_ask(&query, &bench, &bench.any, "late6.example"), "192.0.2.14");
    cr_expect_geq(query.took_ms, 40u);
    cr_expect_lt(query.took_ms, 2000u);
    query_start(&query, &bench, &bench.any, "late6.example"); /* the first family is cached by now, the second still on its way */
    dns_stub_release(bench.stub);
    cr_expect_eq(query_wait(&query, &bench)->status, RESOLVE_OK);
    while (resolver_cached(bench.resolver) < 2)
        event_base_loop(bench.loop->base, EVLOOP_ONCE);
    query_ask(&query, &bench, &bench.any, "late6.example");
    cr_expect_eq(query.resolved.count, 2u);
    cr_expect(query.resolved.cached);
    cr_expect_eq(dns_stub_different(bench.stub, "late6.example", STUB_AAAA), 1u);
    bench_close(&bench);
}

Test(resolver, waits_for_the_second_family_when_the_first_has_nothing)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    query_start(&query, &bench, &bench.any, "late4.example");
    cr_assert_not(net_run(bench.loop, &query.answered, 120));
    dns_stub_release(bench.stub);
    expect_address(query_wait(&query, &bench), "192.0.2.15");
    bench_close(&bench);
}

/* ---- asked once ---- */

Test(resolver, asks_once_for_all_who_ask_the_same)
{
    struct bench bench;
    struct query queries[SOME] = {{0}};
    bench_open(&bench);
    for (int i = 0; i < SOME; i++)
        query_start(&queries[i], &bench, i % 2 ? &bench.any : &bench.pinned, "held.example");
    cr_assert(dns_stub_wait(bench.stub, "held.example", STUB_A, 1) && dns_stub_wait(bench.stub, "held.example", STUB_AAAA, 1));
    dns_stub_release(bench.stub);
    for (int i = 0; i < SOME; i++)
        cr_expect_eq(query_wait(&queries[i], &bench)->count, i % 2 ? 2u : 1u);
    cr_expect_eq(dns_stub_different(bench.stub, "held.example", 0), 2u);
    bench_close(&bench);
}

Test(resolver, each_who_waits_is_cancelled_alone)
{
    struct bench bench;
    struct query queries[SOME] = {{0}};
    bench_open(&bench);
    for (int i = 0; i < SOME; i++)
        query_start(&queries[i], &bench, &bench.any, "held.example");
    for (int i = 0; i < SOME; i += 2)
        resolve_cancel(queries[i].token);
    queries[1].cancels = &queries[3];
    queries[3].cancels = &queries[1];
    dns_stub_release(bench.stub);
    query_wait(&queries[5], &bench);
    query_wait(&queries[7], &bench);
    net_run(bench.loop, NULL, 80);
    for (int i = 0; i < SOME; i += 2)
        cr_expect_eq(queries[i].calls, 0u);
    cr_expect_eq(queries[1].calls + queries[3].calls, 1u, "one of the two cancels the other");
    bench_close(&bench);
}

Test(resolver, what_all_have_cancelled_still_fills_the_cache)
{
    struct bench bench;
    struct query queries[2] = {{0}};
    bench_open(&bench);
    query_start(&queries[0], &bench, &bench.pinned, "held.example");
    query_start(&queries[1], &bench, &bench.pinned, "held.example");
    resolve_cancel(queries[0].token);
    resolve_cancel(queries[1].token);
    dns_stub_release(bench.stub);
    while (resolver_cached(bench.resolver) < 1)
        event_base_loop(bench.loop->base, EVLOOP_ONCE);
    expect_address(query_ask(&queries[0], &bench, &bench.pinned, "held.example"), "192.0.2.13");
    cr_expect(queries[0].resolved.cached);
    cr_expect_eq(queries[1].calls, 0u);
    cr_expect_eq(dns_stub_different(bench.stub, "held.example", 0), 1u);
    bench_close(&bench);
}

Test(resolver, can_be_cancelled_in_every_phase)
{
    struct address address = net_address("192.0.2.99");
    struct static_host host = {.name = "fixed.example", .addresses = &address, .address_count = 1};
    struct bench bench;
    struct query ready = {0}, cached = {0}, fixed = {0}, half = {0}, asked = {0}, timed = {0};
    bench_open(&bench);
    bench.config.dns.hosts = &host;
    bench.config.dns.host_count = 1;
    query_ask(&ready, &bench, &bench.pinned, "four.example");
    query_start(&cached, &bench, &bench.pinned, "four.example"); /* answered already, not yet delivered */
    query_start(&fixed, &bench, &bench.any, "fixed.example");
    query_start(&asked, &bench, &bench.any, "held.example");
    query_start(&half, &bench, &bench.any, "late4.example"); /* one family has answered, the other never will */
    query_start(&timed, &bench, &bench.any, "silent.example");
    while (resolver_cached(bench.resolver) < 2)
        event_base_loop(bench.loop->base, EVLOOP_ONCE);
    struct query *const all[] = {&cached, &fixed, &asked, &half, &timed};
    unsigned before = cached.calls + fixed.calls;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (!all[i]->calls)
            resolve_cancel(all[i]->token);
    net_run(bench.loop, NULL, 80);
    cr_expect_eq(cached.calls + fixed.calls, before);
    cr_expect_eq(asked.calls + half.calls + timed.calls, 0u);
    bench_close(&bench);
}

Test(resolver, what_is_ready_can_be_cancelled_before_it_is_told)
{
    struct address address = net_address("192.0.2.99");
    struct static_host host = {.name = "fixed.example", .addresses = &address, .address_count = 1};
    struct bench bench;
    struct query cached = {0}, fixed = {0};
    bench_open(&bench);
    bench.config.dns.hosts = &host;
    bench.config.dns.host_count = 1;
    query_ask(&cached, &bench, &bench.pinned, "four.example");
    query_start(&cached, &bench, &bench.pinned, "four.example");
    query_start(&fixed, &bench, &bench.any, "fixed.example");
    resolve_cancel(cached.token);
    resolve_cancel(fixed.token);
    net_run(bench.loop, NULL, 30);
    cr_expect_eq(cached.calls + fixed.calls, 0u);
    bench_close(&bench);
}

Test(resolver, goes_with_questions_in_flight)
{
    struct bench bench;
    struct query queries[SOME] = {{0}};
    size_t descriptors = net_descriptors();
    bench_open(&bench);
    for (int i = 0; i < SOME; i++) {
        query_start(&queries[i], &bench, i % 2 ? &bench.pinned : &bench.any, i < 4 ? "silent.example" : "big.example");
        resolve_cancel(queries[i].token);
    }
    bench_close(&bench);
    cr_expect_eq(net_descriptors(), descriptors);
}

Test(resolver, who_comes_late_to_an_unanswered_question_has_it_asked_anew)
{
    struct bench bench;
    struct query first = {0}, joins = {0}, late = {0};
    bench_open(&bench);
    bench.config.dns.timeout_ms = 1000;
    query_start(&first, &bench, &bench.pinned, "silent.example");
    query_start(&joins, &bench, &bench.pinned, "silent.example");
    net_run(bench.loop, NULL, 550);
    cr_expect_eq(dns_stub_different(bench.stub, "silent.example", 0), 1u);
    query_start(&late, &bench, &bench.pinned, "silent.example");
    cr_expect_eq(query_wait(&first, &bench)->status, RESOLVE_TIMEOUT);
    cr_expect_eq(query_wait(&joins, &bench)->status, RESOLVE_TIMEOUT);
    resolve_cancel(late.token);
    cr_expect_eq(dns_stub_different(bench.stub, "silent.example", 0), 2u);
    bench_close(&bench);
}

/* All who wait hear it, not only who was so lucky as to ask when the server was back. */
Test(resolver, a_server_that_is_back_answers_all_who_wait)
{
    struct bench bench;
    struct query first = {0}, late = {0};
    bench_open(&bench);
    query_start(&first, &bench, &bench.pinned, "lost.example");
    while (dns_stub_asked(bench.stub, "lost.example", 0) < 2)
        net_run(bench.loop, NULL, 10); /* its first repetition is lost too, the next is far */
    dns_stub_release(bench.stub);
    expect_address(query_ask(&late, &bench, &bench.pinned, "lost.example"), "192.0.2.16");
    cr_expect(first.answered);
    expect_address(&first.resolved, "192.0.2.16");
    bench_close(&bench);
}

/* ---- the cache ---- */

Test(resolver, answers_from_the_cache)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    query_ask(&query, &bench, &bench.any, "both.example");
    query_ask(&query, &bench, &bench.any, "both.example");
    cr_expect_eq(query.resolved.status, RESOLVE_OK);
    cr_expect_eq(query.resolved.count, 3u);
    cr_expect(query.resolved.cached);
    cr_expect_eq(query.resolved.took_ms, 0u);
    cr_expect_eq(resolver_cached(bench.resolver), 2u);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, 0), 2u);
    bench_close(&bench);
}

Test(resolver, keeps_an_answer_for_min_ttl_at_least)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    query_ask(&query, &bench, &bench.pinned, "zero.example");
    expect_address(query_ask(&query, &bench, &bench.pinned, "zero.example"), "192.0.2.5");
    cr_expect(query.resolved.cached);
    bench.config.dns.min_ttl_ms = 0;
    query_ask(&query, &bench, &bench.pinned, "brief-alias.example"); /* the alias ends before its target */
    cr_expect_eq(resolver_cached(bench.resolver), 1u);
    query_ask(&query, &bench, &bench.pinned, "alias.example");
    cr_expect_eq(resolver_cached(bench.resolver), 2u);
    bench_close(&bench);
}

Test(resolver, keeps_an_answer_for_max_ttl_at_most)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    bench.config.dns.min_ttl_ms = 1;
    bench.config.dns.max_ttl_ms = 30;
    query_ask(&query, &bench, &bench.pinned, "four.example");
    net_run(bench.loop, NULL, 60);
    expect_address(query_ask(&query, &bench, &bench.pinned, "four.example"), "192.0.2.4");
    cr_expect_not(query.resolved.cached);
    cr_expect_eq(dns_stub_asked(bench.stub, "four.example", 0), 2u);
    bench_close(&bench);
}

Test(resolver, keeps_that_there_is_nothing_for_negative_ttl)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    query_ask(&query, &bench, &bench.pinned, "none.example");
    query_ask(&query, &bench, &bench.pinned, "unknown.example");
    expect_failure(query_ask(&query, &bench, &bench.pinned, "none.example"), RESOLVE_FAILED, "NXDOMAIN");
    cr_expect(query.resolved.cached);
    expect_failure(query_ask(&query, &bench, &bench.pinned, "unknown.example"), RESOLVE_NO_WAY, NO_FAMILY);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, 0), 2u);
    bench_close(&bench);
}

Test(resolver, keeps_no_failure_that_may_pass)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    query_ask(&query, &bench, &bench.pinned, "servfail.example");
    query_ask(&query, &bench, &bench.pinned, "refused.example");
    query_ask(&query, &bench, &bench.pinned, "cut-short.example");
    bench.config.dns.negative_ttl_ms = 0;
    query_ask(&query, &bench, &bench.pinned, "none.example");
    cr_expect_eq(resolver_cached(bench.resolver), 0u);
    bench_close(&bench);
}

static void cache_question(struct dns_question *question, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), "n%u.example", number);
    cr_assert(dns_question_init(question, 1, FAMILY_V4, name));
}

Test(resolver, the_cache_is_bounded_and_forgets_what_nobody_asked_for_longest)
{
    struct dns_cache *cache = dns_cache_new(100, SIZE_MAX);
    struct dns_answer answer = {0}, found;
    struct dns_question question;
    dns_answer_add(&answer, FAMILY_V4, "\300\0\2\1", 60);
    for (unsigned i = 0; i < 1000; i++) {
        cache_question(&question, i);
        dns_cache_put(cache, &question, &answer, 0, 100);
        cache_question(&question, 0);
        cr_expect(dns_cache_find(cache, &question, 50, &found), "the one in use went at %u", i);
    }
    cr_expect_eq(dns_cache_count(cache), 100u);
    cache_question(&question, 1);
    cr_expect_not(dns_cache_find(cache, &question, 50, &found));
    cache_question(&question, 999);
    cr_expect(dns_cache_find(cache, &question, 99, &found));
    cr_expect_eq(found.count, 1u);
    cr_expect_not(dns_cache_find(cache, &question, 100, &found), "found when it had expired");
    cr_expect_eq(dns_cache_count(cache), 99u);
    dns_cache_free(cache);
}

/* With as many addresses as fit into an answer, and the longest names. */
Test(resolver, the_cache_is_bounded_in_bytes)
{
    enum { BYTES = 100000 };
    struct dns_cache *cache = dns_cache_new(SIZE_MAX, BYTES);
    struct dns_answer answer = {0}, found;
    struct dns_question question;
    char name[HOSTNAME_SIZE];
    for (uint8_t i = 0; i < RESOLVED_MAX; i++)
        dns_answer_add(&answer, FAMILY_V6, (uint8_t[16]){0x20, 1, [15] = i}, 60);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%0*u", HOSTNAME_MAX, i);
        cr_assert(dns_question_init(&question, 1, FAMILY_V6, name));
        dns_cache_put(cache, &question, &answer, 0, 100);
        cr_expect_leq(dns_cache_bytes(cache), (size_t)BYTES);
    }
    cr_expect(dns_cache_find(cache, &question, 0, &found));
    cr_expect_eq(found.count, (size_t)RESOLVED_MAX);
    cr_expect_eq(memcmp(found.addresses, answer.addresses, sizeof(found.addresses)), 0);
    cr_expect_gt(dns_cache_count(cache), 100u);
    while (dns_cache_sweep(cache, 100))
        ;
    cr_expect_eq(dns_cache_bytes(cache), 0u);
    dns_cache_free(cache);
}

Test(resolver, who_floods_the_cache_drives_out_only_what_is_its_own)
{
    enum { MAX = 1000, OTHERS = 9, EACH = 50 };
    struct dns_cache *cache = dns_cache_new(MAX, SIZE_MAX);
    struct dns_answer answer = {0}, found;
    struct dns_question question;
    unsigned kept = 0;
    dns_answer_add(&answer, FAMILY_V4, "\300\0\2\1", 60);
    for (unsigned i = 0; i < OTHERS * EACH; i++) {
        cache_question(&question, 100000 + i);
        dns_cache_put(cache, &question, &answer, (uint8_t)(1 + i % OTHERS), 100);
    }
    for (unsigned i = 0; i < 100 * MAX; i++) {
        cache_question(&question, 1000000 + i);
        dns_cache_put(cache, &question, &answer, 200, 100);
    }
    for (unsigned i = 0; i < OTHERS * EACH; i++) {
        cache_question(&question, 100000 + i);
        kept += dns_cache_find(cache, &question, 50, &found);
    }
    cr_expect_eq(kept, (unsigned)(OTHERS * EACH));
    cr_expect_eq(dns_cache_count(cache), (size_t)MAX);
    dns_cache_free(cache);
}

/* No sweep takes much more than its part, and after as many as there are parts everything that had expired is gone. */
Test(resolver, what_has_expired_goes_part_by_part)
{
    enum { MANY = 10000 };
    struct dns_cache *cache = dns_cache_new(MANY, SIZE_MAX);
    struct dns_answer answer = {0}, found;
    struct dns_question question;
    dns_answer_add(&answer, FAMILY_V4, "\300\0\2\1", 60);
    for (unsigned i = 0; i < MANY; i++) {
        cache_question(&question, i);
        dns_cache_put(cache, &question, &answer, (uint8_t)i, i % 100 ? 100 : 200);
    }
    for (unsigned part = 0; part < DNS_CACHE_PARTS; part++) {
        const size_t before = dns_cache_count(cache);
        cr_expect(dns_cache_sweep(cache, 100));
        cr_expect_lt(before - dns_cache_count(cache), 2u * MANY / DNS_CACHE_PARTS);
    }
    cr_expect_eq(dns_cache_count(cache), MANY / 100u);
    cache_question(&question, 500);
    cr_expect(dns_cache_find(cache, &question, 199, &found));
    for (unsigned part = 0; part < DNS_CACHE_PARTS; part++)
        dns_cache_sweep(cache, 200);
    cr_expect_eq(dns_cache_count(cache), 0u);
    cr_expect_not(dns_cache_sweep(cache, 200));
    dns_cache_put(cache, &question, &answer, 0, 300);
    cr_expect(dns_cache_find(cache, &question, 200, &found), "it does not begin again after it was empty");
    dns_cache_free(cache);
}

/* Nobody asks for them any more. */
Test(resolver, what_has_expired_goes_by_itself)
{
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    bench.config.dns.min_ttl_ms = 1;
    bench.config.dns.max_ttl_ms = 1;
    query_ask(&query, &bench, &bench.any, "both.example");
    cr_expect_eq(resolver_cached(bench.resolver), 2u);
    for (uint64_t end = net_now_ms() + LONG_MS + 5000; resolver_cached(bench.resolver) > 0 && net_now_ms() < end;)
        net_run(bench.loop, NULL, 100);
    cr_expect_eq(resolver_cached(bench.resolver), 0u);
    bench_close(&bench);
}

Test(resolver, the_cache_keeps_channels_families_and_names_apart)
{
    struct dns_cache *cache = dns_cache_new(4, SIZE_MAX);
    struct dns_answer answer = {.status = RESOLVE_FAILED, .negative = true, .detail = "NXDOMAIN"}, found;
    struct dns_question question, other;
    char longest[HOSTNAME_SIZE + 1];
    cr_assert(dns_question_init(&question, 1, FAMILY_V4, "a.example"));
    dns_cache_put(cache, &question, &answer, 0, 100);
    dns_cache_put(cache, &question, &answer, 1, 100);
    cr_expect_eq(dns_cache_count(cache), 1u);
    dns_question_init(&other, 2, FAMILY_V4, "a.example");
    cr_expect_not(dns_cache_find(cache, &other, 0, &found));
    dns_question_init(&other, 1, FAMILY_V6, "a.example");
    cr_expect_not(dns_cache_find(cache, &other, 0, &found));
    dns_question_init(&other, 1, FAMILY_V4, "a.example.example");
    cr_expect_not(dns_cache_find(cache, &other, 0, &found));
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    cr_expect_not(dns_question_init(&other, 1, FAMILY_V4, longest));
    cr_expect(dns_cache_find(cache, &question, 0, &found) && found.negative && strcmp(found.detail, "NXDOMAIN") == 0);
    dns_cache_free(cache);
}

/* ---- ports, limits ---- */

Test(resolver, no_port_asks_more_than_a_few_questions)
{
    enum { MANY = 100 };
    struct bench bench;
    static struct query queries[MANY];
    char name[32];
    bench_open(&bench);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "p%d.example", i);
        query_start(&queries[i], &bench, &bench.pinned, name);
    }
    for (int i = 0; i < MANY; i++)
        expect_failure(query_wait(&queries[i], &bench), RESOLVE_NO_WAY, NULL);
    cr_expect_leq(dns_stub_port_most(bench.stub), 32u);
    cr_expect_geq(dns_stub_ports(bench.stub), 4u);
    bench_close(&bench);
}

Test(resolver, one_after_the_other_each_question_has_a_port_of_its_own)
{
    struct bench bench;
    struct query query = {0};
    char name[32];
    bench_open(&bench);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "p%d.example", i);
        query_ask(&query, &bench, &bench.pinned, name);
    }
    cr_expect_geq(dns_stub_ports(bench.stub), 30u); /* by chance some are drawn twice */
    bench_close(&bench);
}

Test(resolver, full_batches_give_their_descriptors_back)
{
    enum { MANY = 2 * DNS_BATCH_MAX }; /* all of them full */
    struct bench bench;
    static struct query queries[MANY];
    char name[32];
    bench_open(&bench);
    size_t descriptors = net_descriptors();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "p%d.example", i);
        query_start(&queries[i], &bench, &bench.pinned, name);
    }
    for (int i = 0; i < MANY; i++)
        query_wait(&queries[i], &bench);
    net_run(bench.loop, NULL, 5);
    cr_expect_eq(net_descriptors(), descriptors);
    bench_close(&bench);
}

static void client_of(struct query *query, struct address clients[256], uint8_t number)
{
    clients[number] = (struct address){.family = FAMILY_V4, .bytes = {10, 0, 0, number}};
    query->taste.client = &clients[number];
}

Test(resolver, one_client_cannot_have_all_questions_in_flight)
{
    enum { OTHERS = 4 }; /* by chance one may fall on the same share */
    struct bench bench;
    static struct query queries[DNS_LOOKUPS_SHARE_MAX], more, others[OTHERS];
    struct address clients[256];
    char name[32];
    unsigned served = 0;
    bench_open(&bench);
    for (int i = 0; i < DNS_LOOKUPS_SHARE_MAX; i++) {
        client_of(&queries[i], clients, 1);
        snprintf(name, sizeof(name), "p%d.example", i);
        query_start(&queries[i], &bench, &bench.pinned, name);
    }
    client_of(&more, clients, 1);
    query_start(&more, &bench, &bench.pinned, "one-more.example");
    for (int i = 0; i < OTHERS; i++) {
        client_of(&others[i], clients, (uint8_t)(2 + i));
        query_start(&others[i], &bench, &bench.pinned, "four.example");
    }
    expect_failure(query_wait(&more, &bench), RESOLVE_QUOTA, NULL);
    for (int i = 0; i < OTHERS; i++)
        served += query_wait(&others[i], &bench)->status == RESOLVE_OK;
    cr_expect_geq(served, 1u);
    for (int i = 0; i < DNS_LOOKUPS_SHARE_MAX; i++)
        query_wait(&queries[i], &bench);
    expect_failure(query_ask(&more, &bench, &bench.pinned, "one-more.example"), RESOLVE_NO_WAY, NULL); /* asked, there is none */
    bench_close(&bench);
}

Test(resolver, too_many_questions_in_flight_are_overload)
{
    struct bench bench;
    static struct query queries[DNS_LOOKUPS_MAX], last;
    struct address clients[256];
    char name[32];
    bench_open(&bench);
    bench.config.dns.timeout_ms = 30000;
    for (int i = 0; i < DNS_LOOKUPS_MAX; i++) {
        client_of(&queries[i], clients, (uint8_t)i);
        snprintf(name, sizeof(name), "p%d.example", i);
        query_start(&queries[i], &bench, &bench.pinned, name);
    }
    expect_failure(query_ask(&last, &bench, &bench.pinned, "one-more.example"), RESOLVE_OVERLOAD, NULL);
    for (int i = 0; i < DNS_LOOKUPS_MAX; i++)
        if (!queries[i].calls)
            resolve_cancel(queries[i].token);
    bench_close(&bench);
}

Test(resolver, out_of_descriptors_is_overload)
{
    struct bench bench;
    struct query query = {0};
    struct rlimit limit;
    bench_open(&bench);
    int highest = dup(0);
    cr_assert(highest >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)highest, .rlim_max = limit.rlim_max};
    close(highest);
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    expect_failure(query_ask(&query, &bench, &bench.any, "four.example"), RESOLVE_OVERLOAD, NULL);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    expect_address(query_ask(&query, &bench, &bench.any, "four.example"), "192.0.2.4");
    bench_close(&bench);
}

/* ---- the hosts file ---- */

Test(resolver, the_hosts_file_comes_first_and_is_never_asked_of_dns)
{
    struct address addresses[] = {net_address("192.0.2.99"), net_address("2001:db8::99")}, six[] = {net_address("2001:db8::98")};
    struct static_host hosts[] = {
        {.name = "four.example", .addresses = addresses, .address_count = 2},
        {.name = "six.example", .addresses = six, .address_count = 1},
    };
    struct bench bench;
    struct query query = {0};
    bench_open(&bench);
    bench.config.dns.hosts = hosts;
    bench.config.dns.host_count = 2;
    query_ask(&query, &bench, &bench.any, "four.example");
    cr_expect_eq(query.resolved.status, RESOLVE_OK);
    cr_expect_eq(query.resolved.count, 2u);
    cr_expect_eq(query.resolved.took_ms, 0u);
    expect_address(query_ask(&query, &bench, &bench.pinned, "four.example"), "192.0.2.99");
    expect_failure(query_ask(&query, &bench, &bench.pinned, "six.example"), RESOLVE_NO_WAY, NULL);
    cr_expect_eq(dns_stub_asked(bench.stub, NULL, 0), 0u);
    expect_failure(query_ask(&query, &bench, &bench.pinned, "below.four.example"), RESOLVE_NO_WAY, NULL); /* the exact name only */
    cr_expect_eq(dns_stub_asked(bench.stub, "below.four.example", 0), 1u);
    bench_close(&bench);
}

/* ---- split DNS ---- */

static const struct dns_stub_reply inner_script[] = {
    {"four.example", STUB_A, .ttl = 300, .addresses = "10.0.0.4"},
    {"big.example", STUB_A, STUB_TRUNCATE, .ttl = 300, .addresses = "10.0.0.8"},
    {0},
};

struct split {
    struct bench bench;
    struct dns_stub *inner;
    struct endpoint resolver;
    struct source sources[2];
    struct route vpn; /* one source, 127.0.0.5, and the inner resolver */
};

static void split_open(struct split *split)
{
    static char name[] = "vpn";
    memset(split, 0, sizeof(*split));
    bench_open(&split->bench);
    split->inner = dns_stub_start("127.0.0.9", 0, inner_script);
    split->resolver = dns_stub_endpoint(split->inner);
    split->sources[0] = source_of("127.0.0.5");
    split->vpn = (struct route){.name = name, .sources = split->sources, .source_count = 1, .resolvers = &split->resolver, .resolver_count = 1};
}

static void split_close(struct split *split)
{
    dns_stub_stop(split->inner);
    bench_close(&split->bench);
}

static void expect_asked_from(struct split *split, const char *text)
{
    struct address client = dns_stub_client(split->inner), expected = net_address(text);
    cr_expect(address_equal(&client, &expected), "not asked from %s", text);
}

Test(resolver, a_route_with_a_resolver_asks_it_alone_from_its_source)
{
    struct split split;
    struct query query = {0};
    split_open(&split);
    expect_address(query_ask(&query, &split.bench, &split.vpn, "four.example"), "10.0.0.4");
    expect_asked_from(&split, "127.0.0.5");
    expect_address(query_ask(&query, &split.bench, &split.bench.pinned, "four.example"), "192.0.2.4"); /* and the cache keeps them apart */
    struct address client = dns_stub_client(split.bench.stub), loopback = net_address("127.0.0.1");
    cr_expect(address_equal(&client, &loopback), "the resolvers of [dns] are asked from where the kernel likes");
    expect_address(query_ask(&query, &split.bench, &split.vpn, "big.example"), "10.0.0.8"); /* by TCP too */
    expect_asked_from(&split, "127.0.0.5");
    expect_failure(query_ask(&query, &split.bench, &split.vpn, "both.example"), RESOLVE_NO_WAY, NULL); /* not asked elsewhere */
    cr_expect_eq(dns_stub_asked(split.bench.stub, NULL, 0), 1u);
    split_close(&split);
}

Test(resolver, an_unpinned_route_may_have_a_resolver)
{
    struct split split;
    struct query query = {0};
    split_open(&split);
    split.vpn.source_count = 0;
    expect_address(query_ask(&query, &split.bench, &split.vpn, "four.example"), "10.0.0.4");
    split_close(&split);
}

Test(resolver, a_source_that_this_host_lacks_is_passed_over)
{
    struct split split;
    struct query query = {0};
    split_open(&split);
    split.sources[0] = source_of("192.0.2.77");
    split.sources[1] = source_of("127.0.0.6");
    split.vpn.source_count = 2;
    expect_address(query_ask(&query, &split.bench, &split.vpn, "four.example"), "10.0.0.4");
    expect_asked_from(&split, "127.0.0.6");
    split_close(&split);
}

Test(resolver, no_source_interface_or_family_for_the_resolver_is_no_way)
{
    static char interface[] = "nonesuch0";
    const struct endpoint six = {.ip = net_address("::1"), .port = 53};
    struct split split;
    struct query query = {0};
    split_open(&split);
    split.sources[0] = source_of("192.0.2.77");
    expect_failure(query_ask(&query, &split.bench, &split.vpn, "four.example"), RESOLVE_NO_WAY, NULL);
    split.sources[0] = source_of("127.0.0.5");
    split.vpn.interface = interface;
    expect_failure(query_ask(&query, &split.bench, &split.vpn, "four.example"), RESOLVE_NO_WAY, NULL);
    split.vpn.interface = NULL;
    split.resolver = six;
    expect_failure(query_ask(&query, &split.bench, &split.vpn, "four.example"), RESOLVE_NO_WAY, NULL);
    cr_expect_eq(dns_stub_asked(split.inner, NULL, 0) + dns_stub_asked(split.bench.stub, NULL, 0), 0u);
    split_close(&split);
}

Test(resolver, a_reload_that_leaves_the_way_alone_keeps_the_cache)
{
    struct split split;
    struct query query = {0};
    split_open(&split);
    query_ask(&query, &split.bench, &split.vpn, "four.example");
    struct source sources[] = {split.sources[0]};
    struct endpoint resolvers[] = {split.resolver};
    struct route again = split.vpn;
    again.sources = sources;
    again.resolvers = resolvers;
    memset(&split.vpn, 0xa5, sizeof(split.vpn));
    expect_address(query_ask(&query, &split.bench, &again, "four.example"), "10.0.0.4");
    cr_expect(query.resolved.cached);
    sources[0] = source_of("127.0.0.8");
    expect_address(query_ask(&query, &split.bench, &again, "four.example"), "10.0.0.4");
    cr_expect_not(query.resolved.cached);
    expect_asked_from(&split, "127.0.0.8");
    split_close(&split);
}

/* More ways than are kept: those without a question in flight go. */
Test(resolver, reloads_without_end_do_not_pile_up)
{
    struct split split;
    struct query query = {0}, held = {0};
    char text[ADDRESS_TEXT_MAX];
    split_open(&split);
    query_start(&held, &split.bench, &split.bench.any, "held.example");
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "127.1.%d.%d", i / 250, i % 250 + 1);
        split.sources[0] = source_of(text);
        expect_address(query_ask(&query, &split.bench, &split.vpn, "four.example"), "10.0.0.4");
    }
    expect_asked_from(&split, text);
    query_ask(&query, &split.bench, &split.vpn, "four.example");
    cr_expect(query.resolved.cached);
    split.sources[0] = source_of("127.1.0.1");
    query_ask(&query, &split.bench, &split.vpn, "four.example");
    cr_expect_not(query.resolved.cached, "the first way is still there");
    dns_stub_release(split.bench.stub);
    cr_expect_eq(query_wait(&held, &split.bench)->count, 2u);
    split_close(&split);
}
