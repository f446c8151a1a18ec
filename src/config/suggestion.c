/* The word that was probably meant, for "did you mean", or else all that there are. */
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

/* Whole words only, and none behind one that had no room. */
static void suggestion_note(struct suggestion *suggestion, const char *word)
{
    size_t len = strlen(word);
    if (suggestion->more || len + 2 > sizeof(suggestion->offered) - suggestion->offered_len) {
        suggestion->more = true;
        return;
    }
    suggestion->offered[suggestion->offered_len] = ' ';
    memcpy(suggestion->offered + suggestion->offered_len + 1, word, len + 1);
    suggestion->offered_len += len + 1;
}

void suggestion_offer(struct suggestion *suggestion, const char *word)
{
    suggestion_note(suggestion, word);
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

const char *suggestion_or_allowed(const struct suggestion *suggestion, char buf[SUGGESTION_ALLOWED_MAX])
{
    if (suggestion->found != NULL)
        return suggestion_text(suggestion, buf);
    if (suggestion->offered_len == 0 && !suggestion->more)
        snprintf(buf, SUGGESTION_ALLOWED_MAX, ", nor any other");
    else
        snprintf(buf, SUGGESTION_ALLOWED_MAX, "; allowed:%s%s", suggestion->offered, suggestion->more ? " ..." : "");
    return buf;
}
