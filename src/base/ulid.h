/* The id of a session: a ULID (github.com/ulid/spec), 48 bits of time and 80 fresh random bits. */
#ifndef EXEAT_BASE_ULID_H
#define EXEAT_BASE_ULID_H

#include <stdint.h>

#define ULID_TEXT_MAX 27

/* Writes 26 characters of Crockford base 32 and a NUL. Random bytes come from getrandom(2), a block at a time for each thread. */
void ulid_make(char out[ULID_TEXT_MAX], uint64_t wall_us);

#endif
