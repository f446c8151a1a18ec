/* Counts over audit records, a row for each name. */
#ifndef EXEAT_AUDIT_AUDIT_TABLE_H
#define EXEAT_AUDIT_AUDIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit_record.h"
#include "base/clock.h"
#include "policy/policy.h"

#define AUDIT_TABLE_MAX (1u << 20) /* rows of a table; a row takes some 200 bytes and its names */
#define AUDIT_VERDICTS (VERDICT_OBSERVE + 1)

struct audit_row {
    const char *name, *more; /* as escaped in the records; NULL: null */
    bool is_rest;            /* all that came when the table was full, and no row of their own */
    uint64_t decisions[AUDIT_VERDICTS];
    uint64_t closes, bytes_up, bytes_down;
    char first[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX]; /* times of its records */
};

/* Zeroed: empty. */
struct audit_table {
    size_t max;              /* rows; 0: AUDIT_TABLE_MAX */
    struct audit_row **rows; /* `count` of them, in the order of their coming until they are sorted */
    size_t count, room;
    struct audit_row **slots; /* private */
    size_t slot_count;
    uint64_t seed;
    struct audit_row *rest;
};

void audit_table_fini(struct audit_table *table);

/* The row of these names (a text or null each), a new one if there is none. NULL: out of memory. */
struct audit_row *audit_table_row(struct audit_table *table, const struct audit_value *name, const struct audit_value *more);

/* Sorts the rows; after this none can be had by name. */
void audit_table_sort(struct audit_table *table, int (*compare)(const struct audit_row *a, const struct audit_row *b));

#endif
