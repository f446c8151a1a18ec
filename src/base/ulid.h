/* The id of a session: a ULID (github.com/ulid/spec), 48 bits of time, 65 fresh random bits, and a mark of 15 bits, its last three characters. */
#ifndef EXEAT_BASE_ULID_H
#define EXEAT_BASE_ULID_H

#include <stdbool.h>
#include <stdint.h>

#define ULID_LEN 26
#define ULID_TEXT_MAX (ULID_LEN + 1)
#define ULID_MARKS (1u << 15)

/* Its 128 bits; a zeroed one is none. */
struct ulid {
    uint64_t high, low;
};

/* Writes 26 characters of Crockford base 32 and a NUL. Random bytes come from getrandom(2), a block at a time for each thread. */
void ulid_make(char out[ULID_TEXT_MAX], uint64_t wall_us, unsigned mark);

/* From and to such characters. False: they are nothing that ulid_text() would write. */
bool ulid_read(struct ulid *out, const char text[ULID_LEN]);
void ulid_text(char out[ULID_TEXT_MAX], const struct ulid *ulid);

/* When ulid_make() made it, to the millisecond; and the mark that it was given. */
uint64_t ulid_wall_us(const struct ulid *ulid);
unsigned ulid_mark(const struct ulid *ulid);

#endif
