/* An upgrade without a lost connection: step by step another program takes the place of the supervisor, the journal process and the server. */
#ifndef EXEAT_HOST_UPGRADE_H
#define EXEAT_HOST_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/child.h"
#include "host/generations.h"
#include "host/reload.h"

/* In this order; up to UPGRADE_DUE the old program acts, and any fault leaves everything as it is; then the new one does. */
enum upgrade_step {
    UPGRADE_NONE = 0,
    UPGRADE_SETTLING, /* a reload that is under way, or a start, ends first, and no reload begins */
    UPGRADE_TRYING,   /* the new program reads what it would be left, aside */
    UPGRADE_DUE,      /* it is to be executed */
    UPGRADE_YIELDING, /* the journal process of the old one ends, in order */
    UPGRADE_RISING,   /* the new server is being started, and will say that it is ready */
};

/* What the supervisor does for it. */
struct upgrade_hands {
    pid_t (*try)(void *arg, int *said);                      /* as successor_try() */
    bool (*start)(void *arg, struct generation *generation); /* starts its process and tells it all; false with errno */
    void (*promoted)(void *arg);                             /* another one serves */
    void *arg;
};

/* Zeroed but for the pointers and `said` of -1, none is under way. */
struct upgrade {
    enum upgrade_step step;
    struct generations *generations;
    struct reload *reload;
    struct child *journal;
    struct upgrade_hands hands;
    bool closed;       /* private: none begins any more */
    bool wanted;       /* private: asked for since the last one began */
    pid_t trial;       /* private */
    int said;          /* private: by that */
    uint64_t until_ms; /* private: its patience in this step */
};

/* Asks for one; `through` whose server, and as which number, or NULL. */
void upgrade_ask(struct upgrade *upgrade, struct generation *through, uint32_t number);

/* Somebody has asked for one since the last one began. */
bool upgrade_is_wanted(const struct upgrade *upgrade);

/* What is under way is not done; everything goes on as it is. */
void upgrade_refuse(struct upgrade *upgrade, const char *why);

/* From now on there is none: exeat is on its way out. */
void upgrade_close(struct upgrade *upgrade);

/* In the new program: it goes on from here. */
void upgrade_continue(struct upgrade *upgrade);

/* A process has ended. False: it is none of an upgrade's. */
bool upgrade_reap(struct upgrade *upgrade, pid_t pid, int status);
/* The server that rises is ready: it serves. */
void upgrade_rise(struct upgrade *upgrade);
/* … or has ended. */
void upgrade_fall(struct upgrade *upgrade);

/* Its time (monotonic ms; UINT64_MAX: nothing is waited for), and what is due then or because something has changed. */
uint64_t upgrade_at_ms(const struct upgrade *upgrade);
void upgrade_go_on(struct upgrade *upgrade);

#endif
