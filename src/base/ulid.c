/* The id of a session: a ULID, 48 bits of time and 80 fresh random bits. */
#include "base/ulid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RANDOM_SIZE 10
#define BLOCK_SIZE (25 * RANDOM_SIZE) /* up to 256 bytes getrandom(2) gives whole, and no signal interrupts it */

static _Thread_local uint8_t random_block[BLOCK_SIZE];
static _Thread_local size_t random_left;

static void ulid_random(uint8_t out[RANDOM_SIZE])
{
    if (random_left == 0) {
        if (getrandom(random_block, sizeof(random_block), 0) != (ssize_t)sizeof(random_block))
            abort(); /* no kernel we run on does this; ids that repeat would be worse */
        random_left = sizeof(random_block);
    }
    random_left -= RANDOM_SIZE;
    memcpy(out, random_block + random_left, RANDOM_SIZE);
}

void ulid_make(char out[ULID_TEXT_MAX], uint64_t wall_us)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[RANDOM_SIZE];
    uint64_t time_ms = wall_us / 1000;
    ulid_random(random);
    for (int i = 9; i >= 0; i--, time_ms >>= 5)
        out[i] = digits[i == 0 ? time_ms & 7 : time_ms & 31];
    for (size_t half = 0; half < 2; half++) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 5; i++)
            bits = bits << 8 | random[half * 5 + i];
        for (size_t i = 8; i-- > 0; bits >>= 5)
            out[10 + half * 8 + i] = digits[bits & 31];
    }
    out[26] = '\0';
}
