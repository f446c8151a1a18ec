/* A round of a reload: all servers that live are told the same, and answer. One that has retired may be late, but must not hold up the others for good. */
#ifndef EXEAT_HOST_RELOAD_ROUND_H
#define EXEAT_HOST_RELOAD_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "host/generations.h"

/* Times are those of clock_monotonic_ms(). */
struct reload_round {
    struct generations *generations;
    uint64_t retired_patience_ms; /* which a test shortens */
    /* private, from the first round on */
    uint64_t asked_ms;
    uint64_t retired_until_ms; /* UINT64_MAX: they have as long as the one that serves */
};

/* The generations stay the caller's, who notes in `answered` what comes. */
void reload_round_init(struct reload_round *round, struct generations *generations);

/* Begins one: asks all, also when one does not hear it. False: that is the one that serves; one that has retired is ended for it. */
bool reload_round_begin(struct reload_round *round, const struct channel_message *message);

/* All have answered who are there, as is so where no server runs. */
bool reload_round_is_over(const struct reload_round *round);

/* It is not yet: after each answer. From that of the one that serves on the others' time is measured. */
void reload_round_go_on(struct reload_round *round);

/* When the one that serves hangs; UINT64_MAX: it has answered. */
uint64_t reload_round_hangs_at_ms(const struct reload_round *round);

/* When those that have retired are late; UINT64_MAX: the one that serves has not answered either. */
uint64_t reload_round_late_at_ms(const struct reload_round *round);

/* Ends those that are. */
void reload_round_end_late(struct reload_round *round);

#endif
