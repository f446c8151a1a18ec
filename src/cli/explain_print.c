/* How an answer of `exeat explain` is printed, for a script or for a person. */
#include "cli/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/range.h"
#include "cli/table.h"

static void explain_json_sources(const struct route *route)
{
    char buf[ADDRESS_TEXT_MAX];
    fputs(",\"sources\":[", stdout);
    for (size_t i = 0; route != NULL && i < route->source_count; i++)
        printf("%s\"%s\"", i > 0 ? "," : "", address_text(&route->sources[i].public_ip, buf));
    putchar(']');
}

static void explain_json_groups(const struct inquiry *inquiry)
{
    fputs(",\"groups\":[", stdout);
    for (size_t i = 0; i < inquiry->group_count; i++) {
        if (i > 0)
            putchar(',');
        json_put(stdout, inquiry->groups[i]);
    }
    putchar(']');
}

static void explain_json_nearest(const struct subject *subject)
{
    char text[EXPLAIN_WHY_SIZE + 256];
    if (subject->nearest != NULL)
        snprintf(text, sizeof(text), "rule %s: %s", subject->nearest->name, subject->why);
    json_put_member(stdout, "nearest", subject->nearest != NULL ? text : NULL);
}

static void explain_json_target(const struct subject *subject)
{
    const struct question *question = &subject->question;
    fputs("{\"host\":", stdout);
    json_put(stdout, question->host.kind != HOST_BAD ? question->host.name : subject->asked);
    if (question->port != 0)
        printf(",\"port\":%u", question->port);
    else
        fputs(",\"port\":null", stdout);
}

void explain_print_json(const struct inquiry *inquiry, const struct subject *subject)
{
    const struct verdict *verdict = &subject->verdict;
    explain_json_target(subject);
    json_put_member(stdout, "verdict", verdict_text(verdict->kind));
    json_put_member(stdout, "reason", reason_row(verdict->reason)->code);
    json_put_member(stdout, "rule", verdict->rule != NULL ? verdict->rule->name : NULL);
    json_put_member(stdout, "rule_at", verdict->rule != NULL ? verdict->rule->at : NULL);
    json_put_member(stdout, "route", verdict->route != NULL ? verdict->route->name : NULL);
    explain_json_sources(verdict->route);
    explain_json_groups(inquiry);
    explain_json_nearest(subject);
    puts("}");
}

static void explain_print_rule(const struct rule *rule)
{
    printf("  rule     %s at %s\n", rule->name, rule->at);
    if (rule->owner != NULL)
        printf("  owner    %s\n", rule->owner);
    if (rule->ticket != NULL)
        printf("  ticket   %s\n", rule->ticket);
    if (rule->note != NULL)
        printf("  note     %s\n", rule->note);
}

static void explain_print_route(const struct route *route)
{
    struct range range;
    printf("  route    %s at %s\n", route->name, route->at);
    if (!range_init(&range, route))
        command_no_memory();
    else if (range.count == 0)
        puts("  sources  " RANGE_UNPINNED);
    else {
        fputs("  sources  ", stdout);
        range_put(&range, FAMILY_NONE, "", " ");
        putchar('\n');
    }
    range_fini(&range);
}

/* The target as it was judged; what could not be read, with every odd byte replaced. */
static void explain_print_target(const struct subject *subject)
{
    const struct question *question = &subject->question;
    char buffer[HOSTNAME_SIZE + 8];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    if (question->host.kind == HOST_BAD)
        text_add_clean(&text, subject->asked, strlen(subject->asked), HOSTNAME_MAX);
    else if (question->host.address.family == FAMILY_V6)
        text_format(&text, "[%s]:%u", question->host.name, question->port);
    else
        text_format(&text, "%s:%u", question->host.name, question->port);
    fputs(buffer, stdout);
}

static void explain_print_verdict(const struct verdict *verdict)
{
    static const enum colour COLOURS[] = {[VERDICT_DENY] = COLOUR_BAD, [VERDICT_ALLOW] = COLOUR_GOOD, [VERDICT_OBSERVE] = COLOUR_NOTE};
    fputs(": ", stdout);
    table_colour(stdout, COLOURS[verdict->kind], verdict_text(verdict->kind));
    printf(" (%s)\n", reason_row(verdict->reason)->code);
}

static void explain_print_client(const struct inquiry *inquiry)
{
    char buf[ADDRESS_TEXT_MAX];
    printf("  client   %s in %s", address_text(&inquiry->from, buf), inquiry->group_count > 0 ? "" : "no clients group");
    for (size_t i = 0; i < inquiry->group_count; i++)
        printf("%s%s", i > 0 ? ", " : "", inquiry->groups[i]);
    putchar('\n');
}

/* Whether they are used up only the server knows. */
static void explain_print_quotas(const struct inquiry *inquiry)
{
    const struct policy *policy = inquiry->config->policy;
    char rate[NUMBER_RATE_TEXT_MAX];
    for (size_t i = 0; i < policy_bounded_count(policy); i++) {
        const struct group *group = policy_bounded_at(policy, i);
        for (int way = 0; way < QUOTA_WAYS && group_has_client(group, &inquiry->from); way++)
            if (group->quotas[way].amount > 0)
                printf("  quota    %s %s of %s\n", quota_way_text((enum quota_way)way), number_rate_text(&group->quotas[way], rate), group->name);
    }
}

void explain_print_text(const struct inquiry *inquiry, const struct subject *subject)
{
    explain_print_target(subject);
    explain_print_verdict(&subject->verdict);
    if (subject->verdict.reason == REASON_BAD_REQUEST)
        puts("  because  it is neither a host name nor an address with a port; an IPv6 address goes in brackets");
    explain_print_client(inquiry);
    explain_print_quotas(inquiry);
    if (subject->verdict.rule != NULL)
        explain_print_rule(subject->verdict.rule);
    if (subject->verdict.route != NULL)
        explain_print_route(subject->verdict.route);
    if (subject->nearest != NULL)
        printf("  nearest  rule %s at %s: %s\n", subject->nearest->name, subject->nearest->at, subject->why);
}
