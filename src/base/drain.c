/* The end of a drain whose time is up: what is still open is ended little by little. */
#include "base/drain.h"

/* Clients that all come back at once, somewhere else, would be a load of its own. */
#define SPREAD_MS 60000

uint64_t drain_spread_ms(uint64_t timeout_ms)
{
    return timeout_ms < SPREAD_MS ? timeout_ms : SPREAD_MS;
}

size_t drain_left(size_t all, uint64_t passed_ms, uint64_t spread_ms)
{
    return passed_ms < spread_ms ? (size_t)(all * (spread_ms - passed_ms) / spread_ms) : 0;
}
