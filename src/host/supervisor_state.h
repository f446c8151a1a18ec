/* What the supervisor knows: private to the files named supervisor_*. */
#ifndef EXEAT_HOST_SUPERVISOR_STATE_H
#define EXEAT_HOST_SUPERVISOR_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/departure.h"
#include "host/doors.h"
#include "host/generations.h"
#include "host/herald.h"
#include "host/privileges.h"
#include "host/reload.h"
#include "host/sandbox.h"
#include "host/state_keeper.h"
#include "host/supervisor.h"
#include "host/upgrade.h"

struct supervisor {
    const struct supervisor_settings *settings;
    struct log_writer *log;
    int signals;
    struct serving serving;
    struct reload *reload;
    struct doors doors;
    struct state_keeper state;
    struct herald herald;
    struct child journal;
    bool reopen;   /* … is still to be told to reopen its file */
    bool bereaved; /* a server has died, which a journal that dies may not have told to the end */
    struct generations generations;
    struct upgrade upgrade;
    struct privileges kept;
    char holds[SANDBOX_TEXT_MAX]; /* what this process has given up */
    bool ready;                   /* a server said so at least once */
    struct departure departure;
    uint64_t stop_last_ms; /* the server that serves is to stop, then at the latest; 0: it need not be told */
    int exit_code;
};

const struct config *supervisor_config(const struct supervisor *sup);

/* ---- before the first turn, after the last ---- */

/* All that may stand in the way of a start, said. */
bool supervisor_begin(struct supervisor *sup);
void supervisor_free(struct supervisor *sup);

/* Lines of the log are written by this thread, or by another: who watches children must not wait for whoever reads them. */
void supervisor_log_here(struct supervisor *sup, bool here);

/* Another configuration serves. */
void supervisor_reloaded(void *arg);

/* ---- children ---- */

/* Starts what is not running and may be started; whenever one of them is new, they are linked anew. */
void supervisor_start_due(struct supervisor *sup);
uint64_t supervisor_children_at_ms(const struct supervisor *sup); /* when that is due next, monotonic; UINT64_MAX: nothing is */
bool supervisor_start_server(struct supervisor *sup, struct generation *generation);

/* Looks who has ended. */
void supervisor_reap(struct supervisor *sup);
/* There is nothing to be heard of this one any more. */
void supervisor_lose_server(struct supervisor *sup, struct generation *generation);

/* Another one does, or the same anew: it hears what it is not set up with. */
void supervisor_server_serves(struct supervisor *sup);

/* ---- on the way out ---- */

/* Connections are served, or are to be again. A server that dies later has no tunnel any more for which another would be needed. */
bool supervisor_serves(const struct supervisor *sup);
/* While it stops nobody is answered any more; before that who asks hears at least a refusal. */
bool supervisor_reloads(const struct supervisor *sup);

void supervisor_ask_departure(struct supervisor *sup, enum departure_wish wish);
void supervisor_go_on_departing(struct supervisor *sup);
/* Where it drains: who has nothing open any more may have been the last. */
void supervisor_look_drained(struct supervisor *sup);

/* ---- upgrades ---- */

/* With what the program before left, when there was one. */
void supervisor_begin_upgrades(struct supervisor *sup);
void supervisor_upgrade(struct supervisor *sup);

#endif
