/* One option of the configuration: what a row of the table says, and how a value in a file becomes a value in a struct. */
#ifndef EXEAT_CONFIG_OPTION_H
#define EXEAT_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/suggestion.h"

struct setting;

#define OPTION_TEXT_MAX 4096

enum option_type {
    OPTION_TEXT = 0, /* char *; goes on over indented lines */
    OPTION_WORD,     /* one of `words`, stored as its index there: an enum or a bool */
    OPTION_NUMBER,   /* the one of `words`, if there is one, stands for 0 */
    OPTION_SIZE,     /* bytes */
    OPTION_DURATION, /* milliseconds */
    OPTION_DAY,      /* days since 1970 */
    OPTION_OWN,      /* `set` reads it */
};

struct option_row {
    const char *section, *key;
    enum option_type type;
    bool list; /* `set` is called for each word; else it takes one value */
    bool required;
    bool restart;        /* a reload does not change it: the value of the start goes on */
    size_t offset, size; /* where in the section's target; size 0: nowhere */
    /* OPTION_OWN and lists */
    void (*set)(const struct setting *setting);
    const char *fallback; /* what holds when the key is missing; NULL: the help says it */
    const char *words;    /* separated by a blank */
    uint64_t min, max;    /* of numbers, sizes (bytes), durations (ms), the length of a text */
    const char *value;    /* how a fault says what an OPTION_OWN allows: "ADDRESS:PORT" */
    const char *help;
};

/* How a fault says what is allowed: "a time from 1s to 1h" … */
#define OPTION_VALUE_TEXT_MAX 256
const char *option_value_text(const struct option_row *row, char buf[OPTION_VALUE_TEXT_MAX]);

/* Whether the text is what the row allows. Numbers, sizes, durations, days, and words by their index. */
bool option_read(const struct option_row *row, const char *text, uint64_t *number);
/* `, did you mean "WORD"?` of the row's words, or "". */
void option_suggest(const struct option_row *row, const char *text, char buf[SUGGESTION_TEXT_MAX]);

/* Into and out of a section's target. */
void option_store(const struct option_row *row, void *target, uint64_t number);
/* The normal form of what is stored now, for the digest; false: nothing is. */
bool option_stored_text(const struct option_row *row, const void *target, char *buf, size_t size);

#endif
