/* The lines of the journal from the last to the first, over files that were rotated away and still stand beside the one that is written. */
#ifndef EXEAT_AUDIT_JOURNAL_REVERSE_H
#define EXEAT_AUDIT_JOURNAL_REVERSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_head.h"
#include "audit/journal_line.h"

/* Zeroed, it is closed. */
struct journal_reverse {
    const char *path; /* the caller's */
    int fd;
    char *buffer;   /* NULL: closed */
    uint64_t at;    /* where in the file the buffer begins; what comes before was not read yet */
    size_t len;     /* bytes in the buffer that were not given yet */
    uint64_t seq;   /* the line that comes next; 0: the first was given */
    uint64_t inode; /* of the file that continues beyond the beginning of this one; 0: not known */
};

/* Begins with the line with which `end` ends. False: it is not there, or there is no memory; then it is closed. */
bool journal_reverse_open(struct journal_reverse *reverse, const char *path, const struct journal_head *end);
void journal_reverse_close(struct journal_reverse *reverse);

/* Gives the next line, which lives until the next call. False: no more; reverse->seq is 0 when the first of all was given, else what came before
 * cannot be found, or is not what it should be. */
bool journal_reverse_next(struct journal_reverse *reverse, struct journal_line *line);

#endif
