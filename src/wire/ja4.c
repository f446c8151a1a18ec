/* The JA4 fingerprint of a ClientHello. */
#include "wire/ja4.h"

#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "base/text.h"

#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN 16
#define ITEM_SIZE 5 /* "1301," */
#define HASH_DIGITS 12
#define NOTHING 0x10000u /* no 16-bit number */

bool ja4_is_grease(unsigned number)
{
    return (number & 0x0f0f) == 0x0a0a && number >> 8 == (number & 0xff);
}

static const char *ja4_version(uint16_t version)
{
    switch (version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    default:
        return "00";
    }
}

static unsigned ja4_number(struct ja4_list list, size_t i)
{
    return (unsigned)list.at[i] << 8 | list.at[i + 1];
}

static unsigned ja4_count(struct ja4_list list)
{
    unsigned count = 0;
    for (size_t i = 0; i < list.len; i += 2)
        count += !ja4_is_grease(ja4_number(list, i));
    return count < 99 ? count : 99;
}

static bool ja4_is_alnum(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* Its first and last character; of bytes that are none, the first and the last hexadecimal digit. */
static void ja4_add_alpn(struct text *text, const struct ja4_facts *facts)
{
    if (!facts->alpn || facts->alpn_len == 0) {
        text_add(text, "00");
        return;
    }
    uint8_t first = facts->alpn[0], last = facts->alpn[facts->alpn_len - 1];
    if (ja4_is_alnum(first) && ja4_is_alnum(last))
        text_format(text, "%c%c", first, last);
    else
        text_format(text, "%x%x", first >> 4, last & 15u);
}

static int ja4_compare(const void *a, const void *b)
{
    uint16_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

/* Copies the list without GREASE, and without `skip_a` and `skip_b`; returns how many are left. */
static size_t ja4_filter(uint16_t *out, struct ja4_list list, unsigned skip_a, unsigned skip_b)
{
    size_t count = 0;
    for (size_t i = 0; i < list.len; i += 2) {
        unsigned number = ja4_number(list, i);
        if (!ja4_is_grease(number) && number != skip_a && number != skip_b)
            out[count++] = (uint16_t)number;
    }
    return count;
}

static void ja4_add_list(struct text *text, const uint16_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t bytes[2] = {(uint8_t)(numbers[i] >> 8), (uint8_t)numbers[i]};
        if (i > 0)
            text_add_char(text, ',');
        text_add_hex(text, bytes, sizeof(bytes));
    }
}

static bool ja4_add_hash(struct text *out, const struct text *list)
{
    uint8_t digest[SHA256_SIZE];
    if (!sha256_of(digest, list->at, list->len))
        return false;
    text_add_hex(out, digest, HASH_DIGITS / 2);
    return true;
}

/* Adds `_` and the hash of the sorted `list`, with `tail` unsorted behind it; zeros for an empty list. */
static bool ja4_add_part(struct text *out, struct ja4_list list, struct ja4_list tail, unsigned skip_a, unsigned skip_b)
{
    size_t room = (list.len + tail.len) / 2;
    uint16_t *numbers = calloc(room + 1, sizeof(*numbers));
    char *buffer = malloc(room * ITEM_SIZE + 1);
    bool done = false;
    if (numbers && buffer) {
        struct text text;
        text_init(&text, buffer, room * ITEM_SIZE + 1);
        size_t count = ja4_filter(numbers, list, skip_a, skip_b);
        qsort(numbers, count, sizeof(*numbers), ja4_compare);
        ja4_add_list(&text, numbers, count);
        size_t tail_count = ja4_filter(numbers + count, tail, NOTHING, NOTHING);
        if (tail_count > 0)
            text_add_char(&text, '_');
        ja4_add_list(&text, numbers + count, tail_count);
        text_add_char(out, '_');
        if (count == 0)
            text_add(out, "000000000000");
        done = count == 0 || ja4_add_hash(out, &text);
    }
    free(buffer);
    free(numbers);
    return done;
}

bool ja4_make(char out[JA4_SIZE], const struct ja4_facts *facts)
{
    static const struct ja4_list none;
    struct text text;
    text_init(&text, out, JA4_SIZE);
    text_add_char(&text, 't');
    text_add(&text, ja4_version(facts->version));
    text_add_char(&text, facts->has_sni ? 'd' : 'i');
    text_add_padded(&text, ja4_count(facts->ciphers), 2);
    text_add_padded(&text, ja4_count(facts->extensions), 2);
    ja4_add_alpn(&text, facts);
    return ja4_add_part(&text, facts->ciphers, none, NOTHING, NOTHING) &&
           ja4_add_part(&text, facts->extensions, facts->signatures, EXTENSION_SERVER_NAME, EXTENSION_ALPN);
}
