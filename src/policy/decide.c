/* A question meets the policy: by client, host and port, then by what the ClientHello said, then by each address. */
#include "policy/policy.h"

#include <assert.h>
#include <string.h>

#include "policy/address_class.h"
#include "policy/policy_body.h"

bool rule_has_client(const struct rule *rule, const struct address *client)
{
    for (size_t i = 0; i < rule->group_count; i++) {
        if (group_has_client(rule->groups[i], client))
            return true;
    }
    return rule->group_count == 0;
}

bool rule_has_port(const struct rule *rule, uint16_t port)
{
    for (size_t i = 0; i < rule->port_count; i++) {
        if (port >= rule->ports[i].first && port <= rule->ports[i].last)
            return true;
    }
    return false;
}

bool rule_has_expired(const struct rule *rule, uint32_t today)
{
    return rule->expires_day != 0 && today > rule->expires_day;
}

void policy_find_lists(const struct policy *policy, const struct host *host, bool (*found)(void *arg, uint32_t list), void *arg)
{
    if (host->kind == HOST_NAME)
        host_table_find(policy->hosts, host->name, found, arg);
    if (host->kind != HOST_ADDRESS)
        return;
    for (size_t i = 0; i < policy->network_list_count; i++) {
        const struct host_list *list = policy->network_lists[i];
        if (network_set_find(list->networks, &host->address) != NULL && !found(arg, list->number))
            return;
    }
}

struct naming {
    const struct policy *policy;
    bool found;
};

static bool naming_look(void *arg, uint32_t list)
{
    struct naming *naming = arg;
    naming->found = naming->policy->list_rules_at[list] != naming->policy->list_rules_at[list + 1];
    return !naming->found;
}

bool policy_names_host(const struct policy *policy, const struct host *host)
{
    struct naming naming = {.policy = policy};
    policy_find_lists(policy, host, naming_look, &naming);
    return naming.found;
}

struct search {
    const struct policy *policy;
    const struct question *question;
    const struct rule *best; /* the first in file order so far */
};

/* Each list that covers the host offers its rules, first ones first; one that stands behind the best so far cannot win any more. */
static bool search_list(void *arg, uint32_t list)
{
    struct search *search = arg;
    const struct policy *policy = search->policy;
    for (size_t i = policy->list_rules_at[list]; i < policy->list_rules_at[list + 1]; i++) {
        const struct rule *rule = policy->list_rules[i];
        if (search->best != NULL && rule->number >= search->best->number)
            break;
        if (rule_has_port(rule, search->question->port) && rule_has_client(rule, &search->question->client)) {
            search->best = rule;
            break;
        }
    }
    return true;
}

const struct rule *policy_match(const struct policy *policy, const struct question *question)
{
    assert(policy->sealed);
    struct search search = {.policy = policy, .question = question};
    policy_find_lists(policy, &question->host, search_list, &search);
    return search.best;
}

/* Denies, or lets out and observes where a rule or the mode says so and the reason is one that may be relaxed. */
static void verdict_refuse(struct verdict *verdict, const struct policy *policy, enum reason reason, bool by_rule)
{
    bool relaxed = reason_is_relaxable(reason) && (by_rule || policy->observe_route != NULL);
    if (relaxed && verdict->route == NULL)
        verdict->route = policy->observe_route;
    verdict->kind = relaxed && verdict->route != NULL ? VERDICT_OBSERVE : VERDICT_DENY;
    verdict->reason = reason;
}

/* What the rule itself says: rule_allow, rule_observe or why not. */
static enum reason rule_reason(const struct rule *rule, uint32_t today)
{
    if (rule->action == ACTION_DENY || rule->route == NULL)
        return REASON_RULE_DENY;
    if (rule_has_expired(rule, today))
        return REASON_RULE_EXPIRED;
    return rule->action == ACTION_OBSERVE ? REASON_RULE_OBSERVE : REASON_RULE_ALLOW;
}

static void verdict_by_rule(struct verdict *verdict, const struct policy *policy, const struct question *question)
{
    verdict->route = verdict->rule->route;
    verdict->reason = rule_reason(verdict->rule, question->today);
    if (verdict->reason == REASON_RULE_ALLOW)
        verdict->kind = VERDICT_ALLOW;
    else if (verdict->reason == REASON_RULE_OBSERVE)
        verdict->kind = VERDICT_OBSERVE;
    else if (question->host.kind == HOST_NAME) /* no mode lets an address literal out */
        verdict_refuse(verdict, policy, verdict->reason, false);
}

void policy_decide(const struct policy *policy, const struct question *question, struct verdict *verdict)
{
    memset(verdict, 0, sizeof(*verdict));
    verdict->group = policy_group_of(policy, &question->client);
    if (question->host.kind == HOST_BAD) {
        verdict->reason = REASON_BAD_REQUEST;
        return;
    }
    if (verdict->group == NULL) {
        verdict->reason = REASON_CLIENT_UNKNOWN;
        return;
    }
    verdict->rule = policy_match(policy, question);
    if (verdict->rule != NULL)
        verdict_by_rule(verdict, policy, question);
    else
        verdict_refuse(verdict, policy, question->host.kind == HOST_ADDRESS ? REASON_ADDRESS_LITERAL : REASON_DEFAULT_DENY, false);
}

enum sni_demand verdict_sni_demand(const struct verdict *verdict)
{
    return verdict->rule ? verdict->rule->sni : SNI_MATCH;
}

/* Whether the policy would allow a CONNECT to this name, from that client to that port, by the route of this verdict. */
static bool policy_allows_name(const struct policy *policy, const struct question *question, const char *name, const struct route *route)
{
    struct question other = *question;
    memset(&other.host, 0, sizeof(other.host));
    if (hostname_read(other.host.name, name, strnlen(name, HOSTNAME_SIZE)))
        other.host.kind = HOST_NAME;
    struct verdict verdict;
    policy_decide(policy, &other, &verdict);
    return verdict.kind == VERDICT_ALLOW && verdict.route == route;
}

/* How the server name sits with the demand; rule_allow when it does. */
static enum reason policy_judge_sni(const struct policy *policy, const struct question *question, const struct hello_facts *hello,
                                    const struct verdict *verdict)
{
    enum sni_demand demand = verdict_sni_demand(verdict);
    bool named = question->host.kind == HOST_NAME;
    if (demand == SNI_ANY || demand == SNI_OFF)
        return REASON_RULE_ALLOW;
    if (hello->sni == SNI_BAD)
        return REASON_SNI_INVALID;
    if (hello->sni == SNI_NONE)
        return demand == SNI_MATCH && !named ? REASON_RULE_ALLOW : REASON_SNI_MISSING;
    if (named && strcmp(hello->name, question->host.name) == 0)
        return REASON_RULE_ALLOW;
    if ((demand == SNI_ALLOWED || !named) && policy_allows_name(policy, question, hello->name, verdict->route))
        return REASON_RULE_ALLOW;
    return demand == SNI_ALLOWED ? REASON_SNI_DENIED : REASON_SNI_MISMATCH;
}

static enum ech_demand verdict_ech_demand(const struct verdict *verdict)
{
    return verdict->rule ? verdict->rule->ech : ECH_DENY;
}

void policy_judge_hello(const struct policy *policy, const struct question *question, const struct hello_facts *hello, struct verdict *verdict)
{
    if (verdict->kind == VERDICT_DENY)
        return;
    enum reason reason = policy_judge_sni(policy, question, hello, verdict);
    if (reason == REASON_RULE_ALLOW && hello->ech && verdict_ech_demand(verdict) == ECH_DENY)
        reason = REASON_ECH_DENIED;
    if (reason == REASON_RULE_ALLOW)
        return;
    const enum reason before = verdict->reason;
    verdict_refuse(verdict, policy, reason, verdict->kind == VERDICT_OBSERVE);
    if (verdict->kind == VERDICT_OBSERVE && before != REASON_RULE_ALLOW && before != REASON_RULE_OBSERVE)
        verdict->reason = before; /* enforcing, it would have been denied for that already */
}

/* Unspecified, multicast, broadcast: no host is there, or too many are, or (0.0.0.0, ::) this one is. */
static bool policy_is_nobody(const struct address *address, enum address_class class)
{
    static const struct address broadcast = {FAMILY_V4, {255, 255, 255, 255}};
    return !address_is_set(address) || address_is_any(address) || address_equal(address, &broadcast) || class == ADDRESS_MULTICAST;
}

static bool policy_is_never(const struct policy *policy, const struct address *address, uint16_t port)
{
    for (size_t i = 0; i < policy->never_count; i++) {
        const struct never *never = &policy->nevers[i];
        if ((never->port == 0 || never->port == port) && network_has(&never->network, address))
            return true;
    }
    return false;
}

bool policy_has_never_port(const struct policy *policy, uint16_t port)
{
    for (size_t i = 0; i < policy->never_count; i++)
        if (policy->nevers[i].port == port && port != 0)
            return true;
    return false;
}

/* Loopback, link-local and metadata addresses are not meant by a network that merely happens to hold them: 0.0.0.0/0, or fd00::/8. */
static bool route_lists_one(const struct route *route, const struct address *address, enum address_class class)
{
    const struct network *network = network_set_find(route->listed, address);
    if (network == NULL || !address_class_needs_listing(class))
        return network != NULL;
    return address_class_needs_listing(address_class_of(&network->base));
}

/* An IPv4 address inside an IPv6 one is where the packets would end: it must pass, too, where it is special. A mapped one is dialled as IPv4
 * itself, so no list of IPv6 networks can mean it. */
static bool route_lists(const struct route *route, const struct address *address, enum address_class class)
{
    struct address v4;
    if (class == ADDRESS_MAPPED || !route_lists_one(route, address, class))
        return false;
    if (!address_class_embedded(&v4, address))
        return true;
    const enum address_class inner = address_class_of(&v4);
    return !address_class_needs_listing(inner) || route_lists_one(route, &v4, inner);
}

bool policy_accepts(const struct policy *policy, const struct route *route, const struct endpoint *to)
{
    struct address v4;
    const enum address_class class = address_class_of(&to->ip);
    if (route == NULL || policy_is_nobody(&to->ip, class) || policy_is_never(policy, &to->ip, to->port))
        return false;
    /* What IPv6 text hides from a list of IPv4 networks, the kernel or a gateway would still find. */
    if (address_class_embedded(&v4, &to->ip) && (policy_is_nobody(&v4, address_class_of(&v4)) || policy_is_never(policy, &v4, to->port)))
        return false;
    switch (route->addresses) {
    case ADDRESSES_PUBLIC:
        return class == ADDRESS_PUBLIC;
    case ADDRESSES_LISTED:
        return route_lists(route, &to->ip, class);
    case ADDRESSES_ANY:
        return true;
    }
    return false;
}

const char *verdict_text(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_ALLOW:
        return "allow";
    case VERDICT_OBSERVE:
        return "observe";
    case VERDICT_DENY:
        break;
    }
    return "deny";
}
