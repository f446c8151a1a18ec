/* One worker: a thread with its own event loop, listeners, resolver, journal queue and sessions; nothing here is shared but what `shared` says. */
#ifndef EXEAT_PROXY_WORKER_H
#define EXEAT_PROXY_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "audit/journal_queue.h"
#include "config/config.h"
#include "host/sandbox.h"
#include "proxy/budget.h"
#include "proxy/loop.h"
#include "proxy/pipe_pool.h"
#include "proxy/setup_pool.h"

struct client_shares;
struct denials;
struct edition;
struct event;
struct listening;
struct mailbox;
struct own_address;
struct quotas;
struct refusals;
struct resolver;
struct session;
struct slab;
struct survey;
struct tally;

/* What the workers of one server share: each part is safe to use from any of them. */
struct shared {
    struct denials *denials;
    struct client_shares *client_shares;
    struct quotas *quotas;
    struct refusals *refusals;
    struct probe_table *probes;
    atomic_size_t sessions; /* on all workers */
    atomic_size_t sessions_max;
    atomic_size_t strangers_max;   /* of them all clients together that are in no group */
    atomic_size_t cut;             /* tunnels that were ended by a stop or a drain, on all workers */
    unsigned mark;                 /* of this generation, in the ids of its sessions */
    atomic_uint others;            /* servers of other generations that go on when this one has stopped */
    struct budget lingers;         /* more who were refused are hung up on at once */
    struct budget pauses;          /* more who are refused too often are told at once */
    struct budget stranger_pauses; /* … of those in no group */
    struct budget tries;           /* of dials that have another one under way */
    struct pipe_budget pipes;
    char holds[SANDBOX_TEXT_MAX];                         /* what this process has given up, for the `start` record */
    void (*report)(void *arg, unsigned worker, int news); /* enum worker_news, to the main thread; never waits */
    void *report_arg;
};

/* What a worker tells the main thread. */
enum worker_news { WORKER_STARTED = 1, WORKER_LISTENS, WORKER_TOOK, WORKER_DRAINED, WORKER_DRY, WORKER_ENDED, WORKER_SURVEYED };

/* What the main thread tells a worker; `value` is nothing unless said. */
enum worker_order {
    ORDER_JOURNAL = 1, /* value: the descriptor of a socket of a new journal process */
    ORDER_BEGIN,       /* write the `start` record; WORKER_STARTED when it is on file, or cannot be for now */
    ORDER_LISTEN,      /* start accepting, when the journal can be told of it; WORKER_LISTENS */
    ORDER_EDITION,     /* value: the edition to serve by from here on, with a reference; WORKER_TOOK. What is open is judged again, a few at a time */
    ORDER_REVIEW,      /* another day: judge again what is open */
    ORDER_RECORD,      /* value: the detail of a `reload` record, malloc'd, its own from here on */
    ORDER_DRAIN,       /* stop accepting, open no tunnel for who still comes; WORKER_DRAINED when the last session is over and all is on file */
    ORDER_RETIRE,      /* stop accepting, go on with all that is open, however long it lasts; WORKER_DRAINED likewise */
    ORDER_STOP,        /* stop accepting, end every session; WORKER_DRY when none is left and all is on file, or after a while */
    ORDER_SURVEY,      /* by worker_ask() */
    ORDER_END,         /* write the `stop` record if this worker began, leave the loop; WORKER_ENDED */
};

enum worker_phase {
    PHASE_SERVING = 0,
    PHASE_BEGINNING, /* until the `start` record is on file */
    PHASE_OPENING,   /* until its journal is up: then it listens */
    PHASE_DRAINING,  /* also of one that is retired: until the last session is over by itself, or is cut, and its record on file */
    PHASE_STOPPING,  /* until the last session is over and its record on file */
    PHASE_ENDING,    /* until the `stop` record is on file */
};

struct worker {
    unsigned number;
    struct shared *shared;
    struct config *config; /* the snapshot that new sessions are judged by; one reference */
    struct loop *loop;
    struct journal_queue *journal;
    struct resolver *resolver;
    struct own_address *own_address;
    struct ja4_cache *fingerprints; /* NULL: none */
    struct setup_pool setups;
    struct listening *listening; /* its listening sockets */
    struct session *sessions;    /* all of them, newest first */
    struct session *review_next; /* those from here on are still to be judged again; NULL: none */
    struct event *review;        /* active while there are some */
    struct session *owing;       /* over, but for want of memory their `close` is not with the journal yet */
    struct event *settle;        /* … and then it is tried again */
    struct slab *session_slab;   /* where they live */
    size_t session_count;
    struct mailbox *mailbox;
    struct tally *tally;   /* of all that is over */
    struct survey *survey; /* the last answer, the main thread's from WORKER_SURVEYED to the next ORDER_SURVEY; NULL: out of memory */
    bool began;            /* the `start` record is its own */
    bool retired, draining, stopping;
    uint64_t cut_at_ms;      /* a drain begins then to end what is open; while it drains or is retired, where it may never come */
    size_t cut_from;         /* … so many were open then; 0: that time has not come */
    bool lost;               /* it ended with records that are not on file */
    enum worker_phase phase; /* what it waits for, besides serving */
    uint64_t phase_until_ms, stop_until_ms;
    struct event *look; /* runs while it waits for something */
};

/* Takes its own reference to the configuration. NULL when out of memory. */
struct worker *worker_new(unsigned number, struct config *config, struct shared *shared);

/* Goes over to an edition of the configuration, also before it runs. Takes over the reference. */
void worker_take_edition(struct worker *worker, struct edition *edition);

/* The body of its thread; returns after ORDER_END. */
void *worker_run(void *worker);

/* Tries in a moment again what could not be recorded for want of memory. */
void worker_settle_later(struct worker *worker);

/* Whether it accepts connections, or did until it was retired. */
bool worker_is_listening(const struct worker *worker);

/* From any thread. False: out of memory, and `value` is the caller's still. */
bool worker_order(struct worker *worker, enum worker_order order, intptr_t value);

/* Asks it how it stands: WORKER_SURVEYED when the answer is in its `survey`. `wishes`: enum survey_wish. From any thread; false: out of memory. */
bool worker_ask(struct worker *worker, int wishes);

/* After its thread was joined. */
void worker_free(struct worker *worker);

#endif
