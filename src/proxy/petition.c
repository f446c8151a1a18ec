/* Those in the server who asked the supervisor for something that takes its time, a reload or an upgrade, and wait to hear what came of it. */
#include "proxy/petition.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
    struct stat file;
    const bool known = message->fd >= 0 && fstat(message->fd, &file) == 0 && file.st_size > 0;
    void *words = known ? mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, message->fd, 0) : MAP_FAILED;
    if (words != MAP_FAILED) {
        petitions_tell(petitions, message->a, message->b != 0, words, (size_t)file.st_size);
        munmap(words, (size_t)file.st_size);
    } else {
        petitions_tell(petitions, message->a, message->b != 0, unsaid, strlen(unsaid));
    }
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
