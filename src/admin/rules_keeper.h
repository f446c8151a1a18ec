/* Hands what became of the rules to the supervisor, now and then and at the end: for the next server, and for the next start. */
#ifndef EXEAT_ADMIN_RULES_KEEPER_H
#define EXEAT_ADMIN_RULES_KEEPER_H

#include "admin/rules.h"
#include "proxy/server.h"

struct rules_keeper;

/* Reads what the last server left, too. NULL: out of memory. */
struct rules_keeper *rules_keeper_new(struct server *server, struct rules *rules);
/* When no worker runs any more: hands over for the last time. Safe on NULL. */
void rules_keeper_free(struct rules_keeper *keeper);

#endif
