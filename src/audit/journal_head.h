/* Where the journal's file ends, as FILE.head beside it says: so that an end that was cut off shows, and a new file knows what it continues. */
#ifndef EXEAT_AUDIT_JOURNAL_HEAD_H
#define EXEAT_AUDIT_JOURNAL_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"

#define JOURNAL_HEAD_LEN 192 /* of the line, its newline included: always the same, so that it is renewed by one write in its place */

struct journal_head {
    uint64_t seq;              /* of the last record; 0: there is none */
    char chain[CHAIN_LEN + 1]; /* its chain; "": it has none */
    uint64_t inode, size;      /* of the file it stands in, up to its end */
};

/* FILE.head, the caller's to free. NULL: out of memory. */
char *journal_head_path(const char *file);

/* Whether a path names a head, by its ending. */
bool journal_head_is_path(const char *path);

/* What the file says; false: nothing that we wrote. */
bool journal_head_read(struct journal_head *head, int fd);

/* Renews it. False with errno. */
bool journal_head_write(const struct journal_head *head, int fd);

#endif
