/* Says that a disk or a pipe hangs while the journal process itself waits for it and can say nothing. */
#ifndef EXEAT_AUDIT_JOURNAL_WATCH_H
#define EXEAT_AUDIT_JOURNAL_WATCH_H

#include <stdbool.h>

#include "base/log_writer.h"

struct journal_watch;

/* A thread that writes one line to `log` when what began has not ended after 4 s, which is when workers cease to wait for it. `path` is the caller's.
 * NULL: it cannot be had. */
struct journal_watch *journal_watch_start(struct log_writer *log, const char *path);
void journal_watch_stop(struct journal_watch *watch);

/* Around whatever may hang. The end is true when the line was written. */
void journal_watch_begin(struct journal_watch *watch);
bool journal_watch_end(struct journal_watch *watch);

#endif
