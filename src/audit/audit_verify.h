/* Follows number and chain over the lines of audit files, as they come, and finds the first record that is wrong. */
#ifndef EXEAT_AUDIT_AUDIT_VERIFY_H
#define EXEAT_AUDIT_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit_diagnosis.h"
#include "audit/audit_signature.h"
#include "audit/journal_head.h"

struct audit_verify;

/* What was read before the first wrong record. */
struct audit_facts {
    uint64_t records;
    uint64_t first, last;        /* seq; 0: there are none */
    bool begins_file;            /* the first is a `rotate`, as every file but the oldest begins */
    uint64_t bare;               /* records without a chain */
    uint64_t bare_ranges;        /* in so many places */
    uint64_t bare_from, bare_to; /* of these the first */
    bool meets_head;             /* the record that the head names was there, and is the one it means */
    struct audit_signature signature;
};

enum audit_result { AUDIT_RESULT_FAILED = 0, AUDIT_RESULT_BAD, AUDIT_RESULT_WHOLE };

/* `head` is what proves the end, or NULL; it is copied. With a keyring every checkpoint must be signed by a key on it; it stays the caller's and must
 * live on. NULL: out of memory. */
struct audit_verify *audit_verify_new(const struct journal_head *head, const struct audit_keyring *keyring);
void audit_verify_free(struct audit_verify *verify);

/* The next line, without its newline; `is_torn`: it has none. */
void audit_verify_add(struct audit_verify *verify, const struct audit_place *at, const char *line, size_t len, bool is_torn);

/* No more lines. The finding is filled for AUDIT_RESULT_BAD. FAILED: OpenSSL did, out of memory for one; nothing is known. */
enum audit_result audit_verify_end(struct audit_verify *verify, struct audit_finding *out);

const struct audit_facts *audit_verify_facts(const struct audit_verify *verify);

#endif
