/* Listening sockets: one port for all of ours, and none that somebody else has. */
#include "host/bind.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "net.h"

enum { WORKERS = 4 };

static bool own_network;

/* A free port of the kernel's choice is free for one family and address: with the machine's other sockets around, not always for the next. */
static void enter_network(void)
{
    own_network = net_own_network();
}

TestSuite(bind, .init = enter_network);

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    cr_assert(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

static struct endpoint name_of(int fd)
{
    struct sockaddr_storage name;
    struct endpoint at = {.port = 0};
    socklen_t len = sizeof(name);
    cr_assert(getsockname(fd, (struct sockaddr *)&name, &len) == 0);
    cr_assert(endpoint_from_sockaddr(&at, (struct sockaddr *)&name, len));
    return at;
}

/* A blocking connection, or -1. */
static int connect_to(const struct endpoint *to)
{
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(to, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0);
    if (connect(fd, (struct sockaddr *)&name, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static void expect_refused_as(struct endpoint at, bool tproxy, int error)
{
    int fds[WORKERS];
    const struct endpoint before = at;
    size_t held = net_descriptors();
    errno = 0;
    cr_expect_not(bind_listeners(&at, tproxy, fds, WORKERS));
    cr_expect_eq(errno, error, "errno %d", errno);
    cr_expect(endpoint_equal(&at, &before) || before.port == 0);
    cr_expect_eq(net_descriptors(), held, "something is left open");
}

static void expect_refused(struct endpoint at, int error)
{
    expect_refused_as(at, false, error);
}

static void expect_one_port(const char *ip)
{
    int fds[WORKERS];
    struct endpoint at = {.ip = net_address(ip)};
    cr_assert(bind_listeners(&at, false, fds, WORKERS));
    cr_expect(at.port != 0 && net_address(ip).family == at.ip.family);
    for (int i = 0; i < WORKERS; i++) {
        const struct endpoint name = name_of(fds[i]);
        cr_expect(endpoint_equal(&name, &at), "socket %d is at port %u, not %u", i, name.port, at.port);
        cr_expect_eq(option(fds[i], SOL_SOCKET, SO_ACCEPTCONN), 1, "socket %d does not listen", i);
        cr_expect(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        cr_expect(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
    }
    int client = connect_to(&at);
    cr_expect(client >= 0, "%s: nobody answers", ip);
    close(client);
    close_all(fds, WORKERS);
}

Test(bind, port_0_is_one_port_for_all)
{
    expect_one_port("127.0.0.1");
    expect_one_port("::1");
}

Test(bind, a_port_is_taken_as_asked)
{
    int one, fds[WORKERS];
    struct endpoint at = {.ip = net_address("127.0.0.1")};
    cr_assert(bind_listeners(&at, false, &one, 1)); /* to learn one that is free */
    close(one);
    const struct endpoint asked = at;
    size_t held = net_descriptors();
    cr_assert(bind_listeners(&at, false, fds, WORKERS));
    cr_expect_eq(net_descriptors(), held + WORKERS);
    cr_expect(endpoint_equal(&at, &asked));
    for (int i = 0; i < WORKERS; i++)
        cr_expect_eq(name_of(fds[i]).port, asked.port);
    close_all(fds, WORKERS);
}

/* SO_REUSEPORT alone would let the same user's second exeat in, and half of the clients with it. */
Test(bind, a_second_one_on_the_same_port_is_refused)
{
    int fds[WORKERS];
    struct endpoint at = {.ip = net_address("127.0.0.1")};
    cr_assert(bind_listeners(&at, false, fds, WORKERS));
    expect_refused(at, EADDRINUSE);
    expect_refused((struct endpoint){.ip = net_address("0.0.0.0"), .port = at.port}, EADDRINUSE);
    close_all(fds, WORKERS);
}

Test(bind, one_address_of_a_port_that_is_taken_everywhere_is_refused)
{
    int fds[WORKERS];
    struct endpoint at = {.ip = net_address("0.0.0.0")};
    cr_assert(bind_listeners(&at, false, fds, WORKERS));
    expect_refused((struct endpoint){.ip = net_address("127.0.0.1"), .port = at.port}, EADDRINUSE);
    close_all(fds, WORKERS);
}

Test(bind, a_foreign_listener_is_left_alone)
{
    struct endpoint at;
    int foreign = net_listen("127.0.0.1", &at);
    expect_refused(at, EADDRINUSE);
    close(foreign);
}

/* A restart must not wait for the kernel to forget the old tunnels. */
Test(bind, a_port_is_free_again_although_its_connections_linger)
{
    int fds[WORKERS];
    struct endpoint at = {.ip = net_address("127.0.0.1")}, from;
    cr_assert(bind_listeners(&at, false, fds, 1));
    int client = connect_to(&at);
    int server = net_accept(fds[0], &from);
    close(server); /* first, so that TIME_WAIT is ours */
    char byte;
    cr_assert_eq(read(client, &byte, 1), 0);
    close(client);
    close(fds[0]);
    cr_assert(bind_listeners(&at, false, fds, WORKERS));
    close_all(fds, WORKERS);
}

Test(bind, ipv6_is_ipv6_only)
{
    int six[WORKERS], four[WORKERS];
    struct endpoint at = {.ip = net_address("::")};
    cr_assert(bind_listeners(&at, false, six, WORKERS));
    struct endpoint beside = {.ip = net_address("127.0.0.77"), .port = at.port};
    for (int i = 0; i < WORKERS; i++)
        cr_expect_eq(option(six[i], IPPROTO_IPV6, IPV6_V6ONLY), 1);
    cr_expect_eq(connect_to(&beside), -1, "[::] answers IPv4");
    cr_assert(bind_listeners(&beside, false, four, WORKERS), "the listener of IPv4 beside it finds no room: %s", strerror(errno));
    close_all(six, WORKERS);
    close_all(four, WORKERS);
}

Test(bind, an_address_of_somebody_else_is_refused)
{
    expect_refused((struct endpoint){.ip = net_address("192.0.2.1"), .port = 0}, EADDRNOTAVAIL);
    expect_refused((struct endpoint){.ip = net_address("192.0.2.1"), .port = 3128}, EADDRNOTAVAIL);
}

static void expect_transparent(const char *ip, int level, int name)
{
    int fds[WORKERS], plain[WORKERS];
    struct endpoint at = {.ip = net_address(ip)}, beside = at;
    cr_assert(bind_listeners(&at, true, fds, WORKERS), "%s: %s", ip, strerror(errno));
    cr_assert(bind_listeners(&beside, false, plain, WORKERS));
    for (int i = 0; i < WORKERS; i++) {
        cr_expect_eq(option(fds[i], level, name), 1);
        cr_expect_eq(option(plain[i], level, name), 0, "only for mode = tproxy");
    }
    expect_refused_as(at, true, EADDRINUSE);
    close_all(fds, WORKERS);
    close_all(plain, WORKERS);
}

/* A client that is connected, while the last packet of its handshake waits for what it says first. */
static int connect_lazily(const struct endpoint *to)
{
    struct sockaddr_storage name;
    const socklen_t len = endpoint_to_sockaddr(to, &name);
    const int on = 1, fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)) == 0);
    cr_assert(connect(fd, (struct sockaddr *)&name, len) == 0);
    return fd;
}

/* Within two seconds. */
static bool hears(int fd, char said)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char byte = 0;
    return poll(&readable, 1, 2000) == 1 && read(fd, &byte, 1) == 1 && byte == said;
}

static bool is_let_in(const struct endpoint *to)
{
    struct sockaddr_storage name;
    const socklen_t len = endpoint_to_sockaddr(to, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(fd, (struct sockaddr *)&name, len);
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    const bool told = poll(&writable, 1, 200) == 1; /* also when it is refused, which must not be either */
    close(fd);
    return told;
}

static void deaf_lets_in_who_is_at_it(const char *address)
{
    struct endpoint at;
    int listener, early, lazy;
    cr_assert(endpoint_read(&at, address, strlen(address)) && bind_listeners(&at, false, &listener, 1));
    early = connect_to(&at);
    lazy = connect_lazily(&at);
    bind_deafen(listener);
    cr_expect_not(is_let_in(&at), "%s", address);
    cr_expect(write(early, "e", 1) == 1 && write(lazy, "l", 1) == 1);
    const char said[] = "el";
    for (int i = 0; i < 2; i++) {
        struct pollfd readable = {.fd = listener, .events = POLLIN};
        cr_assert(poll(&readable, 1, 2000) == 1, "%s %c", address, said[i]);
        const int fd = accept(listener, NULL, NULL), client = i == 0 ? early : lazy;
        bind_hear(fd);
        cr_expect(hears(fd, said[i]) && write(client, "m", 1) == 1 && hears(fd, 'm'), "%s %c", address, said[i]);
        close(fd);
        close(client);
    }
    close(listener);
}

Test(bind, a_deaf_one_lets_in_who_is_at_it_and_nobody_else)
{
    deaf_lets_in_who_is_at_it("127.0.0.1:0");
    deaf_lets_in_who_is_at_it("[::1]:0");
}

Test(bind, tproxy_is_transparent)
{
    if (!own_network) /* where it has the capability */
        cr_skip_test("SKIPPED: needs a network of its own");
    expect_transparent("127.0.0.1", IPPROTO_IP, IP_TRANSPARENT);
    expect_transparent("::1", IPPROTO_IPV6, IPV6_TRANSPARENT);
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    cr_assert(syscall(SYS_capset, &header, none) == 0);
}

Test(bind, tproxy_without_the_capability_is_refused)
{
    drop_capabilities();
    expect_refused_as((struct endpoint){.ip = net_address("127.0.0.1")}, true, EPERM);
    expect_refused_as((struct endpoint){.ip = net_address("::1"), .port = 3129}, true, EPERM);
}

/* As a service manager passes one that it has made so. */
Test(bind, what_is_transparent_already_needs_no_capability)
{
    if (!own_network)
        cr_skip_test("SKIPPED: needs a network of its own");
    int transparent[2], plain[2];
    bool made = true;
    struct endpoint four = {.ip = net_address("127.0.0.1")}, six = {.ip = net_address("::1")}, other = four, other_six = six;
    cr_assert(bind_listeners(&four, true, &transparent[0], 1) && bind_listeners(&six, true, &transparent[1], 1));
    cr_assert(bind_listeners(&other, false, &plain[0], 1) && bind_listeners(&other_six, false, &plain[1], 1));
    drop_capabilities();
    cr_expect(bind_make_tproxy(&transparent[0], 1, FAMILY_V4, &made) && bind_make_tproxy(&transparent[1], 1, FAMILY_V6, &made));
    cr_expect_not(made, "it was so before");
    cr_expect_not(bind_make_tproxy(&plain[0], 1, FAMILY_V4, &made) || bind_make_tproxy(&plain[1], 1, FAMILY_V6, &made));
    close_all(transparent, 2);
    close_all(plain, 2);
}

Test(bind, out_of_descriptors_on_the_way_leaves_nothing_open)
{
    struct rlimit limit, two;
    struct endpoint at = {.ip = net_address("127.0.0.1")};
    int fds[WORKERS], free_at[3];
    size_t held = net_descriptors();
    for (int i = 0; i < 3; i++)
        cr_assert((free_at[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    close_all(free_at, 3);
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    two = (struct rlimit){.rlim_cur = (rlim_t)free_at[2], .rlim_max = limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &two) == 0);
    bool bound = bind_listeners(&at, false, fds, WORKERS);
    int error = errno;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect_not(bound);
    cr_expect_eq(error, EMFILE);
    cr_expect_eq(net_descriptors(), held);
}

/* ---- the Unix socket ---- */

static char unix_directory[] = "/tmp/exeat-bind-XXXXXX";

static void enter_directory(void)
{
    cr_assert(mkdtemp(unix_directory) != NULL && chdir(unix_directory) == 0);
}

static void leave_directory(void)
{
    unlink("sock");
    cr_expect(chdir("/") == 0 && rmdir(unix_directory) == 0);
}

TestSuite(bind_unix, .init = enter_directory, .fini = leave_directory);

static bool answers(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered = connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    close(fd);
    return answered;
}

Test(bind_unix, user_and_group_may_open_it_whatever_the_umask)
{
    const mode_t masks[] = {0, 022, 0777};
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        struct stat found;
        ino_t inode = 0;
        umask(masks[i]);
        int fd = bind_unix("sock", &inode);
        cr_assert(fd >= 0, "%s", strerror(errno));
        cr_assert(lstat("sock", &found) == 0);
        cr_expect((found.st_mode & 07777) == 0660 && found.st_ino == inode, "%o", (unsigned)found.st_mode);
        cr_expect(umask(022) == masks[i], "the umask is what it was");
        cr_expect(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        cr_expect(answers("sock"));
        bind_unlink("sock", inode);
        cr_expect(lstat("sock", &found) != 0 && errno == ENOENT);
        close(fd);
    }
}

Test(bind_unix, what_a_dead_one_left_goes_and_a_living_one_stays)
{
    ino_t inode, other;
    int dead = bind_unix("sock", &inode);
    close(dead);
    int living = bind_unix("sock", &inode);
    cr_assert(living >= 0, "%s", strerror(errno));
    cr_expect(bind_unix("sock", &other) < 0 && errno == EADDRINUSE);
    cr_expect(answers("sock"));
    close(living);
    bind_unlink("sock", inode);
}

Test(bind_unix, what_is_no_socket_is_left_alone)
{
    ino_t inode;
    struct stat found;
    int file = open("sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_expect(write(file, "x", 1) == 1 && close(file) == 0);
    cr_expect(bind_unix("sock", &inode) < 0 && errno == EEXIST);
    cr_assert(lstat("sock", &found) == 0 && found.st_size == 1);
    bind_unlink("sock", found.st_ino);
    cr_expect(lstat("sock", &found) == 0, "a file is no socket of ours");
    cr_assert(unlink("sock") == 0 && symlink("/nowhere/at/all", "sock") == 0);
    cr_expect(bind_unix("sock", &inode) < 0 && errno == EEXIST);
}

Test(bind_unix, another_socket_at_the_path_is_not_ours_to_remove)
{
    ino_t ours, theirs;
    int first = bind_unix("sock", &ours);
    cr_assert(rename("sock", "kept") == 0);
    int second = bind_unix("sock", &theirs);
    cr_assert(first >= 0 && second >= 0);
    bind_unlink("sock", ours);
    cr_expect(answers("sock"));
    bind_unlink("kept", ours);
    close(first);
    close(second);
}

Test(bind_unix, a_path_without_room_is_a_fault_and_so_is_one_without_a_directory)
{
    char longest[200];
    ino_t inode;
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    cr_expect(bind_unix(longest, &inode) < 0 && errno == ENAMETOOLONG);
    cr_expect(bind_unix("nowhere/sock", &inode) < 0 && errno == ENOENT);
}
