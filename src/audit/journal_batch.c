/* The records in hand: taken one by one, made into numbered and chained lines each time that they are to be written. */
#include "audit/journal_batch.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/journal_line.h"

#define RECORDS_SIZE (JOURNAL_BATCH_FULL + RECORD_MAX + JOURNAL_PACKET_MAX)

bool journal_batch_init(struct journal_batch *batch)
{
    char *lines = malloc(JOURNAL_BATCH_SIZE);
    *batch = (struct journal_batch){.records = malloc(RECORDS_SIZE)};
    if (lines)
        text_init(&batch->lines, lines, JOURNAL_BATCH_SIZE);
    return lines && batch->records;
}

void journal_batch_fini(struct journal_batch *batch)
{
    free(batch->records);
    free(batch->lines.at);
    *batch = (struct journal_batch){0};
}

void journal_batch_add(struct journal_batch *batch, const char *text, size_t len)
{
    const uint32_t length = (uint32_t)len;
    assert(sizeof(length) + len <= RECORDS_SIZE - batch->len);
    memcpy(batch->records + batch->len, &length, sizeof(length));
    memcpy(batch->records + batch->len + sizeof(length), text, len);
    batch->len += sizeof(length) + len;
    batch->count++;
}

bool journal_batch_is_full(const struct journal_batch *batch)
{
    return batch->len + batch->count * JOURNAL_LINE_AROUND >= JOURNAL_BATCH_FULL;
}

void journal_batch_clear(struct journal_batch *batch)
{
    batch->len = batch->count = 0;
}

bool journal_batch_write(struct journal_batch *batch, const struct text *front, struct journal_head *end, struct chain *chain)
{
    text_init(&batch->lines, batch->lines.at, batch->lines.size);
    if (chain)
        chain_set(chain, end->chain[0] ? end->chain : NULL);
    if (front->len > 0 && !journal_line_write(&batch->lines, ++end->seq, front->at, front->len, chain))
        return false;
    for (size_t at = 0; at < batch->len;) {
        uint32_t length;
        memcpy(&length, batch->records + at, sizeof(length));
        at += sizeof(length);
        if (!journal_line_write(&batch->lines, ++end->seq, batch->records + at, length, chain))
            return false;
        at += length;
    }
    text_copy(end->chain, sizeof(end->chain), chain ? chain_text(chain) : "", chain ? CHAIN_LEN : 0);
    return true;
}
