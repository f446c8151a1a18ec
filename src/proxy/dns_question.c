/* A question to DNS and what came back: what channel, lookups, cache and resolver hand to each other. */
#include "proxy/dns_question.h"

#include <string.h>

#include "base/hash.h"

bool dns_question_init(struct dns_question *question, uint64_t channel, enum family family, const char *name)
{
    size_t len = strlen(name);
    if (len >= sizeof(question->name))
        return false;
    memset(question, 0, sizeof(*question));
    question->channel = channel;
    question->family = (uint8_t)family;
    memcpy(question->name, name, len);
    return true;
}

/* There is no padding before the name, and it was all zeroed. */
static size_t dns_question_size(const struct dns_question *question)
{
    return offsetof(struct dns_question, name) + strlen(question->name);
}

uint64_t dns_question_hash(const struct dns_question *question, uint64_t seed)
{
    return hash_bytes(question, dns_question_size(question), seed);
}

bool dns_question_equal(const struct dns_question *a, const struct dns_question *b)
{
    return a->channel == b->channel && a->family == b->family && strcmp(a->name, b->name) == 0;
}

void dns_answer_fail(struct dns_answer *answer, enum resolve_status status, const char *detail)
{
    answer->status = status;
    answer->detail = detail;
}

void dns_answer_deny(struct dns_answer *answer, const char *detail)
{
    dns_answer_fail(answer, RESOLVE_FAILED, detail);
    answer->negative = true;
}

void dns_answer_add(struct dns_answer *answer, enum family family, const void *bytes, int ttl)
{
    if (answer->count == RESOLVED_MAX)
        return;
    struct address *address = &answer->addresses[answer->count];
    uint32_t ttl_s = ttl > 0 ? (uint32_t)ttl : 0; /* RFC 2181 8: with the highest bit set it means 0 */
    address->family = (uint8_t)family;
    memcpy(address->bytes, bytes, address_size(address));
    answer->status = RESOLVE_OK;
    if (answer->count++ == 0 || ttl_s < answer->ttl_s)
        answer->ttl_s = ttl_s;
}
