/* Where in a journal's history a file belongs: the number of its first record. */
#include "audit/audit_peek.h"

#include <errno.h>
#include <string.h>

#include "audit/audit_input.h"
#include "audit/audit_line.h"

#define PEEK_LINES 100 /* among so many a record is looked for */

bool audit_peek(uint64_t *seq, const char *path, const char **why)
{
    struct audit_input_line line;
    struct audit_line record;
    enum audit_input_result result = AUDIT_INPUT_LINE;
    struct audit_input *input = audit_input_open(path);
    *seq = AUDIT_PEEK_NONE;
    if (input == NULL) {
        *why = strerror(errno);
        return false;
    }
    for (int i = 0; i < PEEK_LINES && *seq == AUDIT_PEEK_NONE && result == AUDIT_INPUT_LINE; i++) {
        result = audit_input_next(input, &line);
        if (result == AUDIT_INPUT_LINE && audit_line_read(&record, line.at, line.len))
            *seq = record.seq;
    }
    *why = audit_input_fault(input);
    audit_input_close(input);
    return result != AUDIT_INPUT_FAILED;
}
