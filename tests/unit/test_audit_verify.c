/* Following the chain: whatever is done to a file, the first wrong line is named, and what was done to it. Seeded, so that a failure comes again. */
#include "audit/audit_verify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/journal_line.h"
#include "audit/record.h"
#include "rfc_key.h"

#ifdef __SANITIZE_ADDRESS__ /* and then slow */
#define RECORDS 2000
#else
#define RECORDS 10000
#endif
#define FEW 40
#define TIME_US UINT64_C(1795304957123456)
#define TEXT_MAX 1200 /* bytes of a line here */

/* A file in memory. */
struct paper {
    char *bytes;
    size_t len;
    size_t *lines; /* where each begins, and behind the last where the file ends */
    size_t count;
    struct journal_head head;
    struct audit_keyring keyring;
};

static uint64_t state = 4;

static size_t random_below(size_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % limit;
}

static void paper_find_lines(struct paper *paper)
{
    const char *end = paper->bytes + paper->len;
    size_t room = 2;
    for (const char *at = paper->bytes; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        room++;
    paper->lines = realloc(paper->lines, room * sizeof(size_t));
    paper->count = 0;
    paper->lines[0] = 0;
    for (const char *at = paper->bytes; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline != NULL ? newline + 1 : end;
        paper->lines[++paper->count] = (size_t)(at - paper->bytes);
    }
}

/* What a line is made of. */
static void write_text(struct text *out, size_t i)
{
    char host[32];
    snprintf(host, sizeof(host), "h%zu.example", i);
    const struct record record = {.time_us = TIME_US + i * 1000,
                                  .event = EVENT_DECISION,
                                  .instance = "J*egress",
                                  .id = "01K00000000000000000000000",
                                  .user_agent = {"curl \"7\" \\", 10},
                                  .host = {host, strlen(host)},
                                  .port = 443,
                                  .has_hello = true,
                                  .alpn = {{"h2", 2}, {"http/1.1", 8}},
                                  .alpn_count = 2,
                                  .verdict = "deny",
                                  .class = "policy",
                                  .reason = "default_deny"};
    cr_assert(record_write(out, &record));
}

/* What papers are to be. */
struct plan {
    size_t count;
    uint64_t first;       /* seq */
    size_t bare, chained; /* the records from the one up to the other have no chain */
    size_t every;         /* so many records have a checkpoint for their last; 0: there are none */
};

static void paper_write(struct text *out, const struct plan *plan, const struct ed25519_key *key, struct chain *chain)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct text text;
    for (size_t i = 0; i < plan->count; i++) {
        const uint64_t seq = plan->first + i;
        text_init(&text, buffer, sizeof(buffer));
        if (i == plan->chained)
            chain_set(chain, NULL);
        if (plan->every > 0 && seq % plan->every == 0)
            cr_assert(checkpoint_write(&text, seq, i > 0 || seq > 1 ? chain_text(chain) : NULL, TIME_US + i * 1000, "J*egress", key));
        else
            write_text(&text, i);
        cr_assert(journal_line_write(out, seq, text.at, text.len, i >= plan->bare && i < plan->chained ? NULL : chain));
    }
}

static struct paper paper_make_as(const struct plan *plan)
{
    struct paper paper = {.bytes = malloc(plan->count * TEXT_MAX)};
    struct ed25519_key *key = rfc_key_private();
    struct chain *chain = chain_new();
    struct text out;
    text_init(&out, paper.bytes, plan->count * TEXT_MAX);
    paper_write(&out, plan, key, chain);
    paper.len = out.len;
    paper.head.seq = plan->first + plan->count - 1;
    text_copy(paper.head.chain, sizeof(paper.head.chain), chain_text(chain), CHAIN_LEN);
    chain_free(chain);
    ed25519_free(key);
    paper_find_lines(&paper);
    return paper;
}

/* Records from `first` on; those from `bare` up to `chained` have no chain. */
static struct paper paper_make(size_t count, uint64_t first, size_t bare, size_t chained)
{
    const struct plan plan = {.count = count, .first = first, .bare = bare, .chained = chained};
    return paper_make_as(&plan);
}

static struct paper paper_make_whole(size_t count)
{
    return paper_make(count, 1, count, count);
}

/* The keyring of every paper that is checked for signatures; a test is a process of its own. */
static struct ed25519_key *known[2];

/* With a checkpoint at the end of each `every` records. */
static struct paper paper_make_signed(size_t count, size_t every)
{
    const struct plan plan = {.count = count, .first = 1, .bare = count, .chained = count, .every = every};
    struct paper paper = paper_make_as(&plan);
    known[0] = rfc_key_public();
    paper.keyring = (struct audit_keyring){known, 1};
    return paper;
}

static void paper_free(struct paper *paper)
{
    free(paper->bytes);
    free(paper->lines);
}

static struct paper paper_copy(const struct paper *from)
{
    struct paper paper = {.bytes = malloc(from->len * 2 + 1), .len = from->len, .head = from->head, .keyring = from->keyring};
    memcpy(paper.bytes, from->bytes, from->len);
    paper_find_lines(&paper);
    return paper;
}

/* From line `number` (from 1) on takes `cut` lines away and puts bytes there. */
static void paper_splice(struct paper *paper, size_t number, size_t cut, const char *bytes, size_t len)
{
    const size_t at = paper->lines[number - 1], rest = paper->lines[number - 1 + cut];
    memmove(paper->bytes + at + len, paper->bytes + rest, paper->len - rest);
    memcpy(paper->bytes + at, bytes, len);
    paper->len = paper->len - rest + at + len;
    paper_find_lines(paper);
}

static enum audit_result paper_verify(const struct paper *paper, bool with_head, struct audit_finding *finding, struct audit_facts *facts)
{
    struct audit_verify *verify = audit_verify_new(with_head ? &paper->head : NULL, &paper->keyring);
    for (size_t i = 0; i < paper->count; i++) {
        const struct audit_place at = {"FILE", i + 1};
        size_t len = paper->lines[i + 1] - paper->lines[i];
        const bool is_torn = paper->bytes[paper->lines[i + 1] - 1] != '\n';
        audit_verify_add(verify, &at, paper->bytes + paper->lines[i], len - !is_torn, is_torn);
    }
    enum audit_result result = audit_verify_end(verify, finding);
    if (facts != NULL)
        *facts = *audit_verify_facts(verify);
    audit_verify_free(verify);
    return result;
}

static void expect_whole(const struct paper *paper, bool with_head)
{
    struct audit_finding finding = {0};
    cr_assert_eq(paper_verify(paper, with_head, &finding, NULL), AUDIT_RESULT_WHOLE, "%s at %zu: %s", audit_damage_text(finding.damage),
                 (size_t)finding.at.line, finding.why);
}

static void check(const struct paper *paper, bool with_head, enum audit_damage damage, size_t line, const char *story, size_t which)
{
    struct audit_finding finding = {0};
    enum audit_result result = paper_verify(paper, with_head, &finding, NULL);
    cr_expect(result == AUDIT_RESULT_BAD && finding.damage == damage && finding.at.line == line,
              "%s %zu: result %d, line %zu %s (%s) where line %zu %s should be", story, which, (int)result, (size_t)finding.at.line,
              audit_damage_text(finding.damage), finding.why, line, audit_damage_text(damage));
}

/* Frees the paper. */
static void expect(struct paper paper, bool with_head, enum audit_damage damage, size_t line, const char *story, size_t which)
{
    check(&paper, with_head, damage, line, story, which);
    paper_free(&paper);
}

Test(audit_verify, whole)
{
    struct paper paper = paper_make_whole(FEW);
    struct audit_finding finding;
    struct audit_facts facts;
    expect_whole(&paper, false);
    cr_assert_eq(paper_verify(&paper, true, &finding, &facts), AUDIT_RESULT_WHOLE);
    cr_assert_eq(facts.records, FEW);
    cr_assert_eq(facts.first, 1);
    cr_assert_eq(facts.last, FEW);
    cr_assert_eq(facts.bare, 0);
    cr_assert(facts.meets_head);
    paper_free(&paper);
}

Test(audit_verify, no_records)
{
    struct paper paper = {.count = 0};
    expect_whole(&paper, false);
    expect_whole(&paper, true);
    paper.head.seq = 1;
    expect(paper, true, AUDIT_CUT, 0, "empty", 0);
}

/* The line that holds a byte, from 1; its newline is part of it. */
static size_t line_of(const struct paper *paper, size_t at)
{
    size_t line = 1;
    while (paper->lines[line] <= at)
        line++;
    return line;
}

static void flip_bit(struct paper *paper, size_t at, unsigned bit)
{
    const char was = paper->bytes[at];
    paper->bytes[at] = (char)(was ^ 1 << bit);
    if (was == '\n' || paper->bytes[at] == '\n')
        paper_find_lines(paper);
}

static void flip(struct paper *paper, size_t at, unsigned bit)
{
    const size_t line = line_of(paper, at);
    const bool is_end = at + 1 == paper->len;
    flip_bit(paper, at, bit);
    check(paper, false, is_end ? AUDIT_CUT : AUDIT_CHANGED, line, "flipped bit of byte", at * 8 + bit);
    flip_bit(paper, at, bit);
}

/* Every bit of the first, a middle and the last record. */
Test(audit_verify, every_bit)
{
    static const size_t lines[] = {1, 3, 6};
    struct paper whole = paper_make_whole(6);
    for (size_t i = 0; i < 3; i++)
        for (size_t at = whole.lines[lines[i] - 1]; at < whole.lines[lines[i]]; at++)
            for (unsigned bit = 0; bit < 8; bit++)
                flip(&whole, at, bit);
    paper_free(&whole);
}

static bool is_structure(char byte)
{
    return strchr("{}[]:,\"", byte) != NULL;
}

/* Where anything begins or ends: each name, value, separator and bracket, also those within strings; the parts of a signature; the newline. */
static bool is_edge(const struct paper *paper, size_t at)
{
    const char *byte = paper->bytes + at;
    const bool is_first = at == 0 || byte[-1] == '\n';
    return *byte == '\n' || is_first || is_structure(*byte) || is_structure(byte[-1]) || is_structure(byte[1]) || strchr(" =\n", byte[1]) != NULL ||
           *byte == ' ' || byte[-1] == ' ';
}

static void flip_edges(struct paper *paper, size_t line)
{
    for (size_t at = paper->lines[line - 1]; at < paper->lines[line]; at++)
        if (is_edge(paper, at))
            flip(paper, at, (unsigned)random_below(8));
}

/* Every field's edge of the first and the last record (a checkpoint), another checkpoint, and a decision behind one. */
Test(audit_verify, bits_at_every_edge, .timeout = 300)
{
    struct paper paper = paper_make_signed(RECORDS, 1000);
    const size_t lines[] = {1, 1000, 1001, RECORDS};
    expect_whole(&paper, true);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        flip_edges(&paper, lines[i]);
    paper_free(&paper);
}

Test(audit_verify, bits_at_random, .timeout = 300)
{
    struct paper paper = paper_make_signed(RECORDS, 1000);
    for (int i = 0; i < 150; i++)
        flip(&paper, random_below(paper.len), (unsigned)random_below(8));
    paper_free(&paper);
}

static void remove_line(const struct paper *whole, size_t line, bool with_head)
{
    struct paper paper = paper_copy(whole);
    paper_splice(&paper, line, 1, "", 0);
    if (line < whole->count)
        expect(paper, with_head, AUDIT_MISSING, line, "removed", line);
    else
        expect(paper, true, AUDIT_CUT, line - 1, "cut", line);
}

static void repeat_line(const struct paper *whole, size_t from, size_t behind)
{
    struct paper paper = paper_copy(whole);
    paper_splice(&paper, behind + 1, 0, whole->bytes + whole->lines[from - 1], whole->lines[from] - whole->lines[from - 1]);
    expect(paper, false, AUDIT_REPEATED, behind + 1 + (behind + 1 == from), "repeated", from * 100000 + behind);
}

static void swap_lines(const struct paper *whole, size_t a, size_t b)
{
    struct paper paper = paper_copy(whole);
    if (a == b) {
        paper_free(&paper);
        return;
    }
    const size_t early = a < b ? a : b, late = a < b ? b : a;
    paper_splice(&paper, late, 1, whole->bytes + whole->lines[early - 1], whole->lines[early] - whole->lines[early - 1]);
    paper_splice(&paper, early, 1, whole->bytes + whole->lines[late - 1], whole->lines[late] - whole->lines[late - 1]);
    expect(paper, false, AUDIT_REORDERED, early, "swapped", early * 100000 + late);
}

/* A record that was never written, of this number: with a chain that fits behind the line before, or with that of another record. */
static void insert_line(const struct paper *whole, size_t behind, uint64_t seq, bool fits)
{
    char line[RECORD_MAX];
    struct text out;
    struct paper paper = paper_copy(whole);
    struct chain *chain = chain_new();
    static const char forged[] = "\"time\":\"2026-11-21T23:49:17.123456Z\",\"detail\":\"forged\"";
    const char *before = behind > 0 ? whole->bytes + whole->lines[behind] - 3 - CHAIN_LEN : NULL;
    chain_set(chain, fits ? before : "not a chain, but 44 characters, as long as one");
    text_init(&out, line, sizeof(line));
    cr_assert(journal_line_write(&out, seq, forged, strlen(forged), chain));
    chain_free(chain);
    paper_splice(&paper, behind + 1, 0, out.at, out.len);
    const bool is_old = seq + AUDIT_TRAIL_SIZE <= behind; /* too long ago to be sure that it is another one */
    expect(paper, behind == whole->count, is_old ? AUDIT_REPEATED : AUDIT_INSERTED, behind + 1, fits ? "forged well" : "forged",
           behind * 100000 + (size_t)seq);
}

static void insert_foreign(const struct paper *whole, size_t behind, const char *line)
{
    struct paper paper = paper_copy(whole);
    paper_splice(&paper, behind + 1, 0, line, strlen(line));
    expect(paper, false, AUDIT_FOREIGN, behind + 1, "foreign", behind);
}

/* Each line of a short file, and each pair of lines. */
Test(audit_verify, every_line)
{
    struct paper whole = paper_make_whole(FEW);
    for (size_t a = 1; a <= FEW; a++) {
        if (a > 1)
            remove_line(&whole, a, a % 2 == 0);
        for (size_t b = 1; b <= FEW; b++) {
            repeat_line(&whole, a, b);
            swap_lines(&whole, a, b);
            insert_line(&whole, a, b, false);
        }
        repeat_line(&whole, a, 0);
        insert_line(&whole, a, a + 1, false);
        if (a + 2 <= FEW)
            insert_line(&whole, a, a + 1, true);
        insert_foreign(&whole, a - 1, "\n");
        insert_foreign(&whole, a, "{\"v\":1}\n");
        if (a < FEW)
            insert_foreign(&whole, a, "{\"v\":1,\"seq\":7,\"chain\":null}\n");
    }
    insert_line(&whole, 0, 1, false);
    insert_line(&whole, 0, 1, true);
    insert_line(&whole, 0, 7, false);
    paper_free(&whole);
}

/* All that can be done with one line or two. */
static void damage_lines(const struct paper *whole, size_t a, size_t b)
{
    if (a > 1)
        remove_line(whole, a, a % 2 == 0);
    repeat_line(whole, a, b);
    repeat_line(whole, a, 0);
    swap_lines(whole, a, b);
    swap_lines(whole, a, a > 1 ? a - 1 : 2);
    insert_line(whole, b, b + 1, false);
    insert_line(whole, b, a, false);
    if (b + 2 <= whole->count)
        insert_line(whole, b, b + 1, true);
    insert_foreign(whole, b, "Nov 21 23:49:17 host kernel: hello\n");
}

Test(audit_verify, lines_at_random, .timeout = 300)
{
    struct paper whole = paper_make_signed(RECORDS, 1000);
    for (int i = 0; i < 20; i++)
        damage_lines(&whole, 1 + random_below(RECORDS), 1 + random_below(RECORDS));
    paper_free(&whole);
}

/* The ends of the file and of what is signed. */
Test(audit_verify, lines_at_the_edges, .timeout = 300)
{
    static const size_t lines[] = {1, 2, 1000, 1001, RECORDS};
    struct paper whole = paper_make_signed(RECORDS, 1000);
    for (size_t a = 0; a < 5; a++)
        for (size_t b = 0; b < 5; b++)
            damage_lines(&whole, lines[a], lines[b]);
    paper_free(&whole);
}

/* Without the first record the rest proves itself, but it is said that something stood before. */
Test(audit_verify, first_line_removed)
{
    struct paper paper = paper_make_signed(FEW, 10);
    struct audit_finding finding;
    struct audit_facts facts;
    paper_splice(&paper, 1, 1, "", 0);
    cr_assert_eq(paper_verify(&paper, true, &finding, &facts), AUDIT_RESULT_WHOLE);
    cr_expect_eq(facts.first, 2);
    cr_expect_not(facts.begins_file);
    paper_free(&paper);
}

Test(audit_verify, several_lines_removed)
{
    struct paper whole = paper_make_whole(FEW), paper = paper_copy(&whole);
    struct audit_finding finding;
    paper_splice(&paper, 11, 5, "", 0);
    cr_assert_eq(paper_verify(&paper, false, &finding, NULL), AUDIT_RESULT_BAD);
    cr_assert_eq(finding.seq, 11);
    cr_assert(strstr(finding.why, "up to seq 15, ") == NULL && strstr(finding.why, "seq 16, which stands here") != NULL, "%s", finding.why);
    expect(paper, false, AUDIT_MISSING, 11, "removed five", 0);
    paper_free(&whole);
}

/* Wherever the file is cut off: whole lines need the head, half a line shows by itself. */
Test(audit_verify, every_cut)
{
    struct paper whole = paper_make_whole(6);
    for (size_t len = whole.lines[4]; len < whole.len; len++) {
        struct paper paper = paper_copy(&whole);
        const size_t lines = line_of(&whole, len) - 1;
        const bool is_between = len == whole.lines[lines];
        paper.len = len;
        paper_find_lines(&paper);
        if (is_between)
            expect_whole(&paper, false);
        const bool too_little = !is_between && len - whole.lines[lines] < strlen("{\"v\":1,\"seq\":");
        expect(paper, true, too_little ? AUDIT_FOREIGN : AUDIT_CUT, is_between ? lines : lines + 1, "cut at", len);
    }
    paper_free(&whole);
}

Test(audit_verify, head_of_another_record)
{
    struct paper paper = paper_make_whole(FEW);
    paper.head.chain[3] ^= 1;
    expect(paper_copy(&paper), true, AUDIT_CHANGED, FEW, "another chain", 0);
    paper.head.chain[0] = '\0';
    expect(paper_copy(&paper), true, AUDIT_CHANGED, FEW, "no chain", 0);
    paper_free(&paper);
    paper = paper_make(FEW, 500, FEW, FEW);
    paper.head.seq = 499; /* a new file was just begun */
    expect_whole(&paper, true);
    paper.head.seq = 498;
    expect(paper, true, AUDIT_FOREIGN, FEW, "head before", 0);
}

/* The head was written, then more records came: what it says is still held against them. */
Test(audit_verify, head_of_a_file_that_grew)
{
    struct paper paper = paper_make_whole(FEW), shorter = paper_make_whole(FEW - 5);
    paper.head = shorter.head;
    expect_whole(&paper, true);
    paper_free(&paper);
    paper_free(&shorter);
}

/* Nothing proves the first record that is there but those behind it. */
Test(audit_verify, unanchored)
{
    struct paper whole = paper_make(FEW, 500, FEW, FEW), paper;
    struct audit_finding finding;
    struct audit_facts facts;
    cr_assert_eq(paper_verify(&whole, true, &finding, &facts), AUDIT_RESULT_WHOLE);
    cr_assert_eq(facts.first, 500);
    cr_assert_not(facts.begins_file);
    for (size_t at = strlen("{\"v\":1,\"seq\":"), digit = 0; digit < 3; digit++) {
        paper = paper_copy(&whole);
        paper.bytes[at + digit] ^= 2;
        expect(paper, false, AUDIT_CHANGED, 1, "first seq", digit);
    }
    for (size_t a = 1; a <= FEW; a++) {
        if (a > 1)
            remove_line(&whole, a, true);
        for (size_t b = 1; b <= FEW; b++) {
            repeat_line(&whole, a, b);
            swap_lines(&whole, a, b);
        }
        insert_line(&whole, a, 500 + a, false);
        insert_foreign(&whole, a, "\n");
    }
    for (size_t at = whole.lines[1]; at < whole.lines[2]; at++)
        flip(&whole, at, (unsigned)(at % 8));
    paper_free(&whole);
}

Test(audit_verify, without_chain)
{
    struct paper paper = paper_make(FEW, 1, 10, 20);
    struct audit_finding finding;
    struct audit_facts facts;
    cr_assert_eq(paper_verify(&paper, true, &finding, &facts), AUDIT_RESULT_WHOLE);
    cr_assert_eq(facts.bare, 10);
    cr_assert_eq(facts.bare_ranges, 1);
    cr_assert_eq(facts.bare_from, 11);
    cr_assert_eq(facts.bare_to, 20);
    remove_line(&paper, 15, true);
    swap_lines(&paper, 13, 14);
    insert_foreign(&paper, 15, "\n");
    flip(&paper, paper.lines[25] + 100, 1);
    paper_free(&paper);
}

/* Chains that are only taken out of the lines are missed. */
Test(audit_verify, chain_taken_away)
{
    struct paper whole = paper_make_whole(FEW);
    for (size_t from = 1; from + 1 < FEW; from += 6) {
        struct paper paper = paper_copy(&whole);
        for (size_t line = from; line < from + 3 && line < FEW; line++) {
            char bare[RECORD_MAX];
            const size_t len = paper.lines[line] - paper.lines[line - 1] - strlen("\"\"}\n") - CHAIN_LEN;
            memcpy(bare, paper.bytes + paper.lines[line - 1], len);
            memcpy(bare + len, "null}\n", 6);
            paper_splice(&paper, line, 1, bare, len + 6);
        }
        expect(paper, false, AUDIT_CHANGED, from, "chain taken away", from);
    }
    paper_free(&whole);
}

/* ---- signatures ---- */

#define DETAIL ",\"detail\":"
#define SIGNED_BY "\"signed by key "
#define DETAIL_LEN (strlen(SIGNED_BY) + ED25519_ID_LEN + strlen(": ") + 88 + strlen("\""))

/* One who can write the file, and has not the key. He makes numbers and chain right again, to the end. */
struct forger {
    size_t line;             /* from here on nothing need be as it was */
    bool drops;              /* that line is taken away; else it is changed */
    bool unsigns;            /* checkpoints become other records */
    struct ed25519_key *key; /* … or are signed by him */
    bool claims;             /* … in the name of the true key */
    const char *detail;      /* … or get this for their detail */
};

/* The text of a checkpoint. */
static void forge_checkpoint(const struct forger *forger, struct text *text, uint64_t seq, const char *chain)
{
    const size_t front = text->len - strlen(DETAIL) - DETAIL_LEN;
    if (forger->unsigns) {
        text->len = 0;
        write_text(text, seq);
    } else if (forger->key != NULL) {
        text->len = 0;
        cr_assert(checkpoint_write(text, seq, chain, TIME_US + seq * 1000, "J*egress", forger->key));
        if (forger->claims)
            memcpy(text->at + front + strlen(DETAIL SIGNED_BY), RFC_KEY_ID, ED25519_ID_LEN);
    } else if (forger->detail != NULL) {
        text->len = front;
        text_add(text, DETAIL);
        text_add(text, forger->detail);
    }
}

static void forge_lines(const struct paper *whole, const struct forger *forger, struct chain *chain, struct text *out)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct journal_line line;
    struct text text;
    for (size_t i = 1, seq = 1; i <= whole->count; i++) {
        if (i == forger->line && forger->drops)
            continue;
        cr_assert(journal_line_read(&line, whole->bytes + whole->lines[i - 1], whole->lines[i] - whole->lines[i - 1] - 1));
        text_init(&text, buffer, sizeof(buffer));
        text_add_bytes(&text, line.text, line.len);
        if (i == forger->line)
            text.at[strlen("\"time\":\"2026-11-2")] ^= 1;
        if (i >= forger->line && checkpoint_is(text.at, text.len))
            forge_checkpoint(forger, &text, seq, chain_text(chain));
        cr_assert(journal_line_write(out, seq++, text.at, text.len, chain));
    }
}

static struct paper forge(const struct paper *whole, const struct forger *forger)
{
    const size_t room = whole->count * TEXT_MAX;
    struct paper paper = {.bytes = malloc(room), .head = whole->head, .keyring = whole->keyring};
    struct chain *chain = chain_new();
    struct text out;
    text_init(&out, paper.bytes, room);
    forge_lines(whole, forger, chain, &out);
    chain_free(chain);
    paper.len = out.len;
    paper_find_lines(&paper);
    return paper;
}

/* At this line or behind it; 0: there is none. */
static size_t next_checkpoint(const struct paper *paper, size_t line)
{
    for (; line <= paper->count; line++)
        if (checkpoint_is(paper->bytes + paper->lines[line - 1], paper->lines[line] - paper->lines[line - 1]))
            return line;
    return 0;
}

/* Frees the paper. */
static void expect_signed(struct paper paper, uint64_t seq)
{
    struct audit_finding finding = {0};
    struct audit_facts facts;
    cr_expect_eq(paper_verify(&paper, false, &finding, &facts), AUDIT_RESULT_WHOLE, "%s", finding.why);
    cr_expect_eq(facts.signature.seq, seq);
    cr_expect_eq(facts.signature.since[0] != '\0', facts.last > seq);
    paper_free(&paper);
}

/* Without the key the chain alone is right, and only the head tells; with it the next checkpoint. */
static void forge_suffix(const struct paper *whole, const struct forger *forger)
{
    struct paper paper = forge(whole, forger);
    const size_t checkpoint = next_checkpoint(&paper, forger->line);
    paper.keyring.count = 0;
    expect_whole(&paper, false);
    check(&paper, true, forger->drops ? AUDIT_CUT : AUDIT_CHANGED, paper.count, "forged to the end from", forger->line);
    paper.keyring = whole->keyring;
    if (checkpoint != 0)
        expect(paper, false, AUDIT_CHANGED, checkpoint, "forged from", forger->line);
    else
        expect_signed(paper, (forger->line - 1) / 1000 * 1000);
}

Test(audit_verify, forged_suffix, .timeout = 300)
{
    static const size_t edges[] = {1, 999, 1000, 1001, RECORDS, RECORDS + 1, RECORDS + 7};
    struct paper whole = paper_make_signed(RECORDS + 7, 1000);
    for (size_t i = 0; i < 24; i++) {
        struct forger forger = {.line = i < 14 ? edges[i / 2] : 1 + random_below(whole.count), .drops = i % 2 == 0};
        forge_suffix(&whole, &forger);
        forger.unsigns = true;
        forge_suffix(&whole, &forger);
    }
    paper_free(&whole);
}

Test(audit_verify, forged_signature)
{
    static const char *const details[] = {"null", "\"\"", "\"signed by key " RFC_KEY_ID ": \"", "\"signed by me\""};
    struct paper whole = paper_make_signed(FEW, 10);
    struct forger forger = {.line = 12, .key = ed25519_generate()};
    expect(forge(&whole, &forger), false, AUDIT_FOREIGN, 20, "his own key", 0);
    forger.claims = true;
    expect(forge(&whole, &forger), false, AUDIT_CHANGED, 20, "in another's name", 0);
    ed25519_free(forger.key);
    forger.key = NULL;
    for (size_t i = 0; i < 4; i++) {
        forger.detail = details[i];
        expect(forge(&whole, &forger), false, AUDIT_CHANGED, 20, "no signature", i);
    }
    char old[160];
    text_copy(old, sizeof(old), whole.bytes + whole.lines[10] - strlen(",\"chain\":\"\"}\n") - CHAIN_LEN - DETAIL_LEN, DETAIL_LEN);
    forger.detail = old;
    expect(forge(&whole, &forger), false, AUDIT_CHANGED, 20, "an older signature", 0);
    paper_free(&whole);
}

/* The words tell what is known: the chain is right, and since when it need not be the true one. */
Test(audit_verify, forged_signature_in_words)
{
    struct paper whole = paper_make_signed(FEW, 10);
    struct forger forger = {.line = 12};
    struct paper paper = forge(&whole, &forger);
    struct audit_finding finding;
    cr_assert_eq(paper_verify(&paper, false, &finding, NULL), AUDIT_RESULT_BAD);
    cr_expect_eq(finding.seq, 20);
    cr_expect_str_eq(finding.why, "its signature is not that of key " RFC_KEY_ID
                                  ": something behind seq 10 was written without that key, and the chain made to fit");
    paper_free(&paper);
    paper_free(&whole);
}

/* A journal that goes on with another key. */
Test(audit_verify, several_keys)
{
    struct paper whole = paper_make_signed(FEW, 10);
    struct forger heir = {.line = 12, .key = ed25519_generate()};
    struct paper paper = forge(&whole, &heir);
    known[1] = heir.key;
    paper.keyring.count = 2;
    expect_signed(paper, FEW);
    paper_free(&whole);
}

Test(audit_verify, signed_up_to)
{
    struct paper paper = paper_make_signed(FEW + 3, 10);
    struct audit_finding finding;
    struct audit_facts facts;
    for (size_t count = 0; count < 2; count++) { /* without a key it is as it says itself */
        paper.keyring.count = count;
        cr_assert_eq(paper_verify(&paper, true, &finding, &facts), AUDIT_RESULT_WHOLE);
        cr_expect_eq(facts.signature.seq, FEW);
        cr_expect_str_eq(facts.signature.key_id, RFC_KEY_ID);
        cr_expect_str_eq(facts.signature.time, "2026-11-21T23:49:17.162456Z");
        cr_expect_str_eq(facts.signature.since, "2026-11-21T23:49:17.163456Z");
    }
    paper_free(&paper);
}

Test(audit_verify, nothing_is_signed)
{
    struct paper paper = paper_make_signed(FEW, 0);
    expect_signed(paper, 0);
}

/* What the first record signs is not here, when it is past seq 1: only the next ones can be checked. */
Test(audit_verify, unanchored_and_signed)
{
    const struct plan plan = {.count = FEW, .first = 50, .bare = FEW, .chained = FEW, .every = 10};
    struct paper paper = paper_make_as(&plan), cut;
    known[0] = rfc_key_public();
    paper.keyring = (struct audit_keyring){known, 1};
    paper.bytes[paper.lines[1] - strlen("\",\"chain\":\"\"}\n") - CHAIN_LEN - 10] ^= 1;
    cut = paper_copy(&paper);
    paper_splice(&cut, 6, FEW - 5, "", 0);
    expect_signed(cut, 0);
    expect_signed(paper, 80);
}

/* The journal never writes one. */
Test(audit_verify, checkpoint_without_chain)
{
    const struct plan plan = {.count = FEW, .first = 1, .bare = FEW - 1, .chained = FEW, .every = 10};
    struct paper paper = paper_make_as(&plan);
    expect_whole(&paper, false);
    known[0] = rfc_key_public();
    paper.keyring = (struct audit_keyring){known, 1};
    expect(paper, false, AUDIT_CHANGED, FEW, "checkpoint without chain", 0);
}
