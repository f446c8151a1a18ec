/* What the lints have to know of host lists and is nowhere else once a configuration is loaded: their names and their patterns. */
#ifndef EXEAT_CONFIG_LINT_NOTES_H
#define EXEAT_CONFIG_LINT_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/policy.h"

#define LINT_PATTERNS_KEPT 256 /* of one list, to compare rules by */
#define LINT_REMARKS_KEPT 1000

enum list_origin { LIST_OF_RULE = 0, LIST_OF_USER, LIST_BUILT_IN };

/* A pattern in as little memory as a name takes. */
struct noted_pattern {
    enum pattern_kind kind;
    char *name; /* or NULL */
    struct network network;
};

struct noted_list {
    const struct host_list *list; /* the policy's */
    enum list_origin origin;
    struct noted_pattern *patterns;
    size_t count;
    bool incomplete; /* it holds more than were kept */
};

/* A pattern that a lint has something to say of, wherever an allowing rule uses its list. */
struct lint_remark {
    const struct host_list *list;
    char *at, *section, *key, *pattern;
    const char *what; /* static */
};

struct lint_notes {
    struct noted_list *lists;
    size_t list_count;
    struct lint_remark *remarks;
    size_t remark_count;
};

struct lint_notes *lint_notes_new(void);
void lint_notes_free(struct lint_notes *notes);

/* False: out of memory. A list is added before its patterns. */
bool lint_notes_add_list(struct lint_notes *notes, const struct host_list *list, enum list_origin origin);
bool lint_notes_add_pattern(struct lint_notes *notes, const struct host_list *list, const struct pattern *pattern, const char *at,
                            const char *section, const char *key);

const struct noted_list *lint_notes_find(const struct lint_notes *notes, const struct host_list *list);

#endif
