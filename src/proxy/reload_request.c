/* Those in the server who asked for a reload and wait to hear what came of it. */
#include "proxy/reload_request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct reload_request {
    struct reload_request *next;
    uint32_t number;
    void (*done)(void *arg, bool taken, const char *words, size_t len);
    void *arg;
};

struct reload_request *reload_request_start(struct reload_requests *requests, void (*done)(void *arg, bool taken, const char *words, size_t len),
                                            void *arg)
{
    struct reload_request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    *request = (struct reload_request){.next = requests->first, .number = ++requests->last, .done = done, .arg = arg};
    if (!channel_tell(requests->channel, CHANNEL_RELOAD, request->number, 0, -1)) {
        free(request);
        return NULL;
    }
    requests->first = request;
    return request;
}

void reload_request_cancel(struct reload_requests *requests, struct reload_request *request)
{
    for (struct reload_request **link = &requests->first; *link != NULL; link = &(*link)->next) {
        if (*link != request)
            continue;
        *link = request->next;
        free(request);
        return;
    }
}

/* Those up to that number, oldest last: they are taken out one by one, since `done` may ask again or cancel others. */
static void reload_requests_tell(struct reload_requests *requests, uint32_t number, bool taken, const char *words, size_t len)
{
    struct reload_request **link = &requests->first;
    while (*link != NULL) {
        struct reload_request *request = *link;
        if (request->number > number) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        request->done(request->arg, taken, words, len);
        free(request);
        link = &requests->first;
    }
}

void reload_requests_answer(struct reload_requests *requests, const struct channel_message *message)
{
    static const char unsaid[] = "what was said of it did not arrive\n";
    struct stat file;
    const bool known = message->fd >= 0 && fstat(message->fd, &file) == 0 && file.st_size > 0;
    void *words = known ? mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, message->fd, 0) : MAP_FAILED;
    if (words != MAP_FAILED) {
        reload_requests_tell(requests, message->a, message->b != 0, words, (size_t)file.st_size);
        munmap(words, (size_t)file.st_size);
    } else {
        reload_requests_tell(requests, message->a, message->b != 0, unsaid, strlen(unsaid));
    }
    if (message->fd >= 0)
        close(message->fd);
}

void reload_requests_fini(struct reload_requests *requests)
{
    static const char stopping[] = "the server stops\n";
    reload_requests_tell(requests, UINT32_MAX, false, stopping, strlen(stopping));
}
