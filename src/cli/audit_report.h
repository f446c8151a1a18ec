/* What `exeat audit report` was asked, and how its answer is printed. */
#ifndef EXEAT_CLI_AUDIT_REPORT_H
#define EXEAT_CLI_AUDIT_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/audit_report.h"

struct report_request {
    struct audit_report report;
    uint64_t top; /* rows of a table to be printed; 0: all */
    uint64_t unread;
    bool is_json;
    bool failed; /* out of memory */
};

/* Each writes the whole answer to standard output, from a report that is sorted. False: out of memory. */
bool report_print_text(const struct report_request *request);
bool report_print_json(const struct report_request *request);

#endif
