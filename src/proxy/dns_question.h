/* A question to DNS and what came back: what channel, lookups, cache and resolver hand to each other. */
#ifndef EXEAT_PROXY_DNS_QUESTION_H
#define EXEAT_PROXY_DNS_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/hostname.h"
#include "proxy/resolver.h"

struct dns_question {
    uint64_t channel; /* the number of the channel that is asked; never used twice */
    uint8_t family;   /* enum family: A or AAAA */
    char name[HOSTNAME_SIZE];
};

struct dns_answer {
    enum resolve_status status;
    bool negative;      /* FAILED because there is no such name or no such data: this much is known, and may be kept */
    bool no_data;       /* negative, but the name is there and has other data */
    const char *detail; /* static; NULL when OK */
    uint32_t ttl_s;     /* OK: the least of the chain */
    size_t count;
    struct address addresses[RESOLVED_MAX]; /* in the order of the answer */
};

/* Clients share the cache and the questions in flight; each falls on one of so many shares, and none may have all. */
#define DNS_SHARES 256

/* False, and nothing written, when the name is longer than names are. */
bool dns_question_init(struct dns_question *question, uint64_t channel, enum family family, const char *name);

uint64_t dns_question_hash(const struct dns_question *question, uint64_t seed);
bool dns_question_equal(const struct dns_question *a, const struct dns_question *b);

/* Fill a zeroed answer. add() takes RESOLVED_MAX addresses and leaves the rest; `bytes` are 4 or 16. */
void dns_answer_fail(struct dns_answer *answer, enum resolve_status status, const char *detail);
void dns_answer_deny(struct dns_answer *answer, const char *detail); /* negative */
void dns_answer_add(struct dns_answer *answer, enum family family, const void *bytes, int ttl);

#endif
