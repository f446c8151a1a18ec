/* A line of an audit file taken apart as far as the chain needs it. */
#include "audit/audit_line.h"

#include <string.h>

#include "audit/journal_line.h"
#include "audit/record.h"

#define CHAIN_KEY ",\"chain\":"
#define OPENING "{\"v\":1,\"seq\":"

bool audit_line_read(struct audit_line *out, const char *line, size_t len)
{
    struct journal_line journal;
    if (len >= RECORD_MAX || !journal_line_read(&journal, line, len) || journal.seq == 0)
        return false;
    *out = (struct audit_line){.seq = journal.seq, .at = line, .hashed = (size_t)(journal.text + journal.len - line), .chain = journal.chain};
    return true;
}

bool audit_line_resembles(const char *line, size_t len)
{
    const size_t tail = strlen(CHAIN_KEY) + CHAIN_LEN + 3;
    if (len >= strlen(OPENING) && journal_line_is_start(line, len))
        return true;
    return len > tail && memcmp(line + len - tail, CHAIN_KEY "\"", strlen(CHAIN_KEY) + 1) == 0;
}

const char *audit_line_reckon(const struct audit_line *line, const char *before, struct audit_reckoner *reckoner)
{
    chain_set(reckoner->chain, before);
    if (!chain_add(reckoner->chain, line->at, line->hashed))
        reckoner->failed = true;
    return chain_text(reckoner->chain);
}

bool audit_line_follows(const struct audit_line *line, const char *before, struct audit_reckoner *reckoner)
{
    return line->chain != NULL && memcmp(audit_line_reckon(line, before, reckoner), line->chain, CHAIN_LEN) == 0;
}
