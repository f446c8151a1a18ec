/* The lines that records become when they are written: each with its number and chain, and a checkpoint wherever one is due. */
#include "audit/journal_lines.h"

#include <stdlib.h>

#include "base/clock.h"

bool journal_lines_init(struct journal_lines *lines, bool chained, const struct journal_signer *signer)
{
    char *bytes = malloc(JOURNAL_LINES_SIZE);
    *lines = (struct journal_lines){.chain = chained ? chain_new() : NULL, .signer = signer};
    if (bytes)
        text_init(&lines->text, bytes, JOURNAL_LINES_SIZE);
    return bytes && (lines->chain || !chained);
}

void journal_lines_fini(struct journal_lines *lines)
{
    chain_free(lines->chain);
    free(lines->text.at);
    *lines = (struct journal_lines){0};
}

static bool journal_lines_add(struct journal_lines *lines, const char *text, size_t len)
{
    if (!journal_line_write(&lines->text, lines->end.seq + 1, text, len, lines->chain))
        return false;
    lines->end.seq++;
    lines->unsigned_count++;
    text_copy(lines->end.chain, sizeof(lines->end.chain), lines->chain ? chain_text(lines->chain) : "", lines->chain ? CHAIN_LEN : 0);
    return true;
}

/* Without one where OpenSSL fails. */
static bool journal_lines_sign(struct journal_lines *lines)
{
    const struct journal_signer *signer = lines->signer;
    const char *chain = lines->end.chain[0] ? lines->end.chain : NULL;
    char buffer[CHECKPOINT_TEXT_MAX + 1];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    lines->sign_failed = !checkpoint_write(&text, lines->end.seq + 1, chain, clock_wall_us(), signer->instance, signer->key);
    if (lines->sign_failed)
        return true;
    if (!journal_lines_add(lines, text.at, text.len))
        return false;
    lines->signed_some = true;
    lines->unsigned_count = 0;
    return true;
}

/* In front of the record with which there would be too many. */
static bool journal_lines_sign_due(struct journal_lines *lines)
{
    return !journal_signer_is_full(lines->signer, lines->unsigned_count) || journal_lines_sign(lines);
}

/* What was due is signed by any checkpoint in front of it, too. */
static bool journal_lines_finish(struct journal_lines *lines, bool sign)
{
    if (sign && lines->signer->key && lines->unsigned_count > 0 && !lines->signed_some)
        return journal_lines_sign(lines);
    return journal_lines_sign_due(lines);
}

static void journal_lines_begin(struct journal_lines *lines, const struct journal_head *end)
{
    text_init(&lines->text, lines->text.at, lines->text.size);
    lines->end = *end;
    lines->unsigned_count = lines->signer->count;
    lines->signed_some = lines->sign_failed = false;
    if (lines->chain)
        chain_set(lines->chain, end->chain[0] ? end->chain : NULL);
}

bool journal_lines_make(struct journal_lines *lines, const struct journal_head *end, const struct text *front, const struct journal_batch *batch,
                        bool sign)
{
    const char *text;
    size_t len;
    journal_lines_begin(lines, end);
    if (front->len > 0 && !journal_lines_add(lines, front->at, front->len))
        return false;
    for (size_t at = 0; batch && journal_batch_next(batch, &at, &text, &len);)
        if (!journal_lines_sign_due(lines) || !journal_lines_add(lines, text, len))
            return false;
    return journal_lines_finish(lines, sign);
}
