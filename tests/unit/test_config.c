/* A configuration as its users write it: what it means, and every fault of what means nothing. */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/hosts_builtin.h"
#include "config/loader.h"
#include "config/never.h"
#include "config/options.h"
#include "config/setting.h"
#include "config_text.h"
#include "data.h"

#define LISTEN "[listen a]\naddress = 127.0.0.1:0\n"
#define GROUP "[clients all]\nfrom = 0.0.0.0/0\n"
#define ROUTE "[route r]\naddresses = any\n"

/* The tables in tests/tables/config. */

static char *read_whole(const char *name)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = data_open(name);
    size_t len = fread(text, 1, (1 << 16) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static void put_beside(struct bundle *bundle, const char *path, const char *name)
{
    char *text = read_whole(name);
    cr_assert(bundle_put(bundle, path, text, strlen(text)));
    free(text);
}

/* The text as a file, and what lies beside each table. */
static struct config *load_table(const char *conf, const char *text, struct fault_list *faults)
{
    struct bundle *bundle = bundle_new();
    size_t count;
    cr_assert(bundle_put(bundle, conf, text, strlen(text)));
    put_beside(bundle, "hosted-agents.txt", "tables/config/hosted-agents.txt");
    put_beside(bundle, "more.hosts", "tables/config/more.hosts");
    put_beside(bundle, "/etc/hosts", "tables/config/hosts");
    cr_assert_null(bundle_glob(bundle, "conf.d/*.conf", &count));
    bundle_seal(bundle);
    struct config *config = config_load(bundle, conf, faults);
    bundle_free(bundle);
    return config;
}

static void check_table(const char *name)
{
    char path[300], conf[300];
    snprintf(path, sizeof(path), "tables/config/%s.conf", name);
    snprintf(conf, sizeof(conf), "%s.conf", name);
    char *text = read_whole(path);
    snprintf(path, sizeof(path), "tables/config/%s.faults", name);
    char *expected = read_whole(path);
    struct fault_list *faults = fault_list_new();
    struct config *config = load_table(conf, text, faults);
    char *said = config_text_print(faults, true, false);
    cr_expect_str_eq(said, expected);
    cr_expect_eq(config == NULL, *expected != '\0', "%s", name);
    config_unref(config);
    fault_list_free(faults);
    free(said);
    free(text);
    free(expected);
}

Test(config, tables)
{
    const char *root = getenv("EXEAT_TEST_DATA");
    char pattern[512], name[256];
    glob_t found = {0};
    snprintf(pattern, sizeof(pattern), "%s/tables/config/*.conf", root ? root : "tests");
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *base = strrchr(found.gl_pathv[i], '/') + 1;
        snprintf(name, sizeof(name), "%.*s", (int)(strlen(base) - strlen(".conf")), base);
        check_table(name);
    }
    cr_expect_geq(found.gl_pathc, 13);
    globfree(&found);
}

/* As an editor of another system leaves it. */
static char *with_mark_and_returns(const char *text)
{
    char *out = calloc(2, strlen(text) + 4), *at = out;
    at += sprintf(at, "\xef\xbb\xbf");
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            *at++ = '\r';
        *at++ = *text;
    }
    return out;
}

Test(config, the_sample_with_a_byte_order_mark_and_crlf)
{
    char *plain = read_whole("tables/config/sample.conf"), *text = with_mark_and_returns(plain);
    struct fault_list *faults = fault_list_new();
    struct config *first = load_table("sample.conf", plain, faults), *second = load_table("sample.conf", text, faults);
    cr_assert(first != NULL && second != NULL, "%s", fault_text(faults, 0));
    cr_expect_str_eq(second->digest, first->digest);
    cr_expect_eq(network_set_count(policy_find_group(second->policy, "builders")->from), 5);
    cr_expect_eq(policy_find_list(second->policy, "internal")->names, 4);
    cr_expect_not_null(config_static_host(second, "git.corp.example"));
    config_unref(first);
    config_unref(second);
    fault_list_free(faults);
    free(plain);
    free(text);
}

/* What it means. */

Test(config, defaults)
{
    struct config *config = config_text_load(LISTEN, NULL);
    char host[256] = "";
    gethostname(host, sizeof(host) - 1);
    cr_expect_str_eq(config->name, host);
    cr_expect_eq(config->workers, 0);
    cr_expect(config->listener_count == 1 && config->listeners[0].address_count == 1 && config->listeners[0].mode == LISTENER_CONNECT);
    cr_expect(!config->transparent && !config->listeners[0].proxy_protocol && config->listeners[0].trusted == NULL);
    cr_expect_str_eq(config->listeners[0].name, "a");
    cr_expect_str_eq(config->listeners[0].at, "test.conf:1");
    cr_expect(config->dns.server_count == 0 && config->dns.host_count == 0);
    cr_expect(config->dns.min_ttl_ms == 5000 && config->dns.max_ttl_ms == 3600000 && config->dns.negative_ttl_ms == 5000 &&
              config->dns.timeout_ms == 5000);
    cr_expect(config->limits.request_timeout_ms == 10000 && config->limits.hello_timeout_ms == 10000 && config->limits.connect_timeout_ms == 10000);
    cr_expect(config->limits.request_head == 16384 && config->limits.hello == 65536 && config->limits.tunnels == 0);
    cr_expect(config->limits.idle_timeout_ms == 0 && config->limits.keepalive_ms == 60000);
    cr_expect_str_eq(config->audit.file, "-");
    cr_expect_not(config->audit.continue_on_failure);
    cr_expect_eq(policy_rule_count(config->policy), 0);
    config_unref(config);
}

Test(config, every_value_finds_its_place)
{
    struct config *config =
        config_text_load("[exeat]\nname = egress-a\nworkers = 3\n"
                         "[listen a]\naddress = 127.0.0.1:1\n  [::1]:2\naddress = 127.0.0.2:0\n"
                         "[dns]\nserver = 127.0.0.53 ::1\n  [::2]:5353\nmin_ttl = 0\nmax_ttl = 2m\nnegative_ttl = 1ms\ntimeout = 3s\n"
                         "[limits]\nrequest_timeout = 1s\nhello_timeout = 2s\nconnect_timeout = 3s\nrequest_head = 8K\nhello = 4096\n"
                         "tunnels = 7\nidle_timeout = 1d\nkeepalive = 45s\n"
                         "[audit]\nfile = /var/log/a b.jsonl\non_failure = continue\n",
                         NULL);
    char text[ENDPOINT_TEXT_MAX];
    cr_expect_str_eq(config->name, "egress-a");
    cr_expect_eq(config->workers, 3);
    cr_assert_eq(config->listeners[0].address_count, 3);
    cr_expect_str_eq(endpoint_text(&config->listeners[0].addresses[1], text), "[::1]:2");
    cr_expect_str_eq(endpoint_text(&config->listeners[0].addresses[2], text), "127.0.0.2:0");
    cr_assert_eq(config->dns.server_count, 3);
    cr_expect_str_eq(endpoint_text(&config->dns.servers[0], text), "127.0.0.53:53");
    cr_expect_str_eq(endpoint_text(&config->dns.servers[1], text), "[::1]:53");
    cr_expect_str_eq(endpoint_text(&config->dns.servers[2], text), "[::2]:5353");
    cr_expect(config->dns.min_ttl_ms == 0 && config->dns.max_ttl_ms == 120000 && config->dns.negative_ttl_ms == 1 && config->dns.timeout_ms == 3000);
    cr_expect(config->limits.request_timeout_ms == 1000 && config->limits.hello_timeout_ms == 2000 && config->limits.connect_timeout_ms == 3000);
    cr_expect(config->limits.request_head == 8192 && config->limits.hello == 4096 && config->limits.tunnels == 7);
    cr_expect(config->limits.idle_timeout_ms == 86400000 && config->limits.keepalive_ms == 45000);
    cr_expect_str_eq(config->audit.file, "/var/log/a b.jsonl");
    cr_expect(config->audit.continue_on_failure);
    config_unref(config);
}

static bool trusts(const struct listener *listener, const char *text)
{
    struct address address;
    cr_assert(address_read(&address, text, strlen(text)));
    return network_set_find(listener->trusted, &address) != NULL;
}

Test(config, listeners)
{
    struct config *config = config_text_load(
        "[listen explicit]\naddress = 127.0.0.1:1\nmode = connect\nproxy_protocol = off\n"
        "[listen balanced]\naddress = 127.0.0.1:2\nproxy_protocol = required\ntrusted = 10.0.3.0/28 192.0.2.7\ntrusted = 2001:db8::/64\n"
        "[listen redirected]\naddress = 0.0.0.0:3\nmode = redirect\n[listen handed]\naddress = [::]:4\nmode = tproxy\n",
        NULL);
    const struct listener *listeners = config->listeners;
    cr_assert_eq(config->listener_count, 4);
    cr_expect(config->transparent);
    cr_expect(listeners[0].mode == LISTENER_CONNECT && !listeners[0].proxy_protocol && !listener_is_transparent(&listeners[0]));
    cr_expect(listeners[1].mode == LISTENER_CONNECT && listeners[1].proxy_protocol && !listener_is_transparent(&listeners[1]));
    cr_expect(trusts(&listeners[1], "10.0.3.15") && trusts(&listeners[1], "192.0.2.7") && trusts(&listeners[1], "2001:db8::1"));
    cr_expect(!trusts(&listeners[1], "10.0.3.16") && !trusts(&listeners[1], "192.0.2.8") && !trusts(&listeners[0], "10.0.3.15"));
    cr_expect(listeners[2].mode == LISTENER_REDIRECT && listener_is_transparent(&listeners[2]) && listeners[2].trusted == NULL);
    cr_expect(listeners[3].mode == LISTENER_TPROXY && listener_is_transparent(&listeners[3]));
    config_unref(config);
}

static void loading_says(const char *text, const char *warnings)
{
    struct fault_list *list = fault_list_new();
    struct config *config = config_text_load(text, list);
    char *said = config_text_print(list, true, true);
    cr_expect_not_null(config);
    cr_expect_str_eq(said, warnings);
    config_unref(config);
    fault_list_free(list);
    free(said);
}

static void trusting_says(const char *trusted, const char *warnings)
{
    char text[256];
    snprintf(text, sizeof(text), LISTEN "proxy_protocol = required\ntrusted = %s\n", trusted);
    loading_says(text, warnings);
}

Test(config, who_trusts_everybody_is_warned)
{
    trusting_says("10.0.3.0/28 10.0.0.0/8", "");
    trusting_says("0.0.0.0/0",
                  "test.conf:4: [listen a] trusted: 0.0.0.0/0 holds everybody, and whoever connects could say that he is somebody else (warning)\n");
    trusting_says("10.0.3.0/28\n  ::/0",
                  "test.conf:5: [listen a] trusted: ::/0 holds everybody, and whoever connects could say that he is somebody else (warning)\n");
}

Test(config, routes)
{
    struct config *config =
        config_text_load(LISTEN "[route nat]\nsource = 203.0.113.16/30 10.0.1.10=203.0.113.99\n  2001:db8::1\npick = round-robin\n"
                                "[route vpn]\ninterface = wg0\nmark = 0x2A\nresolver = 10.99.0.53 10.99.0.54:5353\naddresses = 10.0.0.0/8 fd00::/8\n"
                                "[route all]\nmark = 4294967295\naddresses = any\n",
                         NULL);
    const struct route *nat = policy_route_at(config->policy, 0), *vpn = policy_route_at(config->policy, 1),
                       *all = policy_route_at(config->policy, 2);
    char text[ADDRESS_TEXT_MAX];
    cr_assert_eq(nat->source_count, 6);
    cr_expect_str_eq(address_text(&nat->sources[0].local, text), "203.0.113.16");
    cr_expect_str_eq(address_text(&nat->sources[3].local, text), "203.0.113.19");
    cr_expect_str_eq(address_text(&nat->sources[4].local, text), "10.0.1.10");
    cr_expect_str_eq(address_text(&nat->sources[4].public_ip, text), "203.0.113.99");
    cr_expect_str_eq(address_text(&nat->sources[5].public_ip, text), "2001:db8::1");
    cr_expect(nat->pick == PICK_ROUND_ROBIN && nat->addresses == ADDRESSES_PUBLIC && nat->interface == NULL && nat->mark == 0);
    cr_expect_str_eq(vpn->interface, "wg0");
    cr_expect(vpn->mark == 42 && vpn->resolver_count == 2 && vpn->resolvers[0].port == 53 && vpn->resolvers[1].port == 5353);
    cr_expect(vpn->addresses == ADDRESSES_LISTED && network_set_count(vpn->listed) == 2 && vpn->pick == PICK_STICKY);
    cr_expect(all->mark == UINT32_MAX && all->addresses == ADDRESSES_ANY && all->source_count == 0);
    cr_expect_str_eq(all->at, "test.conf:12");
    config_unref(config);
}

Test(config, rules)
{
    struct config *config = config_text_load(
        LISTEN "[clients a]\nfrom = 10.0.0.0/8\ndenials = own\n[clients b]\nfrom = 11.0.0.0/8\n[route r]\n"
               "[rule one]\nfrom = a\nfrom = b\nto = x.example @mine\n  *.y.example\nport = 443\n  8000-8010\nsni = allowed\nech = outer\n"
               "expires = 2027-03-31\nowner = the  release team\nticket = T-1\nnote = a note ; and a comment\n  that goes on\n"
               "[rule two]\nto = z.example\naction = deny\n[rule three]\nto = z.example\naction = observe\nsni = off\n"
               "[hosts mine]\nhost = h.example\n",
        NULL);
    const struct rule *one = policy_rule_at(config->policy, 0), *two = policy_rule_at(config->policy, 1), *three = policy_rule_at(config->policy, 2);
    cr_expect(one->group_count == 2 && one->groups[1]->used && one->groups[0]->denials && !one->groups[1]->denials);
    cr_expect(one->list_count == 2 && one->lists[0]->name == NULL && one->lists[0]->names == 2 && one->lists[1]->names == 1);
    cr_expect(one->port_count == 2 && one->ports[1].first == 8000 && one->ports[1].last == 8010);
    cr_expect(one->sni == SNI_ALLOWED && one->ech == ECH_OUTER && one->action == ACTION_ALLOW && one->expires_day == 20908);
    cr_expect_str_eq(one->route->name, "r");
    cr_expect_str_eq(one->owner, "the  release team");
    cr_expect_str_eq(one->note, "a note that goes on");
    cr_expect(two->action == ACTION_DENY && two->route == NULL && two->group_count == 0);
    cr_expect(two->port_count == 1 && two->ports[0].first == 443 && two->ports[0].last == 443 && two->sni == SNI_MATCH && two->ech == ECH_DENY);
    cr_expect(three->action == ACTION_OBSERVE && three->sni == SNI_OFF && three->route == one->route);
    config_unref(config);
}

Test(config, observe)
{
    struct config *config = config_text_load(
        "[exeat]\nmode = observe\nobserve_route = b\n" LISTEN "[route a]\n[route b]\n[rule r]\nto = x.example\naction = observe\n", NULL);
    cr_assert_not_null(policy_observe_route(config->policy));
    cr_expect_str_eq(policy_observe_route(config->policy)->name, "b");
    cr_expect_str_eq(policy_rule_at(config->policy, 0)->route->name, "b");
    config_unref(config);
    config = config_text_load("[exeat]\nobserve_route = b\n" LISTEN "[route b]\n", NULL);
    cr_expect_null(policy_observe_route(config->policy), "only mode = observe observes");
    config_unref(config);
}

static enum verdict_kind decide(const struct config *config, const char *client, const char *host)
{
    struct question question = {.port = 443, .today = 20778};
    struct verdict verdict;
    cr_assert(address_read(&question.client, client, strlen(client)) && host_read(&question.host, host, strlen(host), false) != HOST_BAD);
    policy_decide(config->policy, &question, &verdict);
    return verdict.kind;
}

Test(config, lists_from_files)
{
    config_text_file("agents.txt", "\xef\xbb\xbf# as copied\r\n10.20.0.0/16\r\n\r\n  2001:db8::/32 # v6\r\n192.0.2.7");
    config_text_file("more.hosts", "a.example # why\n#b.example\n  *.c.example\n");
    struct config *config =
        config_text_load(LISTEN ROUTE "[clients a]\nfrom_file = agents.txt\n[hosts h]\nhost_file = more.hosts\n[rule r]\nto = @h\n", NULL);
    cr_expect_eq(decide(config, "10.20.3.4", "a.example"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "192.0.2.7", "x.c.example"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "2001:db8::5", "b.example"), VERDICT_DENY);
    cr_expect_eq(decide(config, "192.0.2.8", "a.example"), VERDICT_DENY);
    config_unref(config);
}

Test(config, faults_in_listed_files_name_their_line)
{
    config_text_file("agents.txt", "10.20.0.0/16\n10.20.0.1/16\n");
    config_text_file("more.hosts", "a.example\n\nb.example c.example\n*\n");
    config_text_faults(
        LISTEN ROUTE "[clients a]\nfrom_file = agents.txt\n[hosts h]\nhost_file = more.hosts\n[clients b]\nfrom_file = none.txt\n",
        "test.conf:10: [clients b] from_file: none.txt cannot be read: No such file or directory\n"
        "agents.txt:2: [clients a] from_file: 10.20.0.1/16: host bits are set; the network is 10.20.0.0/16\n"
        "more.hosts:3: [hosts h] host_file: b.example c.example: a blank or a control character; patterns are separated by blanks and hold none\n"
        "more.hosts:4: [hosts h] host_file: *: every host of the internet; name the hosts, or *.name for all below a name\n");
}

Test(config, long_lists_and_long_names)
{
    char *text = calloc(1, 1 << 20), name[254];
    size_t len = (size_t)sprintf(text, LISTEN GROUP ROUTE "[rule r]\nto =");
    for (unsigned i = 0; i < 2000; i++)
        len += (size_t)sprintf(text + len, " h%u.example", i);
    memset(name, 'n', 253);
    name[253] = '\0';
    name[63] = name[127] = name[191] = '.';
    sprintf(text + len, " %s\n  last.example\n", name);
    struct config *config = config_text_load(text, NULL);
    cr_expect_eq(policy_rule_at(config->policy, 0)->lists[0]->names, 2002);
    cr_expect_eq(decide(config, "10.0.0.1", "h1999.example"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", name), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", "last.example"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", "h2000.example"), VERDICT_DENY);
    config_unref(config);
    free(text);
}

Test(config, texts_have_a_bound)
{
    char text[6000];
    snprintf(text, sizeof(text), LISTEN ROUTE "[rule r]\nto = a.example\nnote = %04096d\n", 7);
    struct config *config = config_text_load(text, NULL);
    cr_expect_eq(strlen(policy_rule_at(config->policy, 0)->note), 4096);
    config_unref(config);
    snprintf(text, sizeof(text), LISTEN ROUTE "[rule r]\nto = a.example\nnote = %04090d\n  another\n", 7);
    config_text_faults(text, "test.conf:7: [rule r] note: too long; allowed: up to 4096 bytes\n");
}

Test(config, a_fault_of_bytes_discards_all)
{
    config_text_faults(LISTEN "; \001\n", "test.conf:3: a control character; allowed: text\n");
}

Test(config, what_cannot_be_read)
{
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    cr_expect_null(config_load(bundle, "/nonexistent/exeat.conf", faults));
    cr_expect_eq(fault_count(faults), 1);
    cr_expect_str_eq(fault_text(faults, 0), "/nonexistent/exeat.conf: cannot be read: No such file or directory");
    cr_expect_null(fault_text(faults, 1));
    bundle_free(bundle);
    fault_list_free(faults);
}

Test(config, an_empty_file_is_a_fault)
{
    config_text_faults("", "test.conf: nothing to listen on; required is a [listen NAME] with an address\n");
}

/* Includes. */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL, "%s", path);
    fputs(text, file);
    fclose(file);
}

static char *load_from_disk(const char *path, struct config **config)
{
    struct bundle *bundle = bundle_new();
    struct fault_list *faults = fault_list_new();
    *config = config_load(bundle, path, faults);
    char *said = config_text_print(faults, true, false);
    fault_list_free(faults);
    bundle_free(bundle);
    return said;
}

static char directory[] = "/tmp/exeat-config-XXXXXX";

static void enter_directory(void)
{
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
    cr_assert(system("mkdir etc etc/conf.d") == 0);
}

static void leave_directory(void)
{
    cr_expect(chdir("/") == 0);
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    cr_expect(system(command) == 0);
}

Test(config_include, after_the_including_file_in_byte_order, .init = enter_directory, .fini = leave_directory)
{
    struct config *config;
    write_file("etc/exeat.conf", "[exeat]\ninclude = conf.d/*.conf conf.d/a.conf empty.d/*.conf\n" LISTEN ROUTE "[rule main]\nto = a.example\n");
    write_file("etc/conf.d/b.conf", "[rule b]\nto = @list\n[hosts list]\nhost_file = list.hosts\n");
    write_file("etc/conf.d/a.conf", "[rule a]\nto = b.example\n");
    write_file("etc/conf.d/B.conf", "[rule B]\nto = b.example\n");
    write_file("etc/conf.d/list.hosts", "c.example\n");
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_assert_not_null(config, "%s", said);
    static const char *const names[] = {"main", "B", "a", "b"};
    cr_assert_eq(policy_rule_count(config->policy), 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect_str_eq(policy_rule_at(config->policy, i)->name, names[i]);
    cr_expect_str_eq(policy_rule_at(config->policy, 3)->at, "etc/conf.d/b.conf:1");
    config_unref(config);
    free(said);
}

Test(config_include, faults_over_several_files, .init = enter_directory, .fini = leave_directory)
{
    struct config *config;
    write_file("etc/exeat.conf", "[exeat]\ninclude = conf.d/*.conf missing.conf\n" LISTEN ROUTE "[rule x]\nto = a.example\nsni = no\n");
    write_file("etc/conf.d/b.conf", "[rule x]\nto = b.example\n");
    write_file("etc/conf.d/a.conf", "[exeat]\nname = other\n[rule y]\n");
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_expect_null(config);
    cr_expect_str_eq(said, "etc/exeat.conf:2: [exeat] include: etc/missing.conf cannot be read: No such file or directory\n"
                           "etc/exeat.conf:9: [rule x] sni: \"no\" is not allowed; allowed: match allowed any off\n"
                           "etc/conf.d/a.conf:1: [exeat]: an included file may not hold it; allowed: in the file that includes\n"
                           "etc/conf.d/a.conf:1: [exeat]: stands twice, first at etc/exeat.conf:1\n"
                           "etc/conf.d/a.conf:3: [rule y] to: is missing; allowed: @LIST, names, *.name, addresses, CIDRs\n"
                           "etc/conf.d/b.conf:1: [rule x]: stands twice, first at etc/exeat.conf:7\n");
    free(said);
}

Test(config_include, a_pattern_may_meet_the_including_file, .init = enter_directory, .fini = leave_directory)
{
    struct config *config;
    write_file("etc/exeat.conf", "[exeat]\ninclude = *.conf\n" LISTEN);
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_expect_str_eq(said, "");
    config_unref(config);
    free(said);
}

Test(config_include, each_line_names_what_it_lacks, .init = enter_directory, .fini = leave_directory)
{
    struct config *config;
    write_file("etc/exeat.conf", "[exeat]\ninclude = one.conf\n  two.conf\ninclude = /none/three.conf fine.conf\n" LISTEN);
    write_file("etc/fine.conf", ROUTE);
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_expect_null(config);
    cr_expect_str_eq(said, "etc/exeat.conf:2: [exeat] include: etc/one.conf cannot be read: No such file or directory\n"
                           "etc/exeat.conf:3: [exeat] include: etc/two.conf cannot be read: No such file or directory\n"
                           "etc/exeat.conf:4: [exeat] include: /none/three.conf cannot be read: No such file or directory\n");
    free(said);
}

/* The journal. */

static void audit_file_is(const char *audit, const char *file)
{
    char text[256];
    struct config *config;
    snprintf(text, sizeof(text), "[exeat]\ninclude = conf.d/a.conf\n" LISTEN "%s", audit);
    write_file("etc/exeat.conf", text);
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_assert_not_null(config, "%s", said);
    cr_expect_str_eq(config->audit.file, file);
    config_unref(config);
    free(said);
}

Test(config_include, the_journal_lies_beside_the_file_that_names_it, .init = enter_directory, .fini = leave_directory)
{
    write_file("etc/conf.d/a.conf", ROUTE);
    audit_file_is("[audit]\nfile = audit.jsonl\n", "etc/audit.jsonl");
    audit_file_is("[audit]\nfile = ../a b.jsonl\n", "etc/../a b.jsonl");
    audit_file_is("[audit]\nfile = /var/log/audit.jsonl\n", "/var/log/audit.jsonl");
    audit_file_is("[audit]\nfile = -\n", "-");
    audit_file_is("", "-");
    write_file("etc/conf.d/a.conf", "[audit]\nfile = audit.jsonl\n");
    audit_file_is("", "etc/conf.d/audit.jsonl");
}

/* Of the key only its name is asked here: these files need not be there. */

static void checkpoint_is(const char *audit, uint64_t records, uint64_t ms)
{
    char text[256];
    snprintf(text, sizeof(text), LISTEN "[audit]\n%s", audit);
    struct config *config = config_text_load(text, NULL);
    cr_expect_eq(config->audit.checkpoint_records, records, "%s", audit);
    cr_expect_eq(config->audit.checkpoint_ms, ms, "%s", audit);
    config_unref(config);
}

Test(config, a_checkpoint_comes_after_records_and_a_time)
{
    checkpoint_is("", 1000, 60000);
    checkpoint_is("sign_key = a b.pem\n", 1000, 60000);
    checkpoint_is("sign_key = key.pem\ncheckpoint = 1 1s\n", 1, 1000);
    checkpoint_is("checkpoint = 1000000  \t 1d\nsign_key = key.pem\n", 1000000, 86400000);
}

Test(config, a_checkpoint_of_something_else_is_a_fault)
{
    static const char *const wrong[] = {"1000",       "60s",      "0 60s",    "1000001 60s", "1000 60",
                                        "1000 999ms", "1000 25h", "60s 1000", "1000 60s 1",  "1e3 60s"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[256], fault[512];
        snprintf(text, sizeof(text), LISTEN "[audit]\nsign_key = key.pem\ncheckpoint = %s\n", wrong[i]);
        snprintf(fault, sizeof(fault),
                 "test.conf:5: [audit] checkpoint: \"%s\" is not allowed; "
                 "allowed: records from 1 to 1000000 and a time from 1s to 1d, as in 1000 60s\n",
                 wrong[i]);
        config_text_faults(text, fault);
    }
}

Test(config, what_signs_must_have_a_chain_to_sign)
{
    config_text_faults(LISTEN "[audit]\nchain = no\nsign_key = key.pem\n",
                       "test.conf:5: [audit] sign_key: cannot stand beside chain = no: what is signed is the chain; allowed: chain = yes\n");
    loading_says(LISTEN "[audit]\ncheckpoint = 1000 60s\n", "test.conf:4: [audit] checkpoint: does nothing without sign_key (warning)\n");
}

Test(config_include, a_key_lies_beside_the_file_that_names_it, .init = enter_directory, .fini = leave_directory)
{
    struct config *config;
    write_file("etc/exeat.conf", "[exeat]\ninclude = conf.d/a.conf\n" LISTEN);
    write_file("etc/conf.d/a.conf", "[audit]\nfile = -\nsign_key = key.pem\n");
    char *said = load_from_disk("etc/exeat.conf", &config);
    cr_assert_not_null(config, "%s", said);
    cr_expect_str_eq(config->audit.sign_key, "etc/conf.d/key.pem");
    cr_expect_str_eq(config->audit.sign_key_at, "etc/conf.d/a.conf:3");
    config_unref(config);
    free(said);
}

/* Names that are not known. */

Test(config, an_unknown_name_is_told_the_known_ones)
{
    config_text_faults("[exeat]\nobserve_route = elsewhere\n" LISTEN GROUP "[route nat]\n[route vpn]\n"
                       "[rule r]\nfrom = nobody\nto = a.example\nroute = somewhere\n",
                       "test.conf:2: [exeat] observe_route: there is no [route elsewhere]; allowed: nat vpn\n"
                       "test.conf:10: [rule r] from: there is no [clients nobody]; allowed: all\n"
                       "test.conf:12: [rule r] route: there is no [route somewhere]; allowed: nat vpn\n");
    config_text_faults(LISTEN "[rule r]\nto = a.example\nroute = nat\n", "test.conf:5: [rule r] route: there is no [route nat], nor any other\n");
}

Test(config, the_known_names_have_a_bound)
{
    char text[8192], expected[1024];
    size_t len = (size_t)snprintf(text, sizeof(text), LISTEN);
    size_t told = (size_t)snprintf(expected, sizeof(expected), "test.conf:205: [rule r] route: there is no [route elsewhere]; allowed:");
    for (unsigned i = 0; i < 200; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "[route way-%03u]\n", i);
    for (unsigned i = 0; i < 31; i++)
        told += (size_t)snprintf(expected + told, sizeof(expected) - told, " way-%03u", i);
    snprintf(text + len, sizeof(text) - len, "[rule r]\nto = a.example\nroute = elsewhere\n");
    snprintf(expected + told, sizeof(expected) - told, " ...\n");
    config_text_faults(text, expected);
}

/* The hosts file. */

Test(config, hosts_file)
{
    config_text_file("hosts", "127.0.0.1 localhost # here\n::1 localhost ip6-localhost\n10.0.0.1\tB.Example. a.example\n"
                              "127.0.0.1 localhost bad..name\n");
    struct fault_list *faults = fault_list_new();
    struct config *config = config_text_load(LISTEN "[dns]\nhosts_file = hosts\n", faults);
    cr_assert_not_null(config);
    cr_expect_eq(config->dns.host_count, 4);
    const struct static_host *host = config_static_host(config, "localhost");
    cr_assert(host != NULL && host->address_count == 2);
    cr_expect(host->addresses[0].family == FAMILY_V4 && host->addresses[1].family == FAMILY_V6);
    cr_expect_not_null(config_static_host(config, "b.example"));
    cr_expect_null(config_static_host(config, "c.example"));
    char *said = config_text_print(faults, true, true);
    cr_expect_str_eq(said, "hosts:4: [dns] hosts_file: \"bad..name\" is not a name and is passed over (warning)\n");
    free(said);
    config_unref(config);
    fault_list_free(faults);
}

Test(config, hosts_file_faults)
{
    config_text_file("hosts", "127.0.0.1 a.example\nb.example 127.0.0.1\n\n10.0.0.1\n10.1 c.example\n");
    config_text_faults(LISTEN "[dns]\nhosts_file = hosts\n",
                       "hosts:2: [dns] hosts_file: \"b.example 127.0.0.1\" is not an address; allowed: ADDRESS NAME ...\n"
                       "hosts:4: [dns] hosts_file: 10.0.0.1 has no name; allowed: ADDRESS NAME ...\n"
                       "hosts:5: [dns] hosts_file: \"10.1 c.example\" is not an address; allowed: ADDRESS NAME ...\n");
}

/* Never dialled. */

static bool accepts(const struct config *config, const char *to)
{
    struct endpoint endpoint;
    cr_assert(endpoint_read(&endpoint, to, strlen(to)));
    return policy_accepts(config->policy, policy_route_at(config->policy, 0), &endpoint);
}

Test(config, own_listeners_are_never_dialled)
{
    struct config *config =
        config_text_load("[listen a]\naddress = 127.0.0.5:3128 0.0.0.0:3129\n[route r]\naddresses = any\nsource = 127.0.0.9=203.0.113.9\n", NULL);
    cr_expect_not(accepts(config, "127.0.0.5:3128"));
    cr_expect(accepts(config, "127.0.0.6:3128"));
    cr_expect(accepts(config, "127.0.0.5:3127"));
    cr_expect_not(accepts(config, "127.0.0.6:3129"));
    cr_expect_not(accepts(config, "[::1]:3129"));
    cr_expect_not(accepts(config, "0.0.0.0:3128"));
    cr_expect_not(accepts(config, "203.0.113.9:3128"));
    cr_expect(accepts(config, "203.0.113.9:443"));
    config_unref(config);
}

#define SOURCES "[route r]\naddresses = any\nsource = 198.51.100.0/22 127.0.0.9=203.0.113.9 2001:db8::7 127.0.0.8\n"

/* What an appliance sends to itself comes in by its front door, whichever the port. */
Test(config, own_addresses_are_never_dialled_with_a_transparent_listener)
{
    static const char *const modes[] = {"redirect", "tproxy"};
    char text[512];
    for (size_t i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "[listen a]\naddress = 127.0.0.1:3128\n[listen b]\naddress = 127.0.0.1:3129\nmode = %s\n" SOURCES, modes[i]);
        struct config *config = config_text_load(text, NULL);
        cr_expect(!accepts(config, "198.51.100.0:443") && !accepts(config, "198.51.103.255:1") && !accepts(config, "[2001:db8::7]:443"));
        cr_expect(!accepts(config, "203.0.113.9:443") && !accepts(config, "[::ffff:203.0.113.9]:443"));
        cr_expect(accepts(config, "198.51.104.0:443") && accepts(config, "203.0.113.8:443") && accepts(config, "[2001:db8::8]:443"));
        cr_expect(accepts(config, "127.0.0.9:443") && accepts(config, "127.0.0.8:443") && accepts(config, "[::1]:443"), "loopback is not meant");
        cr_expect(!accepts(config, "127.0.0.1:3129") && !accepts(config, "127.0.0.1:3128"));
        config_unref(config);
    }
    struct config *config = config_text_load("[listen a]\naddress = 127.0.0.1:3128\n" SOURCES, NULL);
    cr_expect(accepts(config, "198.51.100.0:443") && accepts(config, "203.0.113.9:443"), "nothing is intercepted");
    config_unref(config);
}

/* Their order in the file is the user's. */
Test(config, sources_that_stand_behind_a_transparent_listener_are_known_to_it)
{
    struct config *config = config_text_load(SOURCES "[listen a]\naddress = 127.0.0.1:3129\nmode = redirect\n", NULL);
    cr_expect_not(accepts(config, "198.51.100.1:443"));
    config_unref(config);
}

Test(config, addresses_of_this_host_are_never_dialled_with_a_transparent_listener)
{
    struct address has[] = {{.family = FAMILY_V4, .bytes = {127, 0, 0, 1}},
                            {.family = FAMILY_V6, .bytes = {[15] = 1}},
                            {.family = FAMILY_V4, .bytes = {10, 0, 1, 10}},
                            {.family = FAMILY_V6, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 5}}};
    const struct local_addresses local = {has, 4};
    struct config *config = config_text_load(LISTEN ROUTE, NULL);
    cr_expect(accepts(config, "10.0.1.10:443") && accepts(config, "[2001:db8::5]:443"));
    cr_assert(never_add_host(config->policy, &local));
    cr_expect(!accepts(config, "10.0.1.10:443") && !accepts(config, "10.0.1.10:22") && !accepts(config, "[2001:db8::5]:443"));
    static const char *const fine[] = {"10.0.1.11:443", "127.0.0.1:443", "127.9.9.9:443", "[::1]:443"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        cr_expect(accepts(config, fine[i]), "%s", fine[i]);
    config_unref(config);
}

Test(config, addresses_of_this_host_are_asked_of_the_kernel)
{
    struct config *config = config_text_load("[listen a]\naddress = 127.0.0.1:3129\nmode = tproxy\n" ROUTE, NULL);
    struct local_addresses local;
    char text[ENDPOINT_TEXT_MAX];
    cr_assert(local_addresses_read(&local));
    for (size_t i = 0; i < local.count; i++) {
        const struct endpoint own = {.ip = local.addresses[i], .port = 443};
        const bool loopback = strncmp(endpoint_text(&own, text), "127.", 4) == 0 || strcmp(text, "[::1]:443") == 0;
        cr_expect_eq(accepts(config, text), loopback, "%s", text);
    }
    local_addresses_fini(&local);
    config_unref(config);
}

Test(config, peers_are_never_dialled_on_any_port)
{
    struct config *config = config_text_load("[exeat]\npeers = 10.0.3.0/28\n" LISTEN ROUTE, NULL);
    cr_expect_not(accepts(config, "10.0.3.9:443"));
    cr_expect_not(accepts(config, "10.0.3.9:1"));
    cr_expect(accepts(config, "10.0.3.16:443"));
    config_unref(config);
}

Test(config, a_bound_port_is_never_dialled)
{
    struct config *config = config_text_load(LISTEN ROUTE, NULL);
    struct endpoint bound;
    cr_assert(endpoint_read(&bound, "127.0.0.1:40000", 15));
    cr_expect(accepts(config, "127.0.0.1:40000"));
    cr_expect(config_never_listener(config, &bound));
    cr_expect_not(accepts(config, "127.0.0.1:40000"));
    config_unref(config);
}

Test(config, command_line_listener)
{
    struct config *config = config_text_load(LISTEN "proxy_protocol = required\ntrusted = 10.0.0.1\n[listen b]\naddress = 127.0.0.1:0\n"
                                                    "mode = redirect\n" ROUTE,
                                             NULL);
    struct endpoint address;
    cr_assert(endpoint_read(&address, "127.0.0.1:3999", 14));
    cr_expect(config->transparent);
    cr_expect(config_set_listen(config, &address));
    cr_assert_eq(config->listener_count, 1);
    cr_expect(!config->transparent && !listener_is_transparent(&config->listeners[0]));
    cr_expect(!config->listeners[0].proxy_protocol && config->listeners[0].trusted == NULL);
    cr_expect_str_eq(config->listeners[0].name, "command-line");
    cr_expect(endpoint_equal(&config->listeners[0].addresses[0], &address));
    cr_expect_not(accepts(config, "127.0.0.1:3999"));
    config_unref(config);
}

/* The digest. */

static void digest_of(const char *text, char out[CONFIG_DIGEST_SIZE])
{
    struct config *config = config_text_load(text, NULL);
    memcpy(out, config->digest, CONFIG_DIGEST_SIZE);
    cr_expect(strlen(out) == 71 && strncmp(out, "sha256:", 7) == 0);
    config_unref(config);
}

static void expect_digests(const char *a, const char *b, bool same)
{
    char first[CONFIG_DIGEST_SIZE], second[CONFIG_DIGEST_SIZE];
    digest_of(a, first);
    digest_of(b, second);
    cr_expect_eq(strcmp(first, second) == 0, same, "%s\n--- and ---\n%s", a, b);
}

#define RULE "[rule r]\nto = a.example b.example\n"
#define TRUSTING LISTEN "proxy_protocol = required\ntrusted = "

static struct config *carried_config(const struct bundle *bundle, struct fault_list *faults)
{
    FILE *carrier = tmpfile();
    cr_assert(bundle_write(bundle, fileno(carrier)));
    struct bundle *carried = bundle_read(fileno(carrier));
    struct config *config = config_load(carried, "test.conf", faults);
    bundle_free(carried);
    fclose(carrier);
    return config;
}

/* The process that serves takes the word of the one that judged. */
Test(config, another_process_need_not_judge_again)
{
    static const char text[] = LISTEN ROUTE RULE "[hosts h]\nhost = dns.google\n";
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    cr_assert(bundle_put(bundle, "test.conf", text, strlen(text)));
    struct config *fresh = carried_config(bundle, faults);
    struct config *judged = config_load(bundle, "test.conf", faults);
    cr_assert(fresh != NULL && judged != NULL && fault_count(faults) == 0);
    cr_expect_str_eq(fresh->digest, judged->digest, "found out by who has no other's word");
    cr_expect_not_null(fresh->notes);
    struct config *served = carried_config(bundle, faults);
    cr_assert(served != NULL);
    cr_expect_str_eq(served->digest, judged->digest);
    cr_expect_null(served->notes);
    cr_expect_eq(policy_rule_count(served->policy), 1);
    cr_assert(bundle_set_digest(bundle, "sha256:12"));
    struct config *told = carried_config(bundle, faults);
    cr_expect_str_eq(told->digest, "sha256:12", "the word itself is taken");
    config_drop_policy(judged);
    cr_expect(judged->policy == NULL && judged->listener_count == 1);
    config_unref(fresh);
    config_unref(judged);
    config_unref(served);
    config_unref(told);
    bundle_free(bundle);
    fault_list_free(faults);
}

static const struct rate *quota_of(const struct config *config, const char *group, enum quota_way way)
{
    return &policy_find_group(config->policy, group)->quotas[way];
}

Test(config, quotas_of_groups)
{
    struct config *config = config_text_load(
        LISTEN ROUTE "[clients a]\nfrom = 10.0.0.0/8\nupload = 2G/h\ndownload = 1048576G/d\n[clients b]\nfrom = 11.0.0.0/8\n"
                     "[clients c]\nfrom = 12.0.0.0/8\ndownload = 1/s\n" RULE,
        NULL);
    const struct rate *up = quota_of(config, "a", QUOTA_UPLOAD), *down = quota_of(config, "a", QUOTA_DOWNLOAD);
    cr_expect(up->amount == UINT64_C(2) << 30 && up->span_ms == 3600 * 1000);
    cr_expect(down->amount == UINT64_C(1) << 50 && down->span_ms == 86400 * 1000);
    cr_expect(quota_of(config, "b", QUOTA_UPLOAD)->amount == 0 && quota_of(config, "c", QUOTA_UPLOAD)->amount == 0);
    cr_assert_eq(policy_bounded_count(config->policy), 2);
    cr_expect_str_eq(policy_bounded_at(config->policy, 0)->name, "a");
    cr_expect_str_eq(policy_bounded_at(config->policy, 1)->name, "c");
    config_unref(config);
    expect_digests(LISTEN GROUP "upload = 1024K/s\n", LISTEN GROUP "upload = 1M/s\n", true);
    expect_digests(LISTEN GROUP "upload = 1M/s\n", LISTEN GROUP "upload = 1M/m\n", false);
    expect_digests(LISTEN GROUP "upload = 1M/s\n", LISTEN GROUP "download = 1M/s\n", false);
}

Test(config, digest_knows_no_spelling)
{
    expect_digests(LISTEN ROUTE RULE, "; a comment\n" ROUTE "\n" LISTEN "[rule  r] # another\nto = B.Example.\n  a.example\nport = 443\n", true);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "[limits]\nidle_timeout = 0\nkeepalive = 1m\n[audit]\nfile = -\n", true);
    expect_digests(LISTEN, LISTEN "mode = connect\nproxy_protocol = off\n", true);
    expect_digests(TRUSTING "10.0.0.1 10.0.3.0/28\n", TRUSTING "10.0.3.0/28\n  10.0.0.1/32 10.0.0.1\n", true);
    expect_digests(LISTEN ROUTE "[hosts h]\nhost = 192.0.2.1\n", LISTEN ROUTE "[hosts h]\nhost = 192.0.2.1/32\n", true);
    config_text_file("h.hosts", "b.example\na.example\n");
    char from_file[CONFIG_DIGEST_SIZE], in_place[CONFIG_DIGEST_SIZE];
    digest_of(LISTEN "[hosts h]\nhost_file = h.hosts\n", from_file);
    digest_of(LISTEN "[hosts h]\nhost = a.example b.example\n", in_place);
    cr_expect_str_eq(from_file, in_place);
}

Test(config, digest_knows_every_meaning)
{
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "[limits]\nidle_timeout = 1h\n", false);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE "[rule r]\nto = a.example b.example c.example\n", false);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "action = deny\n", false);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "port = 443 444\n", false);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "expires = 2030-01-01\n", false);
    expect_digests(LISTEN ROUTE "[rule a]\nto = a.example\n[rule b]\nto = b.example\n",
                   LISTEN ROUTE "[rule b]\nto = b.example\n[rule a]\n"
                                "to = a.example\n",
                   false);
    expect_digests(LISTEN "[route r]\nsource = 10.0.0.1 10.0.0.2\n", LISTEN "[route r]\nsource = 10.0.0.2 10.0.0.1\n", false);
    expect_digests(LISTEN ROUTE RULE, LISTEN ROUTE RULE "[exeat]\npeers = 10.0.0.1\n", false);
    expect_digests(LISTEN, LISTEN "mode = redirect\n", false);
    expect_digests(LISTEN "mode = tproxy\n", LISTEN "mode = redirect\n", false);
    expect_digests(LISTEN, TRUSTING "10.0.0.1\n", false);
    expect_digests(TRUSTING "10.0.0.1\n", TRUSTING "10.0.0.2\n", false);
}

/* The table, and what is embedded. */

Test(options, rows_are_sound)
{
    size_t count;
    const struct option_row *rows = options_all(&count);
    char text[OPTION_VALUE_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        uint64_t number;
        cr_expect_eq(options_find(row->section, row->key), row, "%s %s stands twice", row->section, row->key);
        cr_expect(row->help != NULL && row->help[strlen(row->help) - 1] == '.', "%s %s", row->section, row->key);
        cr_expect(*option_value_text(row, text) != '\0', "%s %s", row->section, row->key);
        cr_expect(row->set != NULL || row->size != 0, "%s %s goes nowhere", row->section, row->key);
        if (row->fallback != NULL && row->set == NULL && row->type != OPTION_TEXT)
            cr_expect(option_read(row, row->fallback, &number), "%s %s: default %s", row->section, row->key, row->fallback);
    }
}

Test(options, a_checkpoint_is_records_and_a_time)
{
    const struct option_row *row = options_find("audit", "checkpoint");
    char text[OPTION_VALUE_TEXT_MAX];
    cr_expect_str_eq(row->fallback, "1000 60s");
    cr_expect_not_null(strstr(option_value_text(row, text), row->fallback));
}

#define ADMIN_BASE LISTEN ROUTE RULE "[admin]\n"

Test(admin, doors_are_a_socket_and_an_address)
{
    struct config *config = config_text_load(ADMIN_BASE "listen = unix:/run/exeat/admin.sock\nmetrics = [::1]:9128\n", NULL);
    const struct endpoint metrics = {.ip = {.family = FAMILY_V6, .bytes = {[15] = 1}}, .port = 9128};
    cr_expect_str_eq(config->admin.socket, "/run/exeat/admin.sock");
    cr_expect(endpoint_equal(&config->admin.metrics, &metrics));
    cr_expect(policy_has_never_port(config->policy, 9128), "no route leads back into it");
    config_unref(config);
    config = config_text_load(ADMIN_BASE "listen = unix:admin.sock\n", NULL);
    cr_expect_str_eq(config->admin.socket, "admin.sock", "beside the file that names it, which stands here");
    cr_expect(!address_is_set(&config->admin.metrics.ip));
    config_unref(config);
}

Test(admin, what_is_no_door_is_a_fault)
{
    char text[512], path[201], faults[1024];
    config_text_faults(
        ADMIN_BASE "listen = /run/exeat/admin.sock\nmetrics = localhost:9128\n",
        "test.conf:8: [admin] listen: \"/run/exeat/admin.sock\" is not allowed; allowed: unix:PATH, as unix:/run/exeat/admin.sock\n"
        "test.conf:9: [admin] metrics: \"localhost:9128\" is not an address with a port; allowed: 127.0.0.1:9128, [2001:db8::1]:9128\n");
    config_text_faults(ADMIN_BASE "listen = unix:\nmetrics = [::ffff:127.0.0.1]:9128\n",
                       "test.conf:8: [admin] listen: \"unix:\" is not allowed; allowed: unix:PATH, as unix:/run/exeat/admin.sock\n"
                       "test.conf:9: [admin] metrics: [::ffff:127.0.0.1]:9128 is IPv4 inside IPv6; allowed: 127.0.0.1:9128\n");
    config_text_faults("[listen b]\naddress = 127.0.0.1:3128\n" ROUTE RULE "[admin]\nmetrics = 127.0.0.1:3128\n",
                       "test.conf:8: [admin] metrics: 127.0.0.1:3128 is an address of [listen b] already\n");
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    snprintf(text, sizeof(text), ADMIN_BASE "listen = unix:%s\n", path);
    snprintf(faults, sizeof(faults), "test.conf:8: [admin] listen: the path of a socket has room for 107 bytes, and \"%s\" has 200\n", path);
    config_text_faults(text, faults);
}

Test(embedded, default_is_what_the_manual_says)
{
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    struct config *config = config_load(bundle, CONFIG_EMBEDDED, faults);
    char text[ENDPOINT_TEXT_MAX];
    cr_assert_not_null(config, "%s", fault_text(faults, 0));
    cr_expect_str_eq(endpoint_text(&config->listeners[0].addresses[0], text), "127.0.0.1:3128");
    cr_expect_str_eq(policy_rule_at(config->policy, 0)->name, "agents");
    cr_expect_str_eq(policy_rule_at(config->policy, 0)->route->name, "nat");
    cr_expect_eq(policy_rule_at(config->policy, 0)->route->source_count, 0);
    cr_expect(policy_group_at(config->policy, 0)->denials);
    cr_expect_str_eq(config->audit.file, "-");
    cr_expect_str_eq(endpoint_text(&config->admin.metrics, text), "127.0.0.1:9128");
    cr_expect_null(config->admin.socket);
    cr_expect_eq(decide(config, "::1", "agent-edge.buildkite.com"), VERDICT_ALLOW);
    config_expect(config, 20778, faults);
    cr_expect_eq(fault_count(faults), 0);
    config_unref(config);
    bundle_free(bundle);
    fault_list_free(faults);
}

static void find_no_memory(const struct setting *line, void *arg)
{
    unsigned *lines = arg;
    ++*lines;
    if (line->text[0] == 'b')
        setting_no_memory(line);
}

Test(setting, out_of_memory_is_one_fault_and_ends_the_list)
{
    static const char text[] = "a.example\nb.example\nc.example\nb.example\n";
    struct section section = {.file = "many.hosts", .line = 1, .title = (char[]){"hosts many"}};
    struct option_row row = {.section = "hosts", .key = "host"};
    struct loader loader = {.faults = fault_list_new()};
    const struct setting setting = {.loader = &loader, .row = &row, .section = &section, .file = "many.hosts", .line = 1};
    unsigned lines = 0;
    setting_read_lines(&setting, text, strlen(text), find_no_memory, &lines);
    cr_expect_eq(lines, 2);
    setting_no_memory(&setting);
    cr_assert_eq(fault_count(loader.faults), 1);
    cr_expect_str_eq(fault_text(loader.faults, 0), "many.hosts:2: [hosts many] host: out of memory");
    fault_list_free(loader.faults);
}

/* What `last` was told of, as often as it was. */
struct told {
    struct config *config;
    unsigned times;
};

static void take_told(void *arg, struct config *config)
{
    struct told *told = arg;
    told->config = config;
    told->times++;
}

Test(snapshot, who_holds_it_has_the_names_when_nobody_judges_by_it_any_more)
{
    struct told told = {0};
    struct config *config =
        config_text_load(LISTEN GROUP ROUTE "[hosts many]\nhost = a.example *.b.example 192.0.2.0/24\n[rule r]\nto = @many\n", NULL);
    const struct rule *rule = policy_rule_at(config->policy, 0);
    config_on_last(config, take_told, &told);
    const struct listener *listener = listener_ref(&config->listeners[0]);
    config_unref(config_hold(config_ref(config)));
    cr_assert_eq(told.times, 0, "one judges still");
    config_unref(config);
    cr_assert_eq(told.times, 1);
    cr_expect_not_null(policy_find_list(config->policy, "many"), "freed where it was dropped");
    config_settle(told.config);
    cr_assert_eq(told.times, 1, "two hold it still");
    cr_expect_null(policy_find_list(config->policy, "many"));
    cr_expect_str_eq(rule->name, "r");
    cr_expect_str_eq(rule->route->name, "r");
    config_release(config);
    cr_expect_str_eq(listener->name, "a");
    listener_unref(listener);
    cr_assert_eq(told.times, 2);
    config_settle(told.config);
}

Test(snapshot, goes_at_once_when_nobody_is_told)
{
    struct config *config = config_hold(config_text_load(LISTEN GROUP ROUTE "[rule r]\nto = a.example\n", NULL));
    config_unref(config);
    cr_expect_str_eq(policy_group_at(config->policy, 0)->name, "all");
    cr_expect_null(policy_group_at(config->policy, 0)->from);
    config_release(config);
}

Test(embedded, every_list_can_be_used)
{
    static const char *const names[] = {
        "azure-blob", "buildkite", "buildkite-packages", "buildkite-test-engine", "buildkite-webhooks", "docker-hub", "gcs", "github", "gitlab",
        "pypi",       "s3"};
    char text[256];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_assert_not_null(HOSTS_BUILTIN[i].name);
        cr_expect_str_eq(HOSTS_BUILTIN[i].name, names[i]);
        cr_expect_eq(hosts_builtin_find(names[i]), &HOSTS_BUILTIN[i]);
        cr_expect_eq(strlen(HOSTS_BUILTIN[i].bytes), HOSTS_BUILTIN[i].len);
        snprintf(text, sizeof(text), LISTEN ROUTE "[rule r]\nto = @%s\n", names[i]);
        struct config *config = config_text_load(text, NULL);
        cr_expect_gt(policy_find_list(config->policy, names[i])->names, 0);
        config_unref(config);
    }
    cr_expect_null(HOSTS_BUILTIN[11].name);
    cr_expect_null(hosts_builtin_find("npm"));
}

Test(embedded, buildkite_is_exactly_three_hosts)
{
    struct config *config = config_text_load(LISTEN GROUP ROUTE "[rule r]\nto = @buildkite\n", NULL);
    cr_expect_eq(policy_find_list(config->policy, "buildkite")->names, 3);
    cr_expect_eq(decide(config, "10.0.0.1", "agent.buildkite.com"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", "agent-edge.buildkite.com"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", "buildkiteartifacts.com"), VERDICT_ALLOW);
    cr_expect_eq(decide(config, "10.0.0.1", "api.buildkite.com"), VERDICT_DENY);
    config_unref(config);
}

Test(fault_list, many_faults_are_counted)
{
    struct fault_list *faults = fault_list_new();
    char at[32];
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(at, sizeof(at), "f:%u", 1500 - i);
        fault_add(faults, at, NULL, NULL, "wrong\n\x1b");
    }
    fault_warn(faults, "e:1", "s", NULL, "odd");
    cr_expect_eq(fault_count(faults), 1500);
    cr_expect_eq(fault_warnings(faults), 1);
    cr_expect(fault_line_warns("e:1: [s] odd (warning)", 22) && !fault_line_warns("e:1: [s] odd (warning)", 21) && !fault_line_warns("", 0));
    cr_expect_str_eq(fault_text(faults, 0), "f:501: wrong??");
    char *said = config_text_print(faults, true, true);
    cr_expect(strstr(said, "and 500 more faults\nand 1 more warnings\n") != NULL);
    free(said);
    fault_list_free(faults);
}
