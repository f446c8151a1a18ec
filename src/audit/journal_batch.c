/* The records in hand: taken one by one, kept until they are on file. */
#include "audit/journal_batch.h"

#include <assert.h>
#include <stdlib.h>

#include "audit/journal_line.h"
#include "audit/journal_records.h"

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
    assert(JOURNAL_RECORDS_SIZE(len) <= JOURNAL_BATCH_SIZE - batch->len);
    journal_records_put(batch->records + batch->len, text, len);
    batch->len += JOURNAL_RECORDS_SIZE(len);
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
    const uint8_t *from = batch->records + *at;
    size_t left = batch->len - *at;
    const bool found = journal_records_next(&from, &left, text, len);
    *at = batch->len - left;
    return found;
}
