/* Hands what became of the rules to the supervisor, now and then and at the end: for the next server, and for the next start. */
#ifndef EXEAT_ADMIN_RULES_KEEPER_H
#define EXEAT_ADMIN_RULES_KEEPER_H

#include "admin/collection.h"
#include "admin/rules.h"
#include "proxy/server.h"

struct rules_keeper;

/* Reads what the last server left, too. NULL: out of memory. */
struct rules_keeper *rules_keeper_new(struct server *server, const struct collection *collection, struct rules *rules);
/* When no worker runs any more: hands over for the last time, unless it was retired. Safe on NULL. */
void rules_keeper_free(struct rules_keeper *keeper);

/* CHANNEL_STATE while it serves: what the server left that served before, in place of what was read at the start. */
void rules_keeper_take(struct rules_keeper *keeper, const struct channel_message *message);

/* From here on another server keeps them: nothing is handed over but by rules_keeper_hand_over(). */
void rules_keeper_retire(struct rules_keeper *keeper);
/* Hands over all that is known with this sum of all counts here. False: it cannot be for now. */
bool rules_keeper_hand_over(struct rules_keeper *keeper, const struct tally *sum);

#endif
