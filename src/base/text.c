/* Bounded text: append without overflow, and escape what came from outside. */
#include "base/text.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DISTANCE_MAX 64
#define REPLACEMENT 0xfffdu
#define EACH UINT64_C(0x0101010101010101) /* of eight bytes */

void text_init(struct text *text, char *buffer, size_t size)
{
    assert(size >= 1);
    *text = (struct text){.at = buffer, .size = size};
    buffer[0] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_add_bytes(text, string, strlen(string));
}

void text_add_bytes(struct text *text, const void *bytes, size_t len)
{
    size_t room = text->size - text->len - 1;
    if (len > room) {
        text->cut = true;
        len = room;
    }
    if (len > 0)
        memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = '\0';
}

void text_add_char(struct text *text, char c)
{
    text_add_bytes(text, &c, 1);
}

void text_add_padded(struct text *text, uint64_t number, unsigned width)
{
    char digits[20];
    size_t at = sizeof(digits);
    assert(width <= sizeof(digits));
    while (number > 0 || sizeof(digits) - at < width) {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    }
    text_add_bytes(text, digits + at, sizeof(digits) - at);
}

void text_add_number(struct text *text, uint64_t number)
{
    text_add_padded(text, number, 1);
}

void text_add_hex(struct text *text, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) {
        text_add_char(text, digits[at[i] >> 4]);
        text_add_char(text, digits[at[i] & 15]);
    }
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args;
    size_t room = text->size - text->len;
    va_start(args, format);
    int len = vsnprintf(text->at + text->len, room, format, args);
    va_end(args);
    if (len < 0) {
        text->at[text->len] = '\0';
        text->cut = true;
    } else if ((size_t)len >= room) {
        text->len = text->size - 1;
        text->cut = true;
    } else {
        text->len += (size_t)len;
    }
}

/* The length that a UTF-8 lead byte announces; 0 for a byte that leads nothing (RFC 3629: no C0, C1, F5 to FF). */
static size_t text_utf8_size(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* Reads one character and returns its length. What is not valid (cut off, overlong, a surrogate, above U+10FFFF) is one byte and a replacement. */
static size_t text_utf8_read(uint32_t *out, const uint8_t *bytes, size_t len)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = text_utf8_size(bytes[0]);
    *out = REPLACEMENT;
    if (size == 0 || size > len)
        return 1;
    uint32_t point = size == 1 ? bytes[0] : bytes[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 1;
        point = point << 6 | (bytes[i] & 0x3f);
    }
    if (point < least[size] || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff)
        return 1;
    *out = point;
    return size;
}

/* It stands for itself in a JSON string of ours. */
static bool text_json_is_plain(uint32_t point)
{
    return point >= 0x20 && point <= 0x7e && point != '"' && point != '\\';
}

/* How many characters one takes there that does not. */
static size_t text_json_size(uint32_t point)
{
    if (point == '"' || point == '\\')
        return 2;
    return point < 0x10000 ? 6 : 12;
}

static void text_add_json_point(struct text *text, uint32_t point)
{
    if (point == '"' || point == '\\') {
        text_add_char(text, '\\');
        text_add_char(text, (char)point);
    } else if (point < 0x10000) {
        text_format(text, "\\u%04x", (unsigned)point);
    } else {
        point -= 0x10000;
        text_format(text, "\\u%04x\\u%04x", 0xd800u + (unsigned)(point >> 10), 0xdc00u + (unsigned)(point & 0x3ff));
    }
}

/* The high bit where any of eight bytes is above 0x7f, below 0x20, or 0x7f. */
static uint64_t text_each_unprintable(uint64_t eight)
{
    return (eight | ~(eight + EACH * 0x60) | (eight + EACH)) & EACH * 0x80;
}

/* Eight at a time: verifying an audit file would take a quarter longer by single ones. */
bool text_is_printable(const char *bytes, size_t len)
{
    uint64_t odd = 0, eight;
    for (; len >= sizeof(eight); bytes += sizeof(eight), len -= sizeof(eight)) {
        memcpy(&eight, bytes, sizeof(eight));
        odd |= text_each_unprintable(eight);
    }
    for (; len > 0 && odd == 0; bytes++, len--)
        odd = *bytes < 0x20 || *bytes > 0x7e;
    return odd == 0;
}

/* The high bit of each of eight bytes that is `value`; above one that is, others may have it too. */
static uint64_t text_each_is(uint64_t eight, uint8_t value)
{
    const uint64_t differs = eight ^ EACH * value;
    return (differs - EACH) & ~differs & EACH * 0x80;
}

/* The high bit of the first of eight bytes that does not stand for itself in a JSON string of ours, and of others behind it. */
static uint64_t text_json_odd(const uint8_t bytes[8])
{
    uint64_t eight;
    memcpy(&eight, bytes, sizeof(eight));
    eight = le64toh(eight);
    return text_each_unprintable(eight) | text_each_is(eight, '"') | text_each_is(eight, '\\');
}

/* How many of them stand before it. */
static size_t text_json_before(uint64_t odd)
{
    return odd == 0 ? 8 : (size_t)__builtin_ctzll(odd) / 8;
}

/* Eight at a time: nearly all bytes of nearly all strings are plain, and records are much of what a tunnel costs. */
size_t text_json_plain(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    size_t plain = 0;
    for (; len - plain >= 8; plain += 8) {
        const uint64_t odd = text_json_odd(at + plain);
        if (odd != 0)
            return plain + text_json_before(odd);
    }
    if (len >= 8 && plain < len) /* the last eight, of which some are known already */
        return len - 8 + text_json_before(text_json_odd(at + len - 8));
    while (plain < len && text_json_is_plain(at[plain]))
        plain++;
    return plain;
}

/* What goes between the quotes. Returns how many bytes were taken. */
static size_t text_add_json_inside(struct text *text, const uint8_t *bytes, size_t len, size_t max)
{
    size_t at = 0;
    for (size_t taken = 0; at < len;) {
        const size_t room = max - taken, left = len - at, plain = text_json_plain(bytes + at, left < room ? left : room);
        text_add_bytes(text, bytes + at, plain);
        at += plain;
        taken += plain;
        if (at == len || text_json_is_plain(bytes[at]))
            break;
        uint32_t point;
        const size_t size = text_utf8_read(&point, bytes + at, len - at);
        if (text_json_size(point) > max - taken)
            break;
        text_add_json_point(text, point);
        taken += text_json_size(point);
        at += size;
    }
    return at;
}

/* One copy between two quotes, where there is room. */
static bool text_add_quoted(struct text *text, const void *bytes, size_t len)
{
    if (text->size - text->len < len + sizeof("\"\""))
        return false;
    char *at = text->at + text->len;
    *at++ = '"';
    memcpy(at, bytes, len);
    memcpy(at + len, "\"", sizeof("\""));
    text->len += len + 2;
    return true;
}

void text_add_word(struct text *text, const char *word)
{
    const size_t len = strlen(word);
    if (!text_add_quoted(text, word, len))
        text_add_json(text, word, len, len);
}

void text_add_json(struct text *text, const void *bytes, size_t len, size_t max)
{
    if (!bytes) {
        text_add_bytes(text, "null", 4);
        return;
    }
    if (len <= max && text_json_plain(bytes, len) == len && text_add_quoted(text, bytes, len)) /* as nearly every string */
        return;
    text_add_char(text, '"');
    if (text_add_json_inside(text, bytes, len, max) < len)
        text_add(text, "...");
    text_add_char(text, '"');
}

static void text_add_printable(struct text *text, const uint8_t *bytes, size_t len)
{
    if (text_is_printable((const char *)bytes, len)) {
        text_add_bytes(text, bytes, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        text_add_char(text, bytes[i] >= 0x20 && bytes[i] <= 0x7e ? (char)bytes[i] : '?');
}

void text_add_clean(struct text *text, const void *bytes, size_t len, size_t max)
{
    const uint8_t *from = bytes;
    if (len <= max) {
        text_add_printable(text, from, len);
        return;
    }
    size_t dots = max < 3 ? max : 3;
    size_t tail = (max - dots) / 2;
    text_add_printable(text, from, max - dots - tail);
    text_add_bytes(text, "...", dots);
    text_add_printable(text, from + len - tail, tail);
}

bool text_copy(char *out, size_t size, const char *from, size_t len)
{
    struct text text;
    text_init(&text, out, size);
    text_add_bytes(&text, from, len);
    return !text.cut;
}

unsigned text_distance(const char *a, const char *b)
{
    unsigned row[DISTANCE_MAX + 1];
    size_t a_len = strnlen(a, DISTANCE_MAX);
    size_t b_len = strnlen(b, DISTANCE_MAX);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned swap = diagonal + (a[i - 1] != b[j - 1]);
            unsigned edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = swap < edit ? swap : edit;
        }
    }
    return row[b_len];
}
