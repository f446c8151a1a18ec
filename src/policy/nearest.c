/* For people who ask why: the rule that came nearest to allowing what was denied, and what it lacked. */
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/policy_body.h"
#include "policy/public_suffix.h"

/* How far a rule that covers the host is from allowing it; the lowest is the nearest (MISS_BOTH is the sum of two). */
enum miss { MISS_NOTHING = 0, MISS_PORT, MISS_GROUP, MISS_BOTH, MISS_HOST };

#define UNLIKE 1000 /* farther than any two texts that are compared */

/* What is known of a list. */
struct near_list {
    bool covers;             /* it covers the host */
    const struct rule *rule; /* the first that lets it out for the client and port, or NULL */
};

struct nearest {
    const struct policy *policy;
    const struct question *question;
    const struct group *group; /* the client's, or NULL */
    struct near_list *lists;   /* by number */
    const struct rule *rule;   /* the nearest so far */
    enum miss miss;

    /* The nearest name so far, where no rule covers the host. */
    const char *registrable; /* of the host, a pointer into it; NULL: none */
    char near_name[HOSTNAME_SIZE];
    enum pattern_kind near_kind;
    unsigned near_distance;
};

static bool nearest_mark(void *arg, uint32_t list)
{
    struct nearest *nearest = arg;
    nearest->lists[list].covers = true;
    return true;
}

static bool nearest_covers(const struct nearest *nearest, const struct rule *rule)
{
    for (size_t i = 0; i < rule->list_count; i++) {
        if (nearest->lists[rule->lists[i]->number].covers)
            return true;
    }
    return false;
}

static bool nearest_has_client(const struct nearest *nearest, const struct rule *rule)
{
    return nearest->group != NULL && rule_has_client(rule, &nearest->question->client);
}

/* Among the rules that would let the host out: the one that lacks least. */
static void nearest_by_rule(struct nearest *nearest)
{
    for (size_t i = 0; i < nearest->policy->rule_count; i++) {
        const struct rule *rule = nearest->policy->rules[i];
        if (rule->action == ACTION_DENY || !nearest_covers(nearest, rule))
            continue;
        bool port = rule_has_port(rule, nearest->question->port);
        bool client = nearest_has_client(nearest, rule);
        enum miss miss = (port ? MISS_NOTHING : MISS_PORT) + (client ? MISS_NOTHING : MISS_GROUP);
        if (nearest->rule == NULL || miss < nearest->miss) {
            nearest->rule = rule;
            nearest->miss = miss;
        }
    }
}

/* For each list the first rule that lets it out for the client and port of the question. */
static void nearest_find_rules(struct nearest *nearest)
{
    for (size_t i = 0; i < nearest->policy->rule_count; i++) {
        const struct rule *rule = nearest->policy->rules[i];
        if (rule->action == ACTION_DENY || rule_has_expired(rule, nearest->question->today) || !rule_has_port(rule, nearest->question->port) ||
            !nearest_has_client(nearest, rule))
            continue;
        for (size_t j = 0; j < rule->list_count; j++) {
            struct near_list *list = &nearest->lists[rule->lists[j]->number];
            list->rule = list->rule ? list->rule : rule;
        }
    }
}

/* How unlike a pattern's name and the host are: 0 for `*.host` where the host itself was asked for, else by what stands before the registered
 * domain that they share. */
static unsigned nearest_distance(const struct nearest *nearest, enum pattern_kind kind, const char *name)
{
    const char *host = nearest->question->host.name;
    if (kind == PATTERN_BELOW && strcmp(name, host) == 0)
        return 0;
    const char *registrable = nearest->registrable;
    if (registrable == NULL)
        return UNLIKE;
    size_t len = strlen(name), shared = strlen(registrable);
    if (len < shared || strcmp(name + len - shared, registrable) != 0 || (len > shared && name[len - shared - 1] != '.'))
        return UNLIKE;
    char of_name[HOSTNAME_SIZE], of_host[HOSTNAME_SIZE];
    text_copy(of_name, sizeof(of_name), name, len - shared);
    text_copy(of_host, sizeof(of_host), host, strlen(host) - shared);
    return 1 + text_distance(of_name, of_host);
}

/* Order that does not hang on the hash: by likeness, then by the file, then by the name. */
static bool nearest_is_nearer(const struct nearest *nearest, unsigned distance, const struct rule *rule, const char *name)
{
    if (nearest->rule == NULL || distance != nearest->near_distance)
        return nearest->rule == NULL || distance < nearest->near_distance;
    if (rule != nearest->rule)
        return rule->number < nearest->rule->number;
    return strcmp(name, nearest->near_name) < 0;
}

static bool nearest_try_name(void *arg, enum pattern_kind kind, const char *bytes, size_t len, uint32_t list)
{
    struct nearest *nearest = arg;
    const struct rule *rule = nearest->lists[list].rule;
    char name[HOSTNAME_SIZE];
    if (rule == NULL)
        return true;
    text_copy(name, sizeof(name), bytes, len);
    unsigned distance = nearest_distance(nearest, kind, name);
    if (distance == UNLIKE || !nearest_is_nearer(nearest, distance, rule, name))
        return true;
    nearest->rule = rule;
    nearest->miss = MISS_HOST;
    nearest->near_kind = kind;
    nearest->near_distance = distance;
    memcpy(nearest->near_name, name, len + 1);
    return true;
}

static void nearest_by_name(struct nearest *nearest)
{
    nearest_find_rules(nearest);
    nearest->registrable = public_suffix_registrable(nearest->question->host.name);
    host_table_each(nearest->policy->hosts, nearest_try_name, nearest);
}

static void nearest_say_ports(struct text *text, const struct nearest *nearest)
{
    text_format(text, "port %u is not among", nearest->question->port);
    for (size_t i = 0; i < nearest->rule->port_count; i++) {
        const struct port_range *range = &nearest->rule->ports[i];
        if (range->first == range->last)
            text_format(text, " %u", range->first);
        else
            text_format(text, " %u-%u", range->first, range->last);
    }
}

static void nearest_say_client(struct text *text, const struct nearest *nearest)
{
    char address[ADDRESS_TEXT_MAX];
    text_format(text, "client %s is in ", address_text(&nearest->question->client, address));
    if (nearest->group == NULL)
        text_add(text, "no clients group");
    else
        text_format(text, "%s, not in", nearest->group->name);
    if (nearest->group == NULL && nearest->rule->group_count > 0)
        text_add(text, "; the rule is for");
    for (size_t i = 0; i < nearest->rule->group_count; i++)
        text_format(text, " %s", nearest->rule->groups[i]->name);
}

static void nearest_say_host(struct text *text, const struct nearest *nearest)
{
    const char *host = nearest->question->host.name;
    if (nearest->near_distance == 0)
        text_format(text, "*.%s covers what is below %s, not that name itself", host, host);
    else
        text_format(text, "it allows %s%s, not %s", nearest->near_kind == PATTERN_BELOW ? "*." : "", nearest->near_name, host);
}

/* Client, host and port fit, and yet it was denied: it is past its day, or another rule came first. */
static void nearest_say_order(struct text *text, const struct nearest *nearest)
{
    const struct rule *first = policy_match(nearest->policy, nearest->question);
    char day[CLOCK_TEXT_MAX];
    if (rule_has_expired(nearest->rule, nearest->question->today))
        text_format(text, "its last day was %.10s", clock_text(nearest->rule->expires_day * UINT64_C(86400000000), day));
    else if (first != NULL)
        text_format(text, "rule %s comes before it and decides", first->name);
}

static void nearest_say(const struct nearest *nearest, char *why, size_t why_size)
{
    struct text text;
    text_init(&text, why, why_size);
    switch (nearest->miss) {
    case MISS_NOTHING:
        nearest_say_order(&text, nearest);
        break;
    case MISS_PORT:
        nearest_say_ports(&text, nearest);
        break;
    case MISS_GROUP:
        nearest_say_client(&text, nearest);
        break;
    case MISS_BOTH:
        nearest_say_ports(&text, nearest);
        text_add(&text, "; ");
        nearest_say_client(&text, nearest);
        break;
    case MISS_HOST:
        nearest_say_host(&text, nearest);
        break;
    }
}

const struct rule *policy_nearest(const struct policy *policy, const struct question *question, char *why, size_t why_size)
{
    struct nearest nearest = {.policy = policy, .question = question, .group = policy_group_of(policy, &question->client)};
    why[0] = '\0';
    nearest.lists = calloc(policy->list_count + 1, sizeof(*nearest.lists));
    if (nearest.lists == NULL)
        return NULL;
    policy_find_lists(policy, &question->host, nearest_mark, &nearest);
    nearest_by_rule(&nearest);
    if (nearest.rule == NULL && question->host.kind == HOST_NAME)
        nearest_by_name(&nearest);
    free(nearest.lists);
    if (nearest.rule != NULL)
        nearest_say(&nearest, why, why_size);
    return nearest.rule;
}
