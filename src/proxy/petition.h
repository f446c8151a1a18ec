/* Those in the server who asked the supervisor for something that takes its time, a reload or an upgrade, and wait to hear what came of it. */
#ifndef EXEAT_PROXY_PETITION_H
#define EXEAT_PROXY_PETITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/channel.h"

struct petition;

enum petition_kind { PETITION_RELOAD = 0, PETITION_UPGRADE, PETITION_KINDS };

/* Those of one kind. */
struct petitions {
    int channel;
    enum petition_kind kind;
    /* private */
    uint32_t last;
    struct petition *first;
};

/* All of it on the main thread. Asks for one that begins from here on; `done` is called once, never before this returns. `words` are lines, as
 * fault_print() has them: the warnings, and last what was done; or the faults that are why it was refused, and the warnings. NULL: nobody can be
 * asked. */
struct petition *petition_start(struct petitions *petitions, void (*done)(void *arg, bool taken, const char *words, size_t len), void *arg);
/* Whoever asked is gone: `done` is not called. What was asked for is not taken back. */
void petition_cancel(struct petition *petition);

/* CHANNEL_OUTCOME or CHANNEL_UPGRADED, whichever is of this kind, with its descriptor. */
void petitions_answer(struct petitions *petitions, const struct channel_message *message);
/* Whether somebody waits. */
bool petitions_wait(const struct petitions *petitions);
/* Tells all who wait that nothing comes any more. */
void petitions_fini(struct petitions *petitions);

#endif
