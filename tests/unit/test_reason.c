/* The table of reasons, held against what the agents' retry code and the audit record need of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "policy/reason.h"

/* The Buildkite agent tries again when an error ends in one of these (its api/retryable.go). */
static const char *const RETRIED[] = {
    "connection refused", "connection reset by peer", "connection timed out", "no such host",
    "remote error: handshake failure", "unexpected EOF", "EOF", "http2: client connection lost",
};

static bool is_retried(const char *phrase)
{
    size_t len = strlen(phrase);
    for (size_t i = 0; i < sizeof(RETRIED) / sizeof(RETRIED[0]); i++) {
        size_t tail = strlen(RETRIED[i]);
        if (len >= tail && strcmp(phrase + len - tail, RETRIED[i]) == 0)
            return true;
    }
    return false;
}

Test(reason, gateway_failures_are_retried_and_refusals_are_not)
{
    unsigned gateways = 0, refusals = 0;
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        const struct reason_row *row = reason_row(reason);
        if (row->status >= 500) {
            gateways++;
            cr_expect(is_retried(reason_ending_text(row->ending)), "%s: %u must end in what the agent retries", row->code, row->status);
        } else if (row->status >= 400) {
            refusals++;
            cr_expect(row->ending == ENDING_NONE && !is_retried(row->sentence), "%s: the agent would hammer a refusal", row->code);
        }
    }
    cr_expect_eq(gateways, 9);
    cr_expect(refusals > 10);
}

Test(reason, every_row_is_whole_and_its_code_is_its_own)
{
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        const struct reason_row *row = reason_row(reason);
        cr_assert(row->code && row->sentence && row->proxy_error);
        cr_expect_eq(strspn(row->code, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->code), "%s", row->code);
        cr_expect((row->status >= 400) == (*row->proxy_error != '\0'), "%s: an error type (RFC 9209) with refusals and only there", row->code);
        for (unsigned other = 0; other < reason; other++)
            cr_expect_str_neq(row->code, reason_row(other)->code);
    }
}

/* As exeat-audit(5) lists them. */
Test(reason, classes_are_those_of_the_audit_record)
{
    static const struct {
        const char *class;
        const char *codes;
    } classes[] = {
        {"policy", " client_unknown default_deny rule_deny rule_expired address_literal address_forbidden not_tls sni_missing sni_invalid"
                   " sni_mismatch sni_denied ech_denied policy_revoked unknown "},
        {"client", " bad_request proxy_header method_not_allowed request_timeout request_too_large hello_timeout hello_malformed hello_too_large"
                   " client_gone denials_asked "},
        {"network", " dns_failed dns_timeout connect_failed connect_timeout route_unavailable "},
        {"capacity", " overload quota audit_unavailable draining "},
        {NULL, " rule_allow rule_observe "},
    };
    size_t seen = 0;
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        const struct reason_row *row = reason_row(reason);
        char word[64];
        snprintf(word, sizeof(word), " %s ", row->code);
        for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
            if (!strstr(classes[i].codes, word))
                continue;
            const char *class = reason_class_text(row->class);
            cr_expect(class == classes[i].class || (class && classes[i].class && !strcmp(class, classes[i].class)), "%s is %s", row->code, class);
            seen++;
        }
    }
    cr_expect_eq(seen, REASON_COUNT, "each reason stands in one class");
}

/* As the README's table of answers has them. */
Test(reason, statuses_mean_one_thing)
{
    static const struct {
        unsigned status;
        const char *codes;
    } statuses[] = {
        {400, " bad_request proxy_header "},
        {403, " client_unknown default_deny rule_deny rule_expired address_literal address_forbidden policy_revoked unknown "},
        {405, " method_not_allowed "},
        {408, " request_timeout "},
        {431, " request_too_large "},
        {502, " dns_failed connect_failed route_unavailable "},
        {503, " overload quota audit_unavailable draining "},
        {504, " dns_timeout connect_timeout "},
    };
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        const struct reason_row *row = reason_row(reason);
        char word[64];
        snprintf(word, sizeof(word), " %s ", row->code);
        for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
            cr_expect_eq(strstr(statuses[i].codes, word) != NULL, row->status == statuses[i].status, "%s and %u", row->code, statuses[i].status);
    }
}

Test(reason, what_may_pass_in_time_is_cut_without_an_alert)
{
    for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
        const struct reason_row *row = reason_row(reason);
        cr_expect_eq(row->cut == CUT_RESET, row->class == CLASS_NETWORK || row->class == CLASS_CAPACITY, "%s", row->code);
    }
}

Test(reason, only_six_can_be_relaxed)
{
    unsigned relaxed = 0;
    for (unsigned reason = 0; reason < REASON_COUNT; reason++)
        relaxed += reason_is_relaxable(reason);
    cr_expect_eq(relaxed, 6);
    cr_expect(reason_is_relaxable(REASON_DEFAULT_DENY) && reason_is_relaxable(REASON_RULE_DENY) && reason_is_relaxable(REASON_RULE_EXPIRED));
    cr_expect(reason_is_relaxable(REASON_SNI_MISMATCH) && reason_is_relaxable(REASON_SNI_DENIED) && reason_is_relaxable(REASON_ECH_DENIED));
}

Test(reason, a_zeroed_or_strange_reason_denies)
{
    cr_expect_eq(reason_row(0)->status, 403);
    cr_expect_eq(reason_row(REASON_COUNT), reason_row(REASON_UNKNOWN));
    cr_expect_eq(reason_row((enum reason)-1), reason_row(REASON_UNKNOWN));
}
