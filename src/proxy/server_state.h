/* What the server knows: private to the files named server_*. */
#ifndef EXEAT_PROXY_SERVER_STATE_H
#define EXEAT_PROXY_SERVER_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/editions.h"
#include "proxy/petition.h"
#include "proxy/server.h"
#include "proxy/worker.h"

struct log_writer;

struct server {
    int channel;
    struct log_writer *log; /* for this thread; NULL: it is not set up yet */
    struct event_base *base;
    struct event *heard;
    struct mailbox *news;
    struct editions editions;
    struct petitions petitions[PETITION_KINDS];
    struct shared shared;
    struct worker *workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    unsigned worker_count, listening, running, drained, dry;
    bool retired;
    uint32_t others;    /* generations that live beside this one, which serves */
    unsigned taking;    /* workers that have not gone over to the edition that serves */
    struct event *dawn; /* when another day may have begun */
    uint32_t today;
    enum server_stage stage;
    bool drained_told;
    struct event *minute; /* of a drain, and of one that is retired */
    uint32_t generation;
    struct server_reloads reloaded;
    int doors[DOOR_COUNT]; /* until they are the guest's; -1: none */
    int state_fd;          /* what the last server left; -1: nothing */
    struct census *census;
    uint32_t pulse_ms; /* 0: nobody waits for one */
    struct pulse *pulse;
    const struct server_guest *room; /* whose guest is here, once set-up is over */
    void *guest;
};

/* When set-up is over; false: it cannot be had. */
bool server_begin_guest(struct server *server);
/* What is said of other generations; closes the descriptor. */
void server_tell_guest(const struct server *server, const struct channel_message *message);
/* When no worker runs any more. Also without a guest. */
void server_end_guest(struct server *server);

#endif
