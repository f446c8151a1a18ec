/* What time it is, for deadlines and for records, and waiting for a moment. */
#ifndef EXEAT_BASE_CLOCK_H
#define EXEAT_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_MAX 28

/* Milliseconds of CLOCK_MONOTONIC: for deadlines and durations only. */
uint64_t clock_monotonic_ms(void);

/* Microseconds of the same clock: for who compares them with his own. */
uint64_t clock_monotonic_us(void);

/* Sleeps; a signal ends it early. */
void clock_pause_ms(unsigned ms);

/* Microseconds since 1970, UTC. */
uint64_t clock_wall_us(void);

/* Days since 1970-01-01 UTC of a wall time in microseconds. */
uint32_t clock_day(uint64_t wall_us);

/* RFC 3339 UTC with microseconds, `2026-11-21T23:49:17.123456Z`; returns `buf`. */
const char *clock_text(uint64_t wall_us, char buf[CLOCK_TEXT_MAX]);

#endif
