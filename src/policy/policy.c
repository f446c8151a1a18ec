/* Who may go where, by which way: how it is built, sealed and looked at. */
#include "policy/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy_body.h"

struct policy *policy_new(void)
{
    struct policy *policy = calloc(1, sizeof(*policy));
    if (policy == NULL)
        return NULL;
    policy->hosts = host_table_new();
    if (policy->hosts == NULL) {
        free(policy);
        return NULL;
    }
    return policy;
}

static void group_free(struct group *group)
{
    free(group->name);
    free(group->at);
    network_set_free(group->from);
    free(group);
}

static void host_list_free(struct host_list *list)
{
    free(list->name);
    free(list->at);
    network_set_free(list->networks);
    free(list);
}

static void route_free(struct route *route)
{
    free(route->name);
    free(route->at);
    free(route->sources);
    free(route->interface);
    free(route->resolvers);
    network_set_free(route->listed);
    free(route);
}

static void rule_free(struct rule *rule)
{
    free(rule->name);
    free(rule->at);
    free(rule->groups);
    free(rule->lists);
    free(rule->ports);
    free(rule->owner);
    free(rule->ticket);
    free(rule->note);
    free(rule);
}

static void policy_shed_lists(struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++)
        policy->rules[i]->list_count = 0;
    for (size_t i = 0; i < policy->list_count; i++)
        host_list_free(policy->lists[i]);
    policy->list_count = policy->network_list_count = 0;
    host_table_free(policy->hosts);
    policy->hosts = NULL;
}

static void policy_shed_networks(struct policy *policy)
{
    for (size_t i = 0; i < policy->group_count; i++) {
        network_set_free(policy->groups[i]->from);
        policy->groups[i]->from = NULL;
    }
    for (size_t i = 0; i < policy->route_count; i++) {
        network_set_free(policy->routes[i]->listed);
        policy->routes[i]->listed = NULL;
    }
}

void policy_shed(struct policy *policy)
{
    policy->sealed = false;
    policy_shed_lists(policy);
    policy_shed_networks(policy);
}

void policy_free(struct policy *policy)
{
    if (policy == NULL)
        return;
    policy_shed(policy);
    for (size_t i = 0; i < policy->group_count; i++)
        group_free(policy->groups[i]);
    for (size_t i = 0; i < policy->route_count; i++)
        route_free(policy->routes[i]);
    for (size_t i = 0; i < policy->rule_count; i++)
        rule_free(policy->rules[i]);
    free(policy->groups);
    free(policy->lists);
    free(policy->routes);
    free(policy->rules);
    free(policy->nevers);
    free(policy->list_rules_at);
    free(policy->list_rules);
    free(policy->network_lists);
    free(policy->bounded);
    free(policy);
}

/* Makes room for one more item of `size` bytes in the array that the pointer at `array_at` points to; it may move. */
static bool policy_grow(void *array_at, size_t count, size_t *room, size_t size)
{
    void *array;
    if (count < *room)
        return true;
    memcpy(&array, array_at, sizeof(array));
    size_t more = *room ? 2 * *room : 8;
    array = reallocarray(array, more, size);
    if (array == NULL)
        return false;
    memcpy(array_at, &array, sizeof(array));
    *room = more;
    return true;
}

/* Copies a section's name (which may be NULL) and place. */
static bool policy_name(char **name_out, char **at_out, const char *name, const char *at)
{
    *name_out = name ? strdup(name) : NULL;
    *at_out = at ? strdup(at) : NULL;
    return (*name_out != NULL || name == NULL) && (*at_out != NULL || at == NULL);
}

struct group *policy_add_group(struct policy *policy, const char *name, const char *at)
{
    assert(!policy->sealed);
    struct group *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return NULL;
    group->from = network_set_new();
    if (group->from == NULL || !policy_name(&group->name, &group->at, name, at) ||
        !policy_grow(&policy->groups, policy->group_count, &policy->group_room, sizeof(*policy->groups))) {
        group_free(group);
        return NULL;
    }
    policy->groups[policy->group_count++] = group;
    return group;
}

struct host_list *policy_add_list(struct policy *policy, const char *name, const char *at)
{
    assert(!policy->sealed);
    struct host_list *list = calloc(1, sizeof(*list));
    if (list == NULL)
        return NULL;
    list->networks = network_set_new();
    if (list->networks == NULL || !policy_name(&list->name, &list->at, name, at) ||
        !policy_grow(&policy->lists, policy->list_count, &policy->list_room, sizeof(*policy->lists))) {
        host_list_free(list);
        return NULL;
    }
    list->number = (uint32_t)policy->list_count;
    policy->lists[policy->list_count++] = list;
    return list;
}

bool policy_list_add(struct policy *policy, struct host_list *list, const struct pattern *pattern)
{
    assert(!policy->sealed && pattern->kind != PATTERN_BAD);
    if (pattern->kind == PATTERN_NETWORK)
        return network_set_add(list->networks, &pattern->network);
    if (!host_table_add(policy->hosts, pattern, list->number))
        return false;
    list->names++;
    return true;
}

struct route *policy_add_route(struct policy *policy, const char *name, const char *at)
{
    assert(!policy->sealed);
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL)
        return NULL;
    route->listed = network_set_new();
    if (route->listed == NULL || !policy_name(&route->name, &route->at, name, at) ||
        !policy_grow(&policy->routes, policy->route_count, &policy->route_room, sizeof(*policy->routes))) {
        route_free(route);
        return NULL;
    }
    route->number = (uint32_t)policy->route_count;
    policy->routes[policy->route_count++] = route;
    return route;
}

struct rule *policy_add_rule(struct policy *policy, const char *name, const char *at)
{
    assert(!policy->sealed);
    struct rule *rule = calloc(1, sizeof(*rule));
    if (rule == NULL)
        return NULL;
    if (!policy_name(&rule->name, &rule->at, name, at) ||
        !policy_grow(&policy->rules, policy->rule_count, &policy->rule_room, sizeof(*policy->rules))) {
        rule_free(rule);
        return NULL;
    }
    rule->number = (uint32_t)policy->rule_count;
    policy->rules[policy->rule_count++] = rule;
    return rule;
}

void policy_set_observe(struct policy *policy, struct route *route)
{
    assert(!policy->sealed);
    policy->observe_route = route;
}

bool policy_add_never(struct policy *policy, const struct network *network, uint16_t port)
{
    if (!policy_grow(&policy->nevers, policy->never_count, &policy->never_room, sizeof(*policy->nevers)))
        return false;
    policy->nevers[policy->never_count++] = (struct never){.network = *network, .port = port};
    return true;
}

static bool policy_seal_sets(struct policy *policy)
{
    bool sealed = true;
    for (size_t i = 0; i < policy->group_count; i++)
        sealed = sealed && network_set_seal(policy->groups[i]->from);
    for (size_t i = 0; i < policy->list_count; i++)
        sealed = sealed && network_set_seal(policy->lists[i]->networks);
    for (size_t i = 0; i < policy->route_count; i++)
        sealed = sealed && network_set_seal(policy->routes[i]->listed);
    return sealed;
}

static void policy_mark_used(struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct rule *rule = policy->rules[i];
        for (size_t j = 0; j < rule->group_count; j++)
            rule->groups[j]->used = true;
        for (size_t j = 0; j < rule->list_count; j++)
            rule->lists[j]->used = true;
    }
}

/* Turns "rule to lists" round into "list to rules": counts, sums up, then fills each list's stretch in the order of the rules. */
static bool policy_seal_rules(struct policy *policy)
{
    size_t *at = calloc(policy->list_count + 2, sizeof(*at));
    size_t total = 0;
    for (size_t i = 0; i < policy->rule_count; i++)
        total += policy->rules[i]->list_count;
    const struct rule **rules = calloc(total + 1, sizeof(*rules));
    policy->list_rules_at = at;
    policy->list_rules = rules;
    if (at == NULL || rules == NULL)
        return false;

    for (size_t i = 0; i < policy->rule_count; i++) {
        for (size_t j = 0; j < policy->rules[i]->list_count; j++)
            at[policy->rules[i]->lists[j]->number + 2]++;
    }
    for (size_t list = 2; list <= policy->list_count; list++)
        at[list] += at[list - 1];
    for (size_t i = 0; i < policy->rule_count; i++) { /* at[n + 1] walks from the start of list n to its end */
        for (size_t j = 0; j < policy->rules[i]->list_count; j++)
            rules[at[policy->rules[i]->lists[j]->number + 1]++] = policy->rules[i];
    }
    return true;
}

static bool policy_seal_networks(struct policy *policy)
{
    policy->network_lists = calloc(policy->list_count + 1, sizeof(*policy->network_lists));
    if (policy->network_lists == NULL)
        return false;
    for (size_t i = 0; i < policy->list_count; i++) {
        if (network_set_count(policy->lists[i]->networks) > 0)
            policy->network_lists[policy->network_list_count++] = policy->lists[i];
    }
    return true;
}

static bool policy_seal_quotas(struct policy *policy)
{
    policy->bounded = calloc(policy->group_count + 1, sizeof(*policy->bounded));
    if (policy->bounded == NULL)
        return false;
    for (size_t i = 0; i < policy->group_count; i++) {
        if (group_has_quota(policy->groups[i]))
            policy->bounded[policy->bounded_count++] = policy->groups[i];
    }
    return true;
}

bool policy_seal(struct policy *policy)
{
    assert(!policy->sealed);
    policy_mark_used(policy);
    policy->sealed = host_table_seal(policy->hosts) && policy_seal_sets(policy) && policy_seal_rules(policy) && policy_seal_networks(policy) &&
                     policy_seal_quotas(policy);
    return policy->sealed;
}

struct group *policy_find_group(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->group_count; i++) {
        if (strcmp(policy->groups[i]->name, name) == 0)
            return policy->groups[i];
    }
    return NULL;
}

struct host_list *policy_find_list(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->list_count; i++) {
        if (policy->lists[i]->name != NULL && strcmp(policy->lists[i]->name, name) == 0)
            return policy->lists[i];
    }
    return NULL;
}

struct route *policy_find_route(const struct policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->route_count; i++) {
        if (strcmp(policy->routes[i]->name, name) == 0)
            return policy->routes[i];
    }
    return NULL;
}

size_t policy_group_count(const struct policy *policy)
{
    return policy->group_count;
}

const struct group *policy_group_at(const struct policy *policy, size_t index)
{
    assert(index < policy->group_count);
    return policy->groups[index];
}

size_t policy_bounded_count(const struct policy *policy)
{
    return policy->bounded_count;
}

const struct group *policy_bounded_at(const struct policy *policy, size_t index)
{
    assert(index < policy->bounded_count);
    return policy->bounded[index];
}

const char *quota_way_text(enum quota_way way)
{
    return way == QUOTA_UPLOAD ? "upload" : "download";
}

bool group_has_quota(const struct group *group)
{
    return group->quotas[QUOTA_UPLOAD].amount > 0 || group->quotas[QUOTA_DOWNLOAD].amount > 0;
}

bool group_has_client(const struct group *group, const struct address *client)
{
    return network_set_find(group->from, client) != NULL;
}

size_t policy_route_count(const struct policy *policy)
{
    return policy->route_count;
}

const struct route *policy_route_at(const struct policy *policy, size_t index)
{
    assert(index < policy->route_count);
    return policy->routes[index];
}

size_t policy_rule_count(const struct policy *policy)
{
    return policy->rule_count;
}

const struct rule *policy_rule_at(const struct policy *policy, size_t index)
{
    assert(index < policy->rule_count);
    return policy->rules[index];
}

const struct route *policy_observe_route(const struct policy *policy)
{
    return policy->observe_route;
}

const struct group *policy_group_of(const struct policy *policy, const struct address *client)
{
    const struct group *best = NULL;
    int best_prefix = -1;
    for (size_t i = 0; i < policy->group_count; i++) {
        const struct network *network = network_set_find(policy->groups[i]->from, client);
        if (network != NULL && network->prefix > best_prefix) {
            best = policy->groups[i];
            best_prefix = network->prefix;
        }
    }
    return best;
}

bool route_has_family(const struct route *route, enum family family)
{
    for (size_t i = 0; i < route->source_count; i++) {
        if (route->sources[i].local.family == family)
            return true;
    }
    return route->source_count == 0;
}
