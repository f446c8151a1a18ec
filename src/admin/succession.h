/* What a server tells the one that serves in its place of its own counts: on being asked, and, once and for all, what it hands over. */
#ifndef EXEAT_ADMIN_SUCCESSION_H
#define EXEAT_ADMIN_SUCCESSION_H

#include "admin/collection.h"
#include "admin/rules_keeper.h"
#include "proxy/server.h"

struct succession;

/* NULL: out of memory. */
struct succession *succession_new(struct server *server, const struct collection *collection, struct rules_keeper *keeper);
/* When no worker runs any more: of one that was retired hands over the rest. Safe on NULL. */
void succession_free(struct succession *succession);

/* CHANNEL_RETIRE: hands over what was counted so far, and from here on each minute what has come since. */
void succession_begin(struct succession *succession);

/* CHANNEL_COLLECT: answers with all that is not handed over yet, and what is open. */
void succession_answer(struct succession *succession, const struct channel_message *message);

#endif
