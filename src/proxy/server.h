/* The server process: takes listeners and configuration from the supervisor, runs the workers, and keeps them in touch with the journal. */
#ifndef EXEAT_PROXY_SERVER_H
#define EXEAT_PROXY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "host/channel.h"
#include "proxy/petition.h"

struct census;
struct event_base;
struct quotas;
struct server;
struct survey;

/* How far it is on its way out. */
enum server_stage {
    SERVER_SERVING = 0,
    SERVER_LEAVING,  /* it serves, and says that it is not ready */
    SERVER_DRAINING, /* no tunnel is opened any more; those that are open go on */
    SERVER_STOPPING,
};

/* What a room above this one serves on the server's main thread. */
struct server_guest {
    /* Set-up is over, and no worker runs yet. The doors' sockets are the guest's; -1: there is no such door. NULL: the server cannot start. */
    void *(*begin)(struct server *server, const int doors[DOOR_COUNT]);
    void (*changed)(void *guest); /* server_config() is another one from here on */
    /* What it is that the supervisor has to say of other generations: CHANNEL_RETIRE, CHANNEL_OTHERS, CHANNEL_COLLECT, CHANNEL_COLLECTED and
     * CHANNEL_STATE. The descriptor is lent. */
    void (*heard)(void *guest, const struct channel_message *message);
    void (*end)(void *guest); /* no worker runs any more */
};

/* Asks the supervisor: see petition_start(). */
struct petition *server_ask(struct server *server, enum petition_kind kind, void (*done)(void *arg, bool taken, const char *words, size_t len),
                            void *arg);

/* Runs on the channel that the supervisor gave; returns the exit code: 0 after an orderly stop or when the supervisor is gone. */
int server_run(int channel, const struct server_guest *guest);

/* For the guest, on the main thread. */
struct event_base *server_base(struct server *server);
struct census *server_census(struct server *server);
const struct config *server_config(const struct server *server); /* that new sessions are judged by now */
struct quotas *server_quotas(const struct server *server);
uint32_t server_generation(const struct server *server); /* how many servers this supervisor has started, this one included */
const char *server_holds(const struct server *server);   /* what this process has given up, in the words of the `start` record */
enum server_stage server_stage(const struct server *server);

/* Another generation serves: this one only goes on with what is open. */
bool server_is_retired(const struct server *server);
/* How many more live, as far as this one serves. */
uint32_t server_others(const struct server *server);

/* Says CHANNEL_COLLECT or CHANNEL_COLLECTED. False: the supervisor does not hear it. */
bool server_collect(const struct server *server, uint32_t number, const char *what);
bool server_answer(const struct server *server, uint32_t number, int fd);

/* A file that a former server left, as server_leave_state() was given it; -1: none. Lent. */
int server_state(const struct server *server);
bool server_leave_state(const struct server *server, int fd);

/* When no worker runs any more: what all of them have counted, the caller's. NULL: out of memory. */
struct survey *server_sum(const struct server *server);

struct server_reloads {
    uint64_t taken, refused;
};
struct server_reloads server_reloads(const struct server *server); /* so far, by former servers too */

#endif
