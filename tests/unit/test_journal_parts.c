/* Small parts of the journal: the set of ids, and what is read out of a record. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/journal_gist.h"
#include "audit/journal_ids.h"
#include "audit/record.h"

static const char *id_of(unsigned number)
{
    static char id[SESSION_ID_LEN + 1];
    snprintf(id, sizeof(id), "01K%023u", number);
    return id;
}

Test(journal_ids, holds_what_was_added_and_not_removed)
{
    enum { RANGE = 3000, TURNS = 100000 };
    static bool there[RANGE];
    struct journal_ids ids = {0};
    size_t count = 0;
    char id[ULID_TEXT_MAX];
    srand(3);
    cr_assert_not(journal_ids_has(&ids, id_of(0)));
    for (int turn = 0; turn < TURNS; turn++) {
        unsigned number = (unsigned)rand() % RANGE;
        cr_assert_eq(journal_ids_has(&ids, id_of(number)), there[number]);
        if (rand() % 2) {
            count += !there[number];
            journal_ids_add(&ids, id_of(number));
            there[number] = true;
        } else {
            count -= there[number];
            cr_assert_eq(journal_ids_remove(&ids, id_of(number)), there[number]);
            there[number] = false;
        }
        cr_assert_eq(ids.count, count);
    }
    while (journal_ids_pop(&ids, id)) {
        unsigned number = (unsigned)strtoul(id + 10, NULL, 10) % 100000;
        cr_assert(number < RANGE && there[number]);
        there[number] = false;
        count--;
    }
    cr_assert_eq(count, 0);
    journal_ids_clear(&ids);
}

Test(journal_ids, is_bounded)
{
    struct journal_ids ids = {0};
    char id[ULID_TEXT_MAX];
    unsigned popped = 0;
    for (unsigned number = 0; number < JOURNAL_IDS_MAX + 7; number++)
        journal_ids_add(&ids, id_of(number));
    cr_assert_eq(ids.count, JOURNAL_IDS_MAX);
    cr_assert_eq(ids.beyond, 7);
    cr_assert(journal_ids_has(&ids, id_of(0)));
    cr_assert_not(journal_ids_has(&ids, id_of(JOURNAL_IDS_MAX)));
    while (journal_ids_pop(&ids, id)) /* which must not take minutes */
        popped++;
    cr_assert_eq(popped, JOURNAL_IDS_MAX);
    journal_ids_clear(&ids);
}

Test(journal_ids, gives_back_what_a_rush_has_left)
{
    enum { RUSH = 5000, STAY = 40 };
    struct journal_ids ids = {0};
    for (unsigned number = 0; number < STAY; number++)
        journal_ids_add(&ids, id_of(number));
    const size_t size = ids.size;
    for (unsigned number = STAY; number < RUSH; number++)
        journal_ids_add(&ids, id_of(number));
    cr_expect_leq(ids.size, 2 * RUSH);
    for (unsigned number = STAY; number < RUSH; number++)
        cr_assert(journal_ids_remove(&ids, id_of(number)));
    cr_expect_leq(ids.size, 8 * size);
    for (unsigned number = 0; number < STAY; number++)
        cr_assert(journal_ids_has(&ids, id_of(number)));
    cr_expect_eq(ids.count, STAY);
    journal_ids_clear(&ids);
}

/* From a server that was taken over. */
Test(journal_ids, counts_what_is_no_id)
{
#define HIGH "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    static const char *const bad[] = {"01K0000000000000000000000I", "00000000000000000000000000", "81K00000000000000000000000",
                                      "01k00000000000000000000001", "01K0000000000000\"00000000", (HIGH HIGH)};
#undef HIGH
    const size_t count = sizeof(bad) / sizeof(bad[0]);
    struct journal_ids ids = {0};
    for (size_t i = 0; i < count; i++) {
        journal_ids_add(&ids, bad[i]);
        cr_expect_not(journal_ids_has(&ids, bad[i]), "%s", bad[i]);
        cr_expect_not(journal_ids_remove(&ids, bad[i]));
    }
    cr_expect_eq(ids.count, 0);
    cr_expect_eq(ids.beyond, count);
    journal_ids_clear(&ids);
}

static struct journal_gist gist_of(const struct record *record)
{
    static char buffer[RECORD_TEXT_MAX + 1];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    cr_assert(record_write(&text, record));
    return journal_gist_read(text.at, text.len);
}

Test(journal_gist, is_read_out_of_a_record)
{
    static const char id[] = "01K00000000000000000000007";
    static const struct { struct record record; enum journal_gist_kind kind; } rows[] = {
        {{.event = EVENT_DECISION, .id = id, .verdict = "allow"}, GIST_OPENS},
        {{.event = EVENT_DECISION, .id = id, .verdict = "observe"}, GIST_OPENS},
        {{.event = EVENT_DECISION, .id = id, .verdict = "deny"}, GIST_OTHER},
        {{.event = EVENT_DECISION, .verdict = "allow"}, GIST_OTHER},
        {{.event = EVENT_CLOSE, .id = id, .verdict = "deny"}, GIST_CLOSES},
        {{.event = EVENT_CLOSE, .id = "short"}, GIST_OTHER},
        {{.event = EVENT_CLOSE, .id = "01K000000000000000000000071"}, GIST_OTHER},
        {{.event = EVENT_START}, GIST_START},
        {{.event = EVENT_STOP}, GIST_STOP},
        {{.event = EVENT_ROTATE}, GIST_ROTATE},
        {{.event = EVENT_RECOVERED}, GIST_RECOVERED},
        {{.event = EVENT_CHECKPOINT}, GIST_CHECKPOINT},
        {{.event = EVENT_GAP}, GIST_OTHER},
        {{.event = EVENT_PROBE}, GIST_OTHER},
        {{.event = EVENT_RELOAD}, GIST_OTHER},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct journal_gist gist = gist_of(&rows[i].record);
        cr_expect_eq(gist.kind, rows[i].kind, "row %zu", i);
        if (gist.kind == GIST_OPENS || gist.kind == GIST_CLOSES)
            cr_expect(memcmp(gist.id, id, SESSION_ID_LEN) == 0, "row %zu", i);
    }
}

Test(journal_gist, is_not_taken_in_by_strings)
{
    static const char lie[] = "x\",\"event\":\"stop\",\"id\":\"01K00000000000000000000009\",\"verdict\":\"allow\",\"";
    const struct record record = {.instance = lie,
                                  .event = EVENT_DECISION,
                                  .id = "01K00000000000000000000007",
                                  .host = {lie, strlen(lie)},
                                  .sni = {lie, strlen(lie)},
                                  .verdict = "deny",
                                  .detail = {lie, strlen(lie)}};
    cr_expect_eq(gist_of(&record).kind, GIST_OTHER);
    struct record rotate = {.instance = lie, .event = EVENT_ROTATE, .detail = {"a sentence", 10}};
    const struct journal_gist gist = gist_of(&rotate);
    cr_expect_eq(gist.kind, GIST_ROTATE);
    cr_expect_eq(gist.detail_len, 10);
    cr_expect(memcmp(gist.detail, "a sentence", 10) == 0);
    rotate.detail = (struct bytes){0};
    cr_expect_null(gist_of(&rotate).detail);
}
