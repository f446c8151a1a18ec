/* Listening sockets that a service manager has bound and passes on at the start: the protocol of sd_listen_fds(3). */
#include "host/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"
#include "base/text.h"

#define ACTIVATION_FIRST_FD 3
#define ACTIVATION_MOST 1024

#define NAME_MAX_SHOWN 64 /* of what a socket unit calls its sockets */
#define WHERE_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof("unix:"))
#define TITLE_MAX (NAME_MAX_SHOWN + WHERE_MAX + 64)

struct activation_socket {
    int fd; /* -1: somebody has taken it */
    int number;
    struct endpoint address;                                    /* TCP */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* "": no Unix socket */
    char name[NAME_MAX_SHOWN + 1];
};

/* ---- what was passed ---- */

/* 0 where nothing was, or not to this process but to one that it was started by. */
static bool activation_count(size_t *count)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t pid = 0, number = 0;
    *count = 0;
    if (pid_text == NULL || count_text == NULL || !number_read(&pid, pid_text, strlen(pid_text), INT32_MAX) || pid != (uint64_t)getpid())
        return true;
    const bool fine = number_read(&number, count_text, strlen(count_text), ACTIVATION_MOST);
    if (!fine)
        log_error("LISTEN_FDS: no number of at most %u", ACTIVATION_MOST);
    *count = (size_t)number;
    return fine;
}

/* The names are apart by colons, one a socket in their order. */
static void activation_name(struct activation_socket *passed, const char **names)
{
    const size_t len = strcspn(*names, ":");
    struct text name;
    text_init(&name, passed->name, sizeof(passed->name));
    text_add_clean(&name, *names, len, NAME_MAX_SHOWN);
    *names += len + ((*names)[len] == ':');
}

/* `descriptor 3 (NAME, 127.0.0.1:3128)`, as far as either is known. */
static const char *activation_title(const struct activation_socket *passed, char buf[TITLE_MAX])
{
    char address[ENDPOINT_TEXT_MAX];
    struct text text;
    text_init(&text, buf, TITLE_MAX);
    text_format(&text, "descriptor %d, which the service manager passed (", passed->number);
    text_add(&text, passed->name[0] != '\0' ? passed->name : "without a name");
    if (address_is_set(&passed->address.ip))
        text_format(&text, ", %s", endpoint_text(&passed->address, address));
    if (passed->path[0] != '\0') {
        text_add(&text, ", unix:");
        text_add_clean(&text, passed->path, strlen(passed->path), sizeof(passed->path));
    }
    text_add_char(&text, ')');
    return buf;
}

/* ---- what it is ---- */

static int activation_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, option, &value, &len) == 0 ? value : -1;
}

static const char *activation_learn_path(struct activation_socket *passed, const struct sockaddr_un *name, socklen_t len)
{
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    if (len <= head || name->sun_path[0] == '\0')
        return "is a Unix socket without a path";
    text_copy(passed->path, sizeof(passed->path), name->sun_path, strnlen(name->sun_path, len - head));
    return NULL;
}

/* A listener is for the one family that its address is of. */
static const char *activation_learn_address(struct activation_socket *passed, const struct sockaddr_storage *name, socklen_t len)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
    if (activation_option(passed->fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
        !endpoint_from_sockaddr(&passed->address, (const struct sockaddr *)name, len))
        return "speaks another protocol than TCP";
    if (name->ss_family != AF_INET6)
        return NULL;
    const bool any = IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) && activation_option(passed->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    return any || IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? "takes IPv4 by an IPv6 address, which no listener does: BindIPv6Only=ipv6-only" : NULL;
}

/* NULL, or why nobody can be served on it. */
static const char *activation_learn(struct activation_socket *passed)
{
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(name);
    if (activation_option(passed->fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM || activation_option(passed->fd, SOL_SOCKET, SO_ACCEPTCONN) != 1 ||
        getsockname(passed->fd, (struct sockaddr *)&name, &len) != 0)
        return "is no socket that listens for connections: ListenStream=, Accept=no";
    return name.ss_family == AF_UNIX ? activation_learn_path(passed, (const struct sockaddr_un *)&name, len)
                                     : activation_learn_address(passed, &name, len);
}

/* Several workers may wait for the same one, and none must be kept by it. */
static bool activation_settle(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool activation_add(struct activation *activation, int fd, const char **names)
{
    char title[TITLE_MAX];
    struct activation_socket *passed = &activation->all[activation->count++];
    *passed = (struct activation_socket){.fd = fd, .number = fd};
    activation_name(passed, names);
    const bool open = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
    const char *fault = !open ? strerror(errno) : activation_learn(passed);
    if (fault == NULL && !activation_settle(fd))
        fault = strerror(errno);
    if (!open)
        passed->fd = -1;
    if (fault != NULL)
        log_error("%s: %s", activation_title(passed, title), fault);
    return fault == NULL;
}

static bool activation_find(struct activation *activation)
{
    const char *names = getenv("LISTEN_FDNAMES");
    size_t count;
    bool fine = activation_count(&count);
    if (count == 0)
        return fine;
    activation->all = calloc(count, sizeof(*activation->all));
    if (activation->all == NULL) {
        log_error("cannot start: %s", strerror(ENOMEM));
        return false;
    }
    if (names == NULL)
        names = "";
    for (size_t i = 0; i < count; i++)
        fine = activation_add(activation, ACTIVATION_FIRST_FD + (int)i, &names) && fine;
    return fine;
}

bool activation_open(struct activation *activation)
{
    static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    *activation = (struct activation){0};
    const bool fine = activation_find(activation);
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        unsetenv(variables[i]);
    return fine;
}

void activation_close(struct activation *activation)
{
    for (size_t i = 0; i < activation->count; i++)
        if (activation->all[i].fd >= 0)
            close(activation->all[i].fd);
    free(activation->all);
    *activation = (struct activation){0};
}

/* ---- who takes it ---- */

static int activation_give(struct activation_socket *passed)
{
    const int fd = passed->fd;
    passed->fd = -1;
    return fd;
}

size_t activation_take(struct activation *activation, const struct endpoint *address, int *fds, size_t most)
{
    size_t taken = 0;
    for (size_t i = 0; i < activation->count && taken < most; i++)
        if (activation->all[i].fd >= 0 && endpoint_equal(&activation->all[i].address, address))
            fds[taken++] = activation_give(&activation->all[i]);
    return taken;
}

int activation_take_unix(struct activation *activation, const char *path)
{
    for (size_t i = 0; i < activation->count; i++)
        if (activation->all[i].fd >= 0 && strcmp(activation->all[i].path, path) == 0)
            return activation_give(&activation->all[i]);
    return -1;
}

bool activation_is_used(const struct activation *activation)
{
    char title[TITLE_MAX];
    bool used = true;
    for (size_t i = 0; i < activation->count; i++) {
        if (activation->all[i].fd < 0)
            continue;
        log_error("%s: nobody would serve it: no listener and no door of [admin] asks for it, or more were passed than there are workers",
                  activation_title(&activation->all[i], title));
        used = false;
    }
    return used;
}
