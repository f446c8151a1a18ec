/* What time it is, for deadlines and for records, and waiting for a moment. */
#include "base/clock.h"

#include <time.h>

#define LAST_US UINT64_C(253402300799999999) /* the end of the year 9999: RFC 3339 knows no other */

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

void clock_pause_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

uint64_t clock_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

uint32_t clock_day(uint64_t wall_us)
{
    return (uint32_t)(wall_us / (UINT64_C(86400) * 1000000));
}

/* So many digits, and what stands behind them; every record has such a text. */
static char *clock_put(char *at, unsigned number, unsigned width, char behind)
{
    for (unsigned i = width; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    at[width] = behind;
    return at + width + 1;
}

const char *clock_text(uint64_t wall_us, char buf[CLOCK_TEXT_MAX])
{
    struct tm tm;
    char *at = buf;
    if (wall_us > LAST_US)
        wall_us = LAST_US;
    time_t seconds = (time_t)(wall_us / 1000000);
    gmtime_r(&seconds, &tm);
    at = clock_put(at, (unsigned)tm.tm_year + 1900, 4, '-');
    at = clock_put(at, (unsigned)tm.tm_mon + 1, 2, '-');
    at = clock_put(at, (unsigned)tm.tm_mday, 2, 'T');
    at = clock_put(at, (unsigned)tm.tm_hour, 2, ':');
    at = clock_put(at, (unsigned)tm.tm_min, 2, ':');
    at = clock_put(at, (unsigned)tm.tm_sec, 2, '.');
    at = clock_put(at, (unsigned)(wall_us % 1000000), 6, 'Z');
    *at = '\0';
    return buf;
}
