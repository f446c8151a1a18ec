/* The process that alone writes the audit file: takes the workers' records, numbers them, writes them, and says what is committed. */
#ifndef EXEAT_AUDIT_JOURNAL_WRITER_H
#define EXEAT_AUDIT_JOURNAL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_generations.h"
#include "base/ed25519.h"

/* What came over the control. */
struct journal_order {
    enum journal_order_kind {
        JOURNAL_NOTHING = 0,
        JOURNAL_WORKER, /* `fd` is the socket of a further worker of the server of this `generation`; -1: it did not arrive */
        JOURNAL_ENDED,  /* the server of this `generation` is no more, in order or not; before any socket of one that takes its place */
        JOURNAL_REOPEN, /* the file was renamed: go on in a new one */
        JOURNAL_YIELD,  /* end between two batches: another process goes on, for which workers may wait `ms` */
        JOURNAL_END,    /* nothing will come any more */
    } kind;
    int fd;
    uint32_t generation; /* higher for each server that is started, from 1; 0: not known */
    uint32_t ms;
};

struct journal_writer_settings {
    const char *holds;                          /* what this process has given up: said in the log; NULL: nothing is */
    const char *instance;                       /* of the records that it makes itself */
    const char *file;                           /* "-" is standard output */
    bool unchained;                             /* records carry no chain */
    bool sync;                                  /* a batch is on the disk before its records count as committed */
    uint64_t reserve;                           /* bytes: with less free space than this denials are only counted; 0: any is enough */
    const struct ed25519_key *key;              /* signs checkpoints; NULL: there are none, as without a chain */
    uint64_t checkpoint_records, checkpoint_ms; /* how many records may be unsigned, and for how long */
    bool served;                                /* a server runs already: the journal process before this one has died, */
    bool continues;                             /* … or has ended when it was told JOURNAL_YIELD */
    bool bereaved;                              /* … and of a server that died, too, it may not have told who it left */
    const struct journal_generations *living;   /* the generations of those that run already; NULL: they are not known */
    const int *sockets;                         /* one a worker, owned from here on */
    size_t socket_count;
    int control; /* the supervisor's end: further sockets come from here, and its own end; -1: none */
    /* Called when `control` is readable, until there is nothing; never waits. NULL with control -1. */
    struct journal_order (*receive)(int control);
};

/* Runs until `control` and every socket have ended, or it was told to yield and all that it took is on file (then 0), or until it cannot go on (1).
 * Writes operator lines to standard error through a log_writer. Opens the file append-only, mode 0640, takes an exclusive lock on it (a second exeat
 * on the same file is refused: 1), cuts a torn last line off, goes on from the last `seq` and `chain`, and keeps FILE.head. What did not end in order
 * is told in a `recovered` record. Ignores SIGTERM, SIGINT and the like: to be ended at once it must be killed. */
int journal_writer_run(const struct journal_writer_settings *settings);

#endif
