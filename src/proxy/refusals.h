/* How often each client was refused lately, so that one who hammers is told more slowly. */
#ifndef EXEAT_PROXY_REFUSALS_H
#define EXEAT_PROXY_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define REFUSALS_SPAN_MS 10000

/* So many clients are known at most: of those that fall together the one that was refused longest ago is forgotten. */
#define REFUSALS_SETS 1024
#define REFUSALS_A_SET 4

struct refusals;

/* One account for all workers; a lock inside, held for a few instructions and only on refusals. NULL when out of memory. */
struct refusals *refusals_new(void);
void refusals_free(struct refusals *refusals);

/* One more. True: the client is past `most` (not 0) in the span. They run out evenly, and it is never further past than by as many again. */
bool refusals_count(struct refusals *refusals, const struct address *client, uint64_t most, uint64_t now_ms);

#endif
