/* The word that was probably meant, for "did you mean", or else all that there are. */
#ifndef EXEAT_CONFIG_SUGGESTION_H
#define EXEAT_CONFIG_SUGGESTION_H

#include <stdbool.h>
#include <stddef.h>

#define SUGGESTION_TEXT_MAX 128
#define SUGGESTION_ALLOWED_MAX 384

/* Set `asked`, offer every word that there is, then read it. */
struct suggestion {
    const char *asked;
    const char *found; /* NULL: nothing is near enough */
    unsigned distance; /* private, as all below */
    char offered[256]; /* the first words, each behind a blank */
    size_t offered_len;
    bool more;
};

void suggestion_offer(struct suggestion *suggestion, const char *word);

/* `, did you mean "WORD"?`, or "" when nothing is near. Returns `buf`. */
const char *suggestion_text(const struct suggestion *suggestion, char buf[SUGGESTION_TEXT_MAX]);
/* The same, or where nothing is near `; allowed: WORD WORD ...`, as many as fit; `, nor any other` when there is none. Returns `buf`. */
const char *suggestion_or_allowed(const struct suggestion *suggestion, char buf[SUGGESTION_ALLOWED_MAX]);

#endif
