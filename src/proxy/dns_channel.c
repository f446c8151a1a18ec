/* Questions to the DNS servers of one way, in batches, each of which leaves from ports of its own. */
#include "proxy/dns_channel.h"

#include <event2/event.h>
#include <stdlib.h>

#include "proxy/dns_batch.h"
#include "proxy/dns_way.h"

struct dns_channel {
    struct grave grave;
    struct loop *loop;
    struct dns_way way;
    struct dns_batch *batches; /* the first takes questions unless it is full; the others only wait for their last answer */
    struct dns_pending *answered, **answered_end;
    struct event *deliver;
    unsigned pending;
};

struct dns_pending {
    struct dns_asked asked;   /* first: it is what comes back */
    struct dns_pending *next; /* of those answered */
    struct dns_channel *channel;
    void (*done)(void *arg, const struct dns_answer *answer);
    void *arg;
};

static void dns_channel_deliver(evutil_socket_t fd, short what, void *arg);

static void dns_channel_bury(struct grave *grave)
{
    struct dns_channel *channel = (struct dns_channel *)grave;
    event_free(channel->deliver);
    dns_way_fini(&channel->way);
    free(channel);
}

struct dns_channel *dns_channel_new(struct loop *loop, const struct config *config, const struct route *route)
{
    struct dns_channel *channel = calloc(1, sizeof(*channel));
    if (!channel)
        return NULL;
    channel->grave.bury = dns_channel_bury;
    channel->loop = loop;
    channel->answered_end = &channel->answered;
    channel->deliver = event_new(loop->base, -1, 0, dns_channel_deliver, channel);
    if (channel->deliver && dns_way_init(&channel->way, config, route))
        return channel;
    if (channel->deliver)
        event_free(channel->deliver);
    free(channel);
    return NULL;
}

bool dns_channel_serves(const struct dns_channel *channel, const struct config *config, const struct route *route)
{
    return dns_way_is(&channel->way, config, route);
}

bool dns_channel_is_idle(const struct dns_channel *channel)
{
    return channel->pending == 0;
}

static struct dns_batch *dns_channel_batch(struct dns_channel *channel)
{
    if (channel->batches && !dns_batch_is_full(channel->batches))
        return channel->batches;
    struct dns_batch *batch = dns_batch_new(channel->loop, &channel->way);
    if (!batch)
        return NULL;
    batch->next = channel->batches;
    channel->batches = batch;
    return batch;
}

/* Within a call of c-ares, and perhaps before dns_channel_ask has returned: delivered from the loop. */
static void dns_channel_answered(struct dns_asked *asked)
{
    struct dns_pending *pending = (struct dns_pending *)asked;
    struct dns_channel *channel = pending->channel;
    *channel->answered_end = pending;
    channel->answered_end = &pending->next;
    event_active(channel->deliver, EV_TIMEOUT, 0);
}

bool dns_channel_ask(struct dns_channel *channel, const struct dns_question *question, void (*done)(void *arg, const struct dns_answer *answer),
                     void *arg)
{
    struct dns_batch *batch = dns_channel_batch(channel);
    struct dns_pending *pending = batch ? calloc(1, sizeof(*pending)) : NULL;
    if (!pending)
        return false;
    pending->asked.answered = dns_channel_answered;
    pending->channel = channel;
    pending->done = done;
    pending->arg = arg;
    channel->pending++;
    dns_batch_ask(batch, question, &pending->asked);
    return true;
}

static struct dns_pending *dns_channel_pop(struct dns_channel *channel)
{
    struct dns_pending *pending = channel->answered;
    if (!pending)
        return NULL;
    channel->answered = pending->next;
    if (!channel->answered)
        channel->answered_end = &channel->answered;
    channel->pending--;
    return pending;
}

/* Batches that are full and have their last answer give their sockets back. */
static void dns_channel_sweep(struct dns_channel *channel)
{
    for (struct dns_batch **link = &channel->batches; *link;) {
        struct dns_batch *batch = *link;
        if (!dns_batch_is_full(batch) || !dns_batch_is_idle(batch)) {
            link = &batch->next;
            continue;
        }
        *link = batch->next;
        dns_batch_end(batch);
    }
}

/* A `done` may ask again, or free the channel: its grave keeps it until the turn ends. */
static void dns_channel_deliver(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    for (struct dns_pending *pending; (pending = dns_channel_pop(arg)) != NULL;) {
        pending->done(pending->arg, &pending->asked.answer);
        free(pending);
    }
    dns_channel_sweep(arg);
}

void dns_channel_free(struct dns_channel *channel)
{
    if (!channel)
        return;
    while (channel->batches) {
        struct dns_batch *batch = channel->batches;
        channel->batches = batch->next;
        dns_batch_end(batch);
    }
    for (struct dns_pending *pending; (pending = dns_channel_pop(channel)) != NULL;)
        free(pending);
    event_del(channel->deliver);
    loop_bury(channel->loop, &channel->grave);
}
