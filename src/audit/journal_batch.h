/* The records in hand: taken one by one, kept until they are on file. */
#ifndef EXEAT_AUDIT_JOURNAL_BATCH_H
#define EXEAT_AUDIT_JOURNAL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_frame.h"
#include "audit/record.h"

#define JOURNAL_BATCH_FULL (256u << 10) /* no more packets are read into a batch whose lines reach this */
#define JOURNAL_BATCH_SIZE (JOURNAL_BATCH_FULL + RECORD_MAX + JOURNAL_PACKET_MAX)

struct journal_batch {
    uint8_t *records; /* as journal_records has them */
    size_t len, count;
};

bool journal_batch_init(struct journal_batch *batch);
void journal_batch_fini(struct journal_batch *batch);

/* A record's text. While it is not full there is room for one, and then for those of one packet. */
void journal_batch_add(struct journal_batch *batch, const char *text, size_t len);

bool journal_batch_is_full(const struct journal_batch *batch);
void journal_batch_clear(struct journal_batch *batch);

/* The record at *at, from 0 on, which is moved behind it. False: that was the last. */
bool journal_batch_next(const struct journal_batch *batch, size_t *at, const char **text, size_t *len);

#endif
