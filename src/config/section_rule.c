/* [rule NAME]: who may go where. */
#include "config/sections.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "config/lint_notes.h"
#include "config/suggestion.h"

void *rule_begin(struct loader *loader, const struct section *section)
{
    char at[PLACE_TEXT_MAX];
    loader->inline_list = NULL;
    return policy_add_rule(loader->config->policy, section->name, place_text(section->file, section->line, at));
}

static void rule_unknown_group(const struct setting *setting)
{
    char instead[SUGGESTION_ALLOWED_MAX];
    struct suggestion suggestion = {.asked = setting->text};
    const struct policy *policy = setting->loader->config->policy;
    for (size_t i = 0; i < policy_group_count(policy); i++)
        suggestion_offer(&suggestion, policy_group_at(policy, i)->name);
    setting_fault(setting, "there is no [clients %.60s]%s", setting->text, suggestion_or_allowed(&suggestion, instead));
}

void rule_set_from(const struct setting *setting)
{
    struct rule *rule = setting->target;
    struct group *group = policy_find_group(setting->loader->config->policy, setting->text);
    if (group == NULL) {
        rule_unknown_group(setting);
        return;
    }
    struct group **groups = setting_room(setting, rule->groups, rule->group_count, sizeof(struct group *));
    if (groups == NULL)
        return;
    rule->groups = groups;
    groups[rule->group_count++] = group;
    group->used = true;
    setting_fact(setting, group->name);
}

static void rule_add_list(const struct setting *setting, struct host_list *list)
{
    struct rule *rule = setting->target;
    struct host_list **lists = setting_room(setting, rule->lists, rule->list_count, sizeof(struct host_list *));
    if (lists == NULL)
        return;
    rule->lists = lists;
    lists[rule->list_count++] = list;
    list->used = true;
}

/* The list without a name that holds the patterns of this rule itself. */
static struct host_list *rule_inline_list(const struct setting *setting)
{
    struct loader *loader = setting->loader;
    const struct rule *rule = setting->target;
    if (loader->inline_list != NULL)
        return loader->inline_list;
    struct host_list *list = policy_add_list(loader->config->policy, NULL, rule->at);
    if (list == NULL || !lint_notes_add_list(loader->config->notes, list, LIST_OF_RULE)) {
        setting_no_memory(setting);
        return NULL;
    }
    rule_add_list(setting, list);
    loader->inline_list = list;
    return list;
}

static void rule_name_list(const struct setting *setting)
{
    struct host_list *list = hosts_find(setting, setting->text + 1);
    if (list == NULL)
        return;
    rule_add_list(setting, list);
    setting_fact(setting, setting->text);
}

void rule_set_to(const struct setting *setting)
{
    struct host_list *list;
    if (setting->text[0] == '@')
        rule_name_list(setting);
    else if ((list = rule_inline_list(setting)) != NULL)
        hosts_add_pattern(setting, list);
}

static bool rule_read_port(const char *text, size_t len, uint16_t *port)
{
    uint64_t number;
    if (!number_read(&number, text, len, UINT16_MAX) || number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool rule_read_ports(const struct setting *setting, struct port_range *range)
{
    const char *dash = strchr(setting->text, '-');
    size_t len = dash ? (size_t)(dash - setting->text) : setting->len;
    if (!rule_read_port(setting->text, len, &range->first))
        return false;
    range->last = range->first;
    return dash == NULL || (rule_read_port(dash + 1, setting->len - len - 1, &range->last) && range->first <= range->last);
}

void rule_set_port(const struct setting *setting)
{
    struct rule *rule = setting->target;
    struct port_range range;
    char fact[32];
    if (!rule_read_ports(setting, &range)) {
        setting_fault(setting, "\"%.100s\" is not a port; allowed: 1 to 65535, and ranges such as 8000-8010", setting->text);
        return;
    }
    struct port_range *ports = setting_room(setting, rule->ports, rule->port_count, sizeof(*ports));
    if (ports == NULL)
        return;
    rule->ports = ports;
    ports[rule->port_count++] = range;
    snprintf(fact, sizeof(fact), "%u-%u", (unsigned)range.first, (unsigned)range.last);
    setting_fact(setting, fact);
}

void rule_set_route(const struct setting *setting)
{
    struct rule *rule = setting->target;
    const struct policy *policy = setting->loader->config->policy;
    char instead[SUGGESTION_ALLOWED_MAX];
    struct suggestion suggestion = {.asked = setting->text};
    rule->route = policy_find_route(policy, setting->text);
    if (rule->route != NULL)
        return;
    for (size_t i = 0; i < policy_route_count(policy); i++)
        suggestion_offer(&suggestion, policy_route_at(policy, i)->name);
    setting_fault(setting, "there is no [route %.60s]%s", setting->text, suggestion_or_allowed(&suggestion, instead));
}

/* An action that could not be read leaves a denial behind, too: its fault is said, and more would be noise. */
static void rule_finish_denial(struct loader *loader, const struct section *section, struct rule *rule)
{
    bool meant = section_says(section, "action", "deny");
    if (meant && section_has(section, "route"))
        section_fault(loader, section, "route", "a rule with action = deny leads nowhere; take the route out");
    if (meant && rule->expires_day != 0)
        section_fault(loader, section, "expires", "a rule with action = deny does not expire; take the line out");
    rule->route = NULL;
}

/* The one route there is, or, for what is only observed, the one that observing goes by. */
static void rule_default_route(struct loader *loader, const struct section *section, struct rule *rule)
{
    struct policy *policy = loader->config->policy;
    size_t count = policy_route_count(policy);
    if (rule->action == ACTION_OBSERVE && loader->exeat.observe_route != NULL)
        rule->route = policy_find_route(policy, loader->exeat.observe_route);
    else if (count == 1)
        rule->route = policy_find_route(policy, policy_route_at(policy, 0)->name);
    else if (count == 0)
        section_fault(loader, section, "route", "is missing, and there is no [route NAME] at all");
    else
        section_fault(loader, section, "route", "is missing; required where several routes are defined");
}

static void rule_tell_digest(struct loader *loader, const struct section *section, const struct rule *rule)
{
    struct option_row place = {.section = "rule", .key = "route"};
    struct setting setting = {.loader = loader, .row = &place, .section = section, .file = section->file};
    char fact[128];
    setting_fact(&setting, rule->route ? rule->route->name : "none");
    snprintf(fact, sizeof(fact), "%u", (unsigned)rule->number);
    place.key = "number";
    setting_fact(&setting, fact);
}

void rule_finish(struct loader *loader, const struct section *section, void *target)
{
    struct rule *rule = target;
    if (rule->action == ACTION_DENY)
        rule_finish_denial(loader, section, rule);
    else if (rule->route == NULL && !section_has(section, "route"))
        rule_default_route(loader, section, rule);
    rule_tell_digest(loader, section, rule);
}
