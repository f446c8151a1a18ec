/* The journal's account of who is open: by the records that it writes, and by those that stood there before. */
#include "audit/journal_sessions.h"

#include <stdint.h>

#include "audit/journal_own.h"
#include "audit/journal_reverse.h"

#define LOOK_BACK_MAX (UINT64_C(1) << 30) /* bytes */

/* A server has ended: all its sessions before this were closed, or named by the record. */
static bool journal_sessions_is_end(const struct journal_gist *gist)
{
    return gist->kind == GIST_STOP || (gist->kind == GIST_RECOVERED && journal_own_names_last(gist->detail, gist->detail_len));
}

/* … and which one, where others go on; 0: it was the last. */
static unsigned journal_sessions_who_ended(const struct journal_gist *gist)
{
    return gist->detail ? journal_generation_read_end(gist->detail, gist->detail_len) : 0;
}

static bool journal_sessions_is_border(const struct journal_gist *gist)
{
    return journal_sessions_is_end(gist) && journal_sessions_who_ended(gist) == 0;
}

/* Says nothing of whether a server runs. */
static bool journal_sessions_is_beside(const struct journal_gist *gist)
{
    return gist->kind == GIST_ROTATE || gist->kind == GIST_CHECKPOINT ||
           (gist->kind == GIST_RECOVERED && !journal_own_names_any(gist->detail, gist->detail_len));
}

void journal_sessions_begin(struct journal_sessions *sessions, const char *path, const struct journal_head *end)
{
    struct journal_reverse reverse;
    struct journal_line line;
    struct journal_gist gist = {.kind = GIST_STOP};
    *sessions = (struct journal_sessions){.path = path, .past = *end};
    if (!journal_reverse_open(&reverse, path, end))
        return;
    while (journal_reverse_next(&reverse, &line)) {
        gist = journal_gist_read(line.text, line.len);
        if (!journal_sessions_is_beside(&gist))
            break;
    }
    sessions->stranger = !journal_sessions_is_border(&gist) && !journal_sessions_is_beside(&gist);
    journal_reverse_close(&reverse);
}

void journal_sessions_fini(struct journal_sessions *sessions)
{
    journal_ids_clear(&sessions->open);
    journal_ids_clear(&sessions->left);
    journal_ids_clear(&sessions->closed);
}

void journal_sessions_know(struct journal_sessions *sessions, const struct journal_generations *running)
{
    if (sessions->stranger) /* else they have only just been started, or have stopped */
        sessions->running = *running;
    sessions->stranger = false;
}

static void journal_sessions_start(struct journal_sessions *sessions, unsigned mark)
{
    if (mark > 0)
        journal_generations_add(&sessions->running, mark);
    else
        sessions->stranger = true;
}

void journal_sessions_note(struct journal_sessions *sessions, const struct journal_gist *gist, unsigned mark)
{
    if (gist->kind == GIST_OPENS)
        journal_ids_add(&sessions->open, gist->id);
    else if (gist->kind == GIST_CLOSES && !journal_ids_remove(&sessions->open, gist->id) && sessions->past.seq > 0)
        journal_ids_add(&sessions->closed, gist->id);
    else if (gist->kind == GIST_START)
        journal_sessions_start(sessions, mark);
    else if (gist->kind == GIST_STOP)
        journal_sessions_end(sessions, mark);
}

static bool journal_sessions_has_ended(const struct journal_sessions *sessions, const char *id)
{
    struct ulid ulid;
    return ulid_read(&ulid, id) && journal_generations_has(&sessions->ended, ulid_mark(&ulid));
}

/* A record of the past, the newest first. */
static void journal_sessions_note_past(struct journal_sessions *sessions, const struct journal_gist *gist)
{
    if (gist->kind == GIST_CLOSES)
        journal_ids_add(&sessions->closed, gist->id);
    else if (gist->kind == GIST_RECOVERED)
        journal_own_each_named(gist->detail, gist->detail_len, &sessions->closed);
    else if (gist->kind == GIST_OPENS && !journal_ids_remove(&sessions->closed, gist->id) && !journal_sessions_has_ended(sessions, gist->id))
        journal_ids_add(&sessions->open, gist->id);
    if (journal_sessions_is_end(gist) && journal_sessions_who_ended(gist) > 0) {
        journal_generations_add(&sessions->ended, journal_sessions_who_ended(gist));
        journal_generations_remove(&sessions->running, journal_sessions_who_ended(gist)); /* its process was still to end, and known as living */
    }
}

void journal_sessions_look_back(struct journal_sessions *sessions)
{
    struct journal_reverse reverse;
    struct journal_line line;
    uint64_t looked = 0;
    if (sessions->past.seq == 0)
        return;
    bool found = false, there = journal_reverse_open(&reverse, sessions->path, &sessions->past);
    while (there && !found && looked < LOOK_BACK_MAX && journal_reverse_next(&reverse, &line)) {
        const struct journal_gist gist = journal_gist_read(line.text, line.len);
        found = journal_sessions_is_border(&gist);
        looked += line.len;
        journal_sessions_note_past(sessions, &gist);
    }
    sessions->unknown = sessions->unknown || (!found && !(there && reverse.seq == 0));
    journal_reverse_close(&reverse);
    journal_ids_clear(&sessions->closed);
    sessions->past.seq = 0;
}

unsigned journal_sessions_find_dead(const struct journal_sessions *sessions)
{
    return journal_ids_stranger(&sessions->open, &sessions->running);
}

bool journal_sessions_others_run(const struct journal_sessions *sessions, unsigned mark)
{
    return mark > 0 && (sessions->running.count > journal_generations_has(&sessions->running, mark) || sessions->stranger);
}

void journal_sessions_leave(struct journal_sessions *sessions, unsigned mark)
{
    journal_ids_move(&sessions->open, &sessions->left, journal_sessions_others_run(sessions, mark) ? mark : 0);
}

void journal_sessions_end(struct journal_sessions *sessions, unsigned mark)
{
    if (!journal_sessions_others_run(sessions, mark)) {
        journal_sessions_fini(sessions);
        *sessions = (struct journal_sessions){.path = sessions->path};
        return;
    }
    journal_generations_remove(&sessions->running, mark);
    journal_generations_add(&sessions->ended, mark);
    journal_ids_move(&sessions->open, &sessions->left, mark);
    journal_ids_clear(&sessions->left);
}
