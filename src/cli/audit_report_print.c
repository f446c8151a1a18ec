/* How the answer of `exeat audit report` is printed, for a person or for a script. */
#include "cli/audit_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/table.h"

#define REPORT_NUMBER_MAX 21

/* What a table is called, and what its names are. */
struct report_table {
    const char *title;       /* also the key in JSON */
    const char *name, *more; /* NULL: has none */
    const char *name_head, *more_head;
};

static const struct report_table REPORT_BY[AUDIT_BY_COUNT] = {
    [AUDIT_BY_CLIENT] = {"clients", "client_ip", "client_group", "CLIENT", "GROUP"},
    [AUDIT_BY_HOST] = {"hosts", "host", NULL, "HOST", NULL},
    [AUDIT_BY_RULE] = {"rules", "rule", NULL, "RULE", NULL},
    [AUDIT_BY_ROUTE] = {"routes", "route", NULL, "ROUTE", NULL},
};

static size_t report_shown(const struct report_request *request, const struct audit_table *table)
{
    return request->top > 0 && request->top < table->count ? (size_t)request->top : table->count;
}

static const char *report_number(uint64_t number, char buf[REPORT_NUMBER_MAX])
{
    snprintf(buf, REPORT_NUMBER_MAX, "%" PRIu64, number);
    return buf;
}

/* Names stand as in the records: printable, and escaped where they were not. */
static const char *report_name(const struct audit_row *row, const char *name)
{
    return row->is_rest ? "(others)" : name != NULL ? name : "-";
}

static void report_text_by_row(struct table *out, const struct report_table *what, const struct audit_row *row)
{
    char allow[REPORT_NUMBER_MAX], deny[REPORT_NUMBER_MAX], observe[REPORT_NUMBER_MAX], up[REPORT_NUMBER_MAX], down[REPORT_NUMBER_MAX];
    const char *cells[] = {report_name(row, row->name),
                           report_name(row, row->more),
                           report_number(row->decisions[VERDICT_ALLOW], allow),
                           report_number(row->decisions[VERDICT_DENY], deny),
                           report_number(row->decisions[VERDICT_OBSERVE], observe),
                           report_number(row->bytes_up, up),
                           report_number(row->bytes_down, down)};
    if (what->more == NULL)
        cells[1] = cells[0];
    table_row(out, what->more == NULL ? cells + 1 : cells);
}

/* Ends a table: its title, how much of it is shown, its rows, an empty line. */
static bool report_text_end(struct table *out, const char *title, size_t shown, size_t count)
{
    printf("\n%s", title);
    if (shown < count)
        printf(" (%zu of %zu)", shown, count);
    putchar('\n');
    bool printed = table_print(out, stdout);
    table_fini(out);
    return printed;
}

static bool report_text_by(const struct report_request *request, enum audit_by by)
{
    const struct audit_table *table = &request->report.by[by];
    const struct report_table *what = &REPORT_BY[by];
    const char *heads[] = {what->name_head, what->more_head, "ALLOW", "DENY", "OBSERVE", "UP", "DOWN"};
    const size_t shown = report_shown(request, table);
    struct table out;
    if (what->more == NULL)
        heads[1] = heads[0];
    table_init(&out, what->more == NULL ? 6 : 7);
    table_row(&out, what->more == NULL ? heads + 1 : heads);
    for (size_t i = 0; i < shown; i++)
        report_text_by_row(&out, what, table->rows[i]);
    return report_text_end(&out, what->title, shown, table->count);
}

static bool report_text_denials(const struct report_request *request, const struct audit_table *table, const char *title)
{
    const size_t shown = report_shown(request, table);
    struct table out;
    if (table->count == 0)
        return true;
    table_init(&out, 5);
    table_row(&out, (const char *[]){"HOST", "REASON", "COUNT", "FIRST", "LAST"});
    for (size_t i = 0; i < shown; i++) {
        const struct audit_row *row = table->rows[i];
        char count[REPORT_NUMBER_MAX];
        report_number(row->decisions[VERDICT_DENY], count);
        table_row(&out, (const char *[]){report_name(row, row->name), report_name(row, row->more), count, row->first, row->last});
    }
    return report_text_end(&out, title, shown, table->count);
}

static const char *report_class(size_t class)
{
    return class == CLASS_NONE ? "unknown" : reason_class_text((enum reason_class) class);
}

static bool report_text_faults(const struct report_request *request)
{
    bool good = true;
    for (size_t class = CLASS_NONE; class <= CLASS_CAPACITY; class ++) {
        char title[64];
        snprintf(title, sizeof(title), "refused, class %s", report_class(class));
        good = report_text_denials(request, &request->report.faults[class], title) && good;
    }
    return good;
}

static void report_text_totals(const struct audit_report *report)
{
    printf("records    %" PRIu64, report->records);
    if (report->records > 0)
        printf(", from %s to %s", report->first, report->last);
    printf("\ndecisions  %" PRIu64 " allow, %" PRIu64 " deny, %" PRIu64 " observe\n", report->decisions[VERDICT_ALLOW],
           report->decisions[VERDICT_DENY], report->decisions[VERDICT_OBSERVE]);
    printf("closes     %" PRIu64 "\n", report->events[EVENT_CLOSE]);
    printf("bytes      %" PRIu64 " up, %" PRIu64 " down\n", report->bytes_up, report->bytes_down);
    if (report->events[EVENT_GAP] > 0)
        printf("gaps       %" PRIu64 " records of what could not be recorded\n", report->events[EVENT_GAP]);
    if (report->events[EVENT_RECOVERED] > 0)
        printf("recovered  %" PRIu64 " records of an unclean end\n", report->events[EVENT_RECOVERED]);
}

bool report_print_text(const struct report_request *request)
{
    bool good = true;
    report_text_totals(&request->report);
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        if (request->report.is_by[i])
            good = report_text_by(request, (enum audit_by)i) && good;
    good = report_text_denials(request, &request->report.denied, "denied by policy") && good;
    return report_text_faults(request) && good;
}

/* A name stands escaped in the records, and so it does here. */
static void report_json_name(const char *key, const char *name)
{
    if (name != NULL)
        printf("\"%s\":\"%s\"", key, name);
    else
        printf("\"%s\":null", key);
}

static void report_json_by_row(const struct report_table *what, const struct audit_row *row)
{
    putchar('{');
    report_json_name(what->name, row->name);
    if (what->more != NULL) {
        putchar(',');
        report_json_name(what->more, row->more);
    }
    printf(",\"allow\":%" PRIu64 ",\"deny\":%" PRIu64 ",\"observe\":%" PRIu64 ",\"closes\":%" PRIu64 ",\"bytes_up\":%" PRIu64
           ",\"bytes_down\":%" PRIu64 ",\"first\":\"%s\",\"last\":\"%s\"%s}",
           row->decisions[VERDICT_ALLOW], row->decisions[VERDICT_DENY], row->decisions[VERDICT_OBSERVE], row->closes, row->bytes_up, row->bytes_down,
           row->first, row->last, row->is_rest ? ",\"others\":true" : "");
}

static void report_json_by(const struct report_request *request, enum audit_by by)
{
    const struct audit_table *table = &request->report.by[by];
    printf(",\"%s\":[", REPORT_BY[by].title);
    for (size_t i = 0; i < report_shown(request, table); i++) {
        if (i > 0)
            putchar(',');
        report_json_by_row(&REPORT_BY[by], table->rows[i]);
    }
    putchar(']');
}

/* `separator` stands before the first row. */
static bool report_json_denials(const struct report_request *request, const struct audit_table *table, const char *class, const char *separator)
{
    for (size_t i = 0; i < report_shown(request, table); i++) {
        const struct audit_row *row = table->rows[i];
        printf("%s{", separator);
        if (class != NULL)
            printf("\"class\":\"%s\",", class);
        report_json_name("host", row->name);
        putchar(',');
        report_json_name("reason", row->more);
        printf(",\"count\":%" PRIu64 ",\"first\":\"%s\",\"last\":\"%s\"%s}", row->decisions[VERDICT_DENY], row->first, row->last,
               row->is_rest ? ",\"others\":true" : "");
        separator = ",";
    }
    return table->count > 0;
}

static void report_json_faults(const struct report_request *request)
{
    const char *separator = "";
    fputs(",\"faults\":[", stdout);
    for (size_t class = CLASS_NONE; class <= CLASS_CAPACITY; class ++)
        if (report_json_denials(request, &request->report.faults[class], report_class(class), separator))
            separator = ",";
    putchar(']');
}

bool report_print_json(const struct report_request *request)
{
    const struct audit_report *report = &request->report;
    printf("{\"records\":%" PRIu64 ",\"decisions\":{\"allow\":%" PRIu64 ",\"deny\":%" PRIu64 ",\"observe\":%" PRIu64 "},\"closes\":%" PRIu64
           ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64 ",\"denied\":[",
           report->records, report->decisions[VERDICT_ALLOW], report->decisions[VERDICT_DENY], report->decisions[VERDICT_OBSERVE],
           report->events[EVENT_CLOSE], report->bytes_up, report->bytes_down);
    report_json_denials(request, &report->denied, NULL, "");
    putchar(']');
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        if (report->is_by[i])
            report_json_by(request, (enum audit_by)i);
    report_json_faults(request);
    printf(",\"gaps\":%" PRIu64 ",\"recovered\":%" PRIu64 ",\"unread\":%" PRIu64 "}\n", report->events[EVENT_GAP], report->events[EVENT_RECOVERED],
           request->unread);
    return true;
}
