/* Numbers as people write them: plain, with a size letter, with a time unit. */
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t worth;
};

static const struct unit SIZE_UNITS[] = {{"K", UINT64_C(1) << 10}, {"M", UINT64_C(1) << 20}, {"G", UINT64_C(1) << 30}, {NULL, 0}};
static const struct unit TIME_UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}, {NULL, 0}};
static const struct unit *const SPANS = TIME_UNITS + 1; /* of rates: whole seconds at least */

bool number_read(uint64_t *out, const char *text, size_t len, uint64_t max)
{
    uint64_t number = 0;
    if (len == 0 || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        unsigned digit = (unsigned)(text[i] - '0');
        if (digit > max || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

static const struct unit *number_find_unit(const struct unit *units, const char *text, size_t len)
{
    for (; units->name; units++) {
        if (strlen(units->name) == len && memcmp(units->name, text, len) == 0)
            return units;
    }
    return NULL;
}

static size_t number_digits(const char *text, size_t len)
{
    size_t digits = 0;
    while (digits < len && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    return digits;
}

static bool number_read_units(uint64_t *out, const char *text, size_t len, const struct unit *units)
{
    uint64_t number;
    size_t digits = number_digits(text, len);
    const struct unit *unit = number_find_unit(units, text + digits, len - digits);
    if (!unit || !number_read(&number, text, digits, UINT64_MAX / unit->worth))
        return false;
    *out = number * unit->worth;
    return true;
}

bool number_read_size(uint64_t *out, const char *text, size_t len)
{
    return number_read(out, text, len, UINT64_MAX) || number_read_units(out, text, len, SIZE_UNITS);
}

bool number_read_duration_ms(uint64_t *out, const char *text, size_t len)
{
    return number_read(out, text, len, 0) || number_read_units(out, text, len, TIME_UNITS);
}

const char *number_size_text(uint64_t bytes, char buf[NUMBER_SIZE_TEXT_MAX])
{
    unsigned letter = 0;
    while (bytes > 0 && bytes % 1024 == 0 && letter < 3) {
        bytes /= 1024;
        letter++;
    }
    snprintf(buf, NUMBER_SIZE_TEXT_MAX, "%" PRIu64 "%.*s", bytes, letter > 0, &" KMG"[letter]);
    return buf;
}

bool number_read_rate(struct rate *out, const char *text, size_t len)
{
    uint64_t amount;
    const char *slash = memchr(text, '/', len);
    const size_t size_len = slash ? (size_t)(slash - text) : len;
    const struct unit *span = slash ? number_find_unit(SPANS, slash + 1, len - size_len - 1) : NULL;
    if (!span || !number_read_size(&amount, text, size_len) || amount == 0)
        return false;
    *out = (struct rate){.amount = amount, .span_ms = span->worth};
    return true;
}

const char *number_rate_text(const struct rate *rate, char buf[NUMBER_RATE_TEXT_MAX])
{
    char size[NUMBER_SIZE_TEXT_MAX];
    const struct unit *span = SPANS;
    while (span[1].name && span->worth < rate->span_ms)
        span++;
    snprintf(buf, NUMBER_RATE_TEXT_MAX, "%s/%s", number_size_text(rate->amount, size), span->name);
    return buf;
}

/* Exactly `len` digits, leading zeros welcome. */
static bool number_read_field(unsigned *out, const char *text, size_t len)
{
    if (number_digits(text, len) != len)
        return false;
    *out = 0;
    for (size_t i = 0; i < len; i++)
        *out = *out * 10 + (unsigned)(text[i] - '0');
    return true;
}

static bool number_is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool number_read_day(uint32_t *out, const char *text, size_t len)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (len != 10 || text[4] != '-' || text[7] != '-' || !number_read_field(&year, text, 4) || !number_read_field(&month, text + 5, 2) ||
        !number_read_field(&day, text + 8, 2))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] + (unsigned)(month == 2 && number_is_leap(year)))
        return false;
    uint32_t days = day - 1;
    for (unsigned y = 1970; y < year; y++)
        days += number_is_leap(y) ? 366 : 365;
    for (unsigned m = 1; m < month; m++)
        days += lengths[m - 1] + (unsigned)(m == 2 && number_is_leap(year));
    *out = days;
    return true;
}
