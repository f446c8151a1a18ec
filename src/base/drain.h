/* The end of a drain whose time is up: what is still open is ended little by little. */
#ifndef EXEAT_BASE_DRAIN_H
#define EXEAT_BASE_DRAIN_H

#include <stddef.h>
#include <stdint.h>

/* How long that takes, after a drain of so long: a minute, or that time where it is shorter. */
uint64_t drain_spread_ms(uint64_t timeout_ms);

/* How many of `all` may still be open when so much of the spread has passed; 0 at its end. */
size_t drain_left(size_t all, uint64_t passed_ms, uint64_t spread_ms);

#endif
