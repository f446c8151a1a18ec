/* An audit file opened for reading, gzip'd or not: line by line, in constant memory. */
#ifndef EXEAT_AUDIT_AUDIT_INPUT_H
#define EXEAT_AUDIT_AUDIT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_input;

enum audit_input_result { AUDIT_INPUT_FAILED = 0, AUDIT_INPUT_LINE, AUDIT_INPUT_END };

struct audit_input_line {
    const char *at;  /* until the next call; no NUL behind it */
    size_t len;      /* without the newline; at most RECORD_MAX, which no record has: of a longer line that much */
    uint64_t number; /* from 1 */
    bool is_torn;    /* the file ends in it, without a newline */
};

/* "-" is standard input. NULL: errno says why. */
struct audit_input *audit_input_open(const char *path);
void audit_input_close(struct audit_input *input);

/* The next line. A file that ends in half a line is given a moment first: a journal may be writing it. */
enum audit_input_result audit_input_next(struct audit_input *input, struct audit_input_line *out);

/* How far the file was read, in bytes of its own (not of what they unpack to). */
uint64_t audit_input_position(const struct audit_input *input);

/* Why the last call failed. */
const char *audit_input_fault(const struct audit_input *input);

#endif
