/* What the pages of the admin interface say, and what is believed of what a former server left. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/health.h"
#include "admin/metrics.h"
#include "admin/petition_page.h"
#include "admin/rules.h"
#include "admin/tunnels.h"
#include "config_text.h"

#define LISTEN "[listen explicit]\naddress = 127.0.0.1:3128\n"
#define ROUTES "[route nat]\nsource = 203.0.113.16\n[route vpn]\nsource = 10.99.0.2\naddresses = 10.0.0.0/8\n"
#define RULES "[rule agents]\nto = agent.example\nroute = nat\n[rule old]\nto = old.example\nroute = vpn\n"
#define NOON_US UINT64_C(1763812800000000) /* 2025-11-22T12:00:00Z */

struct page {
    char *text;
    size_t len;
    FILE *to;
};

static void page_open(struct page *page)
{
    page->to = open_memstream(&page->text, &page->len);
    cr_assert(page->to != NULL);
}

static const char *page_text(struct page *page)
{
    fclose(page->to);
    return page->text;
}

static struct address address(const char *text)
{
    struct address read;
    cr_assert(address_read(&read, text, strlen(text)));
    return read;
}

static struct tally *counted(void)
{
    const struct address client = address("10.20.0.7"), other = address("10.20.0.8"), source = address("203.0.113.16");
    struct tally *tally = tally_new();
    tally_decision(tally, "explicit", VERDICT_ALLOW, REASON_RULE_ALLOW);
    tally_decision(tally, "explicit", VERDICT_DENY, REASON_DNS_FAILED);
    tally_decision(tally, "explicit", VERDICT_OBSERVE, REASON_DEFAULT_DENY);
    tally_hit(tally, "agents", &client, NOON_US);
    tally_hit(tally, "agents", &other, NOON_US + 1000000);
    tally_time(&tally->dns, 0);
    tally_time(&tally->dns, 1500);
    tally_time(&tally->connect, UINT32_MAX);
    tally_open(tally, "nat");
    tally_bytes(tally, "nat", "agents", 5, 7);
    tally_port(tally, "nat", &source, 1);
    return tally;
}

/* ---- /metrics ---- */

static char *metrics_of(const char *conf)
{
    struct page page;
    struct config *config = config_text_load(conf, NULL);
    struct survey whole = {
        .workers = 2, .listening = 2, .journal_up = 1, .journal_queue = 3, .journal_filed = 9, .tally = counted(), .others = 2, .silent = 1};
    const struct server_reloads reloads = {4, 1};
    page_open(&page);
    struct quotas *quotas = quotas_new();
    cr_assert(quotas_take(quotas, config->policy, 0));
    for (size_t i = 0; i < policy_bounded_count(config->policy); i++)
        quota_use(quotas_find(quotas, policy_bounded_at(config->policy, i)->name), QUOTA_DOWNLOAD, 1500, 0);
    metrics_write(page.to, &whole, config, &reloads, quotas, 0);
    page_text(&page);
    quotas_free(quotas);
    tally_free(whole.tally);
    config_unref(config);
    return page.text;
}

static void expect_line(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    cr_expect(strstr(text, whole) != NULL, "no line \"%s\" in\n%s", line, text);
}

Test(metrics, every_count_is_a_line)
{
    char *text = metrics_of(LISTEN ROUTES RULES);
    const char *const lines[] = {
        "exeat_sessions_total{listener=\"explicit\",verdict=\"allow\",class=\"\",reason=\"rule_allow\"} 1",
        "exeat_sessions_total{listener=\"explicit\",verdict=\"deny\",class=\"network\",reason=\"dns_failed\"} 1",
        "exeat_sessions_total{listener=\"explicit\",verdict=\"observe\",class=\"policy\",reason=\"default_deny\"} 1",
        "exeat_tunnels_open{route=\"nat\"} 1",
        "exeat_tunnels_open{route=\"vpn\"} 0",
        "exeat_bytes_total{route=\"nat\",way=\"up\"} 5",
        "exeat_bytes_total{route=\"nat\",way=\"down\"} 7",
        "exeat_egress_ports{route=\"nat\",source=\"203.0.113.16\"} 1",
        "exeat_journal_up 0", /* one of two workers has none */
        "exeat_journal_queue 3",
        "exeat_journal_records_total 9",
        "exeat_generations 3",
        "exeat_generations_silent 1",
        "exeat_reloads_total{result=\"ok\"} 4",
        "exeat_reloads_total{result=\"refused\"} 1",
        "exeat_enforcing 1",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect_line(text, lines[i]);
    cr_expect(strstr(text, "agent.example") == NULL, "no names of hosts");
    cr_expect(strstr(text, "exeat_quota_bytes{") == NULL && strstr(text, "exeat_quota_left_bytes{") == NULL);
    free(text);
}

Test(metrics, a_quota_is_what_there_is_and_what_is_left)
{
    char *text = metrics_of(LISTEN ROUTES RULES "[clients builders]\nfrom = 10.0.0.0/8\nupload = 1M/h\ndownload = 1K/d\n"
                                                "[clients others]\nfrom = 10.1.0.0/16\ndownload = 2K/s\n");
    expect_line(text, "exeat_quota_bytes{group=\"builders\",way=\"up\"} 1048576");
    expect_line(text, "exeat_quota_bytes{group=\"builders\",way=\"down\"} 1024");
    expect_line(text, "exeat_quota_bytes{group=\"others\",way=\"down\"} 2048");
    expect_line(text, "exeat_quota_left_bytes{group=\"builders\",way=\"up\"} 1048576");
    expect_line(text, "exeat_quota_left_bytes{group=\"builders\",way=\"down\"} -476");
    expect_line(text, "exeat_quota_left_bytes{group=\"others\",way=\"down\"} 548");
    cr_expect(strstr(text, "group=\"others\",way=\"up\"") == NULL, "that way has no bound");
    free(text);
}

Test(metrics, a_histogram_adds_up)
{
    char *text = metrics_of(LISTEN ROUTES RULES);
    const char *const lines[] = {
        "exeat_dns_seconds_bucket{le=\"0.001\"} 1",
        "exeat_dns_seconds_bucket{le=\"1\"} 1",
        "exeat_dns_seconds_bucket{le=\"2\"} 2",
        "exeat_dns_seconds_bucket{le=\"10\"} 2",
        "exeat_dns_seconds_bucket{le=\"+Inf\"} 2",
        "exeat_dns_seconds_sum 1.500",
        "exeat_dns_seconds_count 2",
        "exeat_connect_seconds_bucket{le=\"10\"} 0",
        "exeat_connect_seconds_bucket{le=\"+Inf\"} 1", /* longer than any bound */
        "exeat_connect_seconds_count 1",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        expect_line(text, lines[i]);
    free(text);
}

Test(metrics, what_was_never_used_is_there_with_a_nought)
{
    char *text = metrics_of("[listen second]\naddress = 127.0.0.1:3129\n" LISTEN ROUTES RULES "[exeat]\nmode = observe\nobserve_route = nat\n");
    expect_line(text, "exeat_sessions_total{listener=\"second\",verdict=\"allow\",class=\"\",reason=\"rule_allow\"} 0");
    expect_line(text, "exeat_bytes_total{route=\"vpn\",way=\"down\"} 0");
    expect_line(text, "exeat_enforcing 0");
    free(text);
}

Test(metrics, a_label_cannot_leave_its_quotes)
{
    struct page page;
    page_open(&page);
    metrics_put_label(page.to, "a\"b\\c\nd");
    cr_expect_str_eq(page_text(&page), "\"a\\\"b\\\\c\\nd\"");
    free(page.text);
}

/* ---- /healthz and /readyz ---- */

Test(health, each_state_has_its_words)
{
    const struct survey good = {.workers = 2, .listening = 2, .journal_up = 2, .journal_ready = 2};
    struct survey starting = good, unwritten = good;
    const char *words;
    starting.listening = 1;
    unwritten.journal_ready = 1;
    cr_expect(health_is_alive(&good, &words) && strcmp(words, "alive") == 0);
    cr_expect(!health_is_alive(NULL, &words) && strcmp(words, "a worker does not answer") == 0);
    cr_expect(health_is_ready(&good, SERVER_SERVING, &words) && strcmp(words, "ready") == 0);
    cr_expect(!health_is_ready(&good, SERVER_LEAVING, &words) && strncmp(words, "leaving", 7) == 0);
    cr_expect(!health_is_ready(&good, SERVER_DRAINING, &words) && strncmp(words, "draining", 8) == 0);
    cr_expect(!health_is_ready(&good, SERVER_STOPPING, &words) && strncmp(words, "stopping", 8) == 0);
    cr_expect(!health_is_ready(NULL, SERVER_SERVING, &words) && strcmp(words, "a worker does not answer") == 0);
    cr_expect(!health_is_ready(&starting, SERVER_SERVING, &words) && strncmp(words, "starting", 8) == 0);
    cr_expect(!health_is_ready(&unwritten, SERVER_SERVING, &words) && strstr(words, "journal") != NULL);
}

/* ---- /tunnels ---- */

static struct tunnel tunnel(const char *id, const char *host, const char *client, const char *rule, uint64_t since_us)
{
    struct tunnel made = {.client_ip = address(client),
                          .egress_ip = address("203.0.113.16"),
                          .upstream_ip = address("2001:db8::1"),
                          .port = 443,
                          .bytes_up = 1,
                          .bytes_down = 2,
                          .since_us = since_us,
                          .generation = 2,
                          .route = "nat"};
    strcpy(made.id, id);
    strcpy(made.host, host);
    strcpy(made.rule, rule);
    return made;
}

/* The ids of those that pass, in order. */
static void expect_tunnels(const struct tunnel_filter *filter, const char *ids)
{
    struct tunnel tunnels[] = {tunnel("C", "agent.example", "10.20.0.7", "agents", NOON_US + 2),
                               tunnel("A", "b.cdn.example", "10.20.0.8", "", NOON_US), tunnel("B", "cdn.example", "10.20.0.7", "cdn", NOON_US + 1)};
    struct survey whole = {.tunnels = tunnels, .tunnel_count = 3};
    struct page page;
    char got[16] = "";
    page_open(&page);
    tunnels_write_json(page.to, &whole, filter);
    json_t *read = json_loads(page_text(&page), 0, NULL), *row;
    size_t i;
    cr_assert(read != NULL, "%s", page.text);
    json_array_foreach(json_object_get(read, "tunnels"), i, row)
    {
        strcat(got, json_string_value(json_object_get(row, "id")));
    }
    cr_expect_str_eq(got, ids);
    json_decref(read);
    free(page.text);
}

Test(tunnels, a_filter_takes_those_that_have_all_it_names)
{
    expect_tunnels(&(struct tunnel_filter){{NULL}}, "ABC");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_CLIENT] = "10.20.0.7"}}, "BC");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_CLIENT] = "10.20.0.7", [TUNNEL_BY_RULE] = "cdn"}}, "B");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_HOST] = "cdn.example"}}, "B");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_HOST] = "*.cdn.example"}}, "A");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_HOST] = "*.example"}}, "ABC");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_HOST] = "*n.example"}}, "");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_HOST] = "*.dn.example"}}, "");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_RULE] = ""}}, "A");
    expect_tunnels(&(struct tunnel_filter){{[TUNNEL_BY_UPSTREAM] = "2001:db8::1", [TUNNEL_BY_ROUTE] = "vpn"}}, "");
}

Test(tunnels, a_row_is_what_the_contract_says)
{
    struct tunnel one = tunnel("01K", "odd\"\\\x01.example", "10.20.0.7", "", NOON_US);
    struct survey whole = {.tunnels = &one, .tunnel_count = 1};
    struct page page;
    page_open(&page);
    tunnels_write_json(page.to, &whole, &(struct tunnel_filter){{NULL}});
    cr_expect_str_eq(page_text(&page),
                     "{\"tunnels\":[{\"id\":\"01K\",\"client_ip\":\"10.20.0.7\",\"client_group\":null,\"host\":\"odd\\\"\\\\\\u0001.example\","
                     "\"port\":443,\"rule\":null,\"route\":\"nat\",\"egress_ip\":\"203.0.113.16\",\"upstream_ip\":\"2001:db8::1\",\"bytes_up\":1,"
                     "\"bytes_down\":2,\"since\":\"2025-11-22T12:00:00.000000Z\",\"generation\":2}]}\n");
    free(page.text);
    page_open(&page);
    tunnels_write_lines(page.to, &whole, &(struct tunnel_filter){{NULL}});
    cr_expect_str_eq(page_text(&page),
                     "01K\t10.20.0.7\t\todd\"\\?.example\t443\t\tnat\t203.0.113.16\t2001:db8::1\t1\t2\t2025-11-22T12:00:00.000000Z\t2\n");
    free(page.text);
}

Test(tunnels, those_that_nobody_tells_of_are_said)
{
    struct survey whole = {.others = 3, .silent = 2};
    struct page page;
    page_open(&page);
    tunnels_write_json(page.to, &whole, &(struct tunnel_filter){{NULL}});
    cr_expect_str_eq(page_text(&page), "{\"tunnels\":[],\"silent\":2}\n");
    free(page.text);
    page_open(&page);
    tunnels_write_lines(page.to, &whole, &(struct tunnel_filter){{NULL}});
    cr_expect_str_eq(page_text(&page), "# generations that do not answer, and whose tunnels are not here: 2\n");
    free(page.text);
}

/* ---- /rules ---- */

static char *rules_text(const struct rules *rules, const struct tally *now, const struct config *config)
{
    struct page page;
    page_open(&page);
    rules_write_json(page.to, rules, now, config);
    page_text(&page);
    return page.text;
}

Test(rules, a_rule_without_hits_is_there_too)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted();
    struct rules *rules = rules_new();
    rules_begin(rules, config, NOON_US);
    rules_begin(rules, config, NOON_US + 5); /* seen already */
    char *text = rules_text(rules, now, config);
    cr_expect_str_eq(text,
                     "{\"rules\":[{\"name\":\"agents\",\"at\":\"test.conf:8\",\"hits\":2,\"last_hit\":\"2025-11-22T12:00:01.000000Z\",\"clients\":2,"
                     "\"bytes_up\":5,\"bytes_down\":7,\"since\":\"2025-11-22T12:00:00.000000Z\"},"
                     "{\"name\":\"old\",\"at\":\"test.conf:11\",\"hits\":0,\"last_hit\":null,\"clients\":0,\"bytes_up\":0,\"bytes_down\":0,"
                     "\"since\":\"2025-11-22T12:00:00.000000Z\"}]}\n");
    free(text);
    rules_free(rules);
    tally_free(now);
    config_unref(config);
}

Test(rules, one_that_could_not_be_counted_is_not_one_without_hits)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted();
    struct rules *rules = rules_new();
    rules_begin(rules, config, NOON_US);
    now->rules.max = now->rules.count; /* no row for another */
    char *text = rules_text(rules, now, config);
    cr_expect(strstr(text, "{\"name\":\"agents\",\"at\":\"test.conf:8\",\"hits\":2,") != NULL, "%s", text);
    cr_expect(strstr(text, "{\"name\":\"old\",\"at\":\"test.conf:11\",\"hits\":null,") != NULL, "%s", text);
    free(text);
    rules_free(rules);
    tally_free(now);
    config_unref(config);
}

/* What rules_save() makes of one server, malloc'd. */
static char *saved(const struct config *config, const struct tally *now)
{
    struct page page;
    struct rules *rules = rules_new();
    rules_begin(rules, config, NOON_US - 9);
    page_open(&page);
    rules_save(page.to, rules, now);
    rules_free(rules);
    page_text(&page);
    return page.text;
}

Test(rules, what_was_counted_before_a_restart_is_added)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted();
    char *text = saved(config, now);
    struct rules *rules = rules_new();
    cr_expect(rules_read(rules, text, strlen(text)));
    rules_begin(rules, config, NOON_US + 5000000);
    char *told = rules_text(rules, now, config);
    cr_expect(strstr(told, "\"name\":\"agents\",\"at\":\"test.conf:8\",\"hits\":4,\"last_hit\":\"2025-11-22T12:00:01.000000Z\",\"clients\":2,"
                           "\"bytes_up\":10,\"bytes_down\":14,\"since\":\"2025-11-22T11:59:59.999991Z\"") != NULL,
              "%s", told);
    free(told);
    free(text);
    rules_free(rules);
    tally_free(now);
    config_unref(config);
}

Test(rules, of_a_saved_text_that_is_none_nothing_is_taken)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted();
    char *text = saved(config, now);
    const size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++) { /* whole lines are the only places where it may end */
        struct rules *rules = rules_new();
        const bool whole_line = cut > 0 && text[cut - 1] == '\n';
        cr_expect(rules_read(rules, text, cut) == whole_line, "%zu", cut);
        rules_free(rules);
    }
    const char *const bad[] = {"", "exeat rules 2\n", "exeat rules 1\nname\n", "exeat rules 1\na 1 2 3 4 5 x\n", "exeat rules 1\n\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rules *rules = rules_new();
        cr_expect(!rules_read(rules, bad[i], strlen(bad[i])), "%s", bad[i]);
        rules_free(rules);
    }
    free(text);
    tally_free(now);
    config_unref(config);
}

Test(rules, what_a_retired_server_left_takes_the_place_of_what_was_read)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted(), *later = counted();
    tally_hit(later, "agents", &(struct address){.family = FAMILY_V4}, NOON_US + 7);
    char *old = saved(config, now), *new = saved(config, later);
    struct rules *rules = rules_new();
    cr_expect(rules_read(rules, old, strlen(old)));
    rules_begin(rules, config, NOON_US + 5000000);
    cr_expect(!rules_replace(rules, new, strlen(new) - 1), "half of it is none of it");
    char *told = rules_text(rules, now, config);
    cr_expect(strstr(told, "\"hits\":4,") != NULL, "%s", told);
    free(told);
    cr_expect(rules_replace(rules, new, strlen(new)));
    told = rules_text(rules, now, config);
    cr_expect(strstr(told, "\"hits\":5,") != NULL && strstr(told, "\"clients\":3,") != NULL, "%s", told);
    cr_expect(strstr(told, "\"since\":\"2025-11-22T11:59:59.999991Z\"") != NULL, "%s", told);
    free(told);
    free(old);
    free(new);
    rules_free(rules);
    tally_free(now);
    tally_free(later);
    config_unref(config);
}

Test(rules, what_a_retired_server_left_says_since_when)
{
    struct config *config = config_text_load(LISTEN ROUTES RULES, NULL);
    struct tally *now = counted();
    char *left = saved(config, now);
    struct rules *rules = rules_new();
    rules_begin(rules, config, NOON_US + 5000000);
    cr_expect(rules_replace(rules, left, strlen(left)));
    char *told = rules_text(rules, now, config);
    cr_expect(strstr(told, "\"hits\":0,\"last_hit\":null,\"clients\":0,\"bytes_up\":0,\"bytes_down\":0,"
                           "\"since\":\"2025-11-22T11:59:59.999991Z\"") != NULL,
              "%s", told);
    free(told);
    free(left);
    rules_free(rules);
    tally_free(now);
    config_unref(config);
}

/* ---- /reload and /upgrade ---- */

static void expect_petition(enum petition_kind kind, bool taken, const char *words, const char *json, const char *lines)
{
    struct page page;
    page_open(&page);
    petition_page_write_json(page.to, kind, taken, words, strlen(words));
    cr_expect_str_eq(page_text(&page), json);
    free(page.text);
    page_open(&page);
    petition_page_write_lines(page.to, kind, taken, words, strlen(words));
    cr_expect_str_eq(page_text(&page), lines);
    free(page.text);
}

Test(petition_page, what_changed_stands_behind_the_warnings)
{
    expect_petition(PETITION_RELOAD, true, "nothing changed\n", "{\"changes\":\"nothing changed\",\"warnings\":[]}\n", "reloaded: nothing changed\n");
    expect_petition(PETITION_RELOAD, true, "a:1: odd (warning)\nand 2 more warnings\nrule b added\n",
                    "{\"changes\":\"rule b added\",\"warnings\":[\"a:1: odd (warning)\",\"and 2 more warnings\"]}\n",
                    "a:1: odd (warning)\nand 2 more warnings\nreloaded: rule b added\n");
    expect_petition(PETITION_RELOAD, true, "cut (warning)", "{\"changes\":\"cut (warning)\",\"warnings\":[]}\n", "reloaded: cut (warning)\n");
    expect_petition(PETITION_RELOAD, true, "", "{\"changes\":\"\",\"warnings\":[]}\n", "reloaded: \n");
}

Test(petition_page, faults_and_warnings_are_told_apart)
{
    expect_petition(PETITION_RELOAD, false, "a:1: wrong \"b\"\na:2: odd (warning)\nand 3 more faults\n",
                    "{\"error\":\"the reload is refused; what was before goes on\",\"faults\":[\"a:1: wrong \\\"b\\\"\",\"and 3 more faults\"],"
                    "\"warnings\":[\"a:2: odd (warning)\"]}\n",
                    "a:1: wrong \"b\"\na:2: odd (warning)\nand 3 more faults\n");
    expect_petition(PETITION_RELOAD, false, "the server stops",
                    "{\"error\":\"the reload is refused; what was before goes on\",\"faults\":[\"the server stops\"],\"warnings\":[]}\n",
                    "the server stops");
}

Test(petition_page, an_upgrade_has_its_own_words)
{
    expect_petition(PETITION_UPGRADE, true, "a:1: odd (warning)\nexeat 2 in place of 1\n",
                    "{\"upgraded\":\"exeat 2 in place of 1\",\"warnings\":[\"a:1: odd (warning)\"]}\n",
                    "a:1: odd (warning)\nupgraded: exeat 2 in place of 1\n");
    expect_petition(PETITION_UPGRADE, false, "a:1: wrong\n",
                    "{\"error\":\"the upgrade is refused; what was before goes on\",\"faults\":[\"a:1: wrong\"],\"warnings\":[]}\n", "a:1: wrong\n");
}
