/* Base64 (RFC 4648 4), padded. */
#ifndef EXEAT_BASE_BASE64_H
#define EXEAT_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Characters of so many bytes. */
#define BASE64_LEN(size) (((size) + 2) / 3 * 4)

/* Writes BASE64_LEN(size) characters, and no NUL. */
void base64_write(char *out, const void *bytes, size_t size);

/* Reads exactly `size` bytes out of BASE64_LEN(size) characters. False: it is another length, or not what base64_write() makes of any bytes. */
bool base64_read(void *out, size_t size, const char *text, size_t len);

/* The value of one character, 0 to 63; -1: it is none of the alphabet. */
int base64_digit(char letter);

#endif
