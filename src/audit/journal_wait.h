/* Who waits for a record to be on file, in rings: each is in one at most, and leaves it without knowing which. */
#ifndef EXEAT_AUDIT_JOURNAL_WAIT_H
#define EXEAT_AUDIT_JOURNAL_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Told once for each wait, from the loop, whether the record is committed: see journal_queue_wait(). `done` may start, cancel and free this wait. The
 * struct is whoever's it is who waits, zeroed before its first use, and stays linked until done or cancel. */
struct journal_wait {
    void (*done)(void *arg, bool committed);
    void *arg;
    /* private */
    uint64_t number;                  /* of the record */
    struct journal_wait *next, *prev; /* NULL: it does not wait */
};

/* Harmless when it does not wait. */
void journal_wait_cancel(struct journal_wait *wait);

/* A ring is known by its head, which is none that waits. */
void journal_ring_init(struct journal_wait *ring);
void journal_ring_add(struct journal_wait *ring, struct journal_wait *wait); /* last */

/* Moves those up to a number, from the front of one ring behind the other. */
void journal_ring_move(struct journal_wait *from, struct journal_wait *to, uint64_t number);

/* Lets all of them go, and tells them; who waits anew meanwhile is not told with them. */
void journal_ring_tell(struct journal_wait *ring, bool committed);

/* The same, and tells nobody. */
void journal_ring_drop(struct journal_wait *ring);

#endif
