/* One pattern of a rule or a host list: a name, everything below a name, or a network. */
#ifndef EXEAT_POLICY_PATTERN_H
#define EXEAT_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/hostname.h"
#include "policy/network.h"

enum pattern_kind { PATTERN_BAD = 0, PATTERN_EXACT, PATTERN_BELOW, PATTERN_NETWORK };

struct pattern {
    enum pattern_kind kind;
    char name[HOSTNAME_SIZE]; /* EXACT: the name. BELOW: the name below which everything matches, without the `*.` */
    struct network network;   /* NETWORK */
};

/* Reads a pattern as an operator wrote it: U-labels become A-labels (UTS 46 non-transitional, libidn2), case is folded, one trailing dot goes.
 * `*.x` is BELOW; a `*` anywhere else, a bare `*`, a wildcard over a top-level domain of the public suffix list, an empty label, a port, a scheme,
 * a path, blanks and controls are faults. An address or CIDR is NETWORK. False: *why is a static sentence that says what is wrong and what is
 * allowed (to stand behind "PATTERN: "); where host bits are set, out->network holds what was written (network_read). */
bool pattern_read(struct pattern *out, const char *text, size_t len, const char **why);

/* Whether the pattern covers the host: the definition that the host table must agree with (the tests hold them together). For tests. */
bool pattern_matches(const struct pattern *pattern, const struct host *host);

#endif
