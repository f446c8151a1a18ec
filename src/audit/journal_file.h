/* The audit file itself: opened once, appended to in whole batches, never left with half a record. */
#ifndef EXEAT_AUDIT_JOURNAL_FILE_H
#define EXEAT_AUDIT_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_head.h"
#include "audit/journal_head_file.h"

struct journal_file {
    const char *path; /* the caller's */
    int fd;
    bool sync;               /* whatever is written is on the disk before anybody hears of it */
    bool is_stream;          /* standard output: nothing to lock, read or roll back, and no head */
    struct journal_head end; /* the last record that is on file; `seq` 0: none */
    size_t torn;             /* bytes behind the last whole batch that could not be cut off yet */
    size_t streamed;         /* is_stream: bytes of the batch in hand that are out already */
    char fault[96];          /* why it, or its successor, could not be opened */
    uint64_t measure_at_ms;  /* when to look again how much space there is, or sooner, */
    uint64_t measure_after;  /* when so many bytes more were appended */
    uint64_t look_at_ms;     /* when to look again what its path names */
    struct journal_head_file head;
    uint64_t vouched; /* bytes of it that FILE.head named when it was opened */

    /* what was found when it was opened */
    bool continues;        /* nothing is in it yet, and it goes on behind what ended elsewhere */
    size_t cut;            /* bytes of a torn record that were cut off */
    uint64_t missing_last; /* FILE.head names this seq, which comes behind the end; 0: it does not */
};

/* Opens (or creates, mode 0640) and locks the file, waiting at most 2 s for a predecessor to let go; cuts a torn last line off. The
 * end is that of its last record; of an empty file that which FILE.head names. "-" is standard output. False, said in the log: it is not a file of
 * ours, locked, or cannot be had; then nothing is open. */
bool journal_file_open(struct journal_file *file, const char *path, bool sync);
void journal_file_close(struct journal_file *file);

/* Whether its path names another file, or none, or it was deleted or cut. Looks at the path once a second at most. */
bool journal_file_has_moved(struct journal_file *file);

/* Whether less than `reserve` bytes are free for it, or than a tenth of a smaller file system; once scarce, a little more must be. Looks once a
 * second or when half of what was to spare was written: `scarce` is the answer before. */
bool journal_file_is_scarce(struct journal_file *file, uint64_t reserve, bool scarce);

/* Opens in `next` what the path names now, created when nothing is there, and locks it; the old file stays open. It may still be the same one: then
 * next->fd is -1. False, said in the log once: it cannot be had. */
bool journal_file_open_next(struct journal_file *file, struct journal_file *next);

/* Lets the old file go for what was opened; the end stays. */
void journal_file_replace(struct journal_file *file, struct journal_file *next);

/* Appends the batch whole: returns 0, or an errno and the file is as it was before. `end` says the seq and chain of its last record; on success it is
 * the file's, and FILE.head is renewed. ENOENT: it was deleted. A stream goes on where it stopped: after an errno the same batch must be given
 * again. */
int journal_file_append(struct journal_file *file, const char *bytes, size_t len, const struct journal_head *end);

#endif
