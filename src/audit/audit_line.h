/* A line of an audit file taken apart as far as the chain needs it. */
#ifndef EXEAT_AUDIT_AUDIT_LINE_H
#define EXEAT_AUDIT_AUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"

struct audit_line {
    uint64_t seq;
    const char *at;    /* the line */
    size_t hashed;     /* so much of it, up to `,"chain":`, is what its chain is over */
    const char *chain; /* CHAIN_LEN characters in it, no NUL behind them; NULL: null */
};

/* `line` is without its newline. False when it is no record of ours. */
bool audit_line_read(struct audit_line *out, const char *line, size_t len);

/* True when these bytes, no record of ours now, may have been one: they begin or end as a record does. */
bool audit_line_resembles(const char *line, size_t len);

/* Whoever follows chains. Once OpenSSL failed, `failed` stays set and nothing that was found out counts. */
struct audit_reckoner {
    struct chain *chain;
    bool failed;
};

/* True when the line has a chain, and it is what comes behind `before` (NULL: at the beginning). */
bool audit_line_follows(const struct audit_line *line, const char *before, struct audit_reckoner *reckoner);

/* CHAIN_LEN characters: what the line's chain would have to be behind `before`. Valid until the reckoner's next use. */
const char *audit_line_reckon(const struct audit_line *line, const char *before, struct audit_reckoner *reckoner);

#endif
