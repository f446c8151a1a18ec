/* Numbers as people write them: plain, with a size letter, with a time unit. */
#ifndef EXEAT_BASE_NUMBER_H
#define EXEAT_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only: no sign, no blank, no leading zero but "0" itself, at most `max`. False leaves *out as it was (so for all here). */
bool number_read(uint64_t *out, const char *text, size_t len, uint64_t max);

/* Bytes: digits, or digits and one of K M G (1024, 1024^2, 1024^3). */
bool number_read_size(uint64_t *out, const char *text, size_t len);

/* The same in the fewest digits: `2G`. */
#define NUMBER_SIZE_TEXT_MAX 22
const char *number_size_text(uint64_t bytes, char buf[NUMBER_SIZE_TEXT_MAX]);

/* Milliseconds: digits and one of ms s m h d; 0 needs no unit. */
bool number_read_duration_ms(uint64_t *out, const char *text, size_t len);

/* So much in such a span. Zeroed: there is none. */
struct rate {
    uint64_t amount;
    uint64_t span_ms;
};

/* `2G/h`: bytes as above, and in which one of s m h d. Never of nothing. */
bool number_read_rate(struct rate *out, const char *text, size_t len);

#define NUMBER_RATE_TEXT_MAX (NUMBER_SIZE_TEXT_MAX + 2)
/* Of one that number_read_rate() could have read. */
const char *number_rate_text(const struct rate *rate, char buf[NUMBER_RATE_TEXT_MAX]);

/* A day `YYYY-MM-DD` as days since 1970-01-01. Days that do not exist are refused. */
bool number_read_day(uint32_t *out, const char *text, size_t len);

#endif
