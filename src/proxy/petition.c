/* Those in the server who asked the supervisor for something that takes its time, a reload or an upgrade, and wait to hear what came of it. */
#include "proxy/petition.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memo.h"

/* Faults are many where a long file is of another kind. */
#define PETITION_WORDS_MAX ((size_t)64 << 20)

static const enum channel_kind ASK[PETITION_KINDS] = {[PETITION_RELOAD] = CHANNEL_RELOAD, [PETITION_UPGRADE] = CHANNEL_UPGRADE};

struct petition {
    struct petitions *among;
    struct petition *next;
    uint32_t number;
    void (*done)(void *arg, bool taken, const char *words, size_t len);
    void *arg;
};

struct petition *petition_start(struct petitions *petitions, void (*done)(void *arg, bool taken, const char *words, size_t len), void *arg)
{
    struct petition *petition = calloc(1, sizeof(*petition));
    if (petition == NULL)
        return NULL;
    *petition = (struct petition){.among = petitions, .next = petitions->first, .number = ++petitions->last, .done = done, .arg = arg};
    if (!channel_tell(petitions->channel, ASK[petitions->kind], petition->number, 0, -1)) {
        free(petition);
        return NULL;
    }
    petitions->first = petition;
    return petition;
}

void petition_cancel(struct petition *petition)
{
    for (struct petition **link = &petition->among->first; *link != NULL; link = &(*link)->next) {
        if (*link != petition)
            continue;
        *link = petition->next;
        free(petition);
        return;
    }
}

/* Those up to that number, oldest last: they are taken out one by one, since `done` may ask again or cancel others. */
static void petitions_tell(struct petitions *petitions, uint32_t number, bool taken, const char *words, size_t len)
{
    struct petition **link = &petitions->first;
    while (*link != NULL) {
        struct petition *petition = *link;
        if (petition->number > number) {
            link = &petition->next;
            continue;
        }
        *link = petition->next;
        petition->done(petition->arg, taken, words, len);
        free(petition);
        link = &petitions->first;
    }
}

void petitions_answer(struct petitions *petitions, const struct channel_message *message)
{
    static const char unsaid[] = "what was said of it did not arrive\n";
    size_t len = 0;
    char *words = memo_read(message->fd, PETITION_WORDS_MAX, &len);
    if (len > 0)
        petitions_tell(petitions, message->a, message->b != 0, words, len);
    else
        petitions_tell(petitions, message->a, message->b != 0, unsaid, strlen(unsaid));
    free(words);
    if (message->fd >= 0)
        close(message->fd);
}

bool petitions_wait(const struct petitions *petitions)
{
    return petitions->first != NULL;
}

void petitions_fini(struct petitions *petitions)
{
    static const char stopping[] = "the server stops\n";
    petitions_tell(petitions, UINT32_MAX, false, stopping, strlen(stopping));
}
