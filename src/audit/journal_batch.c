/* The records in hand: taken one by one, kept until they are on file. */
#include "audit/journal_batch.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/journal_line.h"

bool journal_batch_init(struct journal_batch *batch)
{
    *batch = (struct journal_batch){.records = malloc(JOURNAL_BATCH_SIZE)};
    return batch->records != NULL;
}

void journal_batch_fini(struct journal_batch *batch)
{
    free(batch->records);
    *batch = (struct journal_batch){0};
}

void journal_batch_add(struct journal_batch *batch, const char *text, size_t len)
{
    const uint32_t length = (uint32_t)len;
    assert(sizeof(length) + len <= JOURNAL_BATCH_SIZE - batch->len);
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

bool journal_batch_next(const struct journal_batch *batch, size_t *at, const char **text, size_t *len)
{
    uint32_t length;
    if (*at == batch->len)
        return false;
    memcpy(&length, batch->records + *at, sizeof(length));
    *text = batch->records + *at + sizeof(length);
    *len = length;
    *at += sizeof(length) + length;
    return true;
}
