/* Asks a running exeat for a page of its admin socket. */
#include "cli/status_fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"

/* A worker that hangs is told of by exeat itself after two. */
#define PATIENCE_S 10

#define PAGE_MAX ((size_t)1 << 30)

static bool status_cannot_reach(const char *socket_path, int error)
{
    if (error == ENOENT || error == ECONNREFUSED)
        log_error("unix:%s: nobody answers there: exeat does not run, or with another configuration", socket_path);
    else if (error == EACCES)
        log_error("unix:%s: permission denied: it is for root, and for the user and the group that exeat runs as", socket_path);
    else if (error == EAGAIN)
        log_error("unix:%s: exeat does not answer", socket_path);
    else
        log_error("unix:%s: %s", socket_path, strerror(error));
    return false;
}

static int status_connect(const char *socket_path)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(name.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, socket_path, strlen(socket_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool status_ask(int fd, const char *path)
{
    char request[256];
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: exeat\r\n\r\n", path);
    return send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

/* All until the end, with a NUL behind it. */
static bool status_receive(int fd, struct status_page *page)
{
    size_t len = 0, room = 0;
    for (;;) {
        if (len + 1 >= room) {
            room = room * 2 + 65536;
            char *grown = room <= PAGE_MAX ? realloc(page->bytes, room) : NULL;
            if (grown == NULL) {
                errno = ENOMEM;
                return false;
            }
            page->bytes = grown;
        }
        ssize_t got = recv(fd, page->bytes + len, room - len - 1, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    page->bytes[len] = '\0';
    page->len = len;
    return true;
}

/* `HTTP/1.0 200 OK`, other headers, an empty line, the body. */
static bool status_take_apart(struct status_page *page)
{
    const char *blank = strchr(page->bytes, ' '), *end = strstr(page->bytes, "\r\n\r\n");
    uint64_t status;
    if (blank == NULL || end == NULL || blank > end || !number_read(&status, blank + 1, strcspn(blank + 1, " \r"), 999))
        return false;
    page->status = (unsigned)status;
    page->body = end + 4;
    page->len -= (size_t)(page->body - page->bytes);
    return true;
}

bool status_fetch(struct status_page *page, const char *socket_path, const char *path)
{
    *page = (struct status_page){0};
    int fd = status_connect(socket_path);
    if (fd < 0)
        return status_cannot_reach(socket_path, errno);
    bool got = status_ask(fd, path) && status_receive(fd, page);
    int error = errno;
    close(fd);
    if (!got || page->len == 0) /* nothing at all: it ended meanwhile */
        return status_cannot_reach(socket_path, got ? ECONNREFUSED : error);
    if (status_take_apart(page))
        return true;
    log_error("unix:%s: whoever answers there is no exeat", socket_path);
    return false;
}

void status_page_fini(struct status_page *page)
{
    free(page->bytes);
    *page = (struct status_page){0};
}
