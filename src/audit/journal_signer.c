/* When the journal signs: how much of it no checkpoint stands behind yet, and for how long. */
#include "audit/journal_signer.h"

#include "base/clock.h"
#include "base/log.h"

void journal_signer_begin(struct journal_signer *signer, uint64_t unsigned_count)
{
    signer->count = unsigned_count < signer->records ? unsigned_count : signer->records;
    signer->since_ms = clock_monotonic_ms();
}

/* What follows the last checkpoint of a batch was written just now. */
void journal_signer_commit(struct journal_signer *signer, uint64_t unsigned_count, bool signed_some, bool failed)
{
    if (failed && !signer->fails)
        log_error("OpenSSL cannot sign: records go on, without a checkpoint until it can");
    else if (signed_some && !failed && signer->fails)
        log_info("OpenSSL signs again");
    if (failed || signed_some || signer->count == 0)
        signer->since_ms = clock_monotonic_ms();
    signer->fails = failed || (signer->fails && !signed_some);
    signer->count = unsigned_count;
}

bool journal_signer_is_full(const struct journal_signer *signer, uint64_t unsigned_count)
{
    return signer->key && unsigned_count >= signer->records;
}

/* Where signing fails it is tried with each record, and without any only from time to time. */
uint64_t journal_signer_due_ms(const struct journal_signer *signer)
{
    if (!signer->key || signer->count == 0)
        return UINT64_MAX;
    return journal_signer_is_full(signer, signer->count) && !signer->fails ? 0 : signer->since_ms + signer->time_ms;
}

bool journal_signer_is_due(const struct journal_signer *signer)
{
    const uint64_t due_ms = journal_signer_due_ms(signer);
    return due_ms != UINT64_MAX && clock_monotonic_ms() >= due_ms;
}
