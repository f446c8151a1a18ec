/* The journal's account of who is open: by the records that it writes, and by those that stood there before. */
#ifndef EXEAT_AUDIT_JOURNAL_SESSIONS_H
#define EXEAT_AUDIT_JOURNAL_SESSIONS_H

#include <stdbool.h>

#include "audit/journal_generations.h"
#include "audit/journal_gist.h"
#include "audit/journal_head.h"
#include "audit/journal_ids.h"

/* Zeroed, there was nothing before. Generations of servers go by their marks; 0 is whoever ran before and is not known, and with it ends all. */
struct journal_sessions {
    struct journal_generations running; /* they have begun and not ended */
    bool stranger;                      /* … and so has one that is not known */
    struct journal_ids open;            /* decided here, or found by looking back */
    struct journal_ids left;            /* … by one that has ended: to be named */
    bool unknown;                       /* there may be more, from longer ago than can be looked back */
    /* private */
    const char *path;
    struct journal_head past;         /* where what stood there before ends; `seq` 0: it was looked at, or there is nothing */
    struct journal_ids closed;        /* closed here, their decisions are in the past */
    struct journal_generations ended; /* none of their sessions in the past is open */
};

/* What ends with `end` in the file of this path (the caller's) and its predecessors stood there before. Only its last records are read now: if a
 * server ran then it is a stranger. */
void journal_sessions_begin(struct journal_sessions *sessions, const char *path, const struct journal_head *end);
void journal_sessions_fini(struct journal_sessions *sessions);

/* Those who ran then run still, and are these: nobody is a stranger. */
void journal_sessions_know(struct journal_sessions *sessions, const struct journal_generations *running);

/* A record of a server of this generation is written. */
void journal_sessions_note(struct journal_sessions *sessions, const struct journal_gist *gist, unsigned mark);

/* Finds who of the past is still open: reads back to the last orderly end of all, which may take a while, but at most a GB. */
void journal_sessions_look_back(struct journal_sessions *sessions);

/* A generation of which somebody is still open that does not run, after looking back; 0: there is none. */
unsigned journal_sessions_find_dead(const struct journal_sessions *sessions);

/* Whether a server of another generation runs. */
bool journal_sessions_others_run(const struct journal_sessions *sessions, unsigned mark);

/* A server died: who is open of it is `left`; all where no other runs. */
void journal_sessions_leave(struct journal_sessions *sessions, unsigned mark);

/* A server runs no more: nobody of it is open, and when it was the last the past does not matter. */
void journal_sessions_end(struct journal_sessions *sessions, unsigned mark);

#endif
