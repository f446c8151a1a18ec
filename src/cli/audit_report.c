/* `exeat audit report`: who went where, how much, and what was denied. */
#include "cli/audit_report.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "cli/audit.h"
#include "cli/audit_files.h"
#include "cli/command.h"

#define REPORT_TOP 10
#define DAY_US (UINT64_C(86400) * 1000000)

static const char REPORT_USAGE[] = "usage: exeat audit report [--since T] [--until T] [--by WHAT]... [--top N] [--json] FILE...\n"
                                   "\n"
                                   "Adds up what the records of all FILEs say: decisions, bytes by client, host, rule and route,\n"
                                   "what policy denied, and what failed for other reasons.\n"
                                   "\n"
                                   "      --since T  only records of this time and later\n"
                                   "      --until T  only records before this time; a T is 2026-11-21 (UTC), a time as in\n"
                                   "                 records, 2026-11-21T23:49:17.123456Z, or how long ago: 90m, 24h, 7d\n"
                                   "      --by WHAT  of the four tables only that by client, host, rule or route\n"
                                   "      --top N    at most N rows of each table, 0 for all; 10, and with --json all, unless given\n"
                                   "      --json     one JSON object\n"
                                   "  -h, --help     this text\n";

/* The character `before` and two digits, less than `below`. */
static bool report_take_part(const char **at, char before, unsigned below, uint64_t *part)
{
    const char *digits = *at + 1;
    if (**at != before || !isdigit((unsigned char)digits[0]) || !isdigit((unsigned char)digits[1]))
        return false;
    *part = (uint64_t)(digits[0] - '0') * 10 + (uint64_t)(digits[1] - '0');
    *at += 3;
    return *part < below;
}

/* A fraction of a second, where there is one; what is finer than a record's time is left out. */
static bool report_take_fraction(const char **at, uint64_t *us)
{
    *us = 0;
    if (**at != '.')
        return true;
    const char *digit = ++*at;
    for (uint64_t unit = 100000; isdigit((unsigned char)*digit); unit /= 10)
        *us += (uint64_t)(*digit++ - '0') * unit;
    bool some = digit > *at;
    *at = digit;
    return some;
}

/* `Z`, or how far the clock is ahead of UTC. */
static bool report_take_zone(const char **at, int64_t *ahead_us)
{
    uint64_t hour, minute;
    const char sign = **at;
    *ahead_us = 0;
    if (sign == 'Z') {
        ++*at;
        return true;
    }
    if ((sign != '+' && sign != '-') || !report_take_part(at, sign, 24, &hour) || !report_take_part(at, ':', 60, &minute))
        return false;
    *ahead_us = (int64_t)(hour * 60 + minute) * 60 * 1000000 * (sign == '+' ? 1 : -1);
    return true;
}

/* `at` behind a day, the rest of a time by RFC 3339: `T23:49:17Z`, `T23:49:17.123456+01:00`. */
static bool report_read_clock(int64_t *us, const char *at)
{
    uint64_t hour, minute, second, fraction;
    int64_t ahead_us;
    if (!report_take_part(&at, 'T', 24, &hour) || !report_take_part(&at, ':', 60, &minute) || !report_take_part(&at, ':', 60, &second) ||
        !report_take_fraction(&at, &fraction) || !report_take_zone(&at, &ahead_us) || *at != '\0')
        return false;
    *us = (int64_t)(((hour * 60 + minute) * 60 + second) * 1000000 + fraction) - ahead_us;
    return true;
}

/* A day, a time, or how long ago. */
static bool report_read_time(uint64_t *us, const char *text)
{
    uint32_t day;
    uint64_t ago_ms;
    int64_t clock_us = 0;
    const size_t len = strlen(text);
    if (number_read_duration_ms(&ago_ms, text, len)) {
        const uint64_t now = clock_wall_us();
        *us = ago_ms < now / 1000 ? now - ago_ms * 1000 : 0;
        return true;
    }
    if (len < 10 || !number_read_day(&day, text, 10) || (len > 10 && !report_read_clock(&clock_us, text + 10)))
        return false;
    const int64_t wall_us = (int64_t)(day * DAY_US) + clock_us;
    *us = wall_us > 0 ? (uint64_t)wall_us : 0;
    return true;
}

static bool report_take_time(char out[CLOCK_TEXT_MAX], const char *option, const char *text)
{
    uint64_t us;
    if (!report_read_time(&us, text)) {
        log_error("--%s: \"%s\" is no time; as in 2026-11-21, 2026-11-21T23:49:17Z or 24h", option, text);
        return false;
    }
    clock_text(us, out);
    return true;
}

static bool report_take_by(struct audit_report *report, const char *word)
{
    static const char *const WORDS[AUDIT_BY_COUNT] = {
        [AUDIT_BY_CLIENT] = "client", [AUDIT_BY_HOST] = "host", [AUDIT_BY_RULE] = "rule", [AUDIT_BY_ROUTE] = "route"};
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++) {
        if (strcmp(WORDS[i], word) == 0) {
            report->is_by[i] = true;
            return true;
        }
    }
    log_error("--by: there is no \"%s\"; it is one of client host rule route", word);
    return false;
}

static bool report_take_top(struct report_request *request, const char *word)
{
    if (number_read(&request->top, word, strlen(word), UINT64_MAX))
        return true;
    log_error("--top: \"%s\" is no number", word);
    return false;
}

enum { OPTION_SINCE = 256, OPTION_UNTIL, OPTION_BY, OPTION_TOP, OPTION_JSON };

static bool report_take_option(struct report_request *request, int option)
{
    switch (option) {
    case OPTION_SINCE:
        return report_take_time(request->report.since, "since", optarg);
    case OPTION_UNTIL:
        return report_take_time(request->report.until, "until", optarg);
    case OPTION_BY:
        return report_take_by(&request->report, optarg);
    case OPTION_TOP:
        return report_take_top(request, optarg);
    default:
        request->is_json = true;
        return true;
    }
}

/* What does not read as a record is told once, and counted. */
static bool report_on_line(void *arg, const char *path, const struct audit_input_line *line)
{
    struct report_request *request = arg;
    struct audit_record record;
    if (!line->is_torn && audit_record_read(&record, line->at, line->len)) {
        request->failed = !audit_report_add(&request->report, &record);
        return !request->failed;
    }
    if (request->unread++ == 0)
        log_warn("%s:%" PRIu64 ": this is no audit record; 'exeat audit verify' says more", path, line->number);
    return true;
}

static int report_run(struct report_request *request, char **arguments)
{
    struct audit_files files;
    bool read = audit_files_init(&files, arguments);
    const int fault = files.count == 0 ? command_misuse("audit report") : COMMAND_ERROR;
    read = read && audit_files_read(&files, report_on_line, request);
    audit_files_fini(&files);
    if (!read)
        return fault;
    audit_report_sort(&request->report);
    if (request->failed || !(request->is_json ? report_print_json(request) : report_print_text(request)))
        return command_no_memory();
    if (request->unread > 0)
        log_warn("%" PRIu64 " lines were no audit records and are not in the report", request->unread);
    return request->unread > 0 ? COMMAND_NO : COMMAND_OK;
}

/* Without --by all tables are made; without --top a person gets the first rows, a script all. */
static void report_default(struct report_request *request)
{
    bool any = false;
    for (size_t i = 0; i < AUDIT_BY_COUNT; i++)
        any = any || request->report.is_by[i];
    for (size_t i = 0; i < AUDIT_BY_COUNT && !any; i++)
        request->report.is_by[i] = true;
    if (request->top == UINT64_MAX)
        request->top = request->is_json ? 0 : REPORT_TOP;
}

int command_audit_report(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"since", required_argument, NULL, OPTION_SINCE},
        {"until", required_argument, NULL, OPTION_UNTIL},
        {"by", required_argument, NULL, OPTION_BY},
        {"top", required_argument, NULL, OPTION_TOP},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct report_request request = {.top = UINT64_MAX};
    int option;
    audit_report_init(&request.report);
    while ((option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(REPORT_USAGE);
        if (option == '?')
            return command_misuse("audit report");
        if (!report_take_option(&request, option))
            return COMMAND_ERROR;
    }
    report_default(&request);
    int status = report_run(&request, argv + optind);
    audit_report_fini(&request.report);
    return status;
}
