/* The lines that records become when they are written: each with its number and chain, and a checkpoint wherever one is due. */
#ifndef EXEAT_AUDIT_JOURNAL_LINES_H
#define EXEAT_AUDIT_JOURNAL_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/journal_batch.h"
#include "audit/journal_head.h"
#include "audit/journal_line.h"
#include "audit/journal_records.h"
#include "audit/journal_signer.h"
#include "base/text.h"

/* What the lines of a batch may take: a record at the front, and a checkpoint before each of the others and behind them all. */
#define JOURNAL_LINES_RECORDS_MAX (JOURNAL_BATCH_SIZE / JOURNAL_RECORDS_SIZE(RECORD_TEXT_MIN))
#define JOURNAL_LINES_CHECKPOINT_MAX (CHECKPOINT_TEXT_MAX + JOURNAL_LINE_AROUND)
#define JOURNAL_LINES_SIZE                                                                                                                           \
    (RECORD_MAX + JOURNAL_BATCH_SIZE + JOURNAL_LINES_RECORDS_MAX * (JOURNAL_LINE_AROUND + JOURNAL_LINES_CHECKPOINT_MAX) +                            \
     JOURNAL_LINES_CHECKPOINT_MAX)

struct journal_lines {
    struct text text;
    struct journal_head end; /* of the last line: its seq and chain */
    uint64_t unsigned_count; /* records up to there that no checkpoint stands behind */
    bool signed_some;        /* a checkpoint is among them */
    bool sign_failed;        /* one was due, and is not there */
    /* private */
    struct chain *chain; /* NULL: they carry none */
    const struct journal_signer *signer;
};

/* False: out of memory. The signer is the caller's. */
bool journal_lines_init(struct journal_lines *lines, bool chained, const struct journal_signer *signer);
void journal_lines_fini(struct journal_lines *lines);

/* Makes lines of `front` (a record's text, may be empty), which nothing comes before, and of a batch (may be NULL), behind the record with which
 * `end` ends; `sign`: if any record is unsigned, a checkpoint is among them, and be it the last. That signing fails takes nothing away but the
 * checkpoint. False when hashing fails. */
bool journal_lines_make(struct journal_lines *lines, const struct journal_head *end, const struct text *front, const struct journal_batch *batch,
                        bool sign);

#endif
