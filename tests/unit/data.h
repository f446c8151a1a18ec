/* Where the tests' vectors and tables are, and how their lines are read. */
#ifndef EXEAT_TESTS_DATA_H
#define EXEAT_TESTS_DATA_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Opens tests/NAME below EXEAT_TEST_DATA; a missing file fails the test at once. */
FILE *data_open(const char *name);

/* The next JSON object of a .jsonl file, or NULL at its end; the caller does json_decref(). A line that is no JSON fails the test. */
json_t *data_next(FILE *file);

/* Text of a string member, "" when it is null or missing. */
const char *data_text(const json_t *row, const char *key);

/* Decode into malloc'd bytes; *len is set. A bad digit fails the test. */
uint8_t *data_hex(const char *hex, size_t *len);
uint8_t *data_base64(const char *base64, size_t *len);

/* A malloc'd copy in a buffer of just that size, so that a read past its end is seen by the sanitizer. */
uint8_t *data_copy(const uint8_t *bytes, size_t len);

#endif
