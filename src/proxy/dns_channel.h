/* Questions to the DNS servers of one way, in batches, each of which leaves from ports of its own. */
#ifndef EXEAT_PROXY_DNS_CHANNEL_H
#define EXEAT_PROXY_DNS_CHANNEL_H

#include <stdbool.h>

#include "config/config.h"
#include "proxy/dns_question.h"
#include "proxy/loop.h"

struct dns_channel;

/* For an open route (dns_way_is_open). Keeps nothing of config and route. NULL when out of memory. */
struct dns_channel *dns_channel_new(struct loop *loop, const struct config *config, const struct route *route);

/* Questions in flight are dropped: their `done` is not called. Safe on NULL, and within a `done`. */
void dns_channel_free(struct dns_channel *channel);

/* Whether it is what dns_channel_new would make of these. */
bool dns_channel_serves(const struct dns_channel *channel, const struct config *config, const struct route *route);

/* No question is in flight. */
bool dns_channel_is_idle(const struct dns_channel *channel);

/* Asks. `done` runs once, from the loop, never before this returns, and at the latest a few times dns.timeout later. False: out of memory. */
bool dns_channel_ask(struct dns_channel *channel, const struct dns_question *question, void (*done)(void *arg, const struct dns_answer *answer),
                     void *arg);

#endif
