/* The records in hand: taken one by one, made into numbered and chained lines each time that they are to be written. */
#ifndef EXEAT_AUDIT_JOURNAL_BATCH_H
#define EXEAT_AUDIT_JOURNAL_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/chain.h"
#include "audit/journal_frame.h"
#include "audit/journal_head.h"
#include "audit/record.h"
#include "base/text.h"

#define JOURNAL_BATCH_FULL (256u << 10) /* no more packets are read into a batch whose lines reach this */

/* What its lines may take: a record of our own, one at the front, and a packet that may be all tiny records, to which nearly eight times as much is put
 * around. */
#define JOURNAL_BATCH_SIZE (JOURNAL_BATCH_FULL + 2 * RECORD_MAX + 8 * JOURNAL_PACKET_MAX)

struct journal_batch {
    char *records; /* each its length and its text */
    size_t len, count;
    struct text lines;
};

bool journal_batch_init(struct journal_batch *batch);
void journal_batch_fini(struct journal_batch *batch);

/* A record's text. While it is not full there is room for one, and then for those of one packet. */
void journal_batch_add(struct journal_batch *batch, const char *text, size_t len);

bool journal_batch_is_full(const struct journal_batch *batch);
void journal_batch_clear(struct journal_batch *batch);

/* Makes batch->lines of the records, with `front` (a record's text, may be empty) as the first, behind the one with which `end` ends, and moves `end`
 * on: its seq, and its chain unless `chain` is NULL. False when hashing fails. */
bool journal_batch_write(struct journal_batch *batch, const struct text *front, struct journal_head *end, struct chain *chain);

#endif
