/* Whether an earlier rule leaves a later one nothing to decide. */
#include "config/lint_shadow.h"

#include <string.h>

#include "config/lint_pattern.h"

static bool lint_shadow_group(const struct rule *earlier, const struct group *group)
{
    for (size_t i = 0; i < earlier->group_count; i++) {
        if (earlier->groups[i] == group)
            return true;
    }
    return false;
}

/* No groups are all of them. */
static bool lint_shadow_from(const struct rule *earlier, const struct rule *later)
{
    if (earlier->group_count == 0)
        return true;
    for (size_t i = 0; i < later->group_count; i++) {
        if (!lint_shadow_group(earlier, later->groups[i]))
            return false;
    }
    return later->group_count > 0;
}

/* The last port from `first` on that the rule's ranges cover without a gap; 0: not even that one. */
static unsigned lint_shadow_reach(const struct rule *rule, unsigned first)
{
    unsigned reach = 0;
    for (size_t i = 0; i < rule->port_count; i++) {
        if (rule->ports[i].first <= first && rule->ports[i].last >= first && rule->ports[i].last > reach)
            reach = rule->ports[i].last;
    }
    return reach;
}

static bool lint_shadow_range(const struct rule *earlier, const struct port_range *range)
{
    unsigned next = range->first;
    while (next <= range->last) {
        unsigned reach = lint_shadow_reach(earlier, next);
        if (reach == 0)
            return false;
        next = reach + 1;
    }
    return true;
}

static bool lint_shadow_ports(const struct rule *earlier, const struct rule *later)
{
    for (size_t i = 0; i < later->port_count; i++) {
        if (!lint_shadow_range(earlier, &later->ports[i]))
            return false;
    }
    return true;
}

static bool lint_shadow_pattern(const struct noted_pattern *wide, const struct noted_pattern *narrow)
{
    if (wide->kind == PATTERN_NETWORK || narrow->kind == PATTERN_NETWORK)
        return wide->kind == narrow->kind && wide->network.prefix <= narrow->network.prefix && network_has(&wide->network, &narrow->network.base);
    if (wide->kind == PATTERN_EXACT)
        return narrow->kind == PATTERN_EXACT && strcmp(wide->name, narrow->name) == 0;
    return lint_is_below(narrow->name, wide->name) || (narrow->kind == PATTERN_BELOW && strcmp(wide->name, narrow->name) == 0);
}

/* Whether one step more may be taken. */
static bool lint_shadow_step(size_t *steps)
{
    *steps -= *steps > 0;
    return *steps > 0;
}

static bool lint_shadow_covers(const struct lint_notes *notes, const struct rule *earlier, const struct noted_pattern *pattern, size_t *steps)
{
    for (size_t i = 0; i < earlier->list_count; i++) {
        const struct noted_list *noted = lint_notes_find(notes, earlier->lists[i]);
        for (size_t j = 0; noted != NULL && j < noted->count && lint_shadow_step(steps); j++) {
            if (lint_shadow_pattern(&noted->patterns[j], pattern))
                return true;
        }
    }
    return false;
}

static bool lint_shadow_has_list(const struct rule *earlier, const struct host_list *list)
{
    for (size_t i = 0; i < earlier->list_count; i++) {
        if (earlier->lists[i] == list)
            return true;
    }
    return false;
}

static bool lint_shadow_list(const struct lint_notes *notes, const struct rule *earlier, const struct host_list *list, size_t *steps)
{
    if (lint_shadow_has_list(earlier, list))
        return true;
    const struct noted_list *noted = lint_notes_find(notes, list);
    if (noted == NULL || noted->incomplete || noted->count == 0)
        return false;
    for (size_t i = 0; i < noted->count; i++) {
        if (!lint_shadow_covers(notes, earlier, &noted->patterns[i], steps))
            return false;
    }
    return true;
}

bool lint_shadow(const struct lint_notes *notes, const struct rule *earlier, const struct rule *later, size_t *steps)
{
    if (!lint_shadow_step(steps) || later->list_count == 0 || !lint_shadow_from(earlier, later) || !lint_shadow_ports(earlier, later))
        return false;
    for (size_t i = 0; i < later->list_count; i++) {
        if (!lint_shadow_list(notes, earlier, later->lists[i], steps))
            return false;
    }
    return true;
}
