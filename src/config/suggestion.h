/* The word that was probably meant: for "did you mean". */
#ifndef EXEAT_CONFIG_SUGGESTION_H
#define EXEAT_CONFIG_SUGGESTION_H

#include <stddef.h>

#define SUGGESTION_TEXT_MAX 128

/* Set `asked`, offer every word that there is, then read it. */
struct suggestion {
    const char *asked;
    const char *found; /* NULL: nothing is near enough */
    unsigned distance; /* private */
};

void suggestion_offer(struct suggestion *suggestion, const char *word);

/* `, did you mean "WORD"?`, or "" when nothing is near. Returns `buf`. */
const char *suggestion_text(const struct suggestion *suggestion, char buf[SUGGESTION_TEXT_MAX]);

#endif
