/* POST /reload and POST /upgrade: who asks for one waits here until it is known what came of it. */
#include "admin/petition_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/fault.h"

/* Those who have left are among them until the answer comes. Fewer than a door has room for, so that who waits long keeps nobody out. */
#define ASKERS_MAX 16

struct petition_page {
    struct server *server;
    struct asker *askers;
    size_t asker_count;
};

struct asker {
    struct asker *next, **link;
    struct petition_page *page;
    struct http_request *request;
    struct petition *petition;
    enum petition_kind kind;
    bool lines;
};

static const struct petition_words {
    const char *asked, *key, *done, *too_many, *nobody;
} WORDS[PETITION_KINDS] = {
    [PETITION_RELOAD] = {"reload", "changes", "reloaded", "too many wait for a reload", "nobody can be asked for a reload"},
    [PETITION_UPGRADE] = {"upgrade", "upgraded", "upgraded", "too many wait for an upgrade", "nobody can be asked for an upgrade"},
};

struct petition_page *petition_page_new(struct server *server)
{
    struct petition_page *page = calloc(1, sizeof(*page));
    if (page != NULL)
        page->server = server;
    return page;
}

/* ---- the words ---- */

struct line {
    const char *at;
    size_t len;
};

/* Takes the first line off the words. False: there is none left. */
static bool line_next(struct line *line, struct line *words)
{
    if (words->len == 0)
        return false;
    const char *newline = memchr(words->at, '\n', words->len);
    *line = (struct line){words->at, newline != NULL ? (size_t)(newline - words->at) : words->len};
    const size_t taken = line->len + (newline != NULL);
    *words = (struct line){words->at + taken, words->len - taken};
    return true;
}

/* What was done stands last: takes it off the words. */
static struct line line_last(struct line *words)
{
    struct line rest = *words, last = {words->at, 0};
    while (line_next(&last, &rest))
        words->len = (size_t)(last.at - words->at);
    return last;
}

static void line_put_json(FILE *to, const struct line *line)
{
    char *text = strndup(line->at, line->len);
    json_put(to, text);
    free(text);
}

static void lines_put_json(FILE *to, const char *key, struct line words, bool warnings)
{
    const char *comma = "";
    fprintf(to, "\"%s\":[", key);
    for (struct line line; line_next(&line, &words);) {
        if (fault_line_warns(line.at, line.len) != warnings)
            continue;
        fputs(comma, to);
        line_put_json(to, &line);
        comma = ",";
    }
    putc(']', to);
}

void petition_page_write_json(FILE *to, enum petition_kind kind, bool taken, const char *words, size_t len)
{
    struct line rest = {words, len};
    if (taken) {
        const struct line done = line_last(&rest);
        fprintf(to, "{\"%s\":", WORDS[kind].key);
        line_put_json(to, &done);
    } else {
        fprintf(to, "{\"error\":\"the %s is refused; what was before goes on\",", WORDS[kind].asked);
        lines_put_json(to, "faults", rest, false);
    }
    putc(',', to);
    lines_put_json(to, "warnings", rest, true);
    fputs("}\n", to);
}

void petition_page_write_lines(FILE *to, enum petition_kind kind, bool taken, const char *words, size_t len)
{
    struct line rest = {words, len}, done = {words, 0};
    if (taken)
        done = line_last(&rest);
    fwrite(rest.at, 1, rest.len, to);
    if (taken)
        fprintf(to, "%s: %.*s\n", WORDS[kind].done, (int)done.len, done.at);
}

/* ---- asking, and the answer ---- */

static void asker_free(struct asker *asker)
{
    *asker->link = asker->next;
    if (asker->next != NULL)
        asker->next->link = asker->link;
    asker->page->asker_count--;
    free(asker);
}

static void asker_answer(const struct asker *asker, bool taken, const char *words, size_t words_len)
{
    char *body = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&body, &len);
    if (to != NULL) {
        (asker->lines ? petition_page_write_lines : petition_page_write_json)(to, asker->kind, taken, words, words_len);
        if (fclose(to) != 0)
            len = 0;
    }
    if (len > 0)
        http_answer(asker->request, taken ? 200 : 409, asker->lines ? "text/plain; charset=utf-8" : "application/json", NULL, body, len);
    else
        http_refuse(asker->request, 500, NULL, "out of memory");
    free(body);
}

static void petition_page_over(void *arg, bool taken, const char *words, size_t len)
{
    struct asker *asker = arg;
    asker_answer(asker, taken, words, len);
    asker_free(asker);
}

static bool petition_page_start(struct petition_page *page, enum petition_kind kind, struct http_request *request, bool lines)
{
    struct asker *asker = calloc(1, sizeof(*asker));
    if (asker == NULL)
        return false;
    *asker = (struct asker){.next = page->askers, .link = &page->askers, .page = page, .request = request, .kind = kind, .lines = lines};
    if (asker->next != NULL)
        asker->next->link = &asker->next;
    page->askers = asker;
    page->asker_count++;
    asker->petition = server_ask(page->server, kind, petition_page_over, asker);
    if (asker->petition != NULL)
        return true;
    asker_free(asker);
    return false;
}

void petition_page_ask(struct petition_page *page, enum petition_kind kind, struct http_request *request, bool lines)
{
    if (server_stage(page->server) == SERVER_STOPPING)
        http_refuse(request, 503, NULL, "exeat stops");
    else if (page->asker_count == ASKERS_MAX)
        http_refuse(request, 503, NULL, WORDS[kind].too_many);
    else if (petition_page_start(page, kind, request, lines))
        http_wait(request);
    else
        http_refuse(request, 503, NULL, WORDS[kind].nobody);
}

void petition_page_free(struct petition_page *page)
{
    if (page == NULL)
        return;
    while (page->askers != NULL) {
        struct asker *asker = page->askers;
        petition_cancel(asker->petition);
        http_refuse(asker->request, 503, NULL, "exeat stops");
        asker_free(asker);
    }
    free(page);
}
