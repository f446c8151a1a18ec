/* A reload as the supervisor does it: the configuration is read aside, judged, offered to the servers that live, and taken whole or not at all. */
#ifndef EXEAT_HOST_RELOAD_H
#define EXEAT_HOST_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/channel.h"
#include "host/generations.h"
#include "host/serving.h"

struct reload;

/* `taken` is called when another configuration serves, and all of the servers go by it. NULL with errno. */
struct reload *reload_new(struct serving *serving, struct generations *generations, void (*taken)(void *arg), void *arg);
/* At the end of the process. Waits for what is being read, but not for a file that hangs: then `serving` has lost its candidate, which stays the
 * thread's. */
void reload_free(struct reload *reload);

/* How long a reload may hang before who asked hears of it, and how long a retired server may hold one up before it is ended; a test shortens them. */
void reload_set_patience(struct reload *reload, uint64_t ms);
void reload_set_retired_patience(struct reload *reload, uint64_t ms);

/* Asks for one that begins from here on, also while another is under way. */
void reload_ask(struct reload *reload);

/* While they are held none begins; who asks waits. */
void reload_hold(struct reload *reload, bool held);

/* From now on none is taken: whoever asks, or waits for one that is being read, hears that it is refused. Files are not watched any more. */
void reload_close(struct reload *reload);

/* The server that serves was started, with what serves now; it is ready: what could not be recorded before is now. */
void reload_server_started(struct reload *reload);
void reload_server_ready(struct reload *reload);
/* This one has ended, or hung up. */
void reload_server_lost(struct reload *reload, const struct generation *generation);
/* CHANNEL_RELOAD, CHANNEL_LOADED, CHANNEL_WHOLE and CHANNEL_TAKEN; the others are nothing to it. */
void reload_take_message(struct reload *reload, struct generation *generation, const struct channel_message *message);

/* How many were refused and taken so far, through all servers. */
void reload_set_counts(struct reload *reload, const uint32_t counts[2]);
const uint32_t *reload_counts(const struct reload *reload);

/* The highest number that an edition has had so far, also one that was refused: a server may still answer to it. */
uint32_t reload_last_number(const struct reload *reload);

/* How many have begun so far; whether somebody has asked since the last one began, and whether none is under way. */
uint32_t reload_count(const struct reload *reload);
bool reload_is_wanted(const struct reload *reload);
bool reload_is_over(const struct reload *reload);

/* It goes on when one of these is readable, or its time has come (monotonic ms; UINT64_MAX: never). */
#define RELOAD_FDS 2
void reload_fds(const struct reload *reload, int fds[RELOAD_FDS]);
uint64_t reload_at_ms(const struct reload *reload);
void reload_go_on(struct reload *reload, const bool readable[RELOAD_FDS]);

#endif
