/* What the records of audit files add up to: who, where, how much, and what was denied. */
#include "audit/audit_report.h"

#include <string.h>

static const struct audit_value NOTHING;

void audit_report_init(struct audit_report *report)
{
    *report = (struct audit_report){.records = 0};
}

void audit_report_fini(struct audit_report *report)
{
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        audit_table_fini(&report->by[i]);
    audit_table_fini(&report->denied);
    for (size_t i = 0; i <= CLASS_CAPACITY; i++)
        audit_table_fini(&report->faults[i]);
}

/* Times have one form, so that their order is that of their text. */
static bool audit_report_is_within(const struct audit_report *report, const char *time)
{
    const size_t len = CLOCK_TEXT_MAX - 1;
    return (report->since[0] == '\0' || memcmp(time, report->since, len) >= 0) && (report->until[0] == '\0' || memcmp(time, report->until, len) < 0);
}

static void audit_report_note_time(char first[CLOCK_TEXT_MAX], char last[CLOCK_TEXT_MAX], const char *time)
{
    const size_t len = CLOCK_TEXT_MAX - 1;
    if (first[0] == '\0' || memcmp(time, first, len) < 0)
        memcpy(first, time, len);
    if (last[0] == '\0' || memcmp(time, last, len) > 0)
        memcpy(last, time, len);
}

static enum verdict_kind audit_report_verdict(const struct audit_record *record)
{
    for (int kind = VERDICT_DENY; kind < AUDIT_VERDICTS; kind++)
        if (audit_value_is(&record->values[AUDIT_KEY_VERDICT], verdict_text((enum verdict_kind)kind)))
            return (enum verdict_kind)kind;
    return VERDICT_DENY;
}

static enum reason_class audit_report_class(const struct audit_record *record)
{
    for (int kind = CLASS_POLICY; kind <= CLASS_CAPACITY; kind++)
        if (audit_value_is(&record->values[AUDIT_KEY_CLASS], reason_class_text((enum reason_class)kind)))
            return (enum reason_class)kind;
    return CLASS_NONE;
}

/* A decision or a close, in the row of a name. */
static bool audit_report_count(struct audit_table *table, const struct audit_record *record, const struct audit_value *name,
                               const struct audit_value *more)
{
    struct audit_row *row = audit_table_row(table, name, more);
    if (row == NULL)
        return false;
    audit_report_note_time(row->first, row->last, record->values[AUDIT_KEY_TIME].at);
    if (record->event == EVENT_DECISION) {
        row->decisions[audit_report_verdict(record)]++;
        return true;
    }
    row->closes++;
    row->bytes_up += record->values[AUDIT_KEY_BYTES_UP].number;
    row->bytes_down += record->values[AUDIT_KEY_BYTES_DOWN].number;
    return true;
}

static bool audit_report_count_by(struct audit_report *report, const struct audit_record *record)
{
    static const enum audit_key NAMES[AUDIT_BY_COUNT] = {AUDIT_KEY_CLIENT_IP, AUDIT_KEY_HOST, AUDIT_KEY_RULE, AUDIT_KEY_ROUTE};
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++) {
        const struct audit_value *name = &record->values[NAMES[i]];
        const struct audit_value *more = i == AUDIT_BY_CLIENT ? &record->values[AUDIT_KEY_CLIENT_GROUP] : &NOTHING;
        if (report->is_by[i] && !audit_report_count(&report->by[i], record, name, more))
            return false;
    }
    return true;
}

static bool audit_report_add_decision(struct audit_report *report, const struct audit_record *record)
{
    const enum verdict_kind verdict = audit_report_verdict(record);
    const enum reason_class class = audit_report_class(record);
    struct audit_table *table = class == CLASS_POLICY ? &report->denied : &report->faults[class];
    report->decisions[verdict]++;
    return verdict != VERDICT_DENY || audit_report_count(table, record, &record->values[AUDIT_KEY_HOST], &record->values[AUDIT_KEY_REASON]);
}

bool audit_report_add(struct audit_report *report, const struct audit_record *record)
{
    const char *time = record->values[AUDIT_KEY_TIME].at;
    if (!audit_report_is_within(report, time))
        return true;
    report->records++;
    report->events[record->event]++;
    audit_report_note_time(report->first, report->last, time);
    if (record->event != EVENT_DECISION && record->event != EVENT_CLOSE)
        return true;
    report->bytes_up += record->values[AUDIT_KEY_BYTES_UP].number; /* 0 in a decision, where they are null */
    report->bytes_down += record->values[AUDIT_KEY_BYTES_DOWN].number;
    return audit_report_count_by(report, record) && (record->event == EVENT_CLOSE || audit_report_add_decision(report, record));
}

static int audit_report_compare_numbers(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b); /* the greater first */
}

static int audit_report_compare_names(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a == NULL) - (b == NULL);
    return strcmp(a, b);
}

static uint64_t audit_report_decisions(const struct audit_row *row)
{
    return row->decisions[VERDICT_ALLOW] + row->decisions[VERDICT_DENY] + row->decisions[VERDICT_OBSERVE];
}

/* Tables of denials have no bytes, so that their count decides. The row of all that found no room takes its place like any other. */
static int audit_report_compare(const struct audit_row *a, const struct audit_row *b)
{
    int order = audit_report_compare_numbers(a->bytes_up + a->bytes_down, b->bytes_up + b->bytes_down);
    if (order == 0)
        order = audit_report_compare_numbers(audit_report_decisions(a), audit_report_decisions(b));
    if (order == 0)
        order = audit_report_compare_names(a->name, b->name);
    return order != 0 ? order : audit_report_compare_names(a->more, b->more);
}

void audit_report_sort(struct audit_report *report)
{
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        audit_table_sort(&report->by[i], audit_report_compare);
    audit_table_sort(&report->denied, audit_report_compare);
    for (size_t i = 0; i <= CLASS_CAPACITY; i++)
        audit_table_sort(&report->faults[i], audit_report_compare);
}
