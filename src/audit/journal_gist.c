/* What of a record matters to the process that writes it: does it open a session, close one, begin or end a server? */
#include "audit/journal_gist.h"

#include <stdbool.h>
#include <string.h>

#include "audit/record.h"

/* Where the value of a key begins, looked for from `from` on. No string can hold the key: in it every quote follows a backslash. */
static const char *journal_gist_find(const char *from, const char *end, const char *key)
{
    const char *at = memmem(from, (size_t)(end - from), key, strlen(key));
    return at ? at + strlen(key) : NULL;
}

/* `word` and the quote behind it. */
static bool journal_gist_is(const char *at, const char *end, const char *word)
{
    const size_t len = strlen(word);
    return (size_t)(end - at) > len && memcmp(at, word, len) == 0 && at[len] == '"';
}

static enum journal_gist_kind journal_gist_kind(const char *event, const char *end)
{
    static const struct {
        enum record_event event;
        enum journal_gist_kind kind;
    } kinds[] = {
        {EVENT_DECISION, GIST_OPENS}, {EVENT_CLOSE, GIST_CLOSES},        {EVENT_START, GIST_START},           {EVENT_STOP, GIST_STOP},
        {EVENT_ROTATE, GIST_ROTATE},  {EVENT_RECOVERED, GIST_RECOVERED}, {EVENT_CHECKPOINT, GIST_CHECKPOINT},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (journal_gist_is(event, end, record_event_text(kinds[i].event)))
            return kinds[i].kind;
    }
    return GIST_OTHER;
}

static void journal_gist_read_session(struct journal_gist *gist, const char *event, const char *end)
{
    const char *id = journal_gist_find(event, end, ",\"id\":\"");
    const char *verdict = gist->kind == GIST_OPENS && id ? journal_gist_find(id, end, ",\"verdict\":\"") : NULL;
    const bool has_id = id && end - id > SESSION_ID_LEN && memchr(id, '"', SESSION_ID_LEN + 1) == id + SESSION_ID_LEN;
    const bool is_out = verdict && (journal_gist_is(verdict, end, "allow") || journal_gist_is(verdict, end, "observe"));
    gist->id = id;
    if (!has_id || (gist->kind == GIST_OPENS && !is_out))
        *gist = (struct journal_gist){0};
}

/* It is the last key of a record's text. */
static void journal_gist_read_detail(struct journal_gist *gist, const char *event, const char *end)
{
    gist->detail = journal_gist_find(event, end, ",\"detail\":\"");
    gist->detail_len = gist->detail ? (size_t)(end - 1 - gist->detail) : 0;
}

struct journal_gist journal_gist_read(const char *text, size_t len)
{
    struct journal_gist gist = {0};
    const char *end = text + len;
    const char *event = journal_gist_find(text, end, ",\"event\":\"");
    if (event)
        gist.kind = journal_gist_kind(event, end);
    if (gist.kind == GIST_OPENS || gist.kind == GIST_CLOSES)
        journal_gist_read_session(&gist, event, end);
    else if (gist.kind == GIST_STOP || gist.kind == GIST_ROTATE || gist.kind == GIST_RECOVERED)
        journal_gist_read_detail(&gist, event, end);
    return gist;
}
