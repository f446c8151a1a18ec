/* What time it is, for deadlines and for records. */
#include "base/clock.h"

#include <time.h>

#include "base/text.h"

#define LAST_US UINT64_C(253402300799999999) /* the end of the year 9999: RFC 3339 knows no other */

uint64_t clock_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint32_t clock_day(uint64_t wall_us)
{
    return (uint32_t)(wall_us / (UINT64_C(86400) * 1000000));
}

static void clock_put(struct text *text, uint64_t number, unsigned width, char behind)
{
    text_add_padded(text, number, width);
    text_add_char(text, behind);
}

const char *clock_text(uint64_t wall_us, char buf[CLOCK_TEXT_MAX])
{
    struct tm tm;
    struct text text;
    if (wall_us > LAST_US)
        wall_us = LAST_US;
    time_t seconds = (time_t)(wall_us / 1000000);
    gmtime_r(&seconds, &tm);
    text_init(&text, buf, CLOCK_TEXT_MAX);
    clock_put(&text, (unsigned)tm.tm_year + 1900, 4, '-');
    clock_put(&text, (unsigned)tm.tm_mon + 1, 2, '-');
    clock_put(&text, (unsigned)tm.tm_mday, 2, 'T');
    clock_put(&text, (unsigned)tm.tm_hour, 2, ':');
    clock_put(&text, (unsigned)tm.tm_min, 2, ':');
    clock_put(&text, (unsigned)tm.tm_sec, 2, '.');
    clock_put(&text, wall_us % 1000000, 6, 'Z');
    return buf;
}
