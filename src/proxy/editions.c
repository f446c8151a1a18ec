/* The server's editions, on its main thread: the one that serves, the one that is being made, and what is left of those before. */
#include "proxy/editions.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "config/bundle.h"
#include "proxy/mailbox.h"

static void editions_was_read(evutil_socket_t fd, short what, void *arg);
static void editions_bury(void *arg, int what, intptr_t value);

bool editions_init(struct editions *editions, struct event_base *base, int channel)
{
    *editions = (struct editions){.channel = channel, .order.fd = -1, .waiting.fd = -1};
    pthread_mutex_init(&editions->lock, NULL);
    if (!background_init(&editions->reading))
        return false;
    editions->read = event_new(base, editions->reading.bell, EV_READ | EV_PERSIST, editions_was_read, editions);
    editions->bell = mailbox_new(base, editions_bury, editions);
    return editions->read != NULL && editions->bell != NULL && event_add(editions->read, NULL) == 0;
}

static void editions_drop_order(struct editions_order *order)
{
    if (order->fd >= 0)
        close(order->fd);
    order->fd = -1;
    order->number = 0;
}

void editions_fini(struct editions *editions)
{
    background_fini(&editions->reading);
    editions_drop_order(&editions->order);
    editions_drop_order(&editions->waiting);
    config_unref(editions->result);
    edition_unref(editions->next);
    edition_unref(editions->now);
    editions_bury(editions, 0, 0);
    if (editions->read != NULL)
        event_free(editions->read);
    mailbox_free(editions->bell);
    free(editions->theirs);
    free(editions->instance);
    free(editions->listen);
    pthread_mutex_destroy(&editions->lock);
}

/* ---- snapshots that nobody needs any more ---- */

/* On whatever thread had the last reference. */
static void editions_is_over(void *arg, struct config *config)
{
    struct editions *editions = arg;
    pthread_mutex_lock(&editions->lock);
    config->next = editions->over;
    editions->over = config;
    pthread_mutex_unlock(&editions->lock);
    (void)mailbox_put(editions->bell, 0, 0); /* without memory for that it goes with the next one */
}

static struct config *editions_next_over(struct editions *editions)
{
    pthread_mutex_lock(&editions->lock);
    struct config *config = editions->over;
    if (config != NULL)
        editions->over = config->next;
    pthread_mutex_unlock(&editions->lock);
    return config;
}

/* One that is settled may be back at once, when nobody holds it either. */
static void editions_bury(void *arg, int what, intptr_t value)
{
    (void)what, (void)value;
    struct editions *editions = arg;
    struct config *config;
    while ((config = editions_next_over(editions)) != NULL)
        config_settle(config);
}

/* ---- reading ---- */

/* The supervisor has judged the same bytes: only memory can be missing. */
static struct config *editions_load(const struct editions_order *order)
{
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_read(order->fd);
    struct config *config = bundle && faults ? config_load(bundle, order->path, faults) : NULL;
    if (config == NULL && faults != NULL)
        fault_print(faults, stderr, true, false);
    bundle_free(bundle);
    fault_list_free(faults);
    return config;
}

static bool editions_replace_listeners(const struct editions *editions, struct config *config)
{
    struct endpoint address;
    const char *text = editions->listen;
    return text == NULL || (endpoint_read(&address, text, strlen(text)) && config_set_listen(config, &address));
}

static bool editions_keep_bound(const struct editions *editions, struct config *config)
{
    bool fine = !address_is_set(&editions->metrics.ip) || config_never_listener(config, &editions->metrics);
    for (size_t i = 0; fine && i < editions->their_count; i++)
        fine = config_never_listener(config, &editions->theirs[i]);
    return fine;
}

/* What was set at the start stays. */
static bool editions_settle(const struct editions *editions, struct config *config)
{
    if (!editions_replace_listeners(editions, config))
        return false;
    if (editions->now != NULL)
        return config_keep(config, editions->now->config) && editions_keep_bound(editions, config);
    return config_set_instance(config, editions->instance, editions->continue_on_failure);
}

/* Takes over the configuration. */
static bool editions_begin_next(struct editions *editions, struct config *config, uint32_t number)
{
    edition_unref(editions->next);
    editions->next = NULL;
    if (config == NULL)
        return false;
    if (!editions_settle(editions, config)) {
        config_unref(config);
        return false;
    }
    config_on_last(config, editions_is_over, editions);
    editions->next = edition_new(number, config, editions->workers);
    return editions->next != NULL;
}

static void editions_read(void *arg)
{
    struct editions *editions = arg;
    editions->result = editions_load(&editions->order);
}

static void editions_start_reading(struct editions *editions)
{
    editions->order = editions->waiting;
    editions->waiting = (struct editions_order){.fd = -1};
    if (editions->order.number == 0 || background_start(&editions->reading, editions_read, editions))
        return;
    channel_tell(editions->channel, CHANNEL_LOADED, editions->order.number, false, -1);
    editions_drop_order(&editions->order);
}

/* Another order may have come meanwhile: then nobody waits for this one. */
static void editions_was_read(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct editions *editions = arg;
    background_join(&editions->reading);
    struct config *config = editions->result;
    const uint32_t number = editions->order.number;
    editions->result = NULL;
    editions_drop_order(&editions->order);
    if (editions->waiting.number == 0 && number != 0)
        channel_tell(editions->channel, CHANNEL_LOADED, number, editions_begin_next(editions, config, number), -1);
    else
        config_unref(config);
    if (editions->waiting.number != 0)
        editions_start_reading(editions);
}

static bool editions_take_config(struct editions *editions, const struct channel_message *message)
{
    const struct editions_order *order = &editions->waiting;
    editions_drop_order(&editions->waiting);
    editions->waiting.number = message->b;
    editions->waiting.fd = message->fd;
    text_copy(editions->waiting.path, sizeof(editions->waiting.path), message->text, strlen(message->text));
    if (editions->now == NULL) {
        editions->workers = message->a;
        const bool fine = editions->workers > 0 && editions->workers <= WORKERS_MAX && editions->instance != NULL &&
                          editions_begin_next(editions, editions_load(order), order->number);
        editions_drop_order(&editions->waiting);
        return fine;
    }
    if (!editions->reading.running)
        editions_start_reading(editions);
    return true;
}

/* Also when it is still being read: what comes of that is thrown away. */
static void editions_forget(struct editions *editions, uint32_t number)
{
    if (editions->next != NULL && editions->next->number == number) {
        edition_unref(editions->next);
        editions->next = NULL;
    }
    if (editions->waiting.number == number)
        editions_drop_order(&editions->waiting);
    if (editions->order.number == number)
        editions->order.number = 0;
}

static bool editions_keep_text(char **out, const char *text)
{
    free(*out);
    *out = strdup(text);
    return *out != NULL;
}

static bool editions_is_whole(const struct editions *editions, uint32_t number)
{
    return editions->next != NULL && editions->next->number == number && (editions->retired || edition_is_whole(editions->next));
}

bool editions_take(struct editions *editions, const struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_NAME:
        editions->continue_on_failure = message->a & CHANNEL_NAME_CONTINUE;
        return editions_keep_text(&editions->instance, message->text);
    case CHANNEL_LISTEN:
        return editions_keep_text(&editions->listen, message->text);
    case CHANNEL_CONFIG:
        return editions_take_config(editions, message);
    case CHANNEL_ADDRESS:
        return editions->next != NULL && edition_add_address(editions->next, message->a, message->b & ~CHANNEL_ADDRESS_INHERITED,
                                                             message->b & CHANNEL_ADDRESS_INHERITED, editions->now);
    case CHANNEL_LISTENER:
        if (editions->next != NULL)
            return edition_add_socket(editions->next, message->a, message->b, message->fd);
        break;
    case CHANNEL_GIVEN:
        return channel_tell(editions->channel, CHANNEL_WHOLE, message->a, editions_is_whole(editions, message->a), -1);
    case CHANNEL_FORGET:
        editions_forget(editions, message->a);
        return true;
    default:
        break;
    }
    if (message->fd >= 0)
        close(message->fd);
    return false;
}

bool editions_never(struct editions *editions, int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    return editions->next != NULL && getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
           endpoint_from_sockaddr(&editions->metrics, (struct sockaddr *)&name, len) &&
           config_never_listener(editions->next->config, &editions->metrics);
}

void editions_retire(struct editions *editions)
{
    const struct edition *now = editions->now;
    editions->theirs = calloc(now->address_count + 1, sizeof(*editions->theirs));
    editions->retired = editions->theirs != NULL;
    for (size_t i = 0; editions->retired && i < now->address_count; i++)
        editions->theirs[editions->their_count++] = now->addresses[i].bound;
}

bool editions_go(struct editions *editions, uint32_t number)
{
    if (editions->next == NULL || editions->next->number != number)
        return false;
    edition_unref(editions->now);
    editions->now = editions->next;
    editions->next = NULL;
    return true;
}
