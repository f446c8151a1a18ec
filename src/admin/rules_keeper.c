/* Hands what became of the rules to the supervisor, now and then and at the end: for the next server, and for the next start. */
#include "admin/rules_keeper.h"

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memo.h"
#include "host/state_file.h"
#include "proxy/census.h"

/* What a server that is killed has counted since is lost. */
#define KEEP_EVERY_S 60

struct rules_keeper {
    struct census_wish wish;
    bool asking;
    struct server *server;
    const struct collection *collection;
    struct rules *rules;
    struct event *timer;
    uint64_t kept; /* the hash of what was handed over last */
};

/* -1: nothing was left. */
static void rules_keeper_read(struct rules_keeper *keeper, int fd, bool (*read)(struct rules *rules, const char *text, size_t len))
{
    size_t len = 0;
    char *text = memo_read(fd, STATE_FILE_MAX, &len);
    if (fd >= 0 && len > 0 && !read(keeper->rules, text, len))
        log_warn("what was kept of the rules is not whole: some are counted anew");
    free(text);
}

static bool rules_keeper_leave(struct rules_keeper *keeper, const char *text, size_t len)
{
    const int fd = memo_write("exeat-rules", text, len);
    const bool left = fd >= 0 && server_leave_state(keeper->server, fd);
    if (!left)
        log_warn("what became of the rules cannot be kept for now");
    if (fd >= 0)
        close(fd);
    return left;
}

bool rules_keeper_hand_over(struct rules_keeper *keeper, const struct tally *sum)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL)
        return false;
    rules_save(to, keeper->rules, sum);
    bool left = fclose(to) == 0;
    const uint64_t hash = left ? hash_bytes(text, len, 0) : keeper->kept;
    if (left && hash != keeper->kept)
        left = rules_keeper_leave(keeper, text, len);
    if (left)
        keeper->kept = hash;
    free(text);
    return left;
}

/* Takes over the sum. */
static void rules_keeper_keep(struct rules_keeper *keeper, struct survey *sum)
{
    if (sum != NULL && collection_add_left(keeper->collection, sum))
        rules_keeper_hand_over(keeper, sum->tally);
    survey_free(sum);
}

static void rules_keeper_counted(struct census_wish *wish, struct survey *whole)
{
    struct rules_keeper *keeper = (struct rules_keeper *)wish;
    keeper->asking = false;
    if (whole != NULL && !server_is_retired(keeper->server))
        rules_keeper_keep(keeper, survey_copy(whole));
}

static void rules_keeper_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct rules_keeper *keeper = arg;
    if (!keeper->asking)
        census_ask(server_census(keeper->server), &keeper->wish);
    keeper->asking = true;
}

struct rules_keeper *rules_keeper_new(struct server *server, const struct collection *collection, struct rules *rules)
{
    const struct timeval every = {.tv_sec = KEEP_EVERY_S};
    struct rules_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return NULL;
    *keeper = (struct rules_keeper){
        .wish = {.wishes = SURVEY_COUNTS, .done = rules_keeper_counted}, .server = server, .collection = collection, .rules = rules};
    keeper->timer = event_new(server_base(server), -1, EV_PERSIST, rules_keeper_due, keeper);
    if (keeper->timer != NULL && event_add(keeper->timer, &every) == 0) {
        rules_keeper_read(keeper, server_state(server), rules_read);
        return keeper;
    }
    if (keeper->timer != NULL)
        event_free(keeper->timer);
    free(keeper);
    return NULL;
}

void rules_keeper_take(struct rules_keeper *keeper, const struct channel_message *message)
{
    rules_keeper_read(keeper, message->fd, rules_replace);
    rules_keeper_due(-1, 0, keeper); /* from here on what is kept begins with it */
}

void rules_keeper_retire(struct rules_keeper *keeper)
{
    event_del(keeper->timer);
    keeper->kept = 0; /* who serves may have begun with an older one than was kept last */
}

void rules_keeper_free(struct rules_keeper *keeper)
{
    if (keeper == NULL)
        return;
    if (!server_is_retired(keeper->server))
        rules_keeper_keep(keeper, server_sum(keeper->server));
    event_free(keeper->timer);
    free(keeper);
}
