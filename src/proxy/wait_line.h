/* Those who all wait equally long stand in line for their turn: one timer does for all of them, and none allocates. */
#ifndef EXEAT_PROXY_WAIT_LINE_H
#define EXEAT_PROXY_WAIT_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct wait_line;

/* Embedded in who waits; zeroed before its first use. */
struct waiter {
    struct waiter *next, *prev; /* in the line; NULL: it does not wait */
    uint64_t due_ms;
};

/* `turn` runs from the loop for each who has waited so long (not 0), and may start, cancel and free anyone, the waiter too. NULL when out of
 * memory. */
struct wait_line *wait_line_new(struct loop *loop, uint64_t wait_ms, void (*turn)(struct waiter *waiter));
/* Who still waits is let go, and gets no turn. Safe on NULL. */
void wait_line_free(struct wait_line *line);

uint64_t wait_line_ms(const struct wait_line *line);

/* To the end of the line, for one turn. Not for one who waits already. */
void wait_start(struct wait_line *line, struct waiter *waiter);
/* Harmless when it does not wait. */
void wait_cancel(struct waiter *waiter);
bool wait_is_on(const struct waiter *waiter);

#endif
