/* The connections that exeat dials, for as long as one of them may come back to its own door as somebody's who was brought by the network. */
#ifndef EXEAT_PROXY_OWN_DIAL_H
#define EXEAT_PROXY_OWN_DIAL_H

#include <stdbool.h>

#include "base/address.h"

/* From any worker, without a lock. Remembered for OWN_DIAL_MS, unless too many follow: who comes back unseen then is dialled once more, and seen. */
#define OWN_DIAL_MS 30000
void own_dial_note(const struct endpoint *from, const struct endpoint *to);

/* Whether such a one was dialled by any worker. */
bool own_dial_was(const struct endpoint *from, const struct endpoint *to);

#endif
