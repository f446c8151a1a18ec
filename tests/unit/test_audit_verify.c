/* Following the chain: whatever is done to a file, the first wrong line is named, and what was done to it. Seeded, so that a failure comes again. */
#include "audit/audit_verify.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/journal_line.h"
#include "audit/record.h"

#define RECORDS 10000
#define FEW 40

/* A file in memory. */
struct paper {
    char *bytes;
    size_t len;
    size_t *lines; /* where each begins, and behind the last where the file ends */
    size_t count;
    struct journal_head head;
};

static uint64_t state = 4;

static size_t random_below(size_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(state >> 33) % limit;
}

static void paper_find_lines(struct paper *paper)
{
    paper->lines = realloc(paper->lines, (paper->len + 2) * sizeof(size_t));
    paper->count = 0;
    paper->lines[0] = 0;
    for (size_t i = 0; i < paper->len; i++)
        if (paper->bytes[i] == '\n' || i + 1 == paper->len)
            paper->lines[++paper->count] = i + 1;
}

/* Records from `first` on; those from `bare` up to `chained` have no chain. */
static struct paper paper_make(size_t count, uint64_t first, size_t bare, size_t chained)
{
    struct paper paper = {.bytes = malloc(count * 1200)};
    char text[RECORD_TEXT_MAX + 1];
    struct text out, line;
    struct chain *chain = chain_new();
    text_init(&out, paper.bytes, count * 1200);
    for (size_t i = 0; i < count; i++) {
        char host[32];
        snprintf(host, sizeof(host), "h%zu.example", i);
        const struct record record = {.time_us = 1795304957123456 + i,
                                      .event = EVENT_DECISION,
                                      .instance = "J*egress",
                                      .id = "01K00000000000000000000000",
                                      .host = {host, strlen(host)},
                                      .port = 443,
                                      .verdict = "deny",
                                      .class = "policy",
                                      .reason = "default_deny"};
        text_init(&line, text, sizeof(text));
        record_write(&line, &record);
        if (i == chained)
            chain_set(chain, NULL);
        cr_assert(journal_line_write(&out, first + i, line.at, line.len, i >= bare && i < chained ? NULL : chain));
    }
    paper.len = out.len;
    paper.head.seq = first + count - 1;
    text_copy(paper.head.chain, sizeof(paper.head.chain), chain_text(chain), CHAIN_LEN);
    chain_free(chain);
    paper_find_lines(&paper);
    return paper;
}

static struct paper paper_make_whole(size_t count)
{
    return paper_make(count, 1, count, count);
}

static void paper_free(struct paper *paper)
{
    free(paper->bytes);
    free(paper->lines);
}

static struct paper paper_copy(const struct paper *from)
{
    struct paper paper = {.bytes = malloc(from->len * 2 + 1), .len = from->len, .head = from->head};
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
    struct audit_verify *verify = audit_verify_new(with_head ? &paper->head : NULL);
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

/* Frees the paper. */
static void expect(struct paper paper, bool with_head, enum audit_damage damage, size_t line, const char *story, size_t which)
{
    struct audit_finding finding = {0};
    enum audit_result result = paper_verify(&paper, with_head, &finding, NULL);
    cr_expect(result == AUDIT_RESULT_BAD && finding.damage == damage && finding.at.line == line,
              "%s %zu: result %d, line %zu %s (%s) where line %zu %s should be", story, which, (int)result, (size_t)finding.at.line,
              audit_damage_text(finding.damage), finding.why, line, audit_damage_text(damage));
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

static void flip(const struct paper *whole, size_t at, unsigned bit)
{
    struct paper paper = paper_copy(whole);
    paper.bytes[at] = (char)(paper.bytes[at] ^ 1 << bit);
    paper_find_lines(&paper);
    expect(paper, false, at + 1 == whole->len ? AUDIT_CUT : AUDIT_CHANGED, line_of(whole, at), "flipped bit of byte", at * 8 + bit);
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

Test(audit_verify, bits_at_random)
{
    struct paper whole = paper_make_whole(RECORDS);
    expect_whole(&whole, true);
    for (int i = 0; i < 60; i++)
        flip(&whole, random_below(whole.len), (unsigned)random_below(8));
    paper_free(&whole);
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
    expect(paper, behind == whole->count, AUDIT_INSERTED, behind + 1, fits ? "forged well" : "forged", behind * 100000 + (size_t)seq);
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

Test(audit_verify, lines_at_random)
{
    struct paper whole = paper_make_whole(RECORDS);
    for (int i = 0; i < 25; i++) {
        const size_t a = 2 + random_below(RECORDS - 1), b = 1 + random_below(RECORDS);
        remove_line(&whole, a, false);
        repeat_line(&whole, a, b);
        swap_lines(&whole, a, b);
        swap_lines(&whole, a, a - 1);
        insert_line(&whole, b, b + 1, false);
        if (b + 2 <= RECORDS)
            insert_line(&whole, b, b + 1, true);
        insert_foreign(&whole, b, "Nov 21 23:49:17 host kernel: hello\n");
    }
    paper_free(&whole);
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
