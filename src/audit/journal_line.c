/* One line of the audit file around one record's text: what the journal process puts before and behind it. */
#include "audit/journal_line.h"

#include <inttypes.h>
#include <string.h>

#include "audit/record.h"
#include "base/number.h"

#define OPENING "{\"v\":1,\"seq\":"
#define TEXT_OPENING "\"time\":\""
#define CHAIN_KEY ",\"chain\":"
#define CHAIN_MAX 64 /* `,"chain":` with its value and the brace: a SHA-256 in base64, or null */

void journal_line_write(struct text *out, uint64_t seq, const char *text, size_t len)
{
    text_format(out, OPENING "%" PRIu64 ",", seq);
    text_add_bytes(out, text, len);
    text_add(out, CHAIN_KEY "null}\n");
}

/* Where `chain` begins: looked for from the end, since a record's strings may hold anything but a bare quote. */
static const char *journal_line_chain(const char *text, size_t len)
{
    const size_t key_len = strlen(CHAIN_KEY);
    for (size_t back = key_len + 1; back <= len && back <= CHAIN_MAX; back++) {
        if (memcmp(text + len - back, CHAIN_KEY, key_len) == 0)
            return text + len - back;
    }
    return NULL;
}

bool journal_line_read(struct journal_line *out, const char *line, size_t len)
{
    const size_t opening_len = strlen(OPENING);
    if (len < opening_len || memcmp(line, OPENING, opening_len) != 0 || line[len - 1] != '}')
        return false;
    const char *seq = line + opening_len;
    const char *comma = memchr(seq, ',', len - opening_len);
    if (!comma || !number_read(&out->seq, seq, (size_t)(comma - seq), UINT64_MAX))
        return false;
    out->text = comma + 1;
    const char *chain = journal_line_chain(out->text, len - (size_t)(out->text - line));
    if (!chain)
        return false;
    out->len = (size_t)(chain - out->text);
    return journal_line_takes(out->text, out->len);
}

bool journal_line_is_start(const char *bytes, size_t len)
{
    const size_t opening_len = strlen(OPENING);
    return memcmp(bytes, OPENING, len < opening_len ? len : opening_len) == 0;
}

bool journal_line_takes(const char *text, size_t len)
{
    const size_t opening_len = strlen(TEXT_OPENING);
    if (len > RECORD_TEXT_MAX || len < opening_len || memcmp(text, TEXT_OPENING, opening_len) != 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return true;
}
