/* How all generations of the server stand together: the workers of this one, what the others answer, and what those before have left behind. */
#include "admin/collection.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>

#include "admin/survey_text.h"
#include "base/log.h"

/* As long as a worker has for it. */
#define PATIENCE_S 2

/* Another generation. */
struct other {
    struct other *next;
    uint32_t generation;
    uint32_t answered;   /* the number of the question that it last did */
    struct survey *last; /* that answer; from the next question on only what counts up */
};

/* One round is under way at most: who comes meanwhile waits for the next. */
struct collection {
    struct server *server;
    struct census_wish own;              /* for the workers of this server */
    struct census_wish *waiting, *round; /* for the next round, in the one under way */
    uint32_t number;                     /* of the question; those of several servers that serve one after the other are different ones */
    struct survey *sum;                  /* what the workers have answered; NULL: not yet */
    bool over;                           /* nobody else is waited for */
    struct event *late;
    struct other *others;
    struct survey *left;
};

static void collection_counted(struct census_wish *wish, struct survey *whole);
static void collection_begin(struct collection *collection);

static void collection_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct collection *collection = arg;
    collection->over = true;
    collection_recount(collection);
}

struct collection *collection_new(struct server *server)
{
    struct collection *collection = calloc(1, sizeof(*collection));
    if (collection == NULL)
        return NULL;
    *collection = (struct collection){.server = server, .own = {.done = collection_counted}, .number = server_generation(server) << 16};
    collection->late = evtimer_new(server_base(server), collection_late, collection);
    collection->left = survey_new();
    if (collection->late != NULL && collection->left != NULL)
        return collection;
    collection_free(collection);
    return NULL;
}

static void collection_drop(struct other **link)
{
    struct other *other = *link;
    *link = other->next;
    survey_free(other->last);
    free(other);
}

void collection_free(struct collection *collection)
{
    if (collection == NULL)
        return;
    while (collection->others != NULL)
        collection_drop(&collection->others);
    if (collection->late != NULL)
        event_free(collection->late);
    survey_free(collection->sum);
    survey_free(collection->left);
    free(collection);
}

/* ---- adding up ---- */

bool collection_add_left(const struct collection *collection, struct survey *sum)
{
    sum->journal_filed += collection->left->journal_filed;
    return sum->tally == NULL || tally_add(sum->tally, collection->left->tally);
}

static bool collection_add_other(const struct other *other, struct survey *sum)
{
    struct survey part = *other->last;
    if (sum->tally == NULL)
        part.tally = NULL; /* not asked for */
    return survey_add(sum, &part);
}

/* The tunnels that are in it so far are this server's own. */
static bool collection_add_up(const struct collection *collection, struct survey *sum)
{
    unsigned answered = 0;
    for (size_t i = 0; i < sum->tunnel_count; i++)
        sum->tunnels[i].generation = server_generation(collection->server);
    bool whole = collection_add_left(collection, sum);
    for (const struct other *other = collection->others; whole && other != NULL; other = other->next) {
        answered += other->answered == collection->number;
        whole = collection_add_other(other, sum);
    }
    sum->others = server_others(collection->server);
    sum->silent = sum->others > answered ? sum->others - answered : 0;
    return whole;
}

/* ---- a round ---- */

static bool collection_is_complete(const struct collection *collection)
{
    uint32_t answered = 0;
    for (const struct other *other = collection->others; other != NULL; other = other->next)
        answered += other->answered == collection->number;
    return collection->over || answered >= server_others(collection->server);
}

/* Each may ask again from within: that is for the next round. */
static void collection_tell(struct collection *collection, struct survey *whole)
{
    struct census_wish *wish = collection->round;
    for (struct census_wish *next; wish != NULL; wish = next) {
        next = wish->next;
        wish->done(wish, whole);
    }
}

/* When no other lives, what one last said that was killed is all that will ever be known of it. What those said whom this one has become one of is
 * for another to hear. */
static void collection_forget(struct collection *collection)
{
    while (collection->others != NULL && server_others(collection->server) == 0) {
        survey_settle(collection->others->last);
        if (!server_is_retired(collection->server))
            (void)survey_add(collection->left, collection->others->last);
        collection_drop(&collection->others);
    }
}

static void collection_end(struct collection *collection, struct survey *sum)
{
    event_del(collection->late);
    collection->sum = NULL;
    collection_tell(collection, sum != NULL && collection_add_up(collection, sum) ? sum : NULL);
    survey_free(sum);
    for (struct other *other = collection->others; other != NULL; other = other->next)
        survey_settle(other->last);
    collection->round = NULL;
    collection_forget(collection);
    if (collection->waiting != NULL)
        collection_begin(collection);
}

void collection_recount(struct collection *collection)
{
    if (collection->round == NULL)
        collection_forget(collection);
    else if (collection->sum != NULL && collection_is_complete(collection))
        collection_end(collection, collection->sum);
}

/* `whole` is everybody's who has asked the workers at that moment. */
static void collection_counted(struct census_wish *wish, struct survey *whole)
{
    struct collection *collection = (struct collection *)((char *)wish - offsetof(struct collection, own));
    collection->sum = whole != NULL ? survey_copy(whole) : NULL;
    if (collection->sum == NULL)
        collection_end(collection, NULL);
    collection_recount(collection);
}

static void collection_begin(struct collection *collection)
{
    static const struct timeval patience = {.tv_sec = PATIENCE_S};
    char words[SURVEY_WORDS_MAX]; /* counts are always wished for, so that the last ones are known of who falls silent */
    collection->round = collection->waiting;
    collection->waiting = NULL;
    collection->own.wishes = 0;
    for (const struct census_wish *wish = collection->round; wish != NULL; wish = wish->next)
        collection->own.wishes |= wish->wishes;
    collection->number += collection->number < UINT32_MAX ? 1 : 2; /* nought is no question */
    collection->over = server_others(collection->server) == 0 ||
                       !server_collect(collection->server, collection->number, survey_words(collection->own.wishes | SURVEY_COUNTS, words)) ||
                       evtimer_add(collection->late, &patience) != 0;
    census_ask(server_census(collection->server), &collection->own);
}

void collection_ask(struct collection *collection, struct census_wish *wish)
{
    struct census_wish **last = &collection->waiting;
    while (*last != NULL)
        last = &(*last)->next;
    wish->next = NULL;
    *last = wish;
    if (collection->round == NULL)
        collection_begin(collection);
}

/* ---- what comes from others ---- */

static struct other *collection_find(struct collection *collection, uint32_t generation)
{
    struct other *other = collection->others;
    while (other != NULL && other->generation != generation)
        other = other->next;
    return other;
}

static struct other *collection_other(struct collection *collection, uint32_t generation)
{
    struct other *other = collection_find(collection, generation);
    if (other != NULL || (other = calloc(1, sizeof(*other))) == NULL)
        return other;
    *other = (struct other){.next = collection->others, .generation = generation};
    collection->others = other;
    return other;
}

/* Takes over the answer. */
static void collection_take_answer(struct collection *collection, uint32_t generation, struct survey *answer)
{
    struct other *other = collection_other(collection, generation);
    if (other == NULL) {
        survey_free(answer);
        return;
    }
    for (size_t i = 0; i < answer->tunnel_count; i++)
        answer->tunnels[i].generation = generation;
    survey_free(other->last);
    other->last = answer;
    other->answered = collection->number;
    collection_recount(collection);
}

/* What it left is no longer its own: an answer that is still to be added up had it, too. */
static void collection_take_left(struct collection *collection, uint32_t generation, struct survey *left)
{
    struct other *other = collection_find(collection, generation);
    if (other != NULL)
        survey_subtract(other->last, left);
    survey_settle(left);
    if (!survey_add(collection->left, left))
        log_warn("of what server generation %u has counted a part is lost", generation);
    survey_free(left);
}

void collection_take(struct collection *collection, const struct channel_message *message)
{
    struct survey *read = survey_text_take(message->fd);
    if (read == NULL)
        log_warn("what server generation %u says of itself cannot be read", message->b);
    else if (message->a == 0)
        collection_take_left(collection, message->b, read);
    else if (message->a == collection->number && collection->round != NULL)
        collection_take_answer(collection, message->b, read);
    else
        survey_free(read);
}
