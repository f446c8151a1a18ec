/* What the records of audit files add up to: who, where, how much, and what was denied. */
#ifndef EXEAT_AUDIT_AUDIT_REPORT_H
#define EXEAT_AUDIT_AUDIT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/audit_table.h"

enum audit_by { AUDIT_BY_CLIENT = 0, AUDIT_BY_HOST, AUDIT_BY_RULE, AUDIT_BY_ROUTE, AUDIT_BY_COUNT };

struct audit_report {
    char since[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX]; /* which records count: from `since` on, before `until`; "": no bound */
    bool is_by[AUDIT_BY_COUNT];                        /* which of the tables are made */

    uint64_t records, events[EVENT_CHECKPOINT + 1];
    uint64_t decisions[AUDIT_VERDICTS];
    uint64_t bytes_up, bytes_down;
    char first[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX]; /* times; "": no record */
    struct audit_table by[AUDIT_BY_COUNT];            /* client and group; host; rule; route */
    struct audit_table denied;                        /* host and reason: by policy */
    struct audit_table faults[CLASS_CAPACITY + 1];    /* host and reason, by class: denials for which no policy is the cause */
};

/* Nothing is counted yet; which tables are made, and from when until when, is the caller's to set. */
void audit_report_init(struct audit_report *report);
void audit_report_fini(struct audit_report *report);

/* False: out of memory, the counts are worth nothing. */
bool audit_report_add(struct audit_report *report, const struct audit_record *record);

/* The most bytes first; where that says nothing, the most decisions; what was denied, by its count. No more can be added. */
void audit_report_sort(struct audit_report *report);

#endif
