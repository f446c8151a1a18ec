/* The workers as the journal process knows them: a socket each, whose turn it is to be heard, and what each must still be told. */
#ifndef EXEAT_AUDIT_JOURNAL_WORKERS_H
#define EXEAT_AUDIT_JOURNAL_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pollfd;

/* What a worker knows it is told again until it is what it should know. */
struct journal_worker {
    int fd;              /* -1: it has ended */
    uint32_t generation; /* of its server; 0: not known */
    bool dead;           /* its server is no more: what it still had sent is heard before anybody else */
    bool silent;         /* all that it could send was heard, and it is still to be told */
    uint64_t taken;      /* the last record of it that was taken; set by who takes it */
    uint64_t committed;  /* … that is on file */
    uint64_t told;       /* … that it knows to be */
    uint32_t told_epoch; /* of the last FRAME_UP it was sent */
    bool told_scarce;
    bool told_down; /* a FRAME_DOWN was sent after that */
    bool blocked;   /* its socket is full: nothing more is taken from it until it was told */
    unsigned left;  /* packets that are read from it in this turn, at most */
};

struct journal_workers {
    struct journal_worker *all;
    size_t count;
    /* private */
    struct pollfd *polls; /* one a worker, then the control */
    size_t room, turn;
    bool ceased; /* nobody can send anything more */
    uint8_t *packet;
};

/* What all of them are to know. */
struct journal_news {
    uint32_t epoch;
    int down;    /* errno of the failure that lasts; 0: up */
    bool scarce; /* space is: denials are only to be counted */
};

/* False: out of memory; fini may be called all the same, and then closes every socket. */
bool journal_workers_init(struct journal_workers *workers);
void journal_workers_fini(struct journal_workers *workers);

/* Takes a further one in, with its socket. False, said in the log: out of memory; the socket is closed. */
bool journal_workers_admit(struct journal_workers *workers, int fd, uint32_t generation);

/* The server of this generation is no more: what it still had sent is heard before anything of others. */
void journal_workers_end(struct journal_workers *workers, uint32_t generation);

/* Whether one of it was not heard to the end yet. */
bool journal_workers_has_dead(const struct journal_workers *workers);

/* None can send anything more; what is there is still heard, and they are still told. */
void journal_workers_cease(struct journal_workers *workers);

/* … whether there is anything left to hear. */
bool journal_workers_are_silent(const struct journal_workers *workers);

/* Hangs up on one that is not to be listened to any more. */
void journal_worker_close(struct journal_worker *worker);

bool journal_workers_has_any(const struct journal_workers *workers);

/* Waits until there is something to do for a worker, or on `control` (-1: none); -1 ms: for good. False: for nothing. */
bool journal_workers_wait(struct journal_workers *workers, int control, int timeout_ms, bool *on_control);

/* The next packet of what has come, one from each in turn and so many of each at most: a busy one keeps neither the others nor the file waiting. It
 * is valid until the next call; when `len` is more than JOURNAL_PACKET_MAX, only so much of it is there. NULL: that was all. */
struct journal_worker *journal_workers_next(struct journal_workers *workers, const uint8_t **packet, size_t *len);

/* All that was taken is on file. */
void journal_workers_commit(struct journal_workers *workers);

/* Tells each what it does not know yet; never waits. */
void journal_workers_tell(struct journal_workers *workers, const struct journal_news *news);

/* The last that each is told: another journal process is about to come, for which it may wait so long. */
void journal_workers_hand_over(struct journal_workers *workers, uint32_t ms);

#endif
