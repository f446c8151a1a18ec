/* Warnings about what is allowed but unwise, one function each. */
#include "config/config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/lint_notes.h"
#include "config/lint_shadow.h"
#include "config/local_addresses.h"
#include "policy/address_class.h"

#define LINT_EXPIRY_DAYS 14
#define LINT_TOKEN_CIDRS 24       /* what a Buildkite token's Allowed IP Addresses take */
#define LINT_SHADOW_STEPS 5000000 /* what would take more comparisons is not compared: this is advice, and must end */

struct lint {
    const struct config *config;
    uint32_t today;
    struct fault_list *faults;
    struct local_addresses local; /* this host's */
    bool local_known;
};

static void lint_warn(const struct lint *lint, const char *at, const char *kind, const char *name, const char *key, const char *what)
{
    char section[64];
    snprintf(section, sizeof(section), "%s %.45s", kind, name);
    fault_warn(lint->faults, at, section, key, "%s", what);
}

static bool lint_rule_uses(const struct rule *rule, const struct host_list *list)
{
    for (size_t i = 0; i < rule->list_count; i++) {
        if (rule->lists[i] == list)
            return true;
    }
    return false;
}

/* A list that only denials name may hold whatever it wants: that is what such lists are for. */
static const struct rule *lint_allowing_rule(const struct lint *lint, const struct host_list *list)
{
    for (size_t i = 0; i < policy_rule_count(lint->config->policy); i++) {
        const struct rule *rule = policy_rule_at(lint->config->policy, i);
        if (rule->action != ACTION_DENY && lint_rule_uses(rule, list))
            return rule;
    }
    return NULL;
}

/* Wildcards over public suffixes, shared storage, others' DNS; public resolvers by name or address. */
static void lint_patterns(const struct lint *lint)
{
    const struct lint_notes *notes = lint->config->notes;
    for (size_t i = 0; i < notes->remark_count; i++) {
        const struct lint_remark *remark = &notes->remarks[i];
        const struct noted_list *noted = lint_notes_find(notes, remark->list);
        const struct rule *rule = lint_allowing_rule(lint, remark->list);
        if (rule == NULL || (noted != NULL && noted->origin == LIST_BUILT_IN))
            continue;
        fault_warn(lint->faults, remark->at, remark->section, remark->key, "%.300s %s", remark->pattern, remark->what);
    }
}

static const struct lint_remark *lint_first_remark(const struct lint_notes *notes, const struct host_list *list)
{
    for (size_t i = 0; i < notes->remark_count; i++) {
        if (notes->remarks[i].list == list)
            return &notes->remarks[i];
    }
    return NULL;
}

/* A built-in list is no file that the reader could mend: it is said once, of the rule that uses it. */
static void lint_built_in(const struct lint *lint)
{
    const struct lint_notes *notes = lint->config->notes;
    char what[512];
    for (size_t i = 0; i < notes->list_count; i++) {
        const struct host_list *list = notes->lists[i].list;
        const struct lint_remark *remark = notes->lists[i].origin == LIST_BUILT_IN ? lint_first_remark(notes, list) : NULL;
        const struct rule *rule = remark ? lint_allowing_rule(lint, list) : NULL;
        if (rule == NULL)
            continue;
        snprintf(what, sizeof(what), "@%.40s: %.200s %s", list->name, remark->pattern, remark->what);
        lint_warn(lint, rule->at, "rule", rule->name, "to", what);
    }
}

static void lint_shadowed(const struct lint *lint)
{
    const struct policy *policy = lint->config->policy;
    size_t count = policy_rule_count(policy), steps = LINT_SHADOW_STEPS;
    char what[512];
    for (size_t later = 1; later < count; later++) {
        for (size_t earlier = 0; earlier < later && steps > 0; earlier++) {
            const struct rule *first = policy_rule_at(policy, earlier), *second = policy_rule_at(policy, later);
            if (!lint_shadow(lint->config->notes, first, second, &steps))
                continue;
            snprintf(what, sizeof(what), "never decides: [rule %.40s] at %.400s matches all of it before", first->name, first->at);
            lint_warn(lint, second->at, "rule", second->name, NULL, what);
            break;
        }
    }
}

static bool lint_some_rule_is_for_all(const struct policy *policy)
{
    for (size_t i = 0; i < policy_rule_count(policy); i++) {
        if (policy_rule_at(policy, i)->group_count == 0)
            return true;
    }
    return false;
}

/* A rule without `from` is for every group; and a group may be there only to bound what its clients move, whatever lets them out. */
static void lint_unused_groups(const struct lint *lint)
{
    const struct policy *policy = lint->config->policy;
    if (lint_some_rule_is_for_all(policy))
        return;
    for (size_t i = 0; i < policy_group_count(policy); i++) {
        const struct group *group = policy_group_at(policy, i);
        if (!group->used && !group_has_quota(group))
            lint_warn(lint, group->at, "clients", group->name, NULL, "no rule names this group");
    }
}

static void lint_unused_lists(const struct lint *lint)
{
    const struct lint_notes *notes = lint->config->notes;
    for (size_t i = 0; i < notes->list_count; i++) {
        const struct host_list *list = notes->lists[i].list;
        if (notes->lists[i].origin == LIST_OF_USER && !list->used)
            lint_warn(lint, list->at, "hosts", list->name, NULL, "no rule names this list");
    }
}

static void lint_unpinned(const struct lint *lint, const struct route *route)
{
    if (route->source_count == 0)
        lint_warn(lint, route->at, "route", route->name, "source", "not pinned: connections leave from whichever address the kernel picks");
}

static void lint_sources(const struct lint *lint, const struct route *route)
{
    const struct source *first = NULL;
    size_t missing = 0;
    char what[256], text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < route->source_count; i++) {
        if (local_addresses_has(&lint->local, &route->sources[i].local))
            continue;
        first = first ? first : &route->sources[i];
        missing++;
    }
    if (first == NULL)
        return;
    address_text(&first->local, text);
    if (missing == 1)
        snprintf(what, sizeof(what), "this host does not have %s", text);
    else
        snprintf(what, sizeof(what), "this host does not have %s and %zu more of %zu", text, missing - 1, route->source_count);
    lint_warn(lint, route->at, "route", route->name, "source", what);
}

/* What `exeat ranges --format buildkite` would print: IPv4, and nothing that means something to its owner only. */
static void lint_public_range(const struct lint *lint, const struct route *route)
{
    struct network *networks = calloc(route->source_count + 1, sizeof(*networks));
    size_t count = 0;
    char what[160];
    for (size_t i = 0; networks != NULL && i < route->source_count; i++) {
        const struct network network = {.base = route->sources[i].public_ip, .prefix = 32};
        if (network.base.family == FAMILY_V4 && !network_is_private(&network))
            networks[count++] = network;
    }
    count = networks ? network_aggregate(networks, count) : 0;
    free(networks);
    if (count <= LINT_TOKEN_CIDRS)
        return;
    snprintf(what, sizeof(what), "its public range is %zu CIDRs; a Buildkite token's Allowed IP Addresses take %d", count, LINT_TOKEN_CIDRS);
    lint_warn(lint, route->at, "route", route->name, "source", what);
}

static void lint_routes(const struct lint *lint)
{
    const struct policy *policy = lint->config->policy;
    for (size_t i = 0; i < policy_route_count(policy); i++) {
        const struct route *route = policy_route_at(policy, i);
        lint_unpinned(lint, route);
        if (lint->local_known)
            lint_sources(lint, route);
        lint_public_range(lint, route);
    }
}

static void lint_port_0(const struct lint *lint, const struct listener *listener)
{
    for (size_t i = 0; i < listener->address_count; i++) {
        if (listener->addresses[i].port != 0)
            continue;
        lint_warn(lint, listener->at, "listen", listener->name, "address", "port 0 is another one at each start, and netfilter's rules must name it");
        return;
    }
}

/* Its own connections are the ones that REDIRECT does bring to loopback. */
static bool lint_host_is_client(const struct lint *lint)
{
    for (size_t i = 0; i < lint->local.count; i++) {
        if (policy_group_of(lint->config->policy, &lint->local.addresses[i]) != NULL)
            return true;
    }
    return !lint->local_known;
}

static void lint_redirect_to_loopback(const struct lint *lint, const struct listener *listener)
{
    char what[256], text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < listener->address_count; i++) {
        const struct address *ip = &listener->addresses[i].ip;
        if (address_class_of(ip) != ADDRESS_LOOPBACK || lint_host_is_client(lint))
            continue;
        snprintf(what, sizeof(what),
                 "REDIRECT brings the network's connections to an address of the interface they come in by, never to %s; "
                 "only this host's own go there, and it is in no [clients]",
                 address_text(ip, text));
        lint_warn(lint, listener->at, "listen", listener->name, "address", what);
        return;
    }
}

static void lint_listeners(const struct lint *lint)
{
    for (size_t i = 0; i < lint->config->listener_count; i++) {
        const struct listener *listener = &lint->config->listeners[i];
        if (listener_is_transparent(listener))
            lint_port_0(lint, listener);
        if (listener->mode == LISTENER_REDIRECT)
            lint_redirect_to_loopback(lint, listener);
    }
}

static void lint_expiry_text(char *what, size_t size, uint64_t last, uint64_t today)
{
    if (last == today)
        snprintf(what, size, "its last day is today, then what it matches is denied");
    else if (last > today)
        snprintf(what, size, "its last day is in %" PRIu64 " day%s, then what it matches is denied", last - today, last - today == 1 ? "" : "s");
    else if (last + 1 == today)
        snprintf(what, size, "its last day was yesterday: what it matches is denied");
    else
        snprintf(what, size, "its last day was %" PRIu64 " days ago: what it matches is denied", today - last);
}

static void lint_expiry(const struct lint *lint)
{
    char what[128];
    for (size_t i = 0; i < policy_rule_count(lint->config->policy); i++) {
        const struct rule *rule = policy_rule_at(lint->config->policy, i);
        if (rule->expires_day == 0 || rule->expires_day > (uint64_t)lint->today + LINT_EXPIRY_DAYS)
            continue;
        lint_expiry_text(what, sizeof(what), rule->expires_day, lint->today);
        lint_warn(lint, rule->at, "rule", rule->name, "expires", what);
    }
}

void config_lint(const struct config *config, uint32_t today, struct fault_list *faults)
{
    struct lint lint = {.config = config, .today = today, .faults = faults};
    assert(config->notes != NULL);
    lint.local_known = local_addresses_read(&lint.local);
    lint_listeners(&lint);
    lint_patterns(&lint);
    lint_built_in(&lint);
    lint_shadowed(&lint);
    lint_unused_groups(&lint);
    lint_unused_lists(&lint);
    lint_routes(&lint);
    lint_expiry(&lint);
    local_addresses_fini(&lint.local);
}
