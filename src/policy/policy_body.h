/* What a policy is made of, for the files that build it, decide by it and explain it; nobody else includes this. */
#ifndef EXEAT_POLICY_POLICY_BODY_H
#define EXEAT_POLICY_POLICY_BODY_H

#include "policy/host_table.h"
#include "policy/policy.h"

/* Where no tunnel ever goes. */
struct never {
    struct network network;
    uint16_t port; /* 0: any */
};

struct policy {
    struct group **groups; /* all in file order */
    size_t group_count, group_room;
    struct host_list **lists;
    size_t list_count, list_room;
    struct route **routes;
    size_t route_count, route_room;
    struct rule **rules;
    size_t rule_count, rule_room;
    struct never *nevers;
    size_t never_count, never_room;
    struct host_table *hosts;
    const struct route *observe_route; /* mode = observe */

    /* Made by policy_seal: the rules of list n, in file order, are list_rules[list_rules_at[n]] up to, not with, list_rules[list_rules_at[n + 1]]. */
    bool sealed;
    size_t *list_rules_at;
    const struct rule **list_rules;
    const struct host_list **network_lists; /* the lists that hold a network at all */
    size_t network_list_count;
    const struct group **bounded; /* the groups that have a quota */
    size_t bounded_count;
};

/* The first rule in file order whose from, to and port match, or NULL. */
const struct rule *policy_match(const struct policy *policy, const struct question *question);

/* Calls found(arg, list number) for each list that covers the host; stops when it returns false. */
void policy_find_lists(const struct policy *policy, const struct host *host, bool (*found)(void *arg, uint32_t list), void *arg);

bool rule_has_client(const struct rule *rule, const struct address *client);
bool rule_has_port(const struct rule *rule, uint16_t port);
bool rule_has_expired(const struct rule *rule, uint32_t today);

#endif
