/* Where the journal's file ends, as FILE.head beside it says: so that an end that was cut off shows, and a new file knows what it continues. */
#include "audit/journal_head.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/text.h"

#define ENDING ".head"
#define READ_MAX (2 * JOURNAL_HEAD_LEN) /* a copy that was laid out anew may be longer */

/* ---- its name ---- */

char *journal_head_path(const char *file)
{
    char *path;
    return asprintf(&path, "%s" ENDING, file) < 0 ? NULL : path;
}

bool journal_head_is_path(const char *path)
{
    const size_t len = strlen(path), ending = strlen(ENDING);
    return len > ending && strcmp(path + len - ending, ENDING) == 0;
}

/* ---- reading ---- */

/* Blanks are of no matter: a copy may have been through a tool. */
static const char *journal_head_skip(const char **at)
{
    *at += strspn(*at, " \t\r\n");
    return *at;
}

static bool journal_head_take(const char **at, const char *word)
{
    const size_t len = strlen(word);
    if (strncmp(journal_head_skip(at), word, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool journal_head_take_key(const char **at, const char *before, const char *key)
{
    return journal_head_take(at, before) && journal_head_take(at, key) && journal_head_take(at, ":");
}

static bool journal_head_take_number(const char **at, uint64_t *number)
{
    const size_t len = strspn(journal_head_skip(at), "0123456789");
    if (!number_read(number, *at, len, UINT64_MAX))
        return false;
    *at += len;
    return true;
}

static bool journal_head_take_chain(const char **at, char chain[CHAIN_LEN + 1])
{
    chain[0] = '\0';
    if (journal_head_take(at, "null"))
        return true;
    const char *end = **at == '"' ? strchr(*at + 1, '"') : NULL;
    if (!end || end - *at != CHAIN_LEN + 1)
        return false;
    text_copy(chain, CHAIN_LEN + 1, *at + 1, CHAIN_LEN);
    *at = end + 1;
    return true;
}

bool journal_head_read(struct journal_head *head, int fd)
{
    char line[READ_MAX + 1] = {0};
    const char *at = line;
    *head = (struct journal_head){0};
    bool good = pread(fd, line, READ_MAX, 0) > 0 && journal_head_take_key(&at, "{", "\"seq\"") && journal_head_take_number(&at, &head->seq) &&
                journal_head_take_key(&at, ",", "\"chain\"") && journal_head_take_chain(&at, head->chain) &&
                journal_head_take_key(&at, ",", "\"inode\"") && journal_head_take_number(&at, &head->inode) &&
                journal_head_take_key(&at, ",", "\"size\"") && journal_head_take_number(&at, &head->size) && journal_head_take(&at, "}");
    if (!good)
        *head = (struct journal_head){0};
    return good;
}

/* ---- writing ---- */

bool journal_head_write(const struct journal_head *head, int fd)
{
    char line[JOURNAL_HEAD_LEN + 1];
    struct text text;
    text_init(&text, line, sizeof(line));
    text_add(&text, "{\"seq\":");
    text_add_number(&text, head->seq);
    text_add(&text, ",\"chain\":");
    text_add_json(&text, head->chain[0] ? head->chain : NULL, strlen(head->chain), CHAIN_LEN);
    text_add(&text, ",\"inode\":");
    text_add_number(&text, head->inode);
    text_add(&text, ",\"size\":");
    text_add_number(&text, head->size);
    text_add_char(&text, '}');
    memset(line + text.len, ' ', JOURNAL_HEAD_LEN - text.len);
    line[JOURNAL_HEAD_LEN - 1] = '\n';
    ssize_t wrote = pwrite(fd, line, JOURNAL_HEAD_LEN, 0);
    if (wrote >= 0 && wrote < JOURNAL_HEAD_LEN)
        errno = ENOSPC;
    return wrote == JOURNAL_HEAD_LEN;
}
