/* Bounded text: append without overflow, and escape what came from outside. */
#ifndef EXEAT_BASE_TEXT_H
#define EXEAT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends into a caller's buffer; always NUL-terminated, `cut` is set when something did not fit. */
struct text {
    char *at;
    size_t len;
    size_t size;
    bool cut;
};

/* `size` counts the NUL and is at least 1. The buffer stays the caller's. */
void text_init(struct text *text, char *buffer, size_t size);

void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const void *bytes, size_t len);
void text_add_char(struct text *text, char c);
void text_add_number(struct text *text, uint64_t number);
/* At least `width` digits (20 at most), by zeros in front. */
void text_add_padded(struct text *text, uint64_t number, unsigned width);
/* Two lower-case hexadecimal digits a byte. */
void text_add_hex(struct text *text, const void *bytes, size_t len);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define TEXT_ESCAPE_MAX 6 /* characters that one byte can take in a JSON string: \uXXXX */

/* A JSON string with its quotes (RFC 8259), pure ASCII: anything outside 0x20..0x7e is written \uXXXX (surrogate pairs above the BMP), a byte
 * that is no part of a valid UTF-8 character becomes \ufffd. What would take more than `max` characters between the quotes is cut in front of the
 * first that does not fit whole, and marked with a final "..." beyond them. NULL is written as null. This is the one place where bytes of a peer
 * become text of ours. */
void text_add_json(struct text *text, const void *bytes, size_t len, size_t max);

/* The same of a word of our own, in which every byte is known to stand for itself. */
void text_add_word(struct text *text, const char *word);

/* How many bytes at the start stand for themselves in such a string: 0x20 to 0x7e but for quote and backslash. */
size_t text_json_plain(const void *bytes, size_t len);

/* Nothing but 0x20 to 0x7e. */
bool text_is_printable(const char *bytes, size_t len);

/* Printable ASCII for a line of the log or of HTTP: every other byte becomes '?'. Longer than `max`: shortened in its middle with "...". */
void text_add_clean(struct text *text, const void *bytes, size_t len, size_t max);

/* Copies with a bound, always terminated; true when it fitted whole. */
bool text_copy(char *out, size_t size, const char *from, size_t len);

/* The edit distance of two short words (at most 64 characters each), for "did you mean". */
unsigned text_distance(const char *a, const char *b);

#endif
