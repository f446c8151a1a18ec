/* What records add up to. */
#include "audit/audit_report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/journal_line.h"

#define DAY_US (UINT64_C(86400) * 1000000)

static struct audit_report report;

static void setup(void)
{
    audit_report_init(&report);
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        report.is_by[i] = true;
}

static void teardown(void)
{
    audit_report_fini(&report);
}

TestSuite(audit_report, .init = setup, .fini = teardown);

static struct bytes bytes_of(const char *string)
{
    return (struct bytes){string, string ? strlen(string) : 0};
}

static void add(const struct record *record)
{
    static char line[RECORD_MAX + 1], buffer[RECORD_TEXT_MAX + 1];
    struct text text, out;
    struct audit_record read;
    text_init(&text, buffer, sizeof(buffer));
    cr_assert(record_write(&text, record));
    text_init(&out, line, sizeof(line));
    cr_assert(journal_line_write(&out, 1, text.at, text.len, NULL));
    cr_assert(audit_record_read(&read, line, out.len - 1));
    cr_assert(audit_report_add(&report, &read));
}

static void decide(uint64_t day, uint8_t client, const char *host, const char *verdict, const char *class, const char *reason)
{
    const struct record record = {.time_us = day * DAY_US,
                                  .event = EVENT_DECISION,
                                  .client_ip = {.family = FAMILY_V4, .bytes = {10, 0, 0, client}},
                                  .client_group = "builders",
                                  .host = bytes_of(host),
                                  .verdict = verdict,
                                  .class = class,
                                  .reason = reason,
                                  .rule = strcmp(verdict, "allow") == 0 ? "agents" : NULL,
                                  .route = strcmp(verdict, "deny") != 0 ? "nat" : NULL};
    add(&record);
}

static void finish(uint64_t day, uint8_t client, const char *host, uint64_t up, uint64_t down)
{
    const struct record record = {.time_us = day * DAY_US,
                                  .event = EVENT_CLOSE,
                                  .client_ip = {.family = FAMILY_V4, .bytes = {10, 0, 0, client}},
                                  .client_group = "builders",
                                  .host = bytes_of(host),
                                  .rule = "agents",
                                  .route = "nat",
                                  .has_close = true,
                                  .bytes_up = up,
                                  .bytes_down = down,
                                  .end = "client_eof"};
    add(&record);
}

static void expect_row(const struct audit_table *table, size_t at, const char *name, uint64_t allow, uint64_t deny, uint64_t up, uint64_t down)
{
    cr_assert_lt(at, table->count);
    const struct audit_row *row = table->rows[at];
    cr_expect(name ? row->name && strcmp(row->name, name) == 0 : !row->name, "%s where %s should be", row->name, name);
    cr_expect_eq(row->decisions[VERDICT_ALLOW], allow);
    cr_expect_eq(row->decisions[VERDICT_DENY], deny);
    cr_expect_eq(row->bytes_up, up);
    cr_expect_eq(row->bytes_down, down);
}

static void a_day_of_work(void)
{
    decide(1, 1, "a.example", "allow", NULL, "rule_allow");
    decide(1, 2, "b.example", "allow", NULL, "rule_allow");
    decide(2, 2, "evil.example", "deny", "policy", "default_deny");
    decide(3, 1, "evil.example", "deny", "policy", "default_deny");
    decide(2, 3, "evil.example", "deny", "policy", "rule_deny");
    decide(2, 3, NULL, "deny", "client", "bad_request");
    decide(2, 3, "gone.example", "deny", "network", "dns_failed");
    decide(2, 3, "a.example", "deny", "capacity", "overload");
    decide(2, 3, "c.example", "observe", "policy", "default_deny");
    finish(2, 1, "a.example", 5, 10);
    finish(2, 2, "b.example", 500, 1000);
}

Test(audit_report, sums)
{
    const struct record start = {.event = EVENT_START, .time_us = DAY_US / 2}, gap = {.event = EVENT_GAP, .time_us = 4 * DAY_US};
    a_day_of_work();
    add(&start);
    add(&gap);
    cr_expect_eq(report.records, 13);
    cr_expect_eq(report.events[EVENT_CLOSE], 2);
    cr_expect_eq(report.events[EVENT_GAP], 1);
    cr_expect_eq(report.decisions[VERDICT_ALLOW], 2);
    cr_expect_eq(report.decisions[VERDICT_DENY], 6);
    cr_expect_eq(report.decisions[VERDICT_OBSERVE], 1);
    cr_expect_eq(report.bytes_up, 505);
    cr_expect_eq(report.bytes_down, 1010);
    cr_expect_str_eq(report.first, "1970-01-01T12:00:00.000000Z");
    cr_expect_str_eq(report.last, "1970-01-05T00:00:00.000000Z");
}

Test(audit_report, tables)
{
    a_day_of_work();
    audit_report_sort(&report);
    const struct audit_table *hosts = &report.by[AUDIT_BY_HOST];
    cr_assert_eq(hosts->count, 6);
    expect_row(hosts, 0, "b.example", 1, 0, 500, 1000);
    expect_row(hosts, 1, "a.example", 1, 1, 5, 10);
    expect_row(hosts, 2, "evil.example", 0, 3, 0, 0);
    expect_row(hosts, 5, NULL, 0, 1, 0, 0);
    cr_assert_eq(report.by[AUDIT_BY_CLIENT].count, 3);
    expect_row(&report.by[AUDIT_BY_CLIENT], 0, "10.0.0.2", 1, 1, 500, 1000);
    cr_expect_str_eq(report.by[AUDIT_BY_CLIENT].rows[0]->more, "builders");
    expect_row(&report.by[AUDIT_BY_RULE], 0, "agents", 2, 0, 505, 1010);
    expect_row(&report.by[AUDIT_BY_RULE], 1, NULL, 0, 6, 0, 0);
    expect_row(&report.by[AUDIT_BY_ROUTE], 0, "nat", 2, 0, 505, 1010);
}

/* What policy denied, and apart from it what was nobody's will; what was observed was let out. */
Test(audit_report, denials)
{
    a_day_of_work();
    audit_report_sort(&report);
    cr_assert_eq(report.denied.count, 2);
    expect_row(&report.denied, 0, "evil.example", 0, 2, 0, 0);
    cr_expect_str_eq(report.denied.rows[0]->more, "default_deny");
    cr_expect_str_eq(report.denied.rows[0]->first, "1970-01-03T00:00:00.000000Z");
    cr_expect_str_eq(report.denied.rows[0]->last, "1970-01-04T00:00:00.000000Z");
    cr_expect_str_eq(report.denied.rows[1]->more, "rule_deny");
    cr_expect_eq(report.faults[CLASS_NONE].count, 0);
    expect_row(&report.faults[CLASS_CLIENT], 0, NULL, 0, 1, 0, 0);
    expect_row(&report.faults[CLASS_NETWORK], 0, "gone.example", 0, 1, 0, 0);
    expect_row(&report.faults[CLASS_CAPACITY], 0, "a.example", 0, 1, 0, 0);
}

Test(audit_report, from_since_on_and_before_until)
{
    clock_text(2 * DAY_US, report.since);
    clock_text(3 * DAY_US, report.until);
    a_day_of_work();
    cr_expect_eq(report.records, 8);
    cr_expect_eq(report.decisions[VERDICT_ALLOW], 0);
    cr_expect_eq(report.by[AUDIT_BY_CLIENT].count, 3);
    cr_expect_str_eq(report.first, "1970-01-03T00:00:00.000000Z");
    cr_expect_str_eq(report.last, report.first);
}

Test(audit_report, only_the_tables_that_are_wanted)
{
    report.is_by[AUDIT_BY_HOST] = false;
    a_day_of_work();
    cr_expect_eq(report.by[AUDIT_BY_HOST].count, 0);
    cr_expect_eq(report.by[AUDIT_BY_RULE].count, 2);
    cr_expect_eq(report.denied.count, 2);
}

static struct audit_row *row_of(struct audit_table *table, const char *name, const char *more)
{
    const struct audit_value values[] = {{.kind = name ? AUDIT_TEXT : AUDIT_NULL, .at = name, .len = name ? strlen(name) : 0},
                                         {.kind = more ? AUDIT_TEXT : AUDIT_NULL, .at = more, .len = more ? strlen(more) : 0}};
    struct audit_row *row = audit_table_row(table, &values[0], &values[1]);
    cr_assert(row != NULL);
    return row;
}

Test(audit_table, names)
{
    static const char *const names[] = {NULL, "", "a", "ab", "b"};
    struct audit_table table = {.count = 0};
    struct audit_row *rows[5][5];
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            rows[i][j] = row_of(&table, names[i], names[j]);
    cr_assert_eq(table.count, 25);
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            cr_expect_eq(row_of(&table, names[i], names[j]), rows[i][j]);
    audit_table_fini(&table);
}

Test(audit_table, many_and_then_the_rest)
{
    char name[24];
    struct audit_table table = {.max = 5000};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 6000; i++) {
            snprintf(name, sizeof(name), "h%d.example", i);
            struct audit_row *row = row_of(&table, name, NULL);
            row->closes++;
            cr_assert_eq(row->is_rest, i >= 5000);
        }
    }
    cr_assert_eq(table.count, 5001);
    cr_assert_eq(row_of(&table, "another", "one")->closes, 2000);
    cr_assert_eq(row_of(&table, "h7.example", NULL)->closes, 2);
    audit_table_fini(&table);
}
