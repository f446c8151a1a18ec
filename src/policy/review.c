/* Whether a policy that came later still lets a connection go the way that it goes. No network, no clock. */
#include "policy/review.h"

#include <string.h>

/* A host in its normal form is bare: an address that has a colon stands for one that was in brackets. */
static void review_read_host(struct host *host, const struct review_facts *facts)
{
    const bool bracketed = facts->host_len > 0 && memchr(facts->host, ':', facts->host_len) != NULL;
    memset(host, 0, sizeof(*host));
    if (facts->host != NULL)
        host_read(host, facts->host, facts->host_len, bracketed);
}

static enum review_result review_connect(const struct policy *policy, const struct review_facts *facts, struct question *question,
                                         struct verdict *verdict)
{
    review_read_host(&question->host, facts);
    policy_decide(policy, question, verdict);
    if (verdict->kind == VERDICT_DENY || verdict_sni_demand(verdict) == SNI_OFF)
        return verdict->kind == VERDICT_DENY ? REVIEW_DENIED : REVIEW_STAYS;
    if (!facts->has_hello)
        return REVIEW_UNREAD;
    policy_judge_hello(policy, question, &facts->hello, verdict);
    return verdict->kind == VERDICT_DENY ? REVIEW_DENIED : REVIEW_STAYS;
}

static enum review_result review_transparent(const struct policy *policy, const struct review_facts *facts, struct question *question,
                                             struct verdict *verdict)
{
    policy_decide_transparent(policy, question, facts->has_hello ? &facts->hello : NULL, &facts->original, verdict);
    return verdict->kind == VERDICT_DENY ? REVIEW_DENIED : REVIEW_STAYS;
}

static bool review_same_interface(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* By the name that people gave it, and on the same way out of this host. */
static bool review_same_route(const struct route *a, const struct route *b)
{
    return a != NULL && b != NULL && strcmp(a->name, b->name) == 0 && review_same_interface(a->interface, b->interface) && a->mark == b->mark;
}

/* A route without sources leaves from wherever the kernel says. */
static bool review_has_source(const struct route *route, const struct address *egress)
{
    for (size_t i = 0; i < route->source_count; i++)
        if (address_equal(&route->sources[i].local, egress))
            return true;
    return route->source_count == 0;
}

static enum review_result review_way(const struct policy *policy, const struct review_facts *facts, const struct route *route)
{
    if (!review_same_route(facts->route, route))
        return REVIEW_REROUTED;
    if (!review_has_source(route, &facts->egress))
        return REVIEW_EGRESS;
    return policy_accepts(policy, route, &facts->upstream) ? REVIEW_STAYS : REVIEW_UPSTREAM;
}

enum review_result policy_review(const struct policy *policy, const struct review_facts *facts, uint32_t today, struct verdict *verdict)
{
    struct question question = {.client = facts->client, .port = facts->port, .today = today};
    enum review_result result =
        facts->transparent ? review_transparent(policy, facts, &question, verdict) : review_connect(policy, facts, &question, verdict);
    return result == REVIEW_STAYS ? review_way(policy, facts, verdict->route) : result;
}
