/* Those in the server who asked for a reload and wait to hear what came of it. */
#ifndef EXEAT_PROXY_RELOAD_REQUEST_H
#define EXEAT_PROXY_RELOAD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/channel.h"

struct reload_request;

struct reload_requests {
    int channel;
    /* private */
    uint32_t last;
    struct reload_request *first;
};

/* All of it on the main thread. Asks for a reload that begins from here on; `done` is called once, never before this returns. `words` are lines,
 * as fault_print() has them: the warnings, and last what changed; or the faults that are why it was refused, and the warnings. NULL: nobody can be
 * asked. */
struct reload_request *reload_request_start(struct reload_requests *requests, void (*done)(void *arg, bool taken, const char *words, size_t len),
                                            void *arg);
/* Whoever asked is gone; the reload is not taken back. */
void reload_request_cancel(struct reload_requests *requests, struct reload_request *request);

/* CHANNEL_OUTCOME, with its descriptor. */
void reload_requests_answer(struct reload_requests *requests, const struct channel_message *message);
/* Tells all who wait that nothing comes any more. */
void reload_requests_fini(struct reload_requests *requests);

#endif
