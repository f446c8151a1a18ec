/* One line of the audit file around one record's text: what the journal process puts before and behind it. */
#include "audit/journal_line.h"

#include <assert.h>
#include <string.h>

#include "audit/record.h"
#include "base/number.h"

#define OPENING "{\"v\":1,\"seq\":"
#define TEXT_OPENING "\"time\":\""
#define CHAIN_KEY ",\"chain\":"
#define SEQ_MAX 20 /* digits */

static_assert(sizeof(OPENING) + SEQ_MAX + sizeof(CHAIN_KEY) + CHAIN_LEN + sizeof("\"\"}\n") <= JOURNAL_LINE_AROUND, "what stands around a record");
static_assert(RECORD_TEXT_MAX + JOURNAL_LINE_AROUND <= RECORD_MAX, "a line can be too long");

void journal_line_open(struct text *out, uint64_t seq)
{
    text_add(out, OPENING);
    text_add_number(out, seq);
    text_add_char(out, ',');
}

bool journal_line_write(struct text *out, uint64_t seq, const char *text, size_t len, struct chain *chain)
{
    const size_t begin = out->len;
    journal_line_open(out, seq);
    text_add_bytes(out, text, len);
    if (out->cut || (chain && !chain_add(chain, out->at + begin, out->len - begin)))
        return false;
    text_add(out, chain ? CHAIN_KEY "\"" : CHAIN_KEY "null}\n");
    if (chain) {
        text_add_bytes(out, chain_text(chain), CHAIN_LEN);
        text_add(out, "\"}\n");
    }
    return !out->cut;
}

/* What stands behind `"chain":`, up to the line's end. */
static bool journal_line_read_chain(struct journal_line *out, const char *value, size_t len)
{
    out->chain = NULL;
    if (len == CHAIN_LEN + 3 && value[0] == '"' && value[CHAIN_LEN + 1] == '"')
        out->chain = value + 1;
    return value[len - 1] == '}' && (out->chain || (len == 5 && memcmp(value, "null", 4) == 0));
}

/* Looked for from the end, since a record's strings may hold anything but a bare quote. */
static const char *journal_line_find_chain(const char *text, size_t len)
{
    const size_t key_len = strlen(CHAIN_KEY), value_max = CHAIN_LEN + 3;
    for (size_t back = key_len + 1; back <= len && back <= key_len + value_max; back++) {
        if (memcmp(text + len - back, CHAIN_KEY, key_len) == 0)
            return text + len - back;
    }
    return NULL;
}

bool journal_line_read(struct journal_line *out, const char *line, size_t len)
{
    const size_t opening_len = strlen(OPENING);
    if (len < opening_len || memcmp(line, OPENING, opening_len) != 0)
        return false;
    const char *seq = line + opening_len;
    const char *comma = memchr(seq, ',', len - opening_len);
    if (!comma || !number_read(&out->seq, seq, (size_t)(comma - seq), UINT64_MAX))
        return false;
    out->text = comma + 1;
    const char *chain = journal_line_find_chain(out->text, len - (size_t)(out->text - line));
    if (!chain)
        return false;
    out->len = (size_t)(chain - out->text);
    const char *value = chain + strlen(CHAIN_KEY);
    return journal_line_read_chain(out, value, len - (size_t)(value - line)) && journal_line_takes(out->text, out->len);
}

bool journal_line_is_start(const char *bytes, size_t len)
{
    const size_t opening_len = strlen(OPENING);
    return memcmp(bytes, OPENING, len < opening_len ? len : opening_len) == 0;
}

bool journal_line_takes(const char *text, size_t len)
{
    const size_t opening_len = strlen(TEXT_OPENING);
    return len <= RECORD_TEXT_MAX && len >= opening_len && memcmp(text, TEXT_OPENING, opening_len) == 0 && text_is_printable(text, len);
}
