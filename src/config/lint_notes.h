/* What the lints have to know of host lists and is nowhere else once a configuration is loaded: their names and their patterns. */
#ifndef EXEAT_CONFIG_LINT_NOTES_H
#define EXEAT_CONFIG_LINT_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/policy.h"

#define LINT_PATTERNS_KEPT 256       /* of one list, to compare rules by */
#define LINT_PATTERNS_KEPT_ALL 65536 /* of all lists */
#define LINT_REMARKS_KEPT 1000

enum list_origin { LIST_OF_RULE = 0, LIST_OF_USER, LIST_BUILT_IN };

/* A pattern in as little memory as a name takes. */
struct noted_pattern {
    enum pattern_kind kind;
    char *name; /* or NULL */
    struct network network;
};

struct noted_list {
    const struct host_list *list; /* the policy's, of the same number */
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
    size_t kept; /* patterns of all lists */
    struct lint_remark *remarks;
    size_t remark_count;
};

struct setting;

struct lint_notes *lint_notes_new(void);
void lint_notes_free(struct lint_notes *notes);

/* Into `notes`, which may be NULL: then nothing is noted. False: out of memory. Each list of the policy is added, in order, and before its patterns,
 * which `from` names. */
bool lint_notes_add_list(struct lint_notes *notes, const struct host_list *list, enum list_origin origin);
bool lint_notes_add_pattern(struct lint_notes *notes, const struct host_list *list, const struct pattern *pattern, const struct setting *from);

const struct noted_list *lint_notes_find(const struct lint_notes *notes, const struct host_list *list);

#endif
