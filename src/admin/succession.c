/* What a server tells the one that serves in its place of its own counts: on being asked, and, once and for all, what it hands over.
 *
 * Each hit and each byte is told in one way only. What became of the rules up to the first handover goes there as their state (rules_keeper), in
 * place of the older one that the other server has begun with; every other count up to then, and of all of them what comes later, is handed over as
 * differences. */
#include "admin/succession.h"

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/survey_text.h"
#include "base/log.h"

/* What one that is killed has counted since is lost. */
#define HAND_OVER_EVERY_S 60

struct succession {
    struct server *server;
    const struct collection *collection;
    struct rules_keeper *keeper;
    struct census_wish answer, due;
    bool answering, counting; /* the workers are being asked for either */
    uint32_t number;          /* of the question; 0: none */
    int wishes;               /* … that it has */
    struct survey *handed;    /* all that was handed over so far; NULL: nothing yet */
    struct event *minute;
};

static void succession_counted(struct census_wish *wish, struct survey *whole);
static void succession_told(struct census_wish *wish, struct survey *whole);
static void succession_due(evutil_socket_t fd, short what, void *arg);

struct succession *succession_new(struct server *server, const struct collection *collection, struct rules_keeper *keeper)
{
    struct succession *succession = calloc(1, sizeof(*succession));
    if (succession == NULL)
        return NULL;
    *succession = (struct succession){.server = server,
                                      .collection = collection,
                                      .keeper = keeper,
                                      .answer = {.done = succession_told},
                                      .due = {.wishes = SURVEY_COUNTS, .done = succession_counted}};
    succession->minute = event_new(server_base(server), -1, EV_PERSIST, succession_due, succession);
    if (succession->minute != NULL)
        return succession;
    free(succession);
    return NULL;
}

/* ---- what is still to be told ---- */

/* Before the first handover the other server has an older state of the rules, and shall not add to that what is in the next. */
static void succession_subtract(const struct succession *succession, struct survey *from)
{
    if (succession->handed != NULL)
        survey_subtract(from, succession->handed);
    else
        name_table_fini(&from->tally->rules);
}

static bool succession_say(const struct succession *succession, uint32_t number, const struct survey *survey)
{
    const int fd = survey_text_leave(survey);
    const bool said = fd >= 0 && server_answer(succession->server, number, fd);
    if (fd >= 0)
        close(fd);
    return said;
}

/* ---- handing over ---- */

static bool succession_leave(const struct succession *succession, const struct survey *sum)
{
    struct survey *rest = survey_copy(sum);
    if (rest == NULL)
        return false;
    succession_subtract(succession, rest);
    survey_settle(rest);
    const bool left = succession_say(succession, 0, rest);
    survey_free(rest);
    return left;
}

/* Takes over the sum. What fails is tried again with the next. */
static void succession_hand_over(struct succession *succession, struct survey *sum)
{
    const bool known = sum != NULL && sum->tally != NULL && collection_add_left(succession->collection, sum) &&
                       (succession->handed != NULL || rules_keeper_hand_over(succession->keeper, sum->tally));
    if (known && succession_leave(succession, sum)) {
        survey_free(succession->handed);
        succession->handed = sum;
        return;
    }
    log_warn("what was counted here cannot be handed over for now");
    survey_free(sum);
}

static void succession_counted(struct census_wish *wish, struct survey *whole)
{
    struct succession *succession = (struct succession *)((char *)wish - offsetof(struct succession, due));
    succession->counting = false;
    succession_hand_over(succession, whole != NULL ? survey_copy(whole) : NULL);
}

static void succession_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct succession *succession = arg;
    if (succession->counting)
        return;
    succession->counting = true;
    census_ask(server_census(succession->server), &succession->due);
}

void succession_begin(struct succession *succession)
{
    static const struct timeval every = {.tv_sec = HAND_OVER_EVERY_S};
    rules_keeper_retire(succession->keeper);
    evtimer_add(succession->minute, &every);
    succession_due(-1, 0, succession);
}

void succession_free(struct succession *succession)
{
    if (succession == NULL)
        return;
    if (server_is_retired(succession->server))
        succession_hand_over(succession, server_sum(succession->server));
    survey_free(succession->handed);
    event_free(succession->minute);
    free(succession);
}

/* ---- answering ---- */

static void succession_ask_workers(struct succession *succession)
{
    succession->answering = true;
    succession->answer.wishes = succession->wishes | SURVEY_COUNTS;
    census_ask(server_census(succession->server), &succession->answer);
}

static void succession_tell(const struct succession *succession, struct survey *sum)
{
    if (sum == NULL || !collection_add_left(succession->collection, sum))
        return;
    succession_subtract(succession, sum);
    succession_say(succession, succession->number, sum);
}

/* Who asks again meanwhile does not wait for what he asked before. */
static void succession_told(struct census_wish *wish, struct survey *whole)
{
    struct succession *succession = (struct succession *)((char *)wish - offsetof(struct succession, answer));
    succession->answering = false;
    if (succession->wishes & ~wish->wishes) {
        succession_ask_workers(succession);
        return;
    }
    struct survey *sum = whole != NULL ? survey_copy(whole) : NULL;
    succession_tell(succession, sum);
    survey_free(sum);
}

void succession_answer(struct succession *succession, const struct channel_message *message)
{
    succession->number = message->a;
    succession->wishes = survey_words_read(message->text);
    if (!succession->answering)
        succession_ask_workers(succession);
}
