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

/* Milliseconds: digits and one of ms s m h d; 0 needs no unit. */
bool number_read_duration_ms(uint64_t *out, const char *text, size_t len);

/* A day `YYYY-MM-DD` as days since 1970-01-01. Days that do not exist are refused. */
bool number_read_day(uint32_t *out, const char *text, size_t len);

#endif
