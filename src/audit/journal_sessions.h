/* The journal's account of who is open: by the records that it writes, and by those that stood there before. */
#ifndef EXEAT_AUDIT_JOURNAL_SESSIONS_H
#define EXEAT_AUDIT_JOURNAL_SESSIONS_H

#include <stdbool.h>

#include "audit/journal_gist.h"
#include "audit/journal_head.h"
#include "audit/journal_ids.h"

/* Zeroed, there was nothing before. */
struct journal_sessions {
    bool running;            /* a server has begun and not stopped */
    struct journal_ids open; /* decided here, or found by looking back */
    bool unknown;            /* there may be more, from longer ago than can be looked back */
    /* private */
    const char *path;
    struct journal_head past;  /* where what stood there before ends; `seq` 0: it was looked at, or there is nothing */
    struct journal_ids closed; /* closed here, their decisions are in the past */
};

/* What ends with `end` in the file of this path (the caller's) and its predecessors stood there before. Only its last records are read now. */
void journal_sessions_begin(struct journal_sessions *sessions, const char *path, const struct journal_head *end);
void journal_sessions_fini(struct journal_sessions *sessions);

/* A record is written. */
void journal_sessions_note(struct journal_sessions *sessions, const struct journal_gist *gist);

/* Finds who of the past is still open: reads back to the last orderly end, which may take a while, but at most a GB. */
void journal_sessions_look_back(struct journal_sessions *sessions);

/* No server runs any more: nobody is open, and the past does not matter. */
void journal_sessions_end(struct journal_sessions *sessions);

#endif
