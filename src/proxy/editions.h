/* The server's editions, on its main thread: the one that serves, the one that is being made, and what is left of those before. */
#ifndef EXEAT_PROXY_EDITIONS_H
#define EXEAT_PROXY_EDITIONS_H

#include <stdbool.h>

#include "base/background.h"
#include "host/channel.h"
#include "proxy/edition.h"

struct event;
struct event_base;
struct mailbox;

struct editions {
    struct edition *now;  /* NULL: none was given yet */
    struct edition *next; /* as far as the supervisor has described it */
    unsigned workers;
    char *instance, *listen; /* of the start; NULL: no --listen */
    bool continue_on_failure;
    struct endpoint metrics; /* where metrics are asked for, as bound; not set: nowhere */
    bool retired;            /* others listen, and no edition has an address from here on */
    struct endpoint *theirs; /* … where they did when it was retired */
    size_t their_count;
    int channel;
    /* private */
    struct background reading;
    struct event *read;
    struct editions_order { /* what is being read, or is to be read next */
        uint32_t number;    /* 0: nothing */
        int fd;
        char path[CHANNEL_TEXT_MAX];
    } order, waiting;
    struct config *result;
    pthread_mutex_t lock; /* over `over` */
    struct config *over;  /* nobody judges by them any more, or nobody holds them */
    struct mailbox *bell; /* rung when there are some: freeing a million patterns is nothing for a worker */
};

/* False: out of memory or descriptors. */
bool editions_init(struct editions *editions, struct event_base *base, int channel);
/* After the workers are gone. */
void editions_fini(struct editions *editions);

/* Takes part in what the supervisor says, its descriptor too: CHANNEL_NAME, CHANNEL_LISTEN, CHANNEL_CONFIG, CHANNEL_ADDRESS, CHANNEL_LISTENER,
 * CHANNEL_GIVEN and CHANNEL_FORGET. While nothing serves yet the configuration is read at once, else aside. False: no such message, or it cannot be
 * followed. */
bool editions_take(struct editions *editions, const struct channel_message *message);

/* Where that socket is bound no route of any edition dials, as where listeners are. At set-up, behind CHANNEL_CONFIG. */
bool editions_never(struct editions *editions, int fd);

/* From here on an edition is whole without an address; where the one that serves listens no later one dials either. Out of memory, none is whole. */
void editions_retire(struct editions *editions);

/* CHANNEL_GO: makes the next one the one that serves. False: there is none of that number. */
bool editions_go(struct editions *editions, uint32_t number);

#endif
