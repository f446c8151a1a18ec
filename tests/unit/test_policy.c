/* The policy, by tables that a security engineer can read: tests/tables/README says how a line is written. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "data.h"
#include "policy/policy.h"

#define WORDS_MAX 64

struct table {
    const char *file;
    unsigned line;
    struct policy *policy;
    bool sealed;
    uint32_t today;
    char *words[WORDS_MAX]; /* of this line */
    size_t count;
    unsigned questions;
};

/* Ends the test with the place in the table. */
__attribute__((format(printf, 3, 4))) static void table_check(const struct table *table, bool condition, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cr_assert(condition, "%s:%u: %s", table->file, table->line, text);
}

/* Cuts `text` at `by` into parts; returns how many. */
static size_t split(char *text, const char *by, char *parts[WORDS_MAX])
{
    size_t count = 0;
    for (char *part; (part = strsep(&text, by));) {
        if (*part == '\0')
            continue;
        cr_assert(count < WORDS_MAX);
        parts[count++] = part;
    }
    return count;
}

static uint32_t day_of(struct table *table, const char *text)
{
    uint32_t day = 0;
    table_check(table, number_read_day(&day, text, strlen(text)), "no day: %s", text);
    return day;
}

static struct network network_of(struct table *table, const char *text)
{
    struct network network;
    const char *why;
    bool read = network_read(&network, text, strlen(text), &why);
    table_check(table, read, "%s: %s", text, why);
    return network;
}

static void add_networks(struct table *table, struct network_set *set, size_t from)
{
    for (size_t i = from; i < table->count; i++) {
        struct network network = network_of(table, table->words[i]);
        cr_assert(network_set_add(set, &network));
    }
}

static void add_pattern(struct table *table, struct host_list *list, const char *text)
{
    struct pattern pattern;
    const char *why;
    bool read = pattern_read(&pattern, text, strlen(text), &why);
    table_check(table, read, "%s: %s", text, why);
    cr_assert(policy_list_add(table->policy, list, &pattern));
}

static void say_group(struct table *table)
{
    add_networks(table, policy_add_group(table->policy, table->words[1], "test:1")->from, 2);
}

static void say_hosts(struct table *table)
{
    struct host_list *list = policy_add_list(table->policy, table->words[1], "test:1");
    for (size_t i = 2; i < table->count; i++)
        add_pattern(table, list, table->words[i]);
}

static void say_route(struct table *table)
{
    struct route *route = policy_add_route(table->policy, table->words[1], "test:1");
    if (strcmp(table->words[2], "any") == 0) {
        route->addresses = ADDRESSES_ANY;
    } else if (strcmp(table->words[2], "public") != 0) {
        route->addresses = ADDRESSES_LISTED;
        add_networks(table, route->listed, 2);
    }
}

static void set_from(struct table *table, struct rule *rule, char *value)
{
    char *names[WORDS_MAX];
    rule->group_count = split(value, ",", names);
    rule->groups = calloc(rule->group_count, sizeof(struct group *));
    for (size_t i = 0; i < rule->group_count; i++) {
        rule->groups[i] = policy_find_group(table->policy, names[i]);
        table_check(table, rule->groups[i] != NULL, "no group %s", names[i]);
    }
}

/* `@name` is a list; the rest stand in one of the rule's own. */
static void set_to(struct table *table, struct rule *rule, char *value)
{
    char *names[WORDS_MAX];
    size_t count = split(value, ",", names);
    struct host_list *own = NULL;
    rule->lists = calloc(count, sizeof(struct host_list *));
    for (size_t i = 0; i < count; i++) {
        if (*names[i] == '@') {
            struct host_list *list = policy_find_list(table->policy, names[i] + 1);
            table_check(table, list != NULL, "no hosts %s", names[i]);
            rule->lists[rule->list_count++] = list;
            continue;
        }
        if (own == NULL)
            rule->lists[rule->list_count++] = own = policy_add_list(table->policy, NULL, "test:1");
        add_pattern(table, own, names[i]);
    }
}

static void set_port(struct table *table, struct rule *rule, char *value)
{
    char *ranges[WORDS_MAX];
    (void)table;
    free(rule->ports);
    rule->port_count = split(value, ",", ranges);
    rule->ports = calloc(rule->port_count, sizeof(*rule->ports));
    for (size_t i = 0; i < rule->port_count; i++) {
        const char *dash = strchr(ranges[i], '-');
        rule->ports[i].first = (uint16_t)atoi(ranges[i]);
        rule->ports[i].last = (uint16_t)atoi(dash ? dash + 1 : ranges[i]);
    }
}

static unsigned word_of(struct table *table, const char *word, const char *const words[])
{
    for (unsigned i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    table_check(table, false, "%s is none of %s, %s …", word, words[0], words[1]);
    return 0;
}

static void set_member(struct table *table, struct rule *rule, const char *key, char *value)
{
    static const char *const snis[] = {[SNI_MATCH] = "match", [SNI_ALLOWED] = "allowed", [SNI_ANY] = "any", [SNI_OFF] = "off", NULL};
    static const char *const echs[] = {[ECH_DENY] = "deny", [ECH_OUTER] = "outer", NULL};
    static const char *const actions[] = {[ACTION_DENY] = "deny", [ACTION_ALLOW] = "allow", [ACTION_OBSERVE] = "observe", NULL};
    if (strcmp(key, "from") == 0)
        set_from(table, rule, value);
    else if (strcmp(key, "to") == 0)
        set_to(table, rule, value);
    else if (strcmp(key, "port") == 0)
        set_port(table, rule, value);
    else if (strcmp(key, "sni") == 0)
        rule->sni = word_of(table, value, snis);
    else if (strcmp(key, "ech") == 0)
        rule->ech = word_of(table, value, echs);
    else if (strcmp(key, "action") == 0)
        rule->action = word_of(table, value, actions);
    else if (strcmp(key, "route") == 0)
        rule->route = policy_find_route(table->policy, value);
    else if (strcmp(key, "expires") == 0)
        rule->expires_day = day_of(table, value);
    else
        table_check(table, false, "no key %s", key);
}

static void say_rule(struct table *table)
{
    char port[] = "443";
    struct rule *rule = policy_add_rule(table->policy, table->words[1], "test:1");
    rule->action = ACTION_ALLOW;
    set_port(table, rule, port);
    for (size_t i = 2; i < table->count; i++) {
        char *value = strchr(table->words[i], '=');
        table_check(table, value != NULL, "%s has no value", table->words[i]);
        *value = '\0';
        set_member(table, rule, table->words[i], value + 1);
    }
    table_check(table, rule->route != NULL || rule->action == ACTION_DENY, "no route");
}

static void say_observe(struct table *table)
{
    policy_set_observe(table->policy, policy_find_route(table->policy, table->words[1]));
}

static void say_never(struct table *table)
{
    struct network network = network_of(table, table->words[1]);
    cr_assert(policy_add_never(table->policy, &network, (uint16_t)(table->count > 2 ? atoi(table->words[2]) : 0)));
}

static void say_today(struct table *table)
{
    table->today = day_of(table, table->words[1]);
}

/* `host:port`, the port after the last colon, IPv6 in brackets. */
static uint16_t read_target(struct table *table, struct host *host, char *target)
{
    char *colon = strrchr(target, ':');
    table_check(table, colon != NULL, "no port in %s", target);
    size_t len = (size_t)(colon - target);
    bool bracketed = *target == '[';
    host_read(host, target + bracketed, len - (bracketed ? 2 : 0), bracketed);
    return (uint16_t)atoi(colon + 1);
}

static struct question question_of(struct table *table)
{
    struct question question = {.today = table->today};
    table_check(table, address_read(&question.client, table->words[1], strlen(table->words[1])), "no client %s", table->words[1]);
    question.port = read_target(table, &question.host, table->words[2]);
    return question;
}

/* Where the words behind `->` begin. */
static size_t arrow_of(struct table *table)
{
    size_t i = 0;
    while (i < table->count && strcmp(table->words[i], "->") != 0)
        i++;
    table_check(table, i + 1 < table->count, "no -> on this line");
    return i + 1;
}

/* `sni=-` a hello without one, `sni=NAME`, `ech`; none of them: no hello yet. */
static bool read_hello(struct table *table, struct hello_facts *hello, size_t end)
{
    bool any = false;
    memset(hello, 0, sizeof(*hello));
    for (size_t i = 3; i + 1 < end; i++, any = true) {
        const char *word = table->words[i];
        if (strcmp(word, "ech") == 0)
            hello->ech = true;
        else if (strncmp(word, "sni=", 4) == 0 && strcmp(word + 4, "-") != 0)
            hello->sni = hostname_read(hello->name, word + 4, strlen(word + 4)) ? SNI_NAME : SNI_BAD;
        else
            table_check(table, strcmp(word, "sni=-") == 0, "what is %s?", word);
    }
    return any;
}

/* The words behind `->` must be `got`. */
static void table_answer(struct table *table, size_t answer, const char *got)
{
    char wanted[512] = "";
    for (size_t i = answer; i < table->count; i++) {
        strcat(wanted, i > answer ? " " : "");
        strcat(wanted, table->words[i]);
    }
    table_check(table, strcmp(got, wanted) == 0, "%s, not %s", got, wanted);
}

static const char *verdict_words(char buf[256], const struct verdict *verdict)
{
    snprintf(buf, 256, "%s %s %s %s", verdict_text(verdict->kind), reason_row(verdict->reason)->code, verdict->rule ? verdict->rule->name : "-",
             verdict->route ? verdict->route->name : "-");
    return buf;
}

static void ask(struct table *table)
{
    struct question question = question_of(table);
    struct hello_facts hello;
    struct verdict verdict;
    char got[256];
    size_t answer = arrow_of(table);
    policy_decide(table->policy, &question, &verdict);
    if (read_hello(table, &hello, answer))
        policy_judge_hello(table->policy, &question, &hello, &verdict);
    table_answer(table, answer, verdict_words(got, &verdict));
}

/* Without a word of a hello it is no TLS. */
static void transparent(struct table *table)
{
    struct question question = question_of(table);
    struct address original = question.host.address;
    struct hello_facts hello;
    struct verdict verdict;
    char words[256], got[300];
    size_t answer = arrow_of(table);
    bool tls = read_hello(table, &hello, answer);
    memset(&question.host, 0, sizeof(question.host));
    policy_decide_transparent(table->policy, &question, tls ? &hello : NULL, &original, &verdict);
    snprintf(got, sizeof(got), "%s%s", verdict_words(words, &verdict), policy_names_host(table->policy, &question.host) ? "" : " unnamed");
    table_answer(table, answer, got);
}

static void dial(struct table *table)
{
    struct endpoint to;
    size_t answer = arrow_of(table);
    table_check(table, endpoint_read(&to, table->words[2], strlen(table->words[2])), "no endpoint");
    bool accepts = policy_accepts(table->policy, policy_find_route(table->policy, table->words[1]), &to);
    table_check(table, accepts == !strcmp(table->words[answer], "yes"), "%s may%s be dialled", table->words[2], accepts ? "" : " not");
}

static void near(struct table *table)
{
    struct question question = question_of(table);
    size_t answer = arrow_of(table);
    char why[256], got[512];
    const struct rule *rule = policy_nearest(table->policy, &question, why, sizeof(why));
    snprintf(got, sizeof(got), "%s%s%s", rule ? rule->name : "-", rule ? ": " : "", why);
    table_answer(table, answer, got);
}

static void who(struct table *table)
{
    struct address client;
    cr_assert(address_read(&client, table->words[1], strlen(table->words[1])));
    const struct group *group = policy_group_of(table->policy, &client);
    const char *name = group ? group->name : "-";
    table_check(table, strcmp(name, table->words[arrow_of(table)]) == 0, "in %s", name);
}

static void table_line(struct table *table)
{
    static const struct {
        const char *word;
        void (*say)(struct table *table);
        bool question;
    } verbs[] = {
        {"group", say_group, false},
        {"hosts", say_hosts, false},
        {"route", say_route, false},
        {"rule", say_rule, false},
        {"observe", say_observe, false},
        {"never", say_never, false},
        {"today", say_today, false},
        {"ask", ask, true},
        {"dial", dial, true},
        {"near", near, true},
        {"who", who, true},
        {"transparent", transparent, true},
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].word, table->words[0]) != 0)
            continue;
        if (verbs[i].question && !table->sealed)
            table->sealed = policy_seal(table->policy);
        table_check(table, verbs[i].question == table->sealed || verbs[i].say == say_today, "the policy comes first, then the questions");
        table->questions += verbs[i].question;
        verbs[i].say(table);
        return;
    }
    table_check(table, false, "what is %s?", table->words[0]);
}

static void table_run(const char *file)
{
    struct table table = {.file = file, .policy = policy_new()};
    FILE *input = data_open(file);
    char line[1024];
    while (fgets(line, sizeof(line), input)) {
        table.line++;
        line[strcspn(line, "#\n")] = '\0';
        table.count = split(line, " \t", table.words);
        if (table.count > 0)
            table_line(&table);
    }
    fclose(input);
    policy_free(table.policy);
    cr_expect(table.questions > 0, "%s asks nothing", file);
}

Test(policy, rules_in_file_order)
{
    table_run("tables/rules.table");
}

Test(policy, names_and_addresses)
{
    table_run("tables/hosts.table");
}

Test(policy, what_the_network_brought)
{
    table_run("tables/transparent.table");
}

Test(policy, what_the_hello_says)
{
    table_run("tables/hello.table");
}

Test(policy, mode_observe)
{
    table_run("tables/observe.table");
}

Test(policy, rules_that_observe)
{
    table_run("tables/observe-rule.table");
}

Test(policy, which_addresses_are_dialled)
{
    table_run("tables/addresses.table");
}

Test(policy, the_nearest_rule)
{
    table_run("tables/nearest.table");
}

Test(policy, nothing_is_allowed_by_nothing)
{
    struct policy *policy = policy_new();
    struct question question = {0};
    struct verdict verdict;
    cr_assert(policy_seal(policy));
    policy_decide(policy, &question, &verdict);
    cr_expect(verdict.kind == VERDICT_DENY && verdict.reason == REASON_BAD_REQUEST);
    address_read(&question.client, "127.0.0.1", 9);
    host_read(&question.host, "example.com", 11, false);
    policy_decide(policy, &question, &verdict);
    cr_expect(verdict.kind == VERDICT_DENY && verdict.reason == REASON_CLIENT_UNKNOWN);
    struct endpoint to = {.port = 443};
    cr_expect_not(policy_accepts(policy, NULL, &to));
    policy_free(policy);
}

/* A verdict that was zeroed and never decided stays a denial, whatever the hello says. */
Test(policy, a_zeroed_verdict_denies)
{
    struct policy *policy = policy_new();
    struct question question = {0};
    struct hello_facts hello = {0};
    struct verdict verdict = {0};
    cr_assert(policy_seal(policy));
    policy_judge_hello(policy, &question, &hello, &verdict);
    cr_expect(verdict.kind == VERDICT_DENY);
    cr_expect_eq(reason_row(verdict.reason)->status, 403);
    policy_free(policy);
}

/* A rule that nobody finished (no ports, no route) lets nothing out. */
Test(policy, an_unfinished_rule_denies)
{
    struct table table = {.file = "here", .policy = policy_new()};
    struct group *all = policy_add_group(table.policy, "all", "test:1");
    struct network network = network_of(&table, "0.0.0.0/0");
    cr_assert(network_set_add(all->from, &network));
    struct rule *rule = policy_add_rule(table.policy, "bare", "test:2");
    char host[] = "example.com", port[] = "443";
    set_to(&table, rule, host);
    struct rule *routeless = policy_add_rule(table.policy, "routeless", "test:3");
    char host2[] = "example.com";
    set_to(&table, routeless, host2);
    set_port(&table, routeless, port);
    routeless->action = ACTION_ALLOW;
    cr_assert(policy_seal(table.policy));

    struct question question = {.port = 443};
    struct verdict verdict;
    address_read(&question.client, "192.0.2.1", 9);
    host_read(&question.host, "example.com", 11, false);
    policy_decide(table.policy, &question, &verdict);
    cr_expect(verdict.kind == VERDICT_DENY && verdict.rule == routeless && verdict.reason == REASON_RULE_DENY);
    policy_free(table.policy);
}

enum { MANY_RULES = 2000, MANY_GROUPS = 16 };

/* One of many rules: `a.N.example` or `*.N.example`, a port, a group. */
struct many {
    bool below;
    unsigned name, port, group;
};

static struct many many_random(unsigned *seed)
{
    return (struct many){.below = rand_r(seed) % 2,
                         .name = (unsigned)rand_r(seed) % 20,
                         .port = 1000 + (unsigned)rand_r(seed) % 40,
                         .group = (unsigned)rand_r(seed) % MANY_GROUPS};
}

static struct policy *many_rules(struct many many[MANY_RULES], unsigned *seed)
{
    struct table table = {.file = "here", .policy = policy_new()};
    struct route *route = policy_add_route(table.policy, "nat", "test:1");
    for (unsigned i = 0; i < MANY_GROUPS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.%u.0/24", i);
        struct network network = network_of(&table, text);
        cr_assert(network_set_add(policy_add_group(table.policy, text, "test:1")->from, &network));
    }
    for (unsigned i = 0; i < MANY_RULES; i++) {
        many[i] = many_random(seed);
        char from[32], to[32], port[16];
        snprintf(from, sizeof(from), "10.0.%u.0/24", many[i].group);
        snprintf(to, sizeof(to), "%s.%u.example", many[i].below ? "*" : "a", many[i].name);
        snprintf(port, sizeof(port), "%u", many[i].port);
        struct rule *rule = policy_add_rule(table.policy, to, "test:1");
        rule->action = ACTION_ALLOW;
        rule->route = route;
        set_from(&table, rule, from);
        set_to(&table, rule, to);
        set_port(&table, rule, port);
    }
    cr_assert(policy_seal(table.policy));
    return table.policy;
}

static int many_first(const struct many many[MANY_RULES], const struct many *asked)
{
    for (int i = 0; i < MANY_RULES; i++) {
        if (many[i].name == asked->name && many[i].port == asked->port && many[i].group == asked->group && (many[i].below || !asked->below))
            return i;
    }
    return -1;
}

/* Thousands of rules on few names: the answer is that of going through the rules one by one. */
Test(policy, many_rules_agree_with_a_loop)
{
    static struct many many[MANY_RULES];
    unsigned seed = 443, allowed = 0;
    struct policy *policy = many_rules(many, &seed);
    for (int i = 0; i < 5000; i++) {
        struct many asked = many_random(&seed); /* `below` here: the host is b.N.example, which only a wildcard covers */
        struct question question = {.port = (uint16_t)asked.port, .client = {FAMILY_V4, {10, 0, (uint8_t)asked.group, 5}}};
        char text[64];
        snprintf(text, sizeof(text), "%s.%u.example", asked.below ? "b" : "a", asked.name);
        host_read(&question.host, text, strlen(text), false);
        struct verdict verdict;
        policy_decide(policy, &question, &verdict);
        int wanted = many_first(many, &asked);
        cr_assert_eq(verdict.rule ? (int)verdict.rule->number : -1, wanted, "%s:%u", text, asked.port);
        cr_assert_eq(verdict.kind, wanted >= 0 ? VERDICT_ALLOW : VERDICT_DENY);
        allowed += wanted >= 0;
    }
    cr_expect(allowed > 100 && allowed < 4900, "%u", allowed);
    policy_free(policy);
}
