/* What is wrong with the first record that does not follow the one before: found out from itself, from those before, and from the rest. */
#ifndef EXEAT_AUDIT_AUDIT_DIAGNOSIS_H
#define EXEAT_AUDIT_AUDIT_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit_line.h"
#include "audit/audit_trail.h"

enum audit_damage {
    AUDIT_FOREIGN = 0, /* no record of ours */
    AUDIT_CHANGED,     /* it was written, but not like this */
    AUDIT_MISSING,     /* it was written, and is not there */
    AUDIT_INSERTED,    /* it was not written */
    AUDIT_REORDERED,   /* it was written, but not here */
    AUDIT_REPEATED,    /* it was written once */
    AUDIT_CUT,         /* something was written behind it */
};

struct audit_finding {
    enum audit_damage damage;
    struct audit_place at;
    uint64_t seq;  /* of the record that is wrong, as far as that can be told */
    char why[512]; /* a clause; may hold file names as they were given */
};

const char *audit_damage_text(enum audit_damage damage);

/* Fills a finding. */
void audit_finding_set(struct audit_finding *out, enum audit_damage damage, const struct audit_place *at, uint64_t seq, const char *why, ...)
    __attribute__((format(printf, 5, 6)));

/* A line and where it stands, as everything here takes it. */
struct audit_witness {
    struct audit_place at;
    const char *line;
    size_t len;
    bool is_torn;
    bool is_ours;
    struct audit_line read; /* of ours */
};

/* A record of which there may be another one further on. */
struct audit_again {
    bool is_seen, is_same;
    struct audit_place at;
};

/* All private. */
struct audit_diagnosis {
    struct audit_reckoner *reckoner;
    const struct audit_trail *trail;
    uint64_t expected;
    struct audit_link bad; /* its seq and chain: when it is ours */
    bool is_ours, is_torn, resembles;
    bool fits;          /* its chain follows the last record's, or what that of the last would be */
    bool forks;         /* it follows an earlier record, behind which another one stands */
    bool is_renumbered; /* with the expected seq it would follow the last record */
    bool begins;        /* it is a true seq 1 */
    bool precedes;      /* the last record, which nothing has proved, follows it */
    bool has_next, next_is_ours, next_goes_on;
    uint64_t next_seq;
    bool has_heir, heir_is_next; /* the heir: what truly follows the last record */
    struct audit_place heir;
    struct audit_again bad_again, last_again;
};

/* `trail` is what was read before, all of it good; it and the reckoner stay the caller's and must live on. `first` is the very first record when it
 * is the only one, and its own chain could not be followed; else NULL. */
void audit_diagnosis_begin(struct audit_diagnosis *diagnosis, const struct audit_witness *bad, const struct audit_trail *trail,
                           const struct audit_line *first, struct audit_reckoner *reckoner);

/* Each line behind the bad one. */
void audit_diagnosis_add(struct audit_diagnosis *diagnosis, const struct audit_witness *witness);

/* No more lines. `end` is the seq that a head calls the last one, 0 without a head. */
void audit_diagnosis_end(const struct audit_diagnosis *diagnosis, uint64_t end, struct audit_finding *out);

#endif
