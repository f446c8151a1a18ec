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

/* Whether more may come behind the end: then half a line stays where it is, and after AUDIT_INPUT_END one may ask again. Not for gzip'd files and
 * pipes. */
void audit_input_set_growing(struct audit_input *input, bool is_growing);

/* Goes on at the beginning of a line, `offset` bytes from the file's. False on a fault. */
bool audit_input_seek(struct audit_input *input, uint64_t offset);

/* Where the next line begins, and the file itself, for those who look at it without moving it; of a file that is not packed. */
uint64_t audit_input_offset(const struct audit_input *input);
int audit_input_fd(const struct audit_input *input);

/* How far the file was read, in bytes of its own (not of what they unpack to). */
uint64_t audit_input_position(const struct audit_input *input);

/* Why the last call failed. */
const char *audit_input_fault(const struct audit_input *input);

#endif
