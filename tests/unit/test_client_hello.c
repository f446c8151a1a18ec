/* Hellos of real clients and of people who mean harm, in every split of the bytes. */
#include <criterion/criterion.h>
#include <string.h>

#include "data.h"
#include "policy/hostname.h"
#include "wire/client_hello.h"

#define HELLO_MAX 65536

static enum hello_result feed_whole(struct client_hello *hello, const uint8_t *bytes, size_t len)
{
    client_hello_init(hello, HELLO_MAX, NULL);
    return client_hello_feed(hello, bytes, len);
}

/* Every prefix is a buffer of its own. */
static enum hello_result feed_prefix(struct client_hello *hello, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = data_copy(bytes, len);
    enum hello_result result = client_hello_feed(hello, copy, len);
    free(copy);
    return result;
}

static enum hello_result feed_steps(struct client_hello *hello, const uint8_t *bytes, size_t len, unsigned *seed)
{
    enum hello_result result = HELLO_MORE;
    client_hello_init(hello, HELLO_MAX, NULL);
    for (size_t at = 0; at < len && result == HELLO_MORE;) {
        size_t step = seed ? 1 + (size_t)rand_r(seed) % 97 : 1;
        at = step < len - at ? at + step : len;
        result = feed_prefix(hello, bytes, at);
    }
    return result;
}

/* The vectors write a name's bytes as the characters U+0000 to U+00FF. */
static size_t latin1(uint8_t *out, size_t size, const json_t *string)
{
    const uint8_t *from = (const uint8_t *)json_string_value(string);
    size_t left = json_string_length(string), len = 0;
    while (left > 0) {
        bool wide = *from >= 0xc0;
        cr_assert(len < size && *from < 0xc4);
        out[len++] = wide ? (uint8_t)(from[0] << 6 | (from[1] & 0x3f)) : *from;
        from += 1 + wide;
        left -= 1u + wide;
    }
    return len;
}

static bool result_is(enum hello_result result, const char *expected)
{
    if (strcmp(expected, "incomplete") == 0)
        return result == HELLO_MORE;
    if (strcmp(expected, "not-tls") == 0)
        return result == HELLO_NOT_TLS;
    if (strcmp(expected, "malformed") == 0)
        return result == HELLO_MALFORMED || result == HELLO_TOO_LARGE;
    return result == HELLO_DONE;
}

static void expect_fields(const struct client_hello *hello, const json_t *row, const char *id)
{
    const char *expected = data_text(row, "expect");
    const json_t *alpn = json_object_get(row, "alpn"), *sni = json_object_get(row, "sni");
    uint8_t name[HELLO_SNI_MAX];
    cr_expect_eq(hello->has_sni, strcmp(expected, "none") != 0, "%s has_sni", id);
    if (hello->has_sni && json_is_string(sni)) {
        size_t len = latin1(name, sizeof(name), sni);
        cr_expect(hello->sni_len == len && memcmp(hello->sni, name, len) == 0, "%s: %s", id, hello->sni);
    }
    char normal[HOSTNAME_SIZE];
    bool usable = hello->has_sni && hostname_read(normal, (const char *)hello->sni, hello->sni_len < HELLO_SNI_MAX ? hello->sni_len : HELLO_SNI_MAX);
    cr_expect_eq(usable, strcmp(expected, "sni") == 0, "%s usable name", id);
    if (usable)
        cr_expect_str_eq(normal, data_text(row, "normalized"), "%s", id);
    cr_expect_eq(hello->has_ech, json_is_string(json_object_get(row, "ech")), "%s ech", id);
    cr_expect_eq(hello->alpn_count, json_array_size(alpn), "%s alpn", id);
    for (size_t i = 0; i < json_array_size(alpn) && i < HELLO_ALPN_MAX; i++) {
        size_t len = latin1(name, sizeof(name), json_array_get(alpn, i));
        cr_expect(hello->alpn[i].len == len && memcmp(hello->alpn[i].bytes, name, len) == 0, "%s alpn %zu", id, i);
    }
    if (json_is_string(json_object_get(row, "ja4")))
        cr_expect_str_eq(hello->ja4, data_text(row, "ja4"), "%s: %s, not %s", id, hello->ja4, data_text(row, "ja4"));
}

static bool same_fields(const struct client_hello *a, const struct client_hello *b)
{
    return a->records == b->records && a->has_sni == b->has_sni && a->sni_len == b->sni_len && memcmp(a->sni, b->sni, sizeof(a->sni)) == 0 &&
           a->has_ech == b->has_ech && a->version == b->version && a->alpn_count == b->alpn_count && strcmp(a->ja4, b->ja4) == 0 &&
           a->fault == b->fault;
}

static void expect_row(const json_t *row, const uint8_t *bytes, size_t len)
{
    struct client_hello whole, parts;
    const char *id = data_text(row, "id");
    unsigned seed = 1;
    enum hello_result result = feed_whole(&whole, bytes, len);
    cr_expect(result_is(result, data_text(row, "expect")), "%s %s: result %d (%s)", id, data_text(row, "name"), (int)result,
              whole.fault ? whole.fault : "");
    cr_expect_eq(whole.records, json_integer_value(json_object_get(row, "records")), "%s records", id);
    if (result == HELLO_DONE)
        expect_fields(&whole, row, id);
    for (int round = 0; round < 4; round++) {
        cr_expect_eq(feed_steps(&parts, bytes, len, round ? &seed : NULL), result, "%s in round %d", id, round);
        cr_expect(same_fields(&whole, &parts), "%s differs in round %d", id, round);
        client_hello_fini(&parts);
    }
    client_hello_fini(&whole);
}

Test(client_hello, vectors_whole_and_in_every_split, .timeout = 120)
{
    FILE *file = data_open("vectors/client_hello.jsonl");
    unsigned rows = 0;
    for (json_t *row; (row = data_next(file)) != NULL; rows++) {
        size_t len;
        uint8_t *bytes = data_hex(data_text(row, "hex"), &len);
        expect_row(row, bytes, len);
        free(bytes);
        json_decref(row);
    }
    fclose(file);
    cr_expect(rows > 200, "only %u rows", rows);
}

/* A hello of one record, written piece by piece. */
struct made {
    uint8_t bytes[70000];
    size_t len;
};

static void add(struct made *made, const void *bytes, size_t len)
{
    memcpy(made->bytes + made->len, bytes, len);
    made->len += len;
}

static void set_length(struct made *made, size_t at, size_t size, size_t value)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        made->bytes[at + i] = (uint8_t)value;
}

/* Everything in front of the extensions: TLS 1.2, one cipher, null compression. */
static void begin(struct made *made)
{
    static const uint8_t front[] = {22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};
    static const uint8_t back[] = {0, 0, 2, 0x13, 0x01, 1, 0, 0, 0};
    uint8_t random[32] = {0};
    made->len = 0;
    add(made, front, sizeof(front));
    add(made, random, sizeof(random));
    add(made, back, sizeof(back));
}

static enum hello_result finish(struct made *made, struct client_hello *hello)
{
    set_length(made, 3, 2, made->len - 5);
    set_length(made, 6, 3, made->len - 9);
    set_length(made, 50, 2, made->len - 52);
    return feed_whole(hello, made->bytes, made->len);
}

#define ADD(made, ...)                           \
    do {                                         \
        const uint8_t part[] = {__VA_ARGS__};    \
        add((made), part, sizeof(part));         \
    } while (0)

Test(client_hello, version_is_the_highest_offered)
{
    struct made made;
    struct client_hello hello;
    char buf[8];
    begin(&made);
    cr_assert_eq(finish(&made, &hello), HELLO_DONE);
    cr_expect_eq(hello.version, 0x0303);
    begin(&made);
    ADD(&made, 0, 43, 0, 7, 6, 0xfa, 0xfa, 3, 4, 3, 2);
    cr_assert_eq(finish(&made, &hello), HELLO_DONE);
    cr_expect_eq(hello.version, 0x0304);
    begin(&made);
    ADD(&made, 0, 43, 0, 3, 2, 0x0a, 0x0a);
    cr_assert_eq(finish(&made, &hello), HELLO_DONE);
    cr_expect_eq(hello.version, 0x0303, "GREASE alone offers nothing");
    cr_expect_str_eq(client_hello_version_text(0x0304, buf), "TLS 1.3");
    cr_expect_str_eq(client_hello_version_text(0x0300, buf), "SSL 3.0");
    cr_expect_str_eq(client_hello_version_text(0x0305, buf), "0x0305");
    cr_expect_str_eq(client_hello_version_text(0, buf), "0x0000");
}

Test(client_hello, extensions_that_are_malformed)
{
    static const uint8_t rows[][12] = {
        {5, 0, 43, 0, 1, 0},             /* supported_versions: empty */
        {8, 0, 43, 0, 4, 3, 3, 4, 3},    /* odd */
        {6, 0, 16, 0, 2, 0, 0},          /* ALPN: empty list */
        {7, 0, 16, 0, 3, 0, 1, 0},       /* empty protocol */
        {8, 0, 16, 0, 4, 0, 2, 2, 'h'},  /* protocol longer than the list */
        {6, 0, 13, 0, 2, 0, 0},          /* signature_algorithms: empty */
        {8, 0, 41, 0, 0, 0, 1, 0, 0},    /* pre_shared_key is not the last */
        {8, 0, 9, 0, 0, 0, 9, 0, 0},     /* twice */
        {4, 0, 9, 0, 1},                 /* over-run */
        {3, 0, 9, 0},                    /* half a header */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct made made;
        struct client_hello hello;
        begin(&made);
        add(&made, rows[i] + 1, rows[i][0]);
        cr_expect_eq(finish(&made, &hello), HELLO_MALFORMED, "row %zu", i);
        cr_expect(hello.fault != NULL);
    }
}

Test(client_hello, a_name_before_a_fault_is_no_name)
{
    struct made made;
    struct client_hello hello;
    begin(&made);
    ADD(&made, 0, 0, 0, 6, 0, 4, 0, 0, 1, 'a');
    ADD(&made, 0, 16, 0, 2, 0, 0);
    cr_expect_eq(finish(&made, &hello), HELLO_MALFORMED);
    cr_expect(!hello.has_sni);
}

Test(client_hello, long_names_and_lists_are_cut_where_kept)
{
    struct made made;
    struct client_hello hello;
    uint8_t name[HELLO_SNI_MAX + 100];
    memset(name, 'a', sizeof(name));
    begin(&made);
    ADD(&made, 0, 0, (sizeof(name) + 5) >> 8, (sizeof(name) + 5) & 255, (sizeof(name) + 3) >> 8, (sizeof(name) + 3) & 255, 0, sizeof(name) >> 8,
        sizeof(name) & 255);
    add(&made, name, sizeof(name));
    ADD(&made, 0, 16, 0, 2 + 20 * 2 + 121, 0, 20 * 2 + 121, 120);
    add(&made, name, 120);
    for (int i = 0; i < 20; i++)
        ADD(&made, 1, (uint8_t)('a' + i));
    cr_assert_eq(finish(&made, &hello), HELLO_DONE);
    cr_expect(hello.has_sni && hello.sni_len == sizeof(name) && strlen((char *)hello.sni) == HELLO_SNI_MAX);
    cr_expect(hello.alpn_count == 21 && hello.alpn[0].len == HELLO_ALPN_LEN && hello.alpn[HELLO_ALPN_MAX - 1].bytes[0] == 'a' + 14);
}

Test(client_hello, ja4_of_an_odd_protocol_is_hexadecimal)
{
    struct made made;
    struct client_hello hello;
    begin(&made);
    ADD(&made, 0, 16, 0, 5, 0, 3, 2, 0xab, 'h');
    cr_assert_eq(finish(&made, &hello), HELLO_DONE);
    cr_expect(strncmp(hello.ja4, "t12i0101a8_", 11) == 0, "%s", hello.ja4);
}

Test(client_hello, size_is_bounded)
{
    static const uint8_t announced[] = {22, 3, 1, 0, 4, 1, 0, 4, 1}; /* 1025 bytes */
    static const uint8_t fits[] = {22, 3, 1, 0, 4, 1, 0, 4, 0};
    struct client_hello hello;
    uint8_t many[1025];
    client_hello_init(&hello, 1024, NULL);
    cr_expect_eq(client_hello_feed(&hello, announced, sizeof(announced)), HELLO_TOO_LARGE, "told before it is sent");
    client_hello_init(&hello, 1024, NULL);
    cr_expect_eq(client_hello_feed(&hello, fits, sizeof(fits)), HELLO_MORE);
    for (size_t i = 0; i < sizeof(many); i += 6) { /* records of one byte: what must be kept is far more than the message */
        const uint8_t record[6] = {22, 3, 1, 0, 1, i == 0 ? 1 : i == 2 * 6 ? 4 : 0};
        memcpy(many + i, record, sizeof(many) - i < 6 ? sizeof(many) - i : 6);
    }
    client_hello_init(&hello, 1024, NULL);
    cr_expect_eq(client_hello_feed(&hello, many, 1023), HELLO_MORE);
    cr_expect_eq(client_hello_feed(&hello, many, 1024), HELLO_TOO_LARGE);
    client_hello_init(&hello, 1024, NULL);
    cr_expect_eq(client_hello_feed(&hello, many, 1025), HELLO_TOO_LARGE);
}
