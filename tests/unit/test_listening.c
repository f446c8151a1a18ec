/* A worker's listening sockets: what is let go of when others listen in its place, and what is still this one's to empty. */
#include "proxy/listening.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_text.h"
#include "net.h"
#include "proxy/edition.h"
#include "proxy/loop.h"
#include "proxy/worker.h"

#define CONF                                                                                                                                         \
    "[listen one]\naddress = 127.0.0.1:1\n[listen two]\naddress = 127.0.0.1:2\n[route nat]\nsource = 203.0.113.16\n[rule all]\nto = a.example\n"

static struct worker worker;
static struct listening *listening;
static int sockets[2];
static struct endpoint at[2];

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* With the first so many of the sockets that are not there yet. */
static void take(uint32_t number, uint32_t addresses, bool fresh)
{
    struct edition *edition = edition_new(number, config_text_load(CONF, NULL), 1);
    for (uint32_t i = 0; i < addresses; i++) {
        cr_assert(edition_add_address(edition, i, i, false, NULL));
        cr_assert(!fresh || edition_add_socket(edition, i, 0, sockets[i]));
    }
    struct config *old = worker.config;
    listening_take(listening, edition);
    worker.config = config_ref(edition->config);
    config_unref(old);
    edition_unref(edition);
}

static void enter(void)
{
    worker = (struct worker){.loop = loop_new()};
    listening = listening_new(&worker);
    for (int i = 0; i < 2; i++)
        sockets[i] = net_listen("127.0.0.1", &at[i]);
    take(1, 2, true);
}

static void leave(void)
{
    listening_free(listening);
    config_unref(worker.config);
    loop_free(worker.loop);
    libevent_global_shutdown();
}

TestSuite(listening, .init = enter, .fini = leave);

Test(listening, one_that_is_retired_lets_go_at_once_of_what_others_have)
{
    const int theirs = dup(sockets[0]), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_storage name;
    struct endpoint from;
    const socklen_t len = (socklen_t)endpoint_to_sockaddr(&at[0], &name);
    cr_assert(connect(client, (struct sockaddr *)&name, len) == 0 && !listening_is_over(listening));
    listening_retire(listening);
    cr_expect(listening_is_over(listening) && !is_open(sockets[0]) && !is_open(sockets[1]));
    const int taken = net_accept(theirs, &from);
    cr_expect(taken >= 0, "who waited is theirs");
    close(taken);
    close(client);
    close(theirs);
}

Test(listening, what_was_being_left_already_is_emptied_all_the_same)
{
    take(2, 1, false);
    listening_retire(listening);
    cr_expect(!listening_is_over(listening) && !is_open(sockets[0]) && is_open(sockets[1]), "nobody else has the second one");
    event_base_loop(worker.loop->base, EVLOOP_ONCE); /* until its time is up */
    cr_expect(listening_is_over(listening) && !is_open(sockets[1]));
}

Test(listening, one_that_is_retired_takes_no_socket_any_more)
{
    listening_retire(listening);
    for (int i = 0; i < 2; i++)
        sockets[i] = net_listen("127.0.0.1", &at[i]);
    take(2, 2, true);
    cr_expect(listening_is_over(listening) && !is_open(sockets[0]) && !is_open(sockets[1]));
}
