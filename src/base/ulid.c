/* The id of a session: a ULID, 48 bits of time, 65 fresh random bits, and a mark of 15 bits, its last three characters. */
#include "base/ulid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RANDOM_SIZE 10
#define BLOCK_SIZE (25 * RANDOM_SIZE) /* up to 256 bytes getrandom(2) gives whole, and no signal interrupts it */

static const char DIGITS[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static _Thread_local uint8_t random_block[BLOCK_SIZE];
static _Thread_local size_t random_left;

static const uint8_t *ulid_random(void)
{
    if (random_left == 0) {
        if (getrandom(random_block, sizeof(random_block), 0) != (ssize_t)sizeof(random_block))
            abort(); /* no kernel we run on does this; ids that repeat would be worse */
        random_left = sizeof(random_block);
    }
    random_left -= RANDOM_SIZE;
    return random_block + random_left;
}

void ulid_make(char out[ULID_TEXT_MAX], uint64_t wall_us, unsigned mark)
{
    const uint8_t *random = ulid_random();
    uint16_t first;
    struct ulid ulid;
    memcpy(&first, random, sizeof(first));
    memcpy(&ulid.low, random + sizeof(first), sizeof(ulid.low));
    ulid.high = wall_us / 1000 << 16 | first;
    ulid.low = (ulid.low & ~(uint64_t)(ULID_MARKS - 1)) | (mark & (ULID_MARKS - 1));
    ulid_text(out, &ulid);
}

/* The value of a digit; 32: it is none. */
static uint64_t ulid_digit(char c)
{
    static const uint8_t values[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['A'] = 11,
        ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16, ['G'] = 17, ['H'] = 18, ['J'] = 19, ['K'] = 20, ['M'] = 21, ['N'] = 22,
        ['P'] = 23, ['Q'] = 24, ['R'] = 25, ['S'] = 26, ['T'] = 27, ['V'] = 28, ['W'] = 29, ['X'] = 30, ['Y'] = 31, ['Z'] = 32,
    };
    const uint8_t value = values[(uint8_t)c];
    return value > 0 ? value - 1u : 32;
}

bool ulid_read(struct ulid *out, const char text[ULID_LEN])
{
    struct ulid ulid = {0};
    *out = ulid;
    for (int i = 0; i < ULID_LEN; i++) {
        const uint64_t digit = ulid_digit(text[i]);
        if (digit > (i == 0 ? 7 : 31)) /* 26 digits hold two bits more */
            return false;
        ulid.high = ulid.high << 5 | ulid.low >> 59;
        ulid.low = ulid.low << 5 | digit;
    }
    *out = ulid;
    return ulid.high != 0 || ulid.low != 0;
}

void ulid_text(char out[ULID_TEXT_MAX], const struct ulid *ulid)
{
    uint64_t high = ulid->high, low = ulid->low;
    for (int i = ULID_LEN - 1; i >= 0; i--) {
        out[i] = DIGITS[low & 31];
        low = low >> 5 | high << 59;
        high >>= 5;
    }
    out[ULID_LEN] = '\0';
}

uint64_t ulid_wall_us(const struct ulid *ulid)
{
    return (ulid->high >> 16) * 1000;
}

unsigned ulid_mark(const struct ulid *ulid)
{
    return (unsigned)(ulid->low & (ULID_MARKS - 1));
}
