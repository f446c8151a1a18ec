/* What the audit file is to say of reloads, in words: owed until there is a server that writes it. */
#include "host/reload_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "host/channel.h"

/* What a record can say (its detail is cut at 1,500 characters). */
#define WORDS_MAX 1500

/* How many faults are recorded in words; the log has all of them. */
#define FAULTS_RECORDED 4
#define FAULT_RECORDED_MAX 200

struct reload_record {
    struct reload_record *next;
    char words[CONFIG_DIGEST_SIZE + WORDS_MAX]; /* behind the digest of what served then */
};

static void reload_records_drop(struct reload_records *records)
{
    struct reload_record *oldest = records->first;
    records->first = oldest->next;
    records->count--;
    free(oldest);
}

void reload_records_fini(struct reload_records *records)
{
    while (records->first != NULL)
        reload_records_drop(records);
}

static void reload_records_add(struct reload_records *records, const char *digest, const struct text *words)
{
    struct reload_record **last = &records->first;
    struct reload_record *record = calloc(1, sizeof(*record));
    if (record == NULL || records->count == RELOAD_RECORDS_MAX)
        log_error("a reload is not recorded: %s", record == NULL ? words->at : records->first->words);
    if (record == NULL)
        return;
    if (records->count == RELOAD_RECORDS_MAX)
        reload_records_drop(records);
    while (*last != NULL)
        last = &(*last)->next;
    snprintf(record->words, sizeof(record->words), "%s %s", digest, words->at);
    *last = record;
    records->count++;
}

/* `policy NEW in place of OLD: …` */
void reload_records_taken(struct reload_records *records, const char *old_digest, const struct candidate *serving)
{
    char bytes[WORDS_MAX];
    struct text words;
    text_init(&words, bytes, sizeof(bytes));
    if (strcmp(old_digest, serving->digest) == 0)
        text_format(&words, "policy %s stays: ", old_digest);
    else
        text_format(&words, "policy %s in place of %s: ", serving->digest, old_digest);
    text_add(&words, serving->changes);
    reload_records_add(records, serving->config->digest, &words);
}

/* The first ones; for want of memory one may only be counted. */
static void reload_records_add_faults(struct text *words, const struct fault_list *faults)
{
    const size_t count = fault_count(faults);
    const char *fault;
    size_t told = 0;
    while (told < FAULTS_RECORDED && (fault = fault_text(faults, told)) != NULL) {
        text_add(words, told++ == 0 ? ": " : "; ");
        text_add_clean(words, fault, strlen(fault), FAULT_RECORDED_MAX);
    }
    if (told == 0)
        text_add(words, ": there was no memory for their words");
    else if (count > told)
        text_format(words, "; and %zu more", count - told);
}

/* `policy OLD stays; refused NEW, 2 faults: …; …` */
void reload_records_refused(struct reload_records *records, const struct candidate *serving, const struct candidate *next,
                            const struct fault_list *faults)
{
    char bytes[WORDS_MAX];
    struct text words;
    const char *digest = next != NULL ? next->digest : "";
    const size_t count = fault_count(faults);
    text_init(&words, bytes, sizeof(bytes));
    text_format(&words, "policy %s stays; refused%s%s, %zu fault%s", serving->config->digest, digest[0] ? " " : "", digest, count,
                count == 1 ? "" : "s");
    reload_records_add_faults(&words, faults);
    reload_records_add(records, serving->config->digest, &words);
}

void reload_records_tell(struct reload_records *records, int channel)
{
    while (records->first != NULL && channel_say(channel, CHANNEL_RECORD, 0, 0, -1, records->first->words))
        reload_records_drop(records);
}
