/* The server's sign of life to the supervisor, as long as every worker gives one. */
#ifndef EXEAT_PROXY_PULSE_H
#define EXEAT_PROXY_PULSE_H

#include <stdint.h>

struct census;
struct event_base;
struct pulse;

/* Has all workers asked, at once and then every `every_ms`, or sooner while tunnels are refused; each time that all have answered, CHANNEL_ALIVE is
 * said on the channel, which stays the caller's. NULL: out of memory. */
struct pulse *pulse_new(struct event_base *base, struct census *census, int channel, uint32_t every_ms);
/* Together with its census, no earlier than when nothing runs on the base any more. */
void pulse_free(struct pulse *pulse);

#endif
