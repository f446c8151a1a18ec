/* How one worker stands at one moment, as it says itself when it is asked; and how all of them do, added up. */
#include "proxy/survey.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/session.h"
#include "proxy/worker.h"

/* Bytes of open tunnels are counted here and not as they pass: a message costs nothing, a survey a look at each session (some 0.1 microseconds). All
 * in one turn, so that none is missed or counted twice that ends meanwhile. */
static bool survey_count(struct survey *survey, const struct worker *worker)
{
    survey->tally = tally_new();
    if (survey->tally == NULL || !tally_add(survey->tally, worker->tally))
        return false;
    for (const struct session *session = worker->sessions; session != NULL; session = session_next(session))
        session_count(session, survey->tally);
    return true;
}

static bool survey_list(struct survey *survey, const struct worker *worker)
{
    survey->tunnels = calloc(worker->session_count + 1, sizeof(*survey->tunnels));
    if (survey->tunnels == NULL)
        return false;
    for (const struct session *session = worker->sessions; session != NULL; session = session_next(session))
        survey->tunnel_count += session_describe(session, &survey->tunnels[survey->tunnel_count]);
    return true;
}

struct survey *survey_new(void)
{
    struct survey *survey = calloc(1, sizeof(*survey));
    if (survey != NULL && (survey->tally = tally_new()) != NULL)
        return survey;
    free(survey);
    return NULL;
}

struct survey *survey_take(const struct worker *worker, int wishes)
{
    struct survey *survey = calloc(1, sizeof(*survey));
    if (survey == NULL)
        return NULL;
    *survey = (struct survey){
        .workers = 1,
        .listening = worker_is_listening(worker),
        .journal_up = journal_queue_is_up(worker->journal),
        .journal_ready = journal_queue_is_ready(worker->journal),
        .journal_queue = journal_queue_waiting(worker->journal),
        .journal_filed = journal_queue_filed(worker->journal),
    };
    bool whole = (!(wishes & SURVEY_COUNTS) || survey_count(survey, worker)) && (!(wishes & SURVEY_TUNNELS) || survey_list(survey, worker));
    if (whole)
        return survey;
    survey_free(survey);
    return NULL;
}

void survey_free(struct survey *survey)
{
    if (survey == NULL)
        return;
    tally_free(survey->tally);
    free(survey->tunnels);
    free(survey);
}

static bool survey_add_tally(struct survey *into, struct survey *from)
{
    if (from->tally == NULL)
        return true;
    if (into->tally != NULL)
        return tally_add(into->tally, from->tally);
    into->tally = from->tally;
    from->tally = NULL;
    return true;
}

static bool survey_add_tunnels(struct survey *into, const struct survey *from)
{
    if (from->tunnels == NULL)
        return true;
    struct tunnel *tunnels = realloc(into->tunnels, (into->tunnel_count + from->tunnel_count + 1) * sizeof(*tunnels));
    if (tunnels == NULL)
        return false;
    memcpy(tunnels + into->tunnel_count, from->tunnels, from->tunnel_count * sizeof(*tunnels));
    into->tunnels = tunnels;
    into->tunnel_count += from->tunnel_count;
    return true;
}

struct survey *survey_copy(const struct survey *survey)
{
    struct survey *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *survey;
    copy->tally = survey->tally != NULL ? tally_new() : NULL;
    copy->tunnels = NULL;
    copy->tunnel_count = 0;
    if ((survey->tally == NULL || (copy->tally != NULL && tally_add(copy->tally, survey->tally))) && survey_add_tunnels(copy, survey))
        return copy;
    survey_free(copy);
    return NULL;
}

bool survey_add(struct survey *into, struct survey *from)
{
    into->workers += from->workers;
    into->listening += from->listening;
    into->journal_up += from->journal_up;
    into->journal_ready += from->journal_ready;
    into->journal_queue += from->journal_queue;
    into->journal_filed += from->journal_filed;
    return survey_add_tally(into, from) && survey_add_tunnels(into, from);
}

void survey_subtract(struct survey *from, const struct survey *part)
{
    from->journal_filed = from->journal_filed > part->journal_filed ? from->journal_filed - part->journal_filed : 0;
    tally_subtract(from->tally, part->tally);
}

void survey_settle(struct survey *survey)
{
    survey->journal_queue = 0;
    tally_settle(survey->tally);
    free(survey->tunnels);
    survey->tunnels = NULL;
    survey->tunnel_count = 0;
}
