/* The guest on the server's main thread: its stay, and what it may ask of its host. */
#include "proxy/server_state.h"

#include <unistd.h>

#include "proxy/census.h"
#include "proxy/pulse.h"
#include "proxy/survey.h"

/* ---- its stay ---- */

bool server_begin_guest(struct server *server)
{
    server->census = census_new(server->base, server->workers, server->worker_count);
    if (server->census == NULL)
        return false;
    if (server->pulse_ms > 0 && (server->pulse = pulse_new(server->base, server->census, server->channel, server->pulse_ms)) == NULL)
        return false;
    server->guest = server->room->begin(server, server->doors);
    for (int door = 0; door < DOOR_COUNT; door++)
        server->doors[door] = -1;
    return server->guest != NULL;
}

void server_tell_guest(const struct server *server, const struct channel_message *message)
{
    server->room->heard(server->guest, message);
    if (message->fd >= 0)
        close(message->fd);
}

void server_end_guest(struct server *server)
{
    if (server->guest != NULL)
        server->room->end(server->guest);
    pulse_free(server->pulse);
    census_free(server->census);
    for (int door = 0; door < DOOR_COUNT; door++)
        if (server->doors[door] >= 0)
            close(server->doors[door]);
    if (server->state_fd >= 0)
        close(server->state_fd);
}

/* ---- what it asks ---- */

const struct config *server_config(const struct server *server)
{
    return server->editions.now->config;
}

struct petition *server_ask(struct server *server, enum petition_kind kind, void (*done)(void *arg, bool taken, const char *words, size_t len),
                            void *arg)
{
    return petition_start(&server->petitions[kind], done, arg);
}

struct event_base *server_base(struct server *server)
{
    return server->base;
}

struct census *server_census(struct server *server)
{
    return server->census;
}

uint32_t server_generation(const struct server *server)
{
    return server->generation;
}

const char *server_holds(const struct server *server)
{
    return server->shared.holds;
}

enum server_stage server_stage(const struct server *server)
{
    return server->stage;
}

int server_state(const struct server *server)
{
    return server->state_fd;
}

bool server_is_retired(const struct server *server)
{
    return server->retired;
}

uint32_t server_others(const struct server *server)
{
    return server->others;
}

bool server_collect(const struct server *server, uint32_t number, const char *what)
{
    return channel_say(server->channel, CHANNEL_COLLECT, number, 0, -1, what);
}

bool server_answer(const struct server *server, uint32_t number, int fd)
{
    return channel_tell(server->channel, CHANNEL_COLLECTED, number, server->generation, fd);
}

bool server_leave_state(const struct server *server, int fd)
{
    return channel_tell(server->channel, CHANNEL_STATE, 0, 0, fd);
}

struct survey *server_sum(const struct server *server)
{
    struct survey *sum = survey_new();
    bool whole = sum != NULL;
    for (unsigned i = 0; whole && i < server->worker_count; i++) {
        const struct worker *worker = server->workers[i];
        whole = tally_add(sum->tally, worker->tally);
        sum->journal_filed += journal_queue_filed(worker->journal);
    }
    if (whole)
        return sum;
    survey_free(sum);
    return NULL;
}

struct quotas *server_quotas(const struct server *server)
{
    return server->shared.quotas;
}

struct server_reloads server_reloads(const struct server *server)
{
    return server->reloaded;
}
