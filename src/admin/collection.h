/* How all generations of the server stand together: the workers of this one, what the others answer, and what those before have left behind. */
#ifndef EXEAT_ADMIN_COLLECTION_H
#define EXEAT_ADMIN_COLLECTION_H

#include "host/channel.h"
#include "proxy/census.h"
#include "proxy/server.h"

struct collection;

/* NULL: out of memory. */
struct collection *collection_new(struct server *server);
/* Who still asks is told nothing. Safe on NULL. */
void collection_free(struct collection *collection);

/* As census_ask(), of all generations: one that does not answer for two seconds is `silent`, and of it is told what it last said of its counts. What
 * adds up is added up; the workers and their journals are those of this server. */
void collection_ask(struct collection *collection, struct census_wish *wish);

/* Adds what was left behind. False: out of memory, and the sum is not whole. */
bool collection_add_left(const struct collection *collection, struct survey *sum);

/* CHANNEL_COLLECTED. */
void collection_take(struct collection *collection, const struct channel_message *message);

/* There are more or fewer others, or this one has become one of them. */
void collection_recount(struct collection *collection);

#endif
