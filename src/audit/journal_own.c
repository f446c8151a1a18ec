/* The records that the journal process makes itself, about its file and about what became of others; and what they say, read back. */
#include "audit/journal_own.h"

#include <inttypes.h>
#include <string.h>

#include "audit/journal_generations.h"
#include "audit/journal_gist.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/number.h"

#define CONTINUES "continues inode "
#define LEFT "left without close:"
#define MORE "; more follow"
#define IDS_A_RECORD 45 /* of 27 characters each: with all else that can be said they stay below what a detail may hold */
#define DETAIL_SIZE 1500

static void journal_own_write(struct text *out, const char *instance, enum record_event event, const struct text *detail)
{
    const struct record record = {.time_us = clock_wall_us(), .instance = instance, .event = event, .detail = {detail->at, detail->len}};
    record_write(out, &record);
}

/* ---- rotate ---- */

void journal_own_rotate(struct text *out, const char *instance, const struct journal_head *end)
{
    char buffer[96];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    text_format(&detail, CONTINUES "%" PRIu64 " after seq %" PRIu64, end->inode, end->seq);
    journal_own_write(out, instance, EVENT_ROTATE, &detail);
}

uint64_t journal_own_continued(const char *detail, size_t len)
{
    const size_t words = strlen(CONTINUES);
    uint64_t inode = 0;
    if (len < words || memcmp(detail, CONTINUES, words) != 0)
        return 0;
    const char *blank = memchr(detail + words, ' ', len - words);
    return blank && number_read(&inode, detail + words, (size_t)(blank - detail) - words, UINT64_MAX) ? inode : 0;
}

/* ---- recovered ---- */

static void journal_own_part(struct text *detail)
{
    if (detail->len > 0)
        text_add(detail, "; ");
}

/* What happened, said once. */
static void journal_own_say(struct text *detail, struct journal_recovery *recovery)
{
    if (recovery->cut > 0)
        text_format(detail, "cut off %zu bytes of a torn record", recovery->cut);
    if (recovery->missing_first > 0) {
        journal_own_part(detail);
        text_format(detail, "seq %" PRIu64 " to %" PRIu64 " are missing", recovery->missing_first, recovery->missing_last);
    }
    if (recovery->journal_died) {
        journal_own_part(detail);
        text_add(detail, "the journal died, the server and its sessions go on");
    }
    recovery->cut = recovery->missing_first = 0;
    recovery->journal_died = false;
}

static void journal_own_name(struct text *detail, const struct journal_recovery *recovery, struct journal_ids *open)
{
    char id[ULID_TEXT_MAX];
    const bool none = open->count == 0;
    journal_own_part(detail);
    text_add(detail, none ? LEFT " none" : LEFT);
    for (int i = 0; i < IDS_A_RECORD && journal_ids_pop(open, id); i++) {
        text_add_char(detail, ' ');
        text_add(detail, id);
    }
    if (open->count > 0)
        text_add(detail, MORE);
    else if (open->beyond > 0)
        text_format(detail, "; and %" PRIu64 " more", open->beyond);
    if (open->count == 0 && recovery->unknown)
        text_add(detail, "; older ones are not known");
    if (open->count == 0 && recovery->beside > 0)
        journal_generation_say_end(detail, recovery->beside);
}

void journal_own_recovered(struct text *out, const char *instance, struct journal_recovery *recovery, struct journal_ids *open)
{
    char buffer[DETAIL_SIZE];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    journal_own_say(&detail, recovery);
    if (recovery->server_died)
        journal_own_name(&detail, recovery, open);
    journal_own_write(out, instance, EVENT_RECOVERED, &detail);
}

/* Behind LEFT; NULL: it is not there. */
static const char *journal_own_names(const char *detail, size_t len)
{
    const char *left = detail ? memmem(detail, len, LEFT, strlen(LEFT)) : NULL;
    return left ? left + strlen(LEFT) : NULL;
}

bool journal_own_names_any(const char *detail, size_t len)
{
    return journal_own_names(detail, len) != NULL;
}

bool journal_own_names_last(const char *detail, size_t len)
{
    const size_t more = strlen(MORE);
    return journal_own_names(detail, len) && (len < more || memcmp(detail + len - more, MORE, more) != 0);
}

void journal_own_each_named(const char *detail, size_t len, struct journal_ids *ids)
{
    const char *at = journal_own_names(detail, len), *end = detail + len;
    while (at && end - at > SESSION_ID_LEN && at[0] == ' ' && !memchr(at + 1, ' ', SESSION_ID_LEN) && !memchr(at + 1, ';', SESSION_ID_LEN)) {
        journal_ids_add(ids, at + 1);
        at += 1 + SESSION_ID_LEN;
    }
}
