/* Asks a running exeat for a page of its admin socket. */
#ifndef EXEAT_CLI_STATUS_FETCH_H
#define EXEAT_CLI_STATUS_FETCH_H

#include <stdbool.h>
#include <stddef.h>

struct status_page {
    unsigned status; /* of HTTP */
    const char *body;
    size_t len;
    char *bytes; /* private */
};

/* False: it cannot be had, which has been said on standard error. */
bool status_fetch(struct status_page *page, const char *socket_path, const char *path);
/* Safe on a zeroed one. */
void status_page_fini(struct status_page *page);

#endif
