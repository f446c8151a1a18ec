/* What one supervisor leaves to the program that is executed in its place: all that is not in a file, as words in a file in memory. */
#include "host/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memo.h"
#include "base/number.h"
#include "base/text.h"
#include "host/process.h"

/* Where words stand, which, and in which order. Two programs of which one cannot follow the other in place differ in this line: so does whoever
 * changes anything below, or what a message of host/channel or audit/journal_frame means. */
#define HANDOVER_TITLE "exeat-handover 1"

#define ADDRESSES_MAX 4096

/* ---- writing ---- */

static void put_fd(struct text *out, int fd)
{
    if (fd < 0)
        text_add(out, " -");
    else
        text_format(out, " %d", fd);
}

static void put_endpoint(struct text *out, const struct endpoint *endpoint)
{
    char text[ENDPOINT_TEXT_MAX];
    text_format(out, " %s", address_is_set(&endpoint->ip) ? endpoint_text(endpoint, text) : "-");
}

static void put_child(struct text *out, const char *name, const struct child *child)
{
    text_format(out, "%s %d", name, (int)child->pid);
    put_fd(out, child->channel);
}

static void put_generation(struct text *out, const struct generation *generation)
{
    put_child(out, "server", &generation->child);
    text_format(out, " %u %u %u %u %u %u %u %u\n", generation->state, generation->number, generation->ready, generation->drained,
                generation->reload.asked, generation->reload.began, generation->upgrade.asked, generation->upgrade.began);
}

static void put_bound(struct text *out, const struct bound *bound, unsigned workers)
{
    text_format(out, "address %u %u %u %s", bound->number, bound->listener, bound->inherited, bound->name);
    put_endpoint(out, &bound->asked);
    put_endpoint(out, &bound->address);
    for (unsigned i = 0; i < workers; i++)
        put_fd(out, bound->fds[i]);
    text_add(out, "\n");
}

static void put_all(struct text *out, const struct handover *handover)
{
    text_format(out, "%s\nworkers %u\n", HANDOVER_TITLE, handover->workers);
    text_format(out, "capabilities %" PRIu64 " %" PRIu64 " %u\n", handover->capabilities[0], handover->capabilities[1], handover->may_mark);
    text_add(out, "configuration");
    put_fd(out, handover->configuration);
    put_fd(out, handover->origin);
    text_format(out, " %u\nreloads %u %u\nwanted %u %u\nkey", handover->edition, handover->reloads[0], handover->reloads[1], handover->wants_reload,
                handover->wants_upgrade);
    put_fd(out, handover->sign_key);
    text_add(out, "\nstate");
    put_fd(out, handover->state.fd);
    text_format(out, " %u %d\ndoors", handover->state.waits, (int)handover->state.writer);
    for (int door = 0; door < DOOR_COUNT; door++)
        put_fd(out, handover->doors.fds[door]);
    text_format(out, " %" PRIu64, (uint64_t)handover->doors.socket);
    put_endpoint(out, &handover->doors.metrics);
    text_add(out, "\n");
    put_child(out, "journal", &handover->journal);
    text_format(out, " %u %u\nservers %zu %u\n", handover->reopen, handover->bereaved, handover->generations.count,
                handover->generations.last_number);
    for (size_t i = 0; i < handover->generations.count; i++)
        put_generation(out, handover->generations.all[i]);
    text_format(out, "addresses %zu %u\n", handover->bounds.count, handover->bounds.last_number);
    for (size_t i = 0; i < handover->bounds.count; i++)
        put_bound(out, &handover->bounds.all[i], handover->workers);
    text_add(out, "end\n");
}

int handover_store(const struct handover *handover)
{
    struct text out;
    char *bytes = malloc(HANDOVER_MAX);
    if (bytes == NULL)
        return -1;
    text_init(&out, bytes, HANDOVER_MAX);
    put_all(&out, handover);
    errno = E2BIG;
    const int fd = out.cut ? -1 : memo_write("exeat-handover", bytes, out.len);
    free(bytes);
    return fd;
}

/* ---- reading: each takes the next word ---- */

struct words {
    const char *at, *end;
};

static size_t word_next(struct words *words, const char **word)
{
    while (words->at < words->end && (*words->at == ' ' || *words->at == '\n'))
        words->at++;
    *word = words->at;
    while (words->at < words->end && *words->at != ' ' && *words->at != '\n')
        words->at++;
    return (size_t)(words->at - *word);
}

static bool word_is(struct words *words, const char *expected)
{
    const char *word;
    const size_t len = word_next(words, &word);
    return len == strlen(expected) && memcmp(word, expected, len) == 0;
}

static bool word_number(struct words *words, uint64_t *number, uint64_t max)
{
    const char *word;
    const size_t len = word_next(words, &word);
    return number_read(number, word, len, max);
}

static bool word_u32(struct words *words, uint32_t *number)
{
    uint64_t wide;
    if (!word_number(words, &wide, UINT32_MAX))
        return false;
    *number = (uint32_t)wide;
    return true;
}

static bool word_bool(struct words *words, bool *value)
{
    uint64_t number;
    if (!word_number(words, &number, 1))
        return false;
    *value = number != 0;
    return true;
}

static bool word_int(struct words *words, int *value)
{
    uint64_t number;
    if (!word_number(words, &number, INT32_MAX))
        return false;
    *value = (int)number;
    return true;
}

static bool word_fd(struct words *words, int *fd)
{
    const char *word;
    const size_t len = word_next(words, &word);
    uint64_t number;
    if (len == 1 && word[0] == '-') {
        *fd = -1;
        return true;
    }
    if (!number_read(&number, word, len, INT32_MAX) || number <= STDERR_FILENO)
        return false;
    *fd = (int)number;
    return true;
}

static bool word_endpoint(struct words *words, struct endpoint *endpoint)
{
    const char *word;
    const size_t len = word_next(words, &word);
    *endpoint = (struct endpoint){0};
    return (len == 1 && word[0] == '-') || endpoint_read(endpoint, word, len);
}

static bool word_child(struct words *words, const char *name, struct child *child)
{
    child->channel = -1;
    return word_is(words, name) && word_int(words, &child->pid) && word_fd(words, &child->channel);
}

/* ---- reading: the lines ---- */

static bool read_title(struct words *words)
{
    const size_t len = strlen(HANDOVER_TITLE);
    if ((size_t)(words->end - words->at) < len || memcmp(words->at, HANDOVER_TITLE, len) != 0)
        return false;
    words->at += len;
    return true;
}

static bool read_workers(struct words *words, struct handover *handover)
{
    uint64_t workers;
    if (!word_is(words, "workers") || !word_number(words, &workers, WORKERS_MAX) || workers == 0)
        return false;
    handover->workers = handover->bounds.workers = (unsigned)workers;
    return true;
}

static bool read_plain(struct words *words, struct handover *handover)
{
    uint64_t *capabilities = handover->capabilities, socket = 0;
    int *doors = handover->doors.fds;
    const bool fine = word_is(words, "capabilities") && word_number(words, &capabilities[0], UINT64_MAX) &&
                      word_number(words, &capabilities[1], UINT64_MAX) && word_bool(words, &handover->may_mark) && word_is(words, "configuration") &&
                      word_fd(words, &handover->configuration) && handover->configuration >= 0 && word_fd(words, &handover->origin) &&
                      word_u32(words, &handover->edition) && word_is(words, "reloads") && word_u32(words, &handover->reloads[0]) &&
                      word_u32(words, &handover->reloads[1]) && word_is(words, "wanted") && word_bool(words, &handover->wants_reload) &&
                      word_bool(words, &handover->wants_upgrade) && word_is(words, "key") && word_fd(words, &handover->sign_key) &&
                      word_is(words, "state") && word_fd(words, &handover->state.fd) && word_bool(words, &handover->state.waits) &&
                      word_int(words, &handover->state.writer) && word_is(words, "doors") && word_fd(words, &doors[DOOR_ADMIN]) &&
                      word_fd(words, &doors[DOOR_METRICS]) && word_number(words, &socket, UINT64_MAX) &&
                      word_endpoint(words, &handover->doors.metrics) && word_child(words, "journal", &handover->journal) &&
                      word_bool(words, &handover->reopen) && word_bool(words, &handover->bereaved);
    handover->doors.socket = (ino_t)socket;
    return fine;
}

/* The first serves, and no other does; one that is to follow is the last. */
static bool read_state(struct words *words, enum generation_state *state, size_t index, size_t count)
{
    uint64_t number;
    if (!word_number(words, &number, GENERATION_RETIRED) || (number == GENERATION_SERVING) != (index == 0))
        return false;
    *state = (enum generation_state)number;
    return *state != GENERATION_RISING || index == count - 1;
}

static bool read_generation(struct words *words, struct generations *generations, size_t count)
{
    struct generation *generation = generations_add(generations);
    if (generation != NULL) /* to the journal that runs, which is to yield */
        memset(generation->linked, true, generations->workers * sizeof(*generation->linked));
    return generation != NULL && word_child(words, "server", &generation->child) &&
           read_state(words, &generation->state, generations->count - 1, count) && word_u32(words, &generation->number) &&
           word_bool(words, &generation->ready) && word_bool(words, &generation->drained) && word_u32(words, &generation->reload.asked) &&
           word_u32(words, &generation->reload.began) && word_u32(words, &generation->upgrade.asked) && word_u32(words, &generation->upgrade.began);
}

static bool read_generations(struct words *words, struct handover *handover)
{
    struct generations *generations = &handover->generations;
    uint64_t count;
    generations->workers = handover->workers;
    if (!word_is(words, "servers") || !word_number(words, &count, GENERATIONS_MAX) || count == 0 || !word_u32(words, &generations->last_number))
        return false;
    while (generations->count < count)
        if (!read_generation(words, generations, count))
            return false;
    return true;
}

static bool read_bound(struct words *words, struct bound *bound, unsigned workers)
{
    const char *name;
    if (!word_is(words, "address") || !word_u32(words, &bound->number) || !word_u32(words, &bound->listener) || !word_bool(words, &bound->inherited))
        return false;
    const size_t len = word_next(words, &name);
    if (len == 0 || !text_is_printable(name, len) || !text_copy(bound->name, sizeof(bound->name), name, len) ||
        !word_endpoint(words, &bound->asked) || !word_endpoint(words, &bound->address) || (bound->fds = calloc(workers, sizeof(*bound->fds))) == NULL)
        return false;
    for (unsigned i = 0; i < workers; i++)
        if (!word_fd(words, &bound->fds[i]) || bound->fds[i] < 0)
            return false;
    return true;
}

static bool read_bounds(struct words *words, struct handover *handover)
{
    struct bounds *bounds = &handover->bounds;
    uint64_t count;
    if (!word_is(words, "addresses") || !word_number(words, &count, ADDRESSES_MAX) || !word_u32(words, &bounds->last_number))
        return false;
    bounds->all = calloc(count + 1, sizeof(*bounds->all));
    while (bounds->all != NULL && bounds->count < count)
        if (!read_bound(words, &bounds->all[bounds->count++], handover->workers))
            return false;
    return bounds->all != NULL && word_is(words, "end");
}

bool handover_read(struct handover *handover, const char *bytes, size_t len)
{
    struct words words = {bytes, bytes + len};
    *handover = (struct handover){.journal = {.role = PROCESS_ROLE_JOURNAL}};
    if (read_title(&words) && read_workers(&words, handover) && read_plain(&words, handover) && read_generations(&words, handover) &&
        read_bounds(&words, handover))
        return true;
    handover_free(handover);
    return false;
}

bool handover_load(struct handover *handover, int fd)
{
    size_t len;
    char *bytes = memo_read(fd, HANDOVER_MAX, &len);
    const bool fine = bytes != NULL && handover_read(handover, bytes, len);
    free(bytes);
    return fine;
}

void handover_free(struct handover *handover)
{
    for (size_t i = 0; i < handover->generations.count; i++)
        handover->generations.all[i]->child.channel = -1;
    generations_fini(&handover->generations);
    for (size_t i = 0; i < handover->bounds.count; i++)
        free(handover->bounds.all[i].fds);
    free(handover->bounds.all);
    handover->bounds = (struct bounds){0};
}

/* ---- over exec ---- */

static bool fd_set_cloexec(int fd, bool closes)
{
    return fd < 0 || fcntl(fd, F_SETFD, closes ? FD_CLOEXEC : 0) == 0;
}

bool handover_set_cloexec(const struct handover *handover, bool closes)
{
    const int single[] = {handover->configuration, handover->origin, handover->sign_key, handover->state.fd, handover->journal.channel};
    bool fine = true;
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        fine = fd_set_cloexec(single[i], closes) && fine;
    for (int door = 0; door < DOOR_COUNT; door++)
        fine = fd_set_cloexec(handover->doors.fds[door], closes) && fine;
    for (size_t i = 0; i < handover->generations.count; i++)
        fine = fd_set_cloexec(handover->generations.all[i]->child.channel, closes) && fine;
    for (size_t i = 0; i < handover->bounds.count; i++)
        for (unsigned worker = 0; worker < handover->workers; worker++)
            fine = fd_set_cloexec(handover->bounds.all[i].fds[worker], closes) && fine;
    return fine;
}
