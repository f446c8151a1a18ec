/* Who waits for a record to be on file, in rings: each is in one at most, and leaves it without knowing which. */
#include "audit/journal_wait.h"

#include <stddef.h>

void journal_wait_cancel(struct journal_wait *wait)
{
    if (wait->next == NULL)
        return;
    wait->prev->next = wait->next;
    wait->next->prev = wait->prev;
    wait->next = wait->prev = NULL;
}

void journal_ring_init(struct journal_wait *ring)
{
    ring->next = ring->prev = ring;
}

void journal_ring_add(struct journal_wait *ring, struct journal_wait *wait)
{
    wait->prev = ring->prev;
    wait->next = ring;
    ring->prev->next = wait;
    ring->prev = wait;
}

void journal_ring_move(struct journal_wait *from, struct journal_wait *to, uint64_t number)
{
    while (from->next != from && from->next->number <= number) {
        struct journal_wait *wait = from->next;
        journal_wait_cancel(wait);
        journal_ring_add(to, wait);
    }
}

/* Empties a ring of its own first: a wait that is started anew by `done` may come into the same one. */
void journal_ring_tell(struct journal_wait *ring, bool committed)
{
    struct journal_wait told;
    journal_ring_init(&told);
    journal_ring_move(ring, &told, UINT64_MAX);
    while (told.next != &told) {
        struct journal_wait *wait = told.next;
        journal_wait_cancel(wait);
        wait->done(wait->arg, committed);
    }
}

void journal_ring_drop(struct journal_wait *ring)
{
    while (ring->next != ring)
        journal_wait_cancel(ring->next);
}
