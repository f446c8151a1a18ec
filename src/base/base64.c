/* Base64 (RFC 4648 4), padded. */
#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64_write_group(char out[4], const uint8_t bytes[3])
{
    const uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
    out[0] = LETTERS[group >> 18];
    out[1] = LETTERS[group >> 12 & 63];
    out[2] = LETTERS[group >> 6 & 63];
    out[3] = LETTERS[group & 63];
}

void base64_write(char *out, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    size_t left = size;
    for (; left >= 3; at += 3, out += 4, left -= 3)
        base64_write_group(out, at);
    if (left == 0)
        return;
    const uint8_t last[3] = {at[0], left == 2 ? at[1] : 0, 0};
    base64_write_group(out, last);
    memset(out + 1 + left, '=', 3 - left);
}

int base64_digit(char letter)
{
    const char *found = letter != '\0' ? strchr(LETTERS, letter) : NULL;
    return found ? (int)(found - LETTERS) : -1;
}

/* Four characters make a group of `size` bytes: unless they are those that such bytes make, false. */
static bool base64_read_group(uint8_t *out, size_t size, const char text[4])
{
    char again[4];
    uint32_t group = 0;
    for (size_t k = 0; k < 4; k++) {
        const int digit = k <= size ? base64_digit(text[k]) : 0;
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
    }
    for (size_t k = 0; k < size; k++)
        out[k] = (uint8_t)(group >> (16 - 8 * k));
    base64_write(again, out, size);
    return memcmp(again, text, sizeof(again)) == 0;
}

bool base64_read(void *out, size_t size, const char *text, size_t len)
{
    uint8_t *at = out;
    if (len != BASE64_LEN(size))
        return false;
    for (size_t left = size; left > 0; at += 3, text += 4) {
        const size_t part = left < 3 ? left : 3;
        if (!base64_read_group(at, part, text))
            return false;
        left -= part;
    }
    return true;
}
