/* Asks a running exeat for a page of its admin socket. */
#ifndef EXEAT_CLI_ADMIN_PAGE_H
#define EXEAT_CLI_ADMIN_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct admin_page {
    unsigned status; /* of HTTP */
    const char *body;
    size_t len;
    char *bytes; /* private */
};

/* False: it cannot be had, which has been said on standard error. */
bool admin_page_get(struct admin_page *page, const char *socket_path, const char *path);
/* The same, for something that is done and may take minutes. */
bool admin_page_post(struct admin_page *page, const char *socket_path, const char *path);
/* Safe on a zeroed one. */
void admin_page_fini(struct admin_page *page);

/* Says on standard error that the answer is not what was hoped for. */
void admin_page_complain(const struct admin_page *page, const char *socket_path, const char *path);

#endif
