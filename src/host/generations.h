/* The servers that live: the one that serves, one that is to follow it, and those that were followed, which go on with what they had open. */
#ifndef EXEAT_HOST_GENERATIONS_H
#define EXEAT_HOST_GENERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/channel.h"
#include "host/child.h"

/* So many may live at once: each retired one holds its memory until the last of its tunnels ends. */
#define GENERATIONS_MAX 32

enum generation_state {
    GENERATION_SERVING = 0, /* always one, which is started again when it dies */
    GENERATION_RISING,      /* it follows as soon as it is ready; one at most */
    GENERATION_RETIRED,
};

/* What was asked for through it: the last number, and the last when what is under way began. */
struct generation_wish {
    uint32_t asked, began;
};

struct generation {
    enum generation_state state;
    struct child child;
    uint32_t number; /* higher with each server that is started; 0: none was */
    bool ready;      /* this one has said so */
    bool drained;    /* … and that nothing is open any more */
    uint32_t cut;    /* tunnels, at its drain's end */
    bool *linked;    /* by worker: it has a socket to the journal that runs */
    bool answered;   /* what all were asked last; kept by host/reload and its rounds */
    struct generation_wish reload, upgrade;
};

/* The one that serves first, one that rises last. */
struct generations {
    struct generation *all[GENERATIONS_MAX];
    size_t count;
    unsigned workers;
    uint32_t last_number;
    uint64_t link_again_ms;
};

/* With one that serves, to be started. False: out of memory. */
bool generations_init(struct generations *generations, unsigned workers);
/* Hangs up on each. */
void generations_fini(struct generations *generations);

struct generation *generations_serving(const struct generations *generations);
struct generation *generations_rising(const struct generations *generations);          /* NULL: none */
struct generation *generations_find(const struct generations *generations, pid_t pid); /* NULL: none of them */

/* One more, at the end, zeroed: for the caller to say what state it is in. NULL: as many as can be are there, or there is no memory. */
struct generation *generations_add(struct generations *generations);
/* How many live beside the one that serves. */
size_t generations_others(const struct generations *generations);

/* One that is to follow. NULL: there is one, or none can be had. */
struct generation *generations_raise(struct generations *generations);
/* It serves from here on, and the one that did has retired. */
void generations_promote(struct generations *generations);
/* A rising or retired one that has ended is no more. */
void generations_forget(struct generations *generations, struct generation *generation);

/* Starts its process; the rest is for the caller to tell it. False with errno. */
bool generation_start(struct generations *generations, struct generation *generation);

/* A message to each that runs. */
void generations_tell(const struct generations *generations, enum channel_kind kind, uint32_t a);
void generations_tell_retired(const struct generations *generations, enum channel_kind kind, uint32_t a);

bool generations_any_runs(const struct generations *generations);
/* Each that runs has nothing open any more. */
bool generations_are_drained(const struct generations *generations);
uint32_t generations_cut(const struct generations *generations);

/* Says to a journal that begins which of them live. False: it does not hear it. */
bool generations_tell_journal(const struct generations *generations, const struct child *journal);

/* One socket a worker between a server and the journal, which is new or has lost some (`unlink`). */
void generations_unlink(struct generations *generations); /* all */
bool generations_want_link(const struct generations *generations, const struct child *journal);
void generations_link(struct generations *generations,
                      const struct child *journal); /* those that are not; what fails is due again at link_again_ms */

#endif
