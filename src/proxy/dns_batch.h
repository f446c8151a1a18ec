/* A few questions over one channel of c-ares: sockets, retries, TCP for what is truncated. The only place that knows c-ares. */
#ifndef EXEAT_PROXY_DNS_BATCH_H
#define EXEAT_PROXY_DNS_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/dns_question.h"
#include "proxy/dns_way.h"
#include "proxy/loop.h"

/* c-ares 1.18 keeps a socket for as long as a question is in flight on it; who guesses its port has guessed it for so many questions at most. */
#define DNS_BATCH_MAX 32

struct ares_channeldata;
struct dns_socket;
struct event;

struct dns_batch {
    struct grave grave;
    struct dns_batch *next; /* its owner's */
    struct loop *loop;
    const struct dns_way *way;
    struct ares_channeldata *ares;
    struct event *timer;
    struct dns_socket *sockets;
    unsigned asked, in_flight;
    int error;      /* why no socket could be had, in the present call of c-ares */
    unsigned rcode; /* of the datagram that c-ares is looking at, else 0 */
    uint16_t ids[DNS_BATCH_MAX];
};

/* A question on its way, embedded in what its asker keeps of it. */
struct dns_asked {
    struct dns_batch *batch;
    enum family family;
    struct dns_answer answer;
    void (*answered)(struct dns_asked *asked); /* within a call of c-ares: may only put it aside */
};

/* `way` must live until dns_batch_end. NULL: out of memory. */
struct dns_batch *dns_batch_new(struct loop *loop, const struct dns_way *way);

/* Closes it; what is still in flight is answered before this returns. Never within `answered`. */
void dns_batch_end(struct dns_batch *batch);

bool dns_batch_is_full(const struct dns_batch *batch); /* takes no more questions */
bool dns_batch_is_idle(const struct dns_batch *batch); /* all its questions are answered */

/* `answered` runs once, perhaps before this returns; *asked must live until then. Not on a full one. */
void dns_batch_ask(struct dns_batch *batch, const struct dns_question *question, struct dns_asked *asked);

#endif
