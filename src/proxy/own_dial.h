/* The connections that exeat dialled a moment ago, so that one which comes back to its own listener is known. */
#ifndef EXEAT_PROXY_OWN_DIAL_H
#define EXEAT_PROXY_OWN_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/* A dial is committed, and its ClientHello forwarded, in less. */
#define OWN_DIAL_MS 30000

/* Notes one for OWN_DIAL_MS; from any worker, without a lock. Where too many follow, an older one is forgotten: if it comes back it is dialled once
 * more, and known then. */
void own_dial_note(const struct endpoint *from, const struct endpoint *to, uint64_t now_ms);

/* Whether any worker dialled it. */
bool own_dial_was(const struct endpoint *from, const struct endpoint *to, uint64_t now_ms);

#endif
