/* What `GET /denials` shows: the client's own, the newest, none too old, and JSON whatever the client had asked for. */
#include "proxy/denials.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

#define SECOND UINT64_C(1000000)
#define NOW (UINT64_C(1760000000) * SECOND)

static struct denials *denials;

static void open_denials(void)
{
    cr_assert((denials = denials_new()) != NULL);
}

static void close_denials(void)
{
    denials_free(denials);
    denials_free(NULL);
}

TestSuite(denials, .init = open_denials, .fini = close_denials);

static struct denial denial_of(const char *client, uint64_t time_us)
{
    const struct address address = net_address(client);
    return (struct denial){.time_us = time_us, .client = address, .id = "01K75T9ZM0ABCDEFGHJKMNPQRS", .port = 443, .reason = "default_deny"};
}

static void set_host(struct denial *denial, const char *host, size_t len)
{
    cr_assert_leq(len, sizeof(denial->host));
    memcpy(denial->host, host, len);
    denial->host_len = len;
}

/* Denials are told apart by their port. */
static void add(const char *client, uint16_t port, uint64_t time_us)
{
    struct denial denial = denial_of(client, time_us);
    denial.port = port;
    set_host(&denial, "denied.example", 14);
    denials_add(denials, &denial);
}

/* The array of a client's denials; the caller does json_decref(). */
static json_t *shown(const char *client, uint64_t now_us)
{
    static char buffer[DENIALS_JSON_MAX];
    struct text out;
    json_error_t error;
    const struct address address = net_address(client);
    text_init(&out, buffer, sizeof(buffer));
    denials_write(denials, &out, &address, now_us);
    cr_assert_not(out.cut, "cut at %zu bytes", out.len);
    json_t *answer = json_loadb(buffer, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert(answer != NULL, "%s in %s", error.text, buffer);
    json_t *array = json_incref(json_object_get(answer, "denials"));
    cr_assert(json_is_array(array) && json_object_size(answer) == 1);
    json_decref(answer);
    return array;
}

/* Expects just these ports, in this order. */
static void expect_ports(const char *client, uint64_t now_us, const char *ports)
{
    char got[1024] = "";
    size_t index;
    json_t *row, *array = shown(client, now_us);
    json_array_foreach(array, index, row)
        sprintf(got + strlen(got), "%s%d", index > 0 ? " " : "", (int)json_integer_value(json_object_get(row, "port")));
    cr_expect_str_eq(got, ports, "%s sees \"%s\", not \"%s\"", client, got, ports);
    json_decref(array);
}

Test(denials, none_is_an_empty_list)
{
    expect_ports("10.0.0.1", NOW, "");
    expect_ports("10.0.0.1", 0, "");
}

Test(denials, each_says_what_and_why)
{
    struct denial denial = denial_of("10.0.0.1", NOW);
    set_host(&denial, "denied.example", 14);
    strcpy(denial.rule, "no-uploads");
    denial.port = 8443;
    denial.reason = "rule_deny";
    denials_add(denials, &denial);
    json_t *array = shown("10.0.0.1", NOW);
    json_t *wanted = json_pack("[{s:s, s:s, s:s, s:i, s:s, s:s}]", "id", "01K75T9ZM0ABCDEFGHJKMNPQRS", "time", "2025-10-09T08:53:20.000000Z", "host",
                               "denied.example", "port", 8443, "reason", "rule_deny", "rule", "no-uploads");
    cr_expect(json_equal(array, wanted));
    json_decref(wanted);
    json_decref(array);
}

Test(denials, what_is_not_known_is_null)
{
    struct denial denial = denial_of("10.0.0.1", NOW);
    denial.port = 0;
    denial.reason = "bad_request";
    denials_add(denials, &denial);
    json_t *array = shown("10.0.0.1", NOW), *row = json_array_get(array, 0);
    cr_expect(json_is_null(json_object_get(row, "host")));
    cr_expect(json_is_null(json_object_get(row, "port")));
    cr_expect(json_is_null(json_object_get(row, "rule")));
    json_decref(array);
}

Test(denials, a_client_sees_its_own_newest_first)
{
    add("10.0.0.1", 1, NOW);
    add("10.0.0.2", 2, NOW + 1);
    add("10.0.0.1", 3, NOW + 2);
    add("2001:db8::1", 4, NOW + 3);
    add("a00:1::", 5, NOW + 4); /* begins with the bytes of 10.0.0.1 */
    add("10.0.0.1", 6, NOW + 5);
    expect_ports("10.0.0.1", NOW + 5, "6 3 1");
    expect_ports("10.0.0.2", NOW + 5, "2");
    expect_ports("2001:db8::1", NOW + 5, "4");
    expect_ports("2001:db8::2", NOW + 5, "");
    expect_ports("10.0.0.3", NOW + 5, "");
}

/* As they come, so that the ring begins again more than once. */
Test(denials, fifty_at_most_and_they_are_the_newest)
{
    for (int newest = 1; newest <= 3 * DENIALS_A_RING; newest++) {
        add("10.0.0.1", (uint16_t)newest, NOW);
        json_t *array = shown("10.0.0.1", NOW);
        cr_assert_eq(json_array_size(array), newest < 50 ? (size_t)newest : 50, "%zu of %d", json_array_size(array), newest);
        for (size_t i = 0; i < json_array_size(array); i++)
            cr_assert_eq(json_integer_value(json_object_get(json_array_get(array, i), "port")), newest - (int)i);
        json_decref(array);
    }
}

Test(denials, fifteen_minutes_old_at_most)
{
    const uint64_t age = 15 * 60 * SECOND;
    add("10.0.0.1", 1, NOW);
    add("10.0.0.1", 2, NOW + SECOND);
    expect_ports("10.0.0.1", NOW + age, "2 1");
    expect_ports("10.0.0.1", NOW + age + 1, "2");
    expect_ports("10.0.0.1", NOW + age + SECOND, "2");
    expect_ports("10.0.0.1", NOW + age + SECOND + 1, "");
}

/* What a decoder makes of bytes that are no UTF-8 is U+FFFD, of which no byte is left as it came. */
Test(denials, hostile_bytes_are_a_string)
{
    static const struct {
        const char *host, *wanted;
    } rows[] = {
        {"\"},{\"id\":\"x", "\"},{\"id\":\"x"},
        {"a\\", "a\\"},
        {"a\r\nSet-Cookie: b\t\x01\x1f\x7f", "a\r\nSet-Cookie: b\t\x01\x1f\x7f"},
        {"</script>%n%s", "</script>%n%s"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x80\xae", "\xe2\x80\xae"},
        {"\xf0\x9f\x92\xa9", "\xf0\x9f\x92\xa9"},
        {"cut \xf0\x9f", "cut \xef\xbf\xbd\xef\xbf\xbd"},
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < count; i++) {
        struct denial denial = denial_of("10.0.0.1", NOW);
        set_host(&denial, rows[i].host, strlen(rows[i].host));
        strcpy(denial.rule, rows[i].host);
        denials_add(denials, &denial);
    }
    json_t *array = shown("10.0.0.1", NOW);
    cr_assert_eq(json_array_size(array), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(array, count - 1 - i);
        cr_expect_eq(json_object_size(row), 6);
        cr_expect_str_eq(json_string_value(json_object_get(row, "host")), rows[i].wanted);
        cr_expect_str_eq(json_string_value(json_object_get(row, "rule")), rows[i].wanted);
    }
    json_decref(array);
}

Test(denials, a_host_is_whole_or_marked_whatever_its_bytes)
{
    char name[DENIALS_HOST_MAX];
    memset(name, 'n', sizeof(name));
    for (size_t len = sizeof(name) - 1; len <= sizeof(name); len++) {
        struct denial denial = denial_of("10.0.0.1", NOW);
        set_host(&denial, name, len);
        denials_add(denials, &denial);
    }
    struct denial nul = denial_of("10.0.0.1", NOW);
    set_host(&nul, "a\0b", 3);
    denials_add(denials, &nul);
    json_t *array = shown("10.0.0.1", NOW);
    const json_t *host = json_object_get(json_array_get(array, 0), "host");
    cr_expect(json_string_length(host) == 3 && memcmp(json_string_value(host), "a\0b", 3) == 0, "cut at its NUL");
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(array, 1), "host")) + sizeof(name) - 1, "...");
    cr_expect_eq(json_string_length(json_object_get(json_array_get(array, 2), "host")), sizeof(name) - 1);
    json_decref(array);
}

/* Of every byte that six characters stand for, as many as fit: shown() fails when DENIALS_JSON_MAX is too small. */
Test(denials, the_longest_answer_fits)
{
    struct denial denial = denial_of("10.0.0.1", NOW);
    memset(denial.host, 0xff, sizeof(denial.host));
    denial.host_len = sizeof(denial.host);
    memset(denial.rule, 0x01, sizeof(denial.rule) - 1);
    denial.port = 65535;
    denial.reason = "a_reason_that_is_longer_than_any_that_there_is";
    for (int i = 0; i < DENIALS_PER_CLIENT; i++)
        denials_add(denials, &denial);
    json_t *array = shown("10.0.0.1", NOW);
    cr_expect_eq(json_array_size(array), DENIALS_PER_CLIENT);
    cr_expect_eq(json_string_length(json_object_get(json_array_get(array, 0), "host")), 3 * ((DENIALS_HOST_MAX - 1) / 6) + 3);
    json_decref(array);
}

enum { CLIENTS = 1024 };

static void expect_own(unsigned client, bool own)
{
    char ip[ADDRESS_TEXT_MAX], port[8] = "";
    snprintf(ip, sizeof(ip), "10.1.%u.%u", client / 256, client % 256);
    if (own)
        snprintf(port, sizeof(port), "%u", client + 1);
    expect_ports(ip, NOW, port);
}

static void add_clients(void)
{
    char ip[ADDRESS_TEXT_MAX];
    for (unsigned client = 0; client < CLIENTS; client++) {
        snprintf(ip, sizeof(ip), "10.1.%u.%u", client / 256, client % 256);
        add(ip, (uint16_t)(client + 1), NOW);
    }
}

static bool is_forgotten(unsigned client)
{
    const struct address ip = {.family = FAMILY_V4, .bytes = {10, 1, (uint8_t)(client / 256), (uint8_t)(client % 256)}};
    char buffer[4096];
    struct text out;
    text_init(&out, buffer, sizeof(buffer));
    denials_write(denials, &out, &ip, NOW);
    return strcmp(buffer, "{\"denials\":[]}") == 0;
}

/* Eight share a ring, and none sees another's. */
Test(denials, many_clients_see_each_its_own)
{
    add_clients();
    for (unsigned client = 0; client < CLIENTS; client++)
        expect_own(client, true);
}

/* One who hammers takes the places of those in its ring: of about eight, and by the toss of the seed never of sixty. */
Test(denials, one_client_does_not_flush_the_others)
{
    unsigned forgotten = 0;
    add_clients();
    for (int i = 0; i < 100 * DENIALS_A_RING; i++)
        add("10.0.0.1", 443, NOW);
    for (unsigned client = 0; client < CLIENTS; client++) {
        forgotten += is_forgotten(client);
        expect_own(client, !is_forgotten(client));
    }
    cr_expect_lt(forgotten, 60, "%u of %d forgotten", forgotten, CLIENTS);
}

enum { WRITERS = 2, PORTS = 65535 };

struct writer {
    pthread_t thread;
    const char *host;
    atomic_bool *stop;
};

/* Port after port, round and round. */
static void *writer_run(void *arg)
{
    const struct writer *writer = arg;
    struct denial denial = denial_of("10.0.0.1", NOW);
    set_host(&denial, writer->host, strlen(writer->host));
    for (unsigned i = 0; !atomic_load(writer->stop); i++) {
        denial.port = (uint16_t)(i % PORTS + 1);
        denials_add(denials, &denial);
    }
    return NULL;
}

/* Each one's own, looked at alone, must go down by one. */
static void expect_no_gap(const char *host)
{
    size_t index;
    json_int_t newer = 0;
    json_t *row, *array = shown("10.0.0.1", NOW);
    json_array_foreach(array, index, row) {
        json_int_t port = json_integer_value(json_object_get(row, "port"));
        if (strcmp(json_string_value(json_object_get(row, "host")), host) != 0)
            continue;
        cr_assert(newer == 0 || newer == port % PORTS + 1, "%s: %d came after %d", host, (int)newer, (int)port);
        newer = port;
    }
    json_decref(array);
}

/* Two workers deny one client: nothing is lost, shown twice or in another order, whenever one looks. */
Test(denials, many_threads_lose_nothing)
{
    atomic_bool stop = false;
    struct writer writers[WRITERS] = {{.host = "one.example", .stop = &stop}, {.host = "two.example", .stop = &stop}};
    for (int i = 0; i < WRITERS; i++)
        cr_assert(pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]) == 0);
    for (int turn = 0; turn < 500; turn++) {
        usleep(100); /* leaves the processors to the two */
        expect_no_gap(writers[turn % WRITERS].host);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
}
