/* Tells the quotas of a client's groups what its tunnel carries: in portions, so that a message costs next to nothing. */
#ifndef EXEAT_PROXY_METER_H
#define EXEAT_PROXY_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

struct meter;
struct quotas;

/* What went is told when it is so much, or so long after what was told last; the rest at the end. */
#define METER_PORTION (UINT64_C(64) << 10)
#define METER_MS 100

/* Of a tunnel that has carried nothing but `up` and `down` bytes, which are not told. *out is NULL where no group of the client has a quota. False:
 * out of memory. */
bool meter_new(struct meter **out, struct quotas *quotas, const struct policy *policy, const struct address *client, uint64_t up, uint64_t down);

/* It has carried so many in all. */
void meter_read(struct meter *meter, uint64_t up, uint64_t down, uint64_t now_ms);

/* … and tells what was not told yet. */
void meter_free(struct meter *meter, uint64_t up, uint64_t down, uint64_t now_ms);

#endif
