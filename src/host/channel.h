/* Messages between the supervisor and the processes it starts: a few words and at most one descriptor each, over a SOCK_SEQPACKET pair. */
#ifndef EXEAT_HOST_CHANNEL_H
#define EXEAT_HOST_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_TEXT_MAX 4096

/* The descriptor on which a started process finds its end. */
#define CHANNEL_CHILD_FD 3

enum channel_kind {
    CHANNEL_NONE = 0,
    CHANNEL_LISTEN, /* supervisor → server: text = the address of `--listen`, which replaces the configured listeners, now and at each reload */
    CHANNEL_CONFIG, /* supervisor → server: text = path of the configuration, fd = its bundle, a = workers, b = the number of this edition. One that
                     * comes while another serves is a reload: it is read aside, and answered with CHANNEL_LOADED */
    CHANNEL_ADDRESS, /* supervisor → server: in the edition at hand address number a belongs to listener number b; b has CHANNEL_ADDRESS_… besides */
    CHANNEL_LISTENER, /* supervisor → server: fd = a listening socket of address number a, for worker number b; not again at a reload that keeps it */
    CHANNEL_JOURNAL, /* supervisor → server: fd = a socket to the journal process, b = worker's number; again after each restart of the journal */
    CHANNEL_NAME,    /* supervisor → journal, server: text = the `instance` of their records, as at the start; a = CHANNEL_NAME_… */
    CHANNEL_SANDBOX, /* supervisor → journal: a = enum sandbox_mode */
    CHANNEL_RESERVE, /* supervisor → journal: a, b = the upper and lower half of how many bytes are kept free */
    CHANNEL_KEY,     /* supervisor → journal: fd = the file of the key that signs; a checkpoint after at most a records or b ms */
    CHANNEL_LIVING,  /* supervisor → journal: the server of generation a was started before this journal process and has not ended */
    CHANNEL_FILE,    /* supervisor → journal: text = the audit file, a = CHANNEL_FILE_…; that was all, begin */
    CHANNEL_REOPEN,  /* supervisor → journal: go on in a new file */
    CHANNEL_WORKER,  /* supervisor → journal: fd = a socket to a worker, a = the generation of its server */
    CHANNEL_ENDED, /* supervisor → journal: the server of generation a has ended, in order or not; before any CHANNEL_WORKER of one in its place */
    CHANNEL_ADMIN, /* supervisor → server: fd = a listening socket of [admin], a = enum channel_door */
    CHANNEL_PULSE, /* supervisor → server: say CHANNEL_ALIVE every a ms */
    CHANNEL_STATE, /* both ways: fd = what became of the rules so far, for the next server; what one says that was just retired goes to the one that
                      * serves, too, at once */
    CHANNEL_GO, /* supervisor → server: all said, begin as generation b; at a reload: serve by edition a from now on, answered with CHANNEL_TAKEN */
    CHANNEL_GIVEN,   /* supervisor → server: edition a has all its addresses and sockets by now; answered with CHANNEL_WHOLE */
    CHANNEL_FORGET,  /* supervisor → server: edition a is not to be served by */
    CHANNEL_RECORD,  /* supervisor → server: text = the digest of what serves then, a blank, and the detail of a `reload` record, to be written */
    CHANNEL_OUTCOME, /* supervisor → server: of all reloads asked for up to number a: b = 1 taken, 0 refused, fd = a file with the words for it */
    CHANNEL_RELOADS, /* supervisor → server: since exeat began a reloads were taken and b refused */
    CHANNEL_LEAVE,   /* supervisor → server: say that it is not ready, and go on serving */
    CHANNEL_DRAIN,   /* supervisor → server: nothing new; answered with CHANNEL_OPEN and, in the end, CHANNEL_DRAINED */
    CHANNEL_STOP,    /* supervisor → server: close everything and end; a servers of other generations live, which end later */
    CHANNEL_RETIRE, /* supervisor → server: another generation serves by the same sockets: let go of them, and go on with what is open, until it ends.
                     * Answered with CHANNEL_OPEN and, in the end, CHANNEL_DRAINED; reloads, a drain and a stop still come */
    CHANNEL_OTHERS, /* supervisor → server that serves: a further generations live; after all that those have said who live no more. Already at set-up
                      * where there are some: then one of them answers at the doors until it is said again */
    CHANNEL_YIELD, /* supervisor → journal: end between two batches; another process goes on with the file, and for a ms workers take its absence for
                     * no failure. Ends with 0 when all that it took is on file; else it is to be taken for one that died */
    CHANNEL_COLLECT, /* server that serves → supervisor → all others: what have you of text, `counts` or `counts tunnels`? a = a number,
                      * for the answers */
    CHANNEL_COLLECTED, /* server → supervisor → the one that serves: fd = a file with the answer of generation b to question a; a = 0: what it leaves
                        * behind, when it is retired, each minute from then on, and at its end */
    CHANNEL_UPGRADE,  /* server → supervisor: somebody asks for an upgrade; a = a number, higher each time */
    CHANNEL_UPGRADED, /* supervisor → server: of all upgrades asked for up to number a: b = 1 done, 0 refused, fd = a file with the words for it */
    CHANNEL_READY,    /* server → supervisor: serving */
    CHANNEL_LOADED,   /* server → supervisor: edition a is read: b = 1, or cannot be had: 0 */
    CHANNEL_WHOLE,    /* server → supervisor: of edition a everything has come: b = 1, or not, for want of descriptors: 0 */
    CHANNEL_TAKEN,    /* server → supervisor: every worker judges by edition a */
    CHANNEL_RELOAD,   /* server → supervisor: somebody asks for a reload; a = a number, higher each time */
    CHANNEL_ALIVE,    /* server → supervisor: all workers have answered; a = 1: as far as the journal is concerned they can let tunnels out */
    CHANNEL_OPEN,     /* server → supervisor: a connections are open while it drains, b were cut; once a minute */
    CHANNEL_DRAINED,  /* server → supervisor: none is open any more, and all is on file; b were cut */
    CHANNEL_UNLINKED, /* server → supervisor: the socket to the journal of worker b did not arrive, for want of descriptors */
};

enum channel_door { DOOR_ADMIN = 0, DOOR_METRICS, DOOR_COUNT }; /* `listen` and `metrics` */

#define CHANNEL_ADDRESS_INHERITED 0x80000000u /* others listen on its sockets, too, or will */

#define CHANNEL_NAME_CONTINUE 1u /* `on_failure = continue` */

#define CHANNEL_FILE_UNCHAINED 1u /* `chain = no` */
#define CHANNEL_FILE_SYNC 2u      /* `sync = batch` */
#define CHANNEL_FILE_SERVED 4u    /* a server runs already: the journal process before this one has died, */
#define CHANNEL_FILE_CONTINUES 8u /* … or has yielded, and ended with 0 */
#define CHANNEL_FILE_BEREAVED 16u /* … and a server has died in the life of one that died: it may not be on file whom that left */

struct channel_message {
    uint32_t kind; /* enum channel_kind */
    uint32_t a, b;
    int fd; /* -1: none. Sending leaves it open; received, it is the receiver's */
    char text[CHANNEL_TEXT_MAX];
};

/* Both ends close-on-exec. */
bool channel_pair(int ends[2]);

/* Sends the whole message or nothing; false with errno. Waits when the other end is slow, for two seconds at most (EAGAIN). */
bool channel_send(int end, const struct channel_message *message);

/* One with text, which is cut where it is too long. */
bool channel_say(int end, enum channel_kind kind, uint32_t a, uint32_t b, int fd, const char *text);

/* A message without text. */
bool channel_tell(int end, enum channel_kind kind, uint32_t a, uint32_t b, int fd);

/* An outcome: `b` says which, and a file has the words for it, since there may be many. */
bool channel_tell_outcome(int end, enum channel_kind kind, uint32_t a, bool done, const char *words);

/* Receives one message: 1; 0 at the end of the other side; -1 with errno (EAGAIN when told not to wait). */
int channel_receive(int end, struct channel_message *message, bool wait);

#endif
