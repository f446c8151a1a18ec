/* Hands what became of the rules to the supervisor, now and then and at the end: for the next server, and for the next start. */
#include "admin/rules_keeper.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "host/state_file.h"
#include "proxy/census.h"

/* What a server that is killed has counted since is lost. */
#define KEEP_EVERY_S 60

struct rules_keeper {
    struct census_wish wish;
    bool asking;
    struct server *server;
    struct rules *rules;
    struct event *timer;
    uint64_t kept; /* the hash of what was handed over last */
};

static void rules_keeper_read(struct rules_keeper *keeper)
{
    const int fd = server_state(keeper->server);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size == 0 || status.st_size > STATE_FILE_MAX)
        return;
    char *text = malloc((size_t)status.st_size);
    ssize_t got = text != NULL ? pread(fd, text, (size_t)status.st_size, 0) : -1;
    if (got < 0 || !rules_read(keeper->rules, text, (size_t)got))
        log_warn("what was kept of the rules is not whole: some are counted anew");
    free(text);
}

/* A file that is nowhere: its descriptor goes to the supervisor. */
static void rules_keeper_leave(struct rules_keeper *keeper, const char *text, size_t len)
{
    const int fd = memfd_create("exeat-rules", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, text, len) == (ssize_t)len)
        server_leave_state(keeper->server, fd);
    else
        log_warn("what became of the rules cannot be kept for now");
    if (fd >= 0)
        close(fd);
}

static void rules_keeper_keep(struct rules_keeper *keeper, const struct tally *now)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL)
        return;
    rules_save(to, keeper->rules, now);
    const bool written = fclose(to) == 0;
    const uint64_t hash = written ? hash_bytes(text, len, 0) : keeper->kept;
    if (hash != keeper->kept)
        rules_keeper_leave(keeper, text, len);
    keeper->kept = hash;
    free(text);
}

static void rules_keeper_counted(struct census_wish *wish, struct survey *whole)
{
    struct rules_keeper *keeper = (struct rules_keeper *)wish;
    keeper->asking = false;
    if (whole != NULL)
        rules_keeper_keep(keeper, whole->tally);
}

static void rules_keeper_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct rules_keeper *keeper = arg;
    if (!keeper->asking)
        census_ask(server_census(keeper->server), &keeper->wish);
    keeper->asking = true;
}

struct rules_keeper *rules_keeper_new(struct server *server, struct rules *rules)
{
    const struct timeval every = {.tv_sec = KEEP_EVERY_S};
    struct rules_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return NULL;
    *keeper = (struct rules_keeper){.wish = {.wishes = SURVEY_COUNTS, .done = rules_keeper_counted}, .server = server, .rules = rules};
    keeper->timer = event_new(server_base(server), -1, EV_PERSIST, rules_keeper_due, keeper);
    if (keeper->timer != NULL && event_add(keeper->timer, &every) == 0) {
        rules_keeper_read(keeper);
        return keeper;
    }
    if (keeper->timer != NULL)
        event_free(keeper->timer);
    free(keeper);
    return NULL;
}

void rules_keeper_free(struct rules_keeper *keeper)
{
    if (keeper == NULL)
        return;
    struct tally *sum = tally_new();
    if (sum != NULL && server_sum(keeper->server, sum))
        rules_keeper_keep(keeper, sum);
    tally_free(sum);
    event_free(keeper->timer);
    free(keeper);
}
