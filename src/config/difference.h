/* What changed from one configuration to the next, in words for a record and for people. */
#ifndef EXEAT_CONFIG_DIFFERENCE_H
#define EXEAT_CONFIG_DIFFERENCE_H

#include <stdbool.h>

#include "base/text.h"
#include "config/facts.h"

/* So many places where something changed are told apart; of the rest only the number is known. */
#define DIFFERENCE_PLACES_MAX 200

struct difference;

struct difference *difference_new(void);
void difference_free(struct difference *difference);

enum difference_way { DIFFERENCE_ADDED = 0, DIFFERENCE_REMOVED, DIFFERENCE_WAYS };

/* Notes a fact that one of the two does not have. `whole`: it has no section of that title at all. A failure to remember is counted as a place more.
 * True: nothing was noted of that place before. */
bool difference_note(struct difference *difference, const struct fact *fact, enum difference_way way, bool whole);

/* `rule build added; hosts internal: host added a.example b.example (and 7 more), removed c.example; limits hello changed`, or `nothing changed`: as
 * much as fits in the text, and then how many more. */
void difference_say(const struct difference *difference, struct text *out);

#endif
