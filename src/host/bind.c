/* Listening sockets, bound once by the supervisor and handed to every generation of the server. */
#include "host/bind.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* As many as the kernel's net.core.somaxconn lets wait: a restart of the server must refuse nobody. */
#define BIND_BACKLOG 65535

static bool bind_turn_on(int fd, int level, int option)
{
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static bool bind_is_on(int fd, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, option, &value, &len) == 0 && value == 1;
}

/* Each family has its own name for it. */
struct bind_option {
    int level, name;
};

static struct bind_option bind_transparent(int family)
{
    return family == AF_INET6 ? (struct bind_option){IPPROTO_IPV6, IPV6_TRANSPARENT} : (struct bind_option){IPPROTO_IP, IP_TRANSPARENT};
}

static bool bind_is_transparent(int fd, int family)
{
    const struct bind_option option = bind_transparent(family);
    return bind_is_on(fd, option.level, option.name);
}

/* Without the capability the kernel refuses it to a socket that has it, too: one that was passed to us, say. */
static bool bind_make_transparent(int fd, int family)
{
    const struct bind_option option = bind_transparent(family);
    return bind_is_on(fd, option.level, option.name) || bind_turn_on(fd, option.level, option.name);
}

/* `shared`: others of ours may bind the same address beside this one. */
static int bind_one(const struct endpoint *address, bool tproxy, bool shared)
{
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(address, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    bool ok = bind_turn_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (shared)
        ok = ok && bind_turn_on(fd, SOL_SOCKET, SO_REUSEPORT);
    if (name.ss_family == AF_INET6)
        ok = ok && bind_turn_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (tproxy)
        ok = ok && bind_make_transparent(fd, name.ss_family);
    if (ok && bind(fd, (struct sockaddr *)&name, len) == 0 && (!shared || listen(fd, BIND_BACKLOG) == 0))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* SO_REUSEPORT would let a second exeat share the port in silence: one try without it finds out whether anybody listens there already. */
static bool bind_is_free(const struct endpoint *address, bool tproxy)
{
    int fd = bind_one(address, tproxy, false);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool bind_learn(int fd, struct endpoint *address)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(address, (struct sockaddr *)&name, len);
}

bool bind_listeners(struct endpoint *address, bool tproxy, int *fds, size_t count)
{
    if (address->port != 0 && !bind_is_free(address, tproxy))
        return false;
    return bind_listeners_beside(address, tproxy, fds, count);
}

bool bind_listeners_beside(struct endpoint *address, bool tproxy, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = bind_one(address, tproxy, true);
        if (fds[i] >= 0 && (i > 0 || bind_learn(fds[i], address)))
            continue;
        int error = errno;
        for (size_t k = 0; k <= i; k++)
            if (fds[k] >= 0)
                close(fds[k]);
        errno = error;
        return false;
    }
    return true;
}

static int bind_family(enum family family)
{
    return family == FAMILY_V6 ? AF_INET6 : AF_INET;
}

bool bind_make_tproxy(const int *fds, size_t count, enum family family, bool *made)
{
    *made = !bind_is_transparent(fds[0], bind_family(family));
    for (size_t i = 0; i < count; i++)
        if (!bind_make_transparent(fds[i], bind_family(family)))
            return false;
    return true;
}

void bind_unmake_tproxy(const int *fds, size_t count, enum family family)
{
    const struct bind_option option = bind_transparent(bind_family(family));
    const int off = 0;
    for (size_t i = 0; i < count; i++)
        (void)setsockopt(fds[i], option.level, option.name, &off, sizeof(off)); /* which takes no capability */
}

void bind_silence(const int *fds, size_t count)
{
    enum { TCP_FLAGS = 13, SYN = 0x02, ACK = 0x10, ALL = -1 };
    struct sock_filter drop_first[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS), /* a socket's filter sees a segment from its TCP header on */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, (uint32_t)ALL),
    };
    const struct sock_fprog program = {.len = sizeof(drop_first) / sizeof(drop_first[0]), .filter = drop_first};
    for (size_t i = 0; i < count; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)); /* without it a late one may be reset */
}

/* Sockets of one family only take their own option. */
static void bind_set_hops(int fd, int least)
{
    (void)setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof(least));
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof(least));
}

void bind_deafen(int fd)
{
    bind_set_hops(fd, 255); /* hosts send with 64 or 128 */
}

void bind_hear(int fd)
{
    bind_set_hops(fd, 0);
}

/* ---- the Unix socket ---- */

/* Nobody but its user and group may open it, from the first moment on. */
#define UNIX_UMASK 0117

static bool bind_unix_name(struct sockaddr_un *name, const char *path)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(name->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(name->sun_path, path, strlen(path));
    return true;
}

/* Who is too busy to answer is there, too. */
static bool bind_unix_is_served(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool served = connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 || errno != ECONNREFUSED;
    close(fd);
    return served;
}

static bool bind_unix_clear(const struct sockaddr_un *name)
{
    struct stat found;
    if (lstat(name->sun_path, &found) != 0)
        return errno == ENOENT;
    if (S_ISSOCK(found.st_mode) && !bind_unix_is_served(name))
        return unlink(name->sun_path) == 0;
    errno = S_ISSOCK(found.st_mode) ? EADDRINUSE : EEXIST;
    return false;
}

static bool bind_unix_fd(int fd, const struct sockaddr_un *name, ino_t *inode)
{
    struct stat made;
    const mode_t mask = umask(UNIX_UMASK);
    const bool bound = bind(fd, (const struct sockaddr *)name, sizeof(*name)) == 0;
    umask(mask);
    if (!bound || listen(fd, BIND_BACKLOG) != 0 || lstat(name->sun_path, &made) != 0)
        return false;
    *inode = made.st_ino;
    return true;
}

int bind_unix(const char *path, ino_t *inode)
{
    struct sockaddr_un name;
    if (!bind_unix_name(&name, path) || !bind_unix_clear(&name))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind_unix_fd(fd, &name, inode))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

void bind_unlink(const char *path, ino_t inode)
{
    struct stat found;
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode) && found.st_ino == inode)
        unlink(path);
}
