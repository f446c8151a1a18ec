/* The servers that live: the one that serves, one that is to follow it, and those that were followed, which go on with what they had open. */
#include "host/generations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/process.h"

#define LINK_AGAIN_MS 100

/* ---- who there is ---- */

static void generation_free(struct generation *generation)
{
    child_hang_up(&generation->child);
    free(generation->linked);
    free(generation);
}

struct generation *generations_add(struct generations *generations)
{
    struct generation *generation = generations->count < GENERATIONS_MAX ? calloc(1, sizeof(*generation)) : NULL;
    if (generation == NULL)
        return NULL;
    *generation = (struct generation){.child = {.role = PROCESS_ROLE_SERVER, .channel = -1}};
    generation->linked = calloc(generations->workers, sizeof(*generation->linked));
    if (generation->linked == NULL) {
        free(generation);
        return NULL;
    }
    return generations->all[generations->count++] = generation;
}

bool generations_init(struct generations *generations, unsigned workers)
{
    *generations = (struct generations){.workers = workers};
    return generations_add(generations) != NULL;
}

void generations_fini(struct generations *generations)
{
    while (generations->count > 0)
        generation_free(generations->all[--generations->count]);
}

struct generation *generations_serving(const struct generations *generations)
{
    return generations->all[0];
}

struct generation *generations_rising(const struct generations *generations)
{
    struct generation *last = generations->all[generations->count - 1];
    return last->state == GENERATION_RISING ? last : NULL;
}

size_t generations_others(const struct generations *generations)
{
    return generations->count - 1 - (generations_rising(generations) != NULL);
}

struct generation *generations_find(const struct generations *generations, pid_t pid)
{
    for (size_t i = 0; i < generations->count; i++)
        if (generations->all[i]->child.pid == pid)
            return generations->all[i];
    return NULL;
}

struct generation *generations_raise(struct generations *generations)
{
    struct generation *rising = generations_rising(generations) == NULL ? generations_add(generations) : NULL;
    if (rising != NULL)
        rising->state = GENERATION_RISING;
    return rising;
}

void generations_promote(struct generations *generations)
{
    struct generation *rising = generations_rising(generations);
    memmove(&generations->all[1], &generations->all[0], (generations->count - 1) * sizeof(generations->all[0]));
    generations->all[0] = rising;
    rising->state = GENERATION_SERVING;
    generations->all[1]->state = GENERATION_RETIRED;
}

void generations_forget(struct generations *generations, struct generation *generation)
{
    size_t at = 0;
    while (generations->all[at] != generation)
        at++;
    generations->count--;
    memmove(&generations->all[at], &generations->all[at + 1], (generations->count - at) * sizeof(generations->all[0]));
    generation_free(generation);
}

/* ---- all of them ---- */

static void generation_tell(const struct generation *generation, enum channel_kind kind, uint32_t a)
{
    if (generation->child.channel >= 0)
        channel_tell(generation->child.channel, kind, a, 0, -1);
}

void generations_tell(const struct generations *generations, enum channel_kind kind, uint32_t a)
{
    for (size_t i = 0; i < generations->count; i++)
        generation_tell(generations->all[i], kind, a);
}

void generations_tell_retired(const struct generations *generations, enum channel_kind kind, uint32_t a)
{
    for (size_t i = 0; i < generations->count; i++)
        if (generations->all[i]->state == GENERATION_RETIRED)
            generation_tell(generations->all[i], kind, a);
}

bool generations_any_runs(const struct generations *generations)
{
    for (size_t i = 0; i < generations->count; i++)
        if (generations->all[i]->child.pid != 0)
            return true;
    return false;
}

/* One that was to follow has nothing open, and was not even asked where it hangs. */
static bool generation_is_drained(const struct generation *generation)
{
    return generation->child.pid == 0 || generation->drained || generation->state == GENERATION_RISING;
}

bool generations_are_drained(const struct generations *generations)
{
    for (size_t i = 0; i < generations->count; i++)
        if (!generation_is_drained(generations->all[i]))
            return false;
    return true;
}

uint32_t generations_cut(const struct generations *generations)
{
    uint32_t cut = 0;
    for (size_t i = 0; i < generations->count; i++)
        cut += generations->all[i]->cut;
    return cut;
}

/* ---- one of them ---- */

static void generation_unlink(struct generation *generation, unsigned workers)
{
    memset(generation->linked, false, workers * sizeof(*generation->linked));
}

bool generation_start(struct generations *generations, struct generation *generation)
{
    generation_unlink(generation, generations->workers);
    generation->ready = generation->drained = false;
    if (!child_start(&generation->child))
        return false;
    generation->number = ++generations->last_number;
    return true;
}

/* ---- and the journal ---- */

bool generations_tell_journal(const struct generations *generations, const struct child *journal)
{
    bool told = true;
    for (size_t i = 0; told && i < generations->count; i++)
        if (generations->all[i]->child.pid != 0)
            told = channel_tell(journal->channel, CHANNEL_LIVING, generations->all[i]->number, 0, -1);
    return told;
}

void generations_unlink(struct generations *generations)
{
    for (size_t i = 0; i < generations->count; i++)
        generation_unlink(generations->all[i], generations->workers);
}

static bool generation_wants_link(const struct generation *generation, unsigned workers)
{
    return generation->child.channel >= 0 && memchr(generation->linked, false, workers * sizeof(*generation->linked)) != NULL;
}

bool generations_want_link(const struct generations *generations, const struct child *journal)
{
    for (size_t i = 0; journal->channel >= 0 && !journal->yields && i < generations->count; i++)
        if (generation_wants_link(generations->all[i], generations->workers))
            return true;
    return false;
}

/* Each end goes to its process and is not kept here, so that either sees the other's death. */
static bool generation_link_worker(const struct generation *generation, unsigned worker, const struct child *journal)
{
    int ends[2];
    if (!channel_pair(ends))
        return false;
    bool ok = channel_tell(journal->channel, CHANNEL_WORKER, generation->number, worker, ends[0]) &&
              channel_tell(generation->child.channel, CHANNEL_JOURNAL, 0, worker, ends[1]);
    close(ends[0]);
    close(ends[1]);
    return ok;
}

static bool generation_link(struct generation *generation, unsigned workers, const struct child *journal)
{
    bool ok = true;
    for (unsigned i = 0; i < workers; i++)
        ok = (generation->linked[i] || (generation->linked[i] = generation_link_worker(generation, i, journal))) && ok;
    return ok;
}

/* The oldest first: what it has to say was there before. */
void generations_link(struct generations *generations, const struct child *journal)
{
    bool ok = true;
    for (size_t i = generations->count; i-- > 0;)
        if (generation_wants_link(generations->all[i], generations->workers))
            ok = generation_link(generations->all[i], generations->workers, journal) && ok;
    if (!ok)
        log_error("not every worker could be linked to the journal: %s", strerror(errno));
    generations->link_again_ms = clock_monotonic_ms() + LINK_AGAIN_MS;
}
