/* A DNS server on a loopback address, by UDP and TCP, that says what a test tells it and keeps count of what it was asked. */
#include "dns_stub.h"

#include <arpa/inet.h>
#include <assert.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SEEN_MAX = 16384, HELD_MAX = 256, STREAMS_MAX = 8, PACKET_MAX = 4096, HEADER = 12 };

struct seen {
    char name[256];
    int type;
    uint16_t id, port;
    bool tcp;
};

struct held {
    struct sockaddr_in from;
    uint8_t packet[512];
    size_t len;
};

struct dns_stub {
    const struct dns_stub_reply *script;
    struct sockaddr_in name;
    int udp, tcp, other_udp, wake;
    int streams[STREAMS_MAX];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool stopping, released;
    struct seen *seen;
    unsigned seen_count;
    struct address client;
    struct held *held;
    unsigned held_count;
};

struct writer {
    uint8_t bytes[PACKET_MAX];
    size_t len;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    assert(w->len + len <= sizeof(w->bytes));
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

static void put16(struct writer *w, unsigned value)
{
    put(w, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct writer *w, uint32_t value)
{
    put16(w, value >> 16);
    put16(w, value & 0xffff);
}

static void put_name(struct writer *w, const char *name)
{
    while (*name) {
        size_t len = strcspn(name, ".");
        put(w, (uint8_t[]){(uint8_t)len}, 1);
        put(w, name, len);
        name += len + (name[len] == '.');
    }
    put(w, "", 1);
}

static void put_record(struct writer *w, const char *name, int type, uint32_t ttl, const void *data, size_t len)
{
    put_name(w, name);
    put16(w, (unsigned)type);
    put16(w, 1);
    put32(w, ttl);
    put16(w, (unsigned)len);
    put(w, data, len);
}

/* The question of a packet as text; returns where it ends. */
static size_t question_read(const uint8_t *packet, size_t len, struct seen *seen)
{
    size_t at = HEADER, out = 0;
    while (at < len && packet[at]) {
        size_t label = packet[at++];
        assert(label < 64 && at + label < len && out + label + 1 < sizeof(seen->name));
        memcpy(seen->name + out, packet + at, label);
        out += label;
        seen->name[out++] = '.';
        at += label;
    }
    seen->name[out ? out - 1 : 0] = 0;
    assert(at + 5 <= len);
    seen->type = packet[at + 1] << 8 | packet[at + 2];
    seen->id = (uint16_t)(packet[0] << 8 | packet[1]);
    return at + 5;
}

static unsigned put_addresses(struct writer *w, const struct dns_stub_reply *reply, const char *owner, int type)
{
    char list[512], *rest = list;
    unsigned count = 0;
    snprintf(list, sizeof(list), "%s", reply->addresses ? reply->addresses : "");
    for (char *text; (text = strsep(&rest, " ")) != NULL;) {
        uint8_t bytes[16];
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        if (*text == 0 || (family == AF_INET6) != (type == STUB_AAAA))
            continue;
        if (inet_pton(family, text, bytes) != 1)
            abort();
        put_record(w, owner, type, reply->ttl, bytes, family == AF_INET6 ? 16 : 4);
        count++;
    }
    for (unsigned i = 0; i < reply->more; i++, count++)
        put_record(w, owner, type, reply->ttl, (uint8_t[16]){10, 9, (uint8_t)(i >> 8), (uint8_t)i}, type == STUB_AAAA ? 16 : 4);
    return count;
}

/* The whole answer; `reply` NULL: no data. */
static void answer_write(struct writer *w, const uint8_t *packet, size_t question_end, const struct seen *seen, const struct dns_stub_reply *reply)
{
    unsigned count = 0;
    w->len = 0;
    put(w, packet, 2);
    put16(w, 0x8180u | (reply ? (unsigned)reply->rcode : 0));
    put(w, "\0\1\0\0\0\0\0\0", 8);
    put(w, packet + HEADER, question_end - HEADER);
    if (reply && reply->cname) {
        struct writer data = {.len = 0};
        put_name(&data, reply->cname);
        put_record(w, seen->name, 5, reply->cname_ttl, data.bytes, data.len);
        count++;
    }
    if (reply)
        count += put_addresses(w, reply, reply->cname ? reply->cname : seen->name, seen->type);
    assert(count < 256);
    w->bytes[7] = (uint8_t)count;
}

static const struct dns_stub_reply *stub_script(const struct dns_stub *stub, const struct seen *seen)
{
    for (const struct dns_stub_reply *reply = stub->script; reply->name; reply++)
        if (strcasecmp(reply->name, seen->name) == 0 && (reply->type == 0 || reply->type == seen->type))
            return reply;
    return NULL;
}

static void stub_note(struct dns_stub *stub, struct seen *seen, const struct sockaddr_in *from, bool tcp)
{
    struct endpoint client;
    endpoint_from_sockaddr(&client, (const struct sockaddr *)from, sizeof(*from));
    seen->port = client.port;
    seen->tcp = tcp;
    pthread_mutex_lock(&stub->lock);
    stub->client = client.ip;
    if (stub->seen_count < SEEN_MAX)
        stub->seen[stub->seen_count++] = *seen;
    pthread_cond_broadcast(&stub->more);
    pthread_mutex_unlock(&stub->lock);
}

static void stub_send(int fd, const struct writer *w, const struct sockaddr_in *to)
{
    sendto(fd, w->bytes, w->len, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void stub_forge(struct dns_stub *stub, const struct writer *true_one, enum dns_stub_act act, const struct sockaddr_in *to)
{
    struct writer w = *true_one;
    struct in_addr forged;
    inet_pton(AF_INET, STUB_FORGED, &forged);
    memcpy(w.bytes + w.len - 4, &forged, 4);
    if (act == STUB_FORGE_ID)
        w.bytes[0] ^= 0x5a;
    if (act == STUB_FORGE_QUESTION)
        w.bytes[HEADER + 1] ^= 0x01;
    stub_send(act == STUB_FORGE_PORT ? stub->other_udp : stub->udp, &w, to);
}

static bool stub_is_released(struct dns_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    bool released = stub->released;
    pthread_mutex_unlock(&stub->lock);
    return released;
}

static bool stub_hold(struct dns_stub *stub, const uint8_t *packet, size_t len, const struct sockaddr_in *from)
{
    pthread_mutex_lock(&stub->lock);
    bool hold = !stub->released && stub->held_count < HELD_MAX && len <= sizeof(stub->held->packet);
    if (hold) {
        struct held *held = &stub->held[stub->held_count++];
        held->from = *from;
        held->len = len;
        memcpy(held->packet, packet, len);
    }
    pthread_mutex_unlock(&stub->lock);
    return hold;
}

static void stub_answer_udp(struct dns_stub *stub, const uint8_t *packet, size_t len, const struct sockaddr_in *from, bool again)
{
    struct seen seen;
    struct writer w;
    size_t end = question_read(packet, len, &seen);
    const struct dns_stub_reply *reply = stub_script(stub, &seen);
    enum dns_stub_act act = reply ? reply->act : STUB_ANSWER;
    if (!again)
        stub_note(stub, &seen, from, false);
    if (act == STUB_DROP || (act == STUB_LOSE && !stub_is_released(stub)) || (act == STUB_HOLD && stub_hold(stub, packet, len, from)))
        return;
    answer_write(&w, packet, end, &seen, reply);
    if (act >= STUB_FORGE_ID && act <= STUB_FORGE_PORT)
        stub_forge(stub, &w, act, from);
    if (act == STUB_EMPTY_FIRST)
        sendto(stub->udp, "", 0, 0, (const struct sockaddr *)from, sizeof(*from));
    if (act == STUB_TRUNCATE) {
        w.bytes[2] |= 0x02;
        w.bytes[7] = 0;
        w.len = end;
    }
    if (act == STUB_CUT_SHORT)
        w.len = end;
    if (act == STUB_ECHO) {
        w.len = 0;
        put(&w, packet, len);
    }
    stub_send(stub->udp, &w, from);
}

static void stub_udp(struct dns_stub *stub)
{
    uint8_t packet[PACKET_MAX];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    ssize_t len = recvfrom(stub->udp, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);
    if (len > HEADER)
        stub_answer_udp(stub, packet, (size_t)len, &from, false);
}

static void stub_accept(struct dns_stub *stub)
{
    int fd = accept(stub->tcp, NULL, NULL);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (stub->streams[i] < 0) {
            stub->streams[i] = fd;
            return;
        }
    close(fd);
}

/* One question, whole in one read as c-ares writes it. False: close. */
static bool stub_stream(struct dns_stub *stub, int fd)
{
    uint8_t packet[PACKET_MAX];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    struct seen seen;
    struct writer w;
    ssize_t len = read(fd, packet, sizeof(packet));
    if (len <= HEADER + 2 || getpeername(fd, (struct sockaddr *)&from, &size) != 0)
        return false;
    size_t end = question_read(packet + 2, (size_t)len - 2, &seen);
    const struct dns_stub_reply *reply = stub_script(stub, &seen);
    stub_note(stub, &seen, &from, true);
    answer_write(&w, packet + 2, end, &seen, reply);
    uint8_t prefix[2] = {(uint8_t)(w.len >> 8), (uint8_t)w.len};
    return write(fd, prefix, 2) == 2 && write(fd, w.bytes, w.len) == (ssize_t)w.len;
}

static bool stub_woken(struct dns_stub *stub)
{
    uint64_t count;
    (void)!read(stub->wake, &count, sizeof(count));
    pthread_mutex_lock(&stub->lock);
    bool stopping = stub->stopping;
    unsigned held = stub->held_count;
    stub->held_count = 0;
    pthread_mutex_unlock(&stub->lock);
    for (unsigned i = 0; i < held && !stopping; i++)
        stub_answer_udp(stub, stub->held[i].packet, stub->held[i].len, &stub->held[i].from, true);
    return !stopping;
}

static void *stub_run(void *arg)
{
    struct dns_stub *stub = arg;
    for (;;) {
        struct pollfd fds[3 + STREAMS_MAX] = {{stub->wake, POLLIN, 0}, {stub->udp, POLLIN, 0}, {stub->tcp, POLLIN, 0}};
        for (int i = 0; i < STREAMS_MAX; i++)
            fds[3 + i] = (struct pollfd){stub->streams[i], POLLIN, 0};
        if (poll(fds, 3 + STREAMS_MAX, -1) < 0)
            continue;
        if (fds[0].revents && !stub_woken(stub))
            return NULL;
        if (fds[1].revents)
            stub_udp(stub);
        for (int i = 0; i < STREAMS_MAX; i++)
            if (fds[3 + i].revents && !stub_stream(stub, stub->streams[i])) {
                close(stub->streams[i]);
                stub->streams[i] = -1;
            }
        if (fds[2].revents)
            stub_accept(stub);
    }
}

/* A port that is free for UDP may be taken for TCP: then another is tried. */
static bool stub_bind(struct dns_stub *stub, const char *address, uint16_t port)
{
    socklen_t size = sizeof(stub->name);
    memset(&stub->name, 0, sizeof(stub->name));
    stub->name.sin_family = AF_INET;
    cr_assert(inet_pton(AF_INET, address, &stub->name.sin_addr) == 1);
    stub->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    stub->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stub->other_udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(stub->other_udp, (struct sockaddr *)&stub->name, size) == 0);
    stub->name.sin_port = htons(port);
    cr_assert(bind(stub->udp, (struct sockaddr *)&stub->name, size) == 0);
    getsockname(stub->udp, (struct sockaddr *)&stub->name, &size);
    if (bind(stub->tcp, (struct sockaddr *)&stub->name, size) == 0 && listen(stub->tcp, 16) == 0)
        return true;
    close(stub->udp);
    close(stub->tcp);
    close(stub->other_udp);
    return false;
}

struct dns_stub *dns_stub_start(const char *address, uint16_t port, const struct dns_stub_reply *script)
{
    struct dns_stub *stub = calloc(1, sizeof(*stub));
    cr_assert(stub != NULL);
    stub->script = script;
    stub->seen = calloc(SEEN_MAX, sizeof(*stub->seen));
    stub->held = calloc(HELD_MAX, sizeof(*stub->held));
    cr_assert(stub->seen && stub->held);
    for (int tries = 0; !stub_bind(stub, address, port); tries++)
        cr_assert(tries < 20);
    stub->wake = eventfd(0, EFD_CLOEXEC);
    memset(stub->streams, -1, sizeof(stub->streams));
    pthread_mutex_init(&stub->lock, NULL);
    pthread_cond_init(&stub->more, NULL);
    cr_assert(pthread_create(&stub->thread, NULL, stub_run, stub) == 0);
    return stub;
}

static void stub_wake(struct dns_stub *stub)
{
    uint64_t one = 1;
    cr_assert(write(stub->wake, &one, sizeof(one)) == sizeof(one));
}

void dns_stub_stop(struct dns_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    stub->stopping = true;
    pthread_mutex_unlock(&stub->lock);
    stub_wake(stub);
    pthread_join(stub->thread, NULL);
    for (int i = 0; i < STREAMS_MAX; i++)
        if (stub->streams[i] >= 0)
            close(stub->streams[i]);
    close(stub->udp);
    close(stub->tcp);
    close(stub->other_udp);
    close(stub->wake);
    free(stub->seen);
    free(stub->held);
    free(stub);
}

struct endpoint dns_stub_endpoint(const struct dns_stub *stub)
{
    struct endpoint endpoint;
    endpoint_from_sockaddr(&endpoint, (const struct sockaddr *)&stub->name, sizeof(stub->name));
    return endpoint;
}

void dns_stub_release(struct dns_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    stub->released = true;
    pthread_mutex_unlock(&stub->lock);
    stub_wake(stub);
}

static bool seen_is(const struct seen *seen, const char *name, int type)
{
    return (!name || strcasecmp(seen->name, name) == 0) && (!type || seen->type == type);
}

static unsigned stub_count(const struct dns_stub *stub, const char *name, int type)
{
    unsigned count = 0;
    for (unsigned i = 0; i < stub->seen_count; i++)
        count += seen_is(&stub->seen[i], name, type);
    return count;
}

unsigned dns_stub_asked(struct dns_stub *stub, const char *name, int type)
{
    pthread_mutex_lock(&stub->lock);
    unsigned count = stub_count(stub, name, type);
    pthread_mutex_unlock(&stub->lock);
    return count;
}

unsigned dns_stub_asked_tcp(struct dns_stub *stub)
{
    unsigned count = 0;
    pthread_mutex_lock(&stub->lock);
    for (unsigned i = 0; i < stub->seen_count; i++)
        count += stub->seen[i].tcp;
    pthread_mutex_unlock(&stub->lock);
    return count;
}

unsigned dns_stub_different(struct dns_stub *stub, const char *name, int type)
{
    unsigned count = 0;
    pthread_mutex_lock(&stub->lock);
    for (unsigned i = 0; i < stub->seen_count; i++) {
        bool before = !seen_is(&stub->seen[i], name, type);
        for (unsigned j = 0; j < i && !before; j++)
            before = seen_is(&stub->seen[j], name, type) && stub->seen[j].id == stub->seen[i].id;
        count += !before;
    }
    pthread_mutex_unlock(&stub->lock);
    return count;
}

bool dns_stub_wait(struct dns_stub *stub, const char *name, int type, unsigned asked)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    pthread_mutex_lock(&stub->lock);
    while (stub_count(stub, name, type) < asked && pthread_cond_timedwait(&stub->more, &stub->lock, &until) == 0)
        ;
    bool enough = stub_count(stub, name, type) >= asked;
    pthread_mutex_unlock(&stub->lock);
    return enough;
}

/* Fills most and returns the number of ports. */
static unsigned stub_ports(struct dns_stub *stub, unsigned *most)
{
    static unsigned short counts[65536];
    unsigned ports = 0;
    memset(counts, 0, sizeof(counts));
    *most = 0;
    pthread_mutex_lock(&stub->lock);
    for (unsigned i = 0; i < stub->seen_count; i++) {
        const struct seen *seen = &stub->seen[i];
        bool retry = false;
        for (unsigned j = 0; j < i && !retry; j++)
            retry = stub->seen[j].id == seen->id && stub->seen[j].port == seen->port;
        if (seen->tcp || retry)
            continue;
        ports += counts[seen->port]++ == 0;
        if (counts[seen->port] > *most)
            *most = counts[seen->port];
    }
    pthread_mutex_unlock(&stub->lock);
    return ports;
}

unsigned dns_stub_ports(struct dns_stub *stub)
{
    unsigned most;
    return stub_ports(stub, &most);
}

unsigned dns_stub_port_most(struct dns_stub *stub)
{
    unsigned most;
    stub_ports(stub, &most);
    return most;
}

struct address dns_stub_client(struct dns_stub *stub)
{
    pthread_mutex_lock(&stub->lock);
    struct address client = stub->client;
    pthread_mutex_unlock(&stub->lock);
    return client;
}
