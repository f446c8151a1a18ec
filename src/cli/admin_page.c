/* Asks a running exeat for a page of its admin socket. */
#include "cli/admin_page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"

/* A worker that hangs is told of by exeat itself after two. */
#define PATIENCE_S 10

/* A reload has as long as exeat gives it. */
#define POST_PATIENCE_S 660

#define PAGE_MAX ((size_t)1 << 30)

static bool admin_page_cannot_reach(const char *socket_path, int error)
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

static int admin_page_connect(const char *socket_path, time_t answer_s)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S}, answer = {.tv_sec = answer_s};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(name.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, socket_path, strlen(socket_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof(answer));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool admin_page_send(int fd, const char *method, const char *path)
{
    char request[256];
    int len = snprintf(request, sizeof(request), "%s %s HTTP/1.0\r\nHost: exeat\r\nContent-Length: 0\r\n\r\n", method, path);
    return send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

/* All until the end, with a NUL behind it. */
static bool admin_page_receive(int fd, struct admin_page *page)
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
static bool admin_page_take_apart(struct admin_page *page)
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

static bool admin_page_ask(struct admin_page *page, const char *socket_path, const char *method, const char *path, time_t answer_s)
{
    *page = (struct admin_page){0};
    int fd = admin_page_connect(socket_path, answer_s);
    if (fd < 0)
        return admin_page_cannot_reach(socket_path, errno);
    bool got = admin_page_send(fd, method, path) && admin_page_receive(fd, page);
    int error = errno;
    close(fd);
    if (!got && error != ECONNRESET)
        return admin_page_cannot_reach(socket_path, error);
    if (got && page->len > 0 && admin_page_take_apart(page))
        return true;
    if (!got || page->len == 0)
        log_error("unix:%s: exeat ended before it answered", socket_path);
    else
        log_error("unix:%s: whoever answers there is no exeat", socket_path);
    return false;
}

bool admin_page_get(struct admin_page *page, const char *socket_path, const char *path)
{
    return admin_page_ask(page, socket_path, "GET", path, PATIENCE_S);
}

bool admin_page_post(struct admin_page *page, const char *socket_path, const char *path)
{
    return admin_page_ask(page, socket_path, "POST", path, POST_PATIENCE_S);
}

void admin_page_complain(const struct admin_page *page, const char *socket_path, const char *path)
{
    log_error("unix:%s: %s: %.*s", socket_path, path, (int)strcspn(page->body, "\r\n"), page->body);
}

void admin_page_fini(struct admin_page *page)
{
    free(page->bytes);
    *page = (struct admin_page){0};
}
