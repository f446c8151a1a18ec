/* The word that was probably meant: for "did you mean". */
#include "config/suggestion.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* A slip or two; in a short word one is already much. */
static unsigned suggestion_limit(const char *asked)
{
    size_t len = strlen(asked);
    return len < 4 ? 1 : len < 9 ? 2 : 3;
}

void suggestion_offer(struct suggestion *suggestion, const char *word)
{
    unsigned distance = text_distance(suggestion->asked, word);
    if (distance > suggestion_limit(suggestion->asked) || distance >= strlen(word))
        return;
    if (suggestion->found == NULL || distance < suggestion->distance) {
        suggestion->found = word;
        suggestion->distance = distance;
    }
}

const char *suggestion_text(const struct suggestion *suggestion, char buf[SUGGESTION_TEXT_MAX])
{
    buf[0] = '\0';
    if (suggestion->found != NULL)
        snprintf(buf, SUGGESTION_TEXT_MAX, ", did you mean \"%.80s\"?", suggestion->found);
    return buf;
}
