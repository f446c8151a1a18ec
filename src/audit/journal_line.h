/* One line of the audit file around one record's text: what the journal process puts before and behind it. */
#ifndef EXEAT_AUDIT_JOURNAL_LINE_H
#define EXEAT_AUDIT_JOURNAL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/text.h"

/* What stands around a record's text in its line, at most. */
#define JOURNAL_LINE_AROUND 96

struct journal_line {
    uint64_t seq;
    const char *text; /* the record's text, as record_write() made it; points into the line */
    size_t len;
    const char *chain; /* CHAIN_LEN characters, in the line; NULL: it has none */
};

/* Appends `{"v":1,"seq":N,`. */
void journal_line_open(struct text *out, uint64_t seq);

/* Appends `{"v":1,"seq":N,TEXT,"chain":"…"}` and a newline, and takes the chain one line on; with no chain (NULL) it is null. False: there was no
 * room, or no hash. */
bool journal_line_write(struct text *out, uint64_t seq, const char *text, size_t len, struct chain *chain);

/* Reads a line back, without its newline. False when it is none of ours. Whether its chain is right is not looked at. */
bool journal_line_read(struct journal_line *out, const char *line, size_t len);

/* True when `bytes` are a line of ours that was cut off somewhere. */
bool journal_line_is_start(const char *bytes, size_t len);

/* True for what record_write() may have made: it opens with the time, is not too long, and holds no byte that could end a line. */
bool journal_line_takes(const char *text, size_t len);

#endif
