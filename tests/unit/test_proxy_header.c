/* PROXY headers: the vectors whole, byte by byte and in every two pieces, and what stands behind a header. */
#include "wire/proxy_header.h"

#include <criterion/criterion.h>
#include <string.h>

#include "data.h"

#define SPLITS_MAX 300 /* bytes of a row that is cut everywhere; longer ones in larger steps */

static const char *const WORDS[] = {
    [PROXY_HEADER_MORE] = "more",   [PROXY_HEADER_CLIENT] = "client", [PROXY_HEADER_SELF] = "self",
    [PROXY_HEADER_LOCAL] = "local", [PROXY_HEADER_BAD] = "bad",
};

/* The bytes of a row: `hex`, then `zeros` zero bytes, then `tail_hex`. */
static uint8_t *row_bytes(const json_t *row, size_t *len)
{
    size_t head_len, tail_len, zeros = (size_t)json_integer_value(json_object_get(row, "zeros"));
    uint8_t *head = data_hex(data_text(row, "hex"), &head_len), *tail = data_hex(data_text(row, "tail_hex"), &tail_len);
    *len = head_len + zeros + tail_len;
    uint8_t *bytes = calloc(1, *len + 1);
    cr_assert(bytes != NULL);
    memcpy(bytes, head, head_len);
    memcpy(bytes + head_len + zeros, tail, tail_len);
    free(head);
    free(tail);
    return bytes;
}

/* Each look is at a buffer of its own and of no more than is there. */
static enum proxy_header_result feed_copy(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = data_copy(bytes, len);
    enum proxy_header_result result = proxy_header_feed(header, copy, len);
    free(copy);
    return result;
}

static bool same_header(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->len == b->len && a->fault == b->fault && memcmp(&a->client.ip, &b->client.ip, sizeof(a->client.ip)) == 0 &&
           a->client.port == b->client.port;
}

/* What must come with each answer, and what must not. */
static void expect_fields(const json_t *row, const struct proxy_header *header, enum proxy_header_result result)
{
    char client[ENDPOINT_TEXT_MAX];
    const char *id = data_text(row, "id");
    cr_expect_str_eq(WORDS[result], data_text(row, "expect"), "%s is %s: %s (%s)", id, WORDS[result], data_text(row, "why"),
                     header->fault ? header->fault : "no fault");
    cr_expect_eq(header->len, (size_t)json_integer_value(json_object_get(row, "len")), "%s has %zu bytes", id, header->len);
    cr_expect_eq(result == PROXY_HEADER_BAD, header->fault != NULL, "%s fault", id);
    cr_expect_eq(result == PROXY_HEADER_CLIENT, address_is_set(&header->client.ip), "%s client", id);
    if (result == PROXY_HEADER_CLIENT)
        cr_expect_str_eq(endpoint_text(&header->client, client), data_text(row, "client"), "%s", id);
}

static void expect_two_pieces(const char *id, const struct proxy_header *whole, const uint8_t *bytes, size_t len, size_t cut)
{
    struct proxy_header parts;
    proxy_header_init(&parts);
    feed_copy(&parts, bytes, cut);
    cr_expect_eq(feed_copy(&parts, bytes, len), whole->result, "%s cut at %zu", id, cut);
    cr_expect(same_header(whole, &parts), "%s differs when cut at %zu", id, cut);
}

static void expect_steps(const char *id, const struct proxy_header *whole, const uint8_t *bytes, size_t len, size_t step)
{
    struct proxy_header parts;
    enum proxy_header_result result = PROXY_HEADER_MORE;
    proxy_header_init(&parts);
    for (size_t at = 0; at < len && result == PROXY_HEADER_MORE;) {
        at = step < len - at ? at + step : len;
        result = feed_copy(&parts, bytes, at);
        cr_expect(result == PROXY_HEADER_MORE || parts.len <= at, "%s: a header of %zu bytes of which %zu came", id, parts.len, at);
    }
    cr_expect_eq(result, whole->result, "%s in steps of %zu", id, step);
    cr_expect(same_header(whole, &parts), "%s differs in steps of %zu", id, step);
}

static void expect_row(const json_t *row, const uint8_t *bytes, size_t len)
{
    struct proxy_header whole;
    const char *id = data_text(row, "id");
    proxy_header_init(&whole);
    expect_fields(row, &whole, feed_copy(&whole, bytes, len));
    for (size_t cut = 0; cut < len; cut += len <= SPLITS_MAX ? 1 : 4093)
        expect_two_pieces(id, &whole, bytes, len, cut);
    expect_steps(id, &whole, bytes, len, len <= SPLITS_MAX ? 1 : 1021);
}

Test(proxy_header, vectors_whole_and_in_pieces, .timeout = 120)
{
    FILE *file = data_open("vectors/proxy_header.jsonl");
    unsigned rows = 0, of[sizeof(WORDS) / sizeof(WORDS[0])] = {0};
    for (json_t *row; (row = data_next(file)) != NULL; rows++) {
        size_t len;
        uint8_t *bytes = row_bytes(row, &len);
        expect_row(row, bytes, len);
        for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
            of[i] += strcmp(WORDS[i], data_text(row, "expect")) == 0;
        free(bytes);
        json_decref(row);
    }
    fclose(file);
    cr_expect(rows > 200, "only %u rows", rows);
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        cr_expect(of[i] > 5, "only %u rows are %s", of[i], WORDS[i]);
}

/* Before its last byte no header is known, and from there on it is, whatever follows. */
Test(proxy_header, a_good_row_is_more_until_its_last_byte)
{
    FILE *file = data_open("vectors/proxy_header.jsonl");
    for (json_t *row; (row = data_next(file)) != NULL; json_decref(row)) {
        size_t header_len = (size_t)json_integer_value(json_object_get(row, "len")), len;
        uint8_t *bytes = row_bytes(row, &len);
        for (size_t cut = header_len > SPLITS_MAX ? header_len - 2 : 0; cut < header_len; cut++) {
            struct proxy_header header;
            proxy_header_init(&header);
            cr_expect_eq(feed_copy(&header, bytes, cut), PROXY_HEADER_MORE, "%s is known after %zu of %zu bytes", data_text(row, "id"), cut,
                         header_len);
        }
        if (header_len > 0) {
            struct proxy_header header;
            proxy_header_init(&header);
            expect_fields(row, &header, feed_copy(&header, bytes, header_len));
        }
        free(bytes);
    }
    fclose(file);
}

Test(proxy_header, what_stands_behind_does_not_matter)
{
    static const char *const headers[] = {"PROXY TCP4 192.0.2.7 198.51.100.9 56324 3128\r\n", "PROXY UNKNOWN\r\n"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct proxy_header alone;
        size_t len = strlen(headers[i]);
        proxy_header_init(&alone);
        feed_copy(&alone, (const uint8_t *)headers[i], len);
        for (unsigned byte = 0; byte < 256; byte++) {
            struct proxy_header followed;
            uint8_t bytes[64];
            memcpy(bytes, headers[i], len);
            memset(bytes + len, (int)byte, sizeof(bytes) - len);
            proxy_header_init(&followed);
            cr_expect_eq(feed_copy(&followed, bytes, sizeof(bytes)), alone.result, "byte %u", byte);
            cr_expect(same_header(&alone, &followed), "byte %u", byte);
        }
    }
}

static void expect_it_sticks(const char *first, enum proxy_header_result expected)
{
    static const char other[] = "PROXY TCP4 203.0.113.1 203.0.113.2 1 2\r\nGET / HTTP/1.1\r\n\r\n";
    struct proxy_header header, before;
    proxy_header_init(&header);
    cr_expect_eq(proxy_header_feed(&header, (const uint8_t *)first, strlen(first)), expected);
    before = header;
    cr_expect_eq(proxy_header_feed(&header, (const uint8_t *)other, strlen(other)), expected, "another answer after %s", first);
    cr_expect_eq(proxy_header_feed(&header, (const uint8_t *)other, 0), expected);
    cr_expect(same_header(&header, &before), "another header after %s", first);
}

Test(proxy_header, an_answer_is_repeated_whatever_comes)
{
    expect_it_sticks("PROXY TCP4 192.0.2.7 198.51.100.9 56324 3128\r\n", PROXY_HEADER_CLIENT);
    expect_it_sticks("PROXY UNKNOWN\r\n", PROXY_HEADER_SELF);
    expect_it_sticks("CONNECT", PROXY_HEADER_BAD);
    expect_it_sticks("PROXY TCP4 0.0.0.0 198.51.100.9 56324 3128\r\n", PROXY_HEADER_BAD);
}

Test(proxy_header, a_header_that_starts_anew_knows_nothing_of_the_last)
{
    static const char text[] = "PROXY TCP4 192.0.2.7 198.51.100.9 56324 3128\r\n";
    struct proxy_header header;
    proxy_header_init(&header);
    cr_expect_eq(proxy_header_feed(&header, (const uint8_t *)text, strlen(text)), PROXY_HEADER_CLIENT);
    proxy_header_init(&header);
    cr_expect(!address_is_set(&header.client.ip) && header.len == 0);
    cr_expect_eq(proxy_header_feed(&header, (const uint8_t *)text, 10), PROXY_HEADER_MORE);
}

Test(proxy_header, who_speaks_instead_is_named)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *named;
    } rows[] = {
        {"CONNECT a:443 HTTP/1.1\r\n", 24, "HTTP request"},
        {"G", 1, "HTTP request"},
        {"PUT", 3, "HTTP request"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, "HTTP request"},
        {"\x16\x03\x01", 3, "TLS"},
        {"\x05\x01\x00", 3, "SOCKS"},
        {"\x04\x01", 2, "SOCKS"},
        {"SSH-2.0-x\r\n", 11, "something else"},
        {"P\n", 2, "something else"},
        {"\r\nCONNECT a:443 HTTP/1.1\r\n", 26, "something else"},
        {"PROXYX", 6, "TCP4, TCP6 or UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy_header header;
        proxy_header_init(&header);
        cr_expect_eq(feed_copy(&header, (const uint8_t *)rows[i].bytes, rows[i].len), PROXY_HEADER_BAD, "row %zu", i);
        cr_assert(header.fault != NULL);
        cr_expect(strstr(header.fault, rows[i].named) != NULL, "row %zu: %s", i, header.fault);
    }
}

Test(proxy_header, faults_of_version_1_tell_what_to_change)
{
    static const struct {
        const char *line, *fault;
    } rows[] = {
        {"PROXY TCP5 ", NULL},
        {"PROXY TCP5 192.0.2.7 198.51.100.9 1 2\r\n", "TCP4, TCP6 or UNKNOWN"},
        {"PROXY TCP4 192.0.2.7 198.51.100.9 1 2\n", "LF alone"},
        {"PROXY TCP4 192.0.2.7 198.51.100.9 1 2\r\r", "CR"},
        {"PROXY TCP4 192.0.2.7\t", "control byte"},
        {"PROXY TCP6 192.0.2.7 198.51.100.9 1 2\r\n", "two addresses of the family"},
        {"PROXY TCP4 192.0.2.7 198.51.100.9 1 65536\r\n", "two ports from 0 to 65535"},
        {"PROXY TCP4 192.0.2.7 198.51.100.9 1 2 \r\n", "behind its ports"},
        {"PROXY TCP4  192.0.2.7 198.51.100.9 1 2\r\n", "one blank"},
        {"PROXY UNKNOWN 01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901", NULL},
        {"PROXY UNKNOWN 012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012", "107 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy_header header;
        proxy_header_init(&header);
        cr_expect_eq(feed_copy(&header, (const uint8_t *)rows[i].line, strlen(rows[i].line)), rows[i].fault ? PROXY_HEADER_BAD : PROXY_HEADER_MORE);
        cr_expect(!rows[i].fault || (header.fault && strstr(header.fault, rows[i].fault)), "%s: %s", rows[i].line,
                  header.fault ? header.fault : "no fault");
    }
}

Test(proxy_header, faults_of_version_2_tell_what_to_change)
{
    static const struct {
        uint8_t command, protocol;
        const char *fault;
    } rows[] = {
        {0x31, 0x11, "another version"}, {0x22, 0x11, "neither LOCAL nor PROXY"},
        {0x21, 0x12, "datagrams"},       {0x21, 0x22, "datagrams"},
        {0x21, 0x31, "UNIX socket"},     {0x21, 0x32, "UNIX socket"},
        {0x21, 0x10, "does not exist"},  {0x21, 0x11, "too short"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy_header header;
        uint8_t bytes[16] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', rows[i].command, rows[i].protocol, 0, 11};
        proxy_header_init(&header);
        cr_expect_eq(feed_copy(&header, bytes, sizeof(bytes)), PROXY_HEADER_BAD, "row %zu", i);
        cr_expect(header.fault && strstr(header.fault, rows[i].fault), "row %zu: %s", i, header.fault ? header.fault : "no fault");
    }
}

Test(proxy_header, faults_of_tlvs_tell_what_to_change)
{
    static const struct {
        uint8_t tlvs[7];
        const char *fault;
    } rows[] = {
        {{4, 0, 5, 0, 0, 0, 0}, "longer than what is left"},
        {{4, 0, 2, 0, 0, 4, 0}, "ends within a TLV"},
        {{3, 0, 4, 0, 0, 0, 0}, "CRC32c of the PROXY header is wrong"},
        {{3, 0, 3, 0, 0, 0, 0}, "at most one CRC32c, of four bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy_header header;
        uint8_t bytes[16 + 12 + 7] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x21, 0x11,
                                      0,    19,   192,  0,    2, 7,    198,  51,  100, 9,   0,   1,    0,    2};
        memcpy(bytes + 16 + 12, rows[i].tlvs, sizeof(rows[i].tlvs));
        proxy_header_init(&header);
        cr_expect_eq(feed_copy(&header, bytes, sizeof(bytes)), PROXY_HEADER_BAD, "row %zu", i);
        cr_expect(header.fault && strstr(header.fault, rows[i].fault), "row %zu: %s", i, header.fault ? header.fault : "no fault");
    }
}
