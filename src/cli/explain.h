/* A question of `exeat explain` and its answer, and how they are printed. */
#ifndef EXEAT_CLI_EXPLAIN_H
#define EXEAT_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "policy/policy.h"

#define EXPLAIN_WHY_SIZE 512

/* What all questions of one call have in common. */
struct inquiry {
    const char *path; /* of the configuration; NULL: the built-in default */
    const struct config *config;
    struct address from;
    const char *sni; /* NULL: the host */
    struct address *resolved;
    size_t resolved_count;
    uint32_t today;
    bool json;
    const char **groups; /* the names of every group that holds `from`, the most specific network first, equal ones in file order */
    size_t group_count;
};

/* One HOST[:PORT] on its way to an answer. */
struct subject {
    const char *asked;
    struct question question; /* HOST_BAD: it is neither a name nor an address; port 0: the port is none */
    struct verdict verdict;
    const struct rule *nearest;
    char why[EXPLAIN_WHY_SIZE]; /* what `nearest` lacked */
};

/* Each writes one answer to standard output. */
void explain_print_json(const struct inquiry *inquiry, const struct subject *subject);
void explain_print_text(const struct inquiry *inquiry, const struct subject *subject);

#endif
