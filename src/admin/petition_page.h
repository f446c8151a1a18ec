/* POST /reload and POST /upgrade: who asks for one waits here until it is known what came of it. */
#ifndef EXEAT_ADMIN_PETITION_PAGE_H
#define EXEAT_ADMIN_PETITION_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/http.h"
#include "proxy/server.h"

struct petition_page;

/* NULL: out of memory. */
struct petition_page *petition_page_new(struct server *server);
/* Who still waits is told that nothing comes any more. Safe on NULL. */
void petition_page_free(struct petition_page *page);

/* Asks, and answers when it is over: 200, or 409 when it was refused. With `lines` the answer is text, a line each. */
void petition_page_ask(struct petition_page *page, enum petition_kind kind, struct http_request *request, bool lines);

/* What it answers, of the words that petition_start() has for it: {"changes":…,"warnings":[…]} of a reload, {"upgraded":…,"warnings":[…]} of an
 * upgrade, or {"error":…,"faults":[…],"warnings":[…]}. */
void petition_page_write_json(FILE *to, enum petition_kind kind, bool taken, const char *words, size_t len);
/* The words as they are; before what was done stands `reloaded: ` or `upgraded: `. */
void petition_page_write_lines(FILE *to, enum petition_kind kind, bool taken, const char *words, size_t len);

#endif
