/* Base64 (RFC 4648 4), padded. */
#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Up to three bytes in front of a group's 24 bits. */
static uint32_t base64_group(const uint8_t *bytes, size_t size)
{
    return (uint32_t)bytes[0] << 16 | (uint32_t)(size > 1 ? bytes[1] : 0) << 8 | (size > 2 ? bytes[2] : 0);
}

void base64_write(char *out, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t left = size; left > 0; at += 3, out += 4, left -= left < 3 ? left : 3) {
        const uint32_t group = base64_group(at, left);
        for (unsigned k = 0; k < 4; k++)
            out[k] = k <= left ? LETTERS[group >> (18 - 6 * k) & 63] : '=';
    }
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
