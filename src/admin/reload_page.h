/* POST /reload: who asks for a reload waits here until it is known what came of it. */
#ifndef EXEAT_ADMIN_RELOAD_PAGE_H
#define EXEAT_ADMIN_RELOAD_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "admin/http.h"
#include "proxy/server.h"

struct reload_page;

/* NULL: out of memory. */
struct reload_page *reload_page_new(struct server *server);
/* Who still waits is told that nothing comes any more. Safe on NULL. */
void reload_page_free(struct reload_page *page);

/* Asks for a reload, and answers when it is over: 200, or 409 when it was refused. With `lines` the answer is text, a line each. */
void reload_page_ask(struct reload_page *page, struct http_request *request, bool lines);

/* What it answers, of the words that server_reload() has for it: {"changes":…,"warnings":[…]}, or {"error":…,"faults":[…],"warnings":[…]}. */
void reload_page_write_json(FILE *to, bool taken, const char *words, size_t len);
/* The words as they are; before what changed stands `reloaded: `. */
void reload_page_write_lines(FILE *to, bool taken, const char *words, size_t len);

#endif
