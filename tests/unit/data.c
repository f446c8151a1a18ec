/* Where the tests' vectors and tables are, and how their lines are read. */
#include "data.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <string.h>

FILE *data_open(const char *name)
{
    const char *root = getenv("EXEAT_TEST_DATA");
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", root ? root : "tests", name);
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "no test data at %s (set EXEAT_TEST_DATA)", path);
    return file;
}

json_t *data_next(FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, file);
    if (len < 0) {
        free(line);
        return NULL;
    }
    json_error_t error;
    json_t *row = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, &error);
    cr_assert(row != NULL, "bad JSON in the vectors: %s: %.80s", error.text, line);
    free(line);
    return row;
}

const char *data_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static unsigned data_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    cr_assert(at != NULL, "not a hex digit: %c", c);
    return (unsigned)(at - digits);
}

uint8_t *data_hex(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    uint8_t *bytes = malloc(*len + 1);
    cr_assert(bytes != NULL);
    for (size_t i = 0; i < *len; i++)
        bytes[i] = (uint8_t)(data_digit(hex[2 * i]) << 4 | data_digit(hex[2 * i + 1]));
    return bytes;
}

uint8_t *data_base64(const char *base64, size_t *len)
{
    size_t chars = strlen(base64);
    uint8_t *bytes = malloc(chars / 4 * 3 + 1);
    cr_assert(bytes != NULL);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)base64, (int)chars);
    cr_assert(got >= 0, "bad base64: %.40s", base64);
    while (chars > 0 && base64[chars - 1] == '=') {
        got--;
        chars--;
    }
    *len = (size_t)got;
    return bytes;
}

uint8_t *data_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    cr_assert(copy != NULL);
    memcpy(copy, bytes, len);
    return copy;
}
