/* What /tunnels says: every open tunnel, or those that are asked for. */
#ifndef EXEAT_ADMIN_TUNNELS_H
#define EXEAT_ADMIN_TUNNELS_H

#include <stdint.h>
#include <stdio.h>

#include "proxy/survey.h"

enum tunnel_key {
    TUNNEL_BY_CLIENT = 0,
    TUNNEL_BY_GROUP,
    TUNNEL_BY_HOST,
    TUNNEL_BY_RULE,
    TUNNEL_BY_ROUTE,
    TUNNEL_BY_EGRESS,
    TUNNEL_BY_UPSTREAM,
    TUNNEL_KEYS
};

/* As they are called in a query, and in the answer; ends with NULL. */
extern const char *const TUNNEL_KEY[TUNNEL_KEYS + 1];

/* What a tunnel must have; NULL: anything. A host may be `*.NAME`: every one below it. */
struct tunnel_filter {
    const char *values[TUNNEL_KEYS];
};

/* {"tunnels":[…]}, the oldest first; the survey's are sorted in place. With `"silent":N` when so many generations are not in it. */
void tunnels_write_json(FILE *to, struct survey *whole, const struct tunnel_filter *filter);

/* The same as a line each, its fields in the same order and separated by tabs. What else there is to say stands behind, a line that begins with `#
 * `. */
void tunnels_write_lines(FILE *to, struct survey *whole, const struct tunnel_filter *filter);

#endif
