/* FILE.head, open beside the audit file and renewed in its place. */
#ifndef EXEAT_AUDIT_JOURNAL_HEAD_FILE_H
#define EXEAT_AUDIT_JOURNAL_HEAD_FILE_H

#include <stdbool.h>

#include "audit/journal_head.h"

/* Without its head a file is still written, only a cut end will not show: what goes wrong here is said in the log, and nothing else. */
struct journal_head_file {
    int fd;    /* -1: it is not open yet, or cannot be had */
    int error; /* errno of the last time it was renewed */
    bool said; /* … and that it could not be */
};

/* Opens or creates (mode 0640) that of the audit file with this path; anew when it is open, since its name may be another file's by now. */
void journal_head_file_open(struct journal_head_file *head, const char *path);
void journal_head_file_close(struct journal_head_file *head);

/* Says where the file of this path ends; `sync`: on the disk. When it was deleted it is made anew. */
void journal_head_file_renew(struct journal_head_file *head, const char *path, const struct journal_head *end, bool sync);

#endif
