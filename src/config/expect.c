/* Runs the [expect] sections: a policy that does not do what is written beside it is at fault. */
#include "config/config.h"

#include <stdio.h>

#include "config/target.h"

/* What policy would do if nothing were merely observed: an expectation is about the rules, also while they are tried out. */
static bool expect_is_allowed(const struct verdict *verdict)
{
    return verdict->kind == VERDICT_ALLOW || (verdict->kind == VERDICT_OBSERVE && verdict->reason == REASON_RULE_OBSERVE);
}

static void expect_decide(const struct config *config, const struct expectation *expectation, uint32_t today, const char *target,
                          struct verdict *verdict)
{
    struct question question = {.client = expectation->from, .today = today};
    *verdict = (struct verdict){0};
    if (!target_read(target, &question.host, &question.port)) {
        verdict->reason = REASON_BAD_REQUEST;
        return;
    }
    policy_decide(config->policy, &question, verdict);
    struct endpoint literal = {.ip = question.host.address, .port = question.port};
    if (verdict->kind == VERDICT_DENY || question.host.kind != HOST_ADDRESS || policy_accepts(config->policy, verdict->route, &literal))
        return;
    verdict->kind = VERDICT_DENY;
    verdict->reason = REASON_ADDRESS_FORBIDDEN;
}

static void expect_fail(struct fault_list *faults, const struct expectation *expectation, const char *key, const char *target,
                        const struct verdict *verdict)
{
    char section[64], from[ADDRESS_TEXT_MAX], rule[512] = "";
    snprintf(section, sizeof(section), "expect %.50s", expectation->name);
    if (verdict->rule != NULL)
        snprintf(rule, sizeof(rule), " by [rule %.40s] at %.400s", verdict->rule->name, verdict->rule->at);
    fault_add(faults, expectation->at, section, key, "%.300s from %s: the verdict is %s, %s%s", target, address_text(&expectation->from, from),
              verdict_text(verdict->kind), reason_row(verdict->reason)->code, rule);
}

static void expect_run(const struct config *config, const struct expectation *expectation, uint32_t today, bool allow, struct fault_list *faults)
{
    char *const *targets = allow ? expectation->allow : expectation->deny;
    size_t count = allow ? expectation->allow_count : expectation->deny_count;
    for (size_t i = 0; i < count; i++) {
        struct verdict verdict;
        expect_decide(config, expectation, today, targets[i], &verdict);
        if (expect_is_allowed(&verdict) != allow)
            expect_fail(faults, expectation, allow ? "allow" : "deny", targets[i], &verdict);
    }
}

void config_expect(const struct config *config, uint32_t today, struct fault_list *faults)
{
    for (size_t i = 0; i < config->expectation_count; i++) {
        expect_run(config, &config->expectations[i], today, true, faults);
        expect_run(config, &config->expectations[i], today, false, faults);
    }
}
