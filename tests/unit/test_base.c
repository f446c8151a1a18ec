/* The ground floor: addresses, text and its escaping, numbers, days, ids, the log and its writer. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/memo.h"
#include "base/number.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/ulid.h"

static bool reads_address(struct address *out, const char *text)
{
    return address_read(out, text, strlen(text));
}

static bool reads_endpoint(struct endpoint *out, const char *text)
{
    return endpoint_read(out, text, strlen(text));
}

Test(address, canonical_text)
{
    static const char *const rows[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"::", "::"},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address address;
        char text[ADDRESS_TEXT_MAX];
        cr_assert(reads_address(&address, rows[i][0]), "%s", rows[i][0]);
        cr_expect_str_eq(address_text(&address, text), rows[i][1]);
    }
}

Test(address, refuses_what_is_none)
{
    static const char *const rows[] = {"",        "1.2.3",    "010.0.0.1", "1.2.3.4 ", " 1.2.3.4",  "1.2.3.256", "[::1]", "fe80::1%lo", ":::",
                                       "1.2.3.4/8", "0x7f.0.0.1", "::1::",     "12345::",  "1.2.3.4:80",
                                       "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct address address = {.family = FAMILY_V4, .bytes = {1}};
        cr_expect(!reads_address(&address, rows[i]), "%s", rows[i]);
        cr_expect(!address_is_set(&address) && address.bytes[0] == 0, "%s leaves something behind", rows[i]);
    }
    struct address address;
    cr_expect(!address_read(&address, "1.2.3.4\0", 8), "a NUL is part of the text");
}

Test(address, no_address_equals_nothing)
{
    struct address none = {0}, any;
    char text[ADDRESS_TEXT_MAX];
    cr_expect(!address_equal(&none, &none));
    cr_assert(reads_address(&any, "0.0.0.0"));
    cr_expect(address_is_any(&any) && !address_is_any(&none) && !address_equal(&any, &none));
    cr_expect_str_eq(address_text(&none, text), "-");
    cr_expect_eq(address_size(&none), 0);
}

Test(address, order_and_unmapping)
{
    struct address v4, high, v6, mapped, plain;
    cr_assert(reads_address(&v4, "10.0.0.1") && reads_address(&high, "192.0.2.1") && reads_address(&v6, "::1"));
    cr_expect(address_compare(&v4, &high) < 0 && address_compare(&high, &v6) < 0 && address_compare(&v6, &v4) > 0);
    cr_assert(reads_address(&mapped, "::ffff:10.0.0.1"));
    cr_expect(address_unmap(&plain, &mapped) && address_equal(&plain, &v4) && !address_equal(&mapped, &v4));
    cr_expect(!address_unmap(&plain, &v6) && !address_unmap(&plain, &v4));
}

Test(endpoint, reads_and_writes)
{
    static const char *const good[] = {"192.0.2.1:80", "[2001:db8::1]:443", "0.0.0.0:0", "[::]:65535"};
    static const char *const bad[] = {"192.0.2.1",   "192.0.2.1:",  "192.0.2.1:65536", "192.0.2.1:080", "::1:80", "[::1]80", "[192.0.2.1]:80",
                                      "[::1]:-1", "a.test:80", ":80",  "[]:80",           "[:80", "]:80", "[:80]"};
    char text[ENDPOINT_TEXT_MAX];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct endpoint endpoint;
        cr_assert(reads_endpoint(&endpoint, good[i]), "%s", good[i]);
        cr_expect_str_eq(endpoint_text(&endpoint, text), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct endpoint endpoint = {.port = 1};
        cr_expect(!reads_endpoint(&endpoint, bad[i]) && endpoint.port == 0, "%s", bad[i]);
    }
}

Test(endpoint, through_the_kernel_and_back)
{
    static const char *const rows[][2] = {
        {"192.0.2.1:80", "192.0.2.1:80"}, {"[2001:db8::1]:443", "[2001:db8::1]:443"}, {"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct endpoint endpoint, back;
        struct sockaddr_storage storage;
        char text[ENDPOINT_TEXT_MAX];
        cr_assert(reads_endpoint(&endpoint, rows[i][0]));
        size_t len = endpoint_to_sockaddr(&endpoint, &storage);
        cr_assert(endpoint_from_sockaddr(&back, (struct sockaddr *)&storage, len));
        cr_expect_str_eq(endpoint_text(&back, text), rows[i][1]);
        cr_expect(!endpoint_from_sockaddr(&back, (struct sockaddr *)&storage, 4), "too short a sockaddr");
    }
    struct sockaddr unknown = {.sa_family = AF_UNIX};
    struct endpoint none = {0}, back;
    struct sockaddr_storage storage;
    cr_expect(!endpoint_from_sockaddr(&back, &unknown, sizeof(unknown)) && !address_is_set(&back.ip));
    cr_expect_eq(endpoint_to_sockaddr(&none, &storage), 0);
}

static void expect_json(const char *bytes, size_t len, size_t max, const char *expected)
{
    char buffer[256];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_json(&text, bytes, len, max);
    cr_expect_str_eq(buffer, expected);
    json_t *value = json_loads(buffer, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    cr_expect(value != NULL, "no JSON: %s", buffer);
    json_decref(value);
}

#define EXPECT_JSON(bytes, expected) expect_json(bytes, sizeof(bytes) - 1, 100, expected)

Test(text, json_escapes_every_outside_byte)
{
    EXPECT_JSON("", "\"\"");
    EXPECT_JSON("a\"b\\c/", "\"a\\\"b\\\\c/\"");
    EXPECT_JSON("\0\n\x1b[0m\x7f", "\"\\u0000\\u000a\\u001b[0m\\u007f\"");
    EXPECT_JSON("m\xc3\xbcnchen \xe2\x82\xac", "\"m\\u00fcnchen \\u20ac\"");
    EXPECT_JSON("\xf0\x9f\x9a\xaa", "\"\\ud83d\\udeaa\"");
    EXPECT_JSON("\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\"");
}

Test(text, json_replaces_invalid_utf8)
{
    EXPECT_JSON("\xff\xfe", "\"\\ufffd\\ufffd\"");
    EXPECT_JSON("\x80z", "\"\\ufffdz\"");
    EXPECT_JSON("a\xc3", "\"a\\ufffd\"");
    EXPECT_JSON("\xc3(", "\"\\ufffd(\"");
    EXPECT_JSON("\xc0\xaf", "\"\\ufffd\\ufffd\"");                 /* overlong slash */
    EXPECT_JSON("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"");      /* overlong in three bytes */
    EXPECT_JSON("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");      /* a surrogate */
    EXPECT_JSON("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""); /* above U+10FFFF */
    EXPECT_JSON("\xe2\x82", "\"\\ufffd\\ufffd\"");
}

Test(text, json_is_cut_at_a_character)
{
    expect_json("abcdef", 6, 6, "\"abcdef\"");
    expect_json("abcdef", 6, 5, "\"abcde...\"");
    expect_json("ab\xc3\xbc""d", 5, 7, "\"ab...\"");
    expect_json("ab\xc3\xbc""d", 5, 8, "\"ab\\u00fc...\"");
    expect_json("ab\xc3\xbc""d", 5, 9, "\"ab\\u00fcd\"");
    expect_json("a\"b", 3, 2, "\"a...\"");
    expect_json("a\"b", 3, 3, "\"a\\\"...\"");
    expect_json("\xf0\x9f\x9a\xaa", 4, 11, "\"...\""); /* no half of a pair */
    expect_json("\xf0\x9f\x9a\xaa", 4, 12, "\"\\ud83d\\udeaa\"");
    expect_json("\xff\xff", 2, 11, "\"\\ufffd...\"");
    expect_json("abc", 3, 0, "\"...\"");
    char buffer[16];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_json(&text, NULL, 0, 10);
    cr_expect_str_eq(buffer, "null");
}

Test(text, printable_is_from_blank_to_tilde_wherever_it_stands)
{
    static const char ODD[] = {'\0', '\n', 0x1f, 0x7f, (char)0x80, (char)0xff};
    for (size_t len = 1; len <= 19; len++) {
        for (size_t at = 0; at < len; at++) {
            char bytes[20];
            memset(bytes, at % 2 ? ' ' : '~', sizeof(bytes));
            cr_assert(text_is_printable(bytes, len));
            for (size_t i = 0; i < sizeof(ODD); i++) {
                bytes[at] = ODD[i];
                cr_assert_not(text_is_printable(bytes, len), "%#x at %zu of %zu", (unsigned char)ODD[i], at, len);
            }
        }
    }
    cr_assert(text_is_printable("", 0));
}

/* Each byte at each place of strings shorter and longer than what is looked at at once, alone and with one like it or beyond ASCII behind. */
Test(text, json_plain_ends_at_the_first_byte_that_needs_more)
{
    enum { LENGTHS = 20 };
    static const uint8_t behind[] = {'x', '"', 0xff};
    uint8_t bytes[LENGTHS];
    for (size_t len = 1; len < LENGTHS; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                const bool plain = byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\';
                const uint8_t next = behind[(len + at + byte) % sizeof(behind)];
                memset(bytes, 'x', sizeof(bytes));
                bytes[at] = (uint8_t)byte;
                if (at + 1 < len)
                    bytes[at + 1] = next;
                const size_t expected = !plain ? at : at + 1 < len && next != 'x' ? at + 1 : len;
                cr_assert_eq(text_json_plain(bytes, len), expected, "%u at %zu of %zu", byte, at, len);
            }
        }
    }
    cr_assert_eq(text_json_plain(bytes, 0), 0);
}

Test(text, clean_shortens_in_the_middle)
{
    static const struct {
        const char *from;
        size_t max;
        const char *expected;
    } rows[] = {{"abcdef", 6, "abcdef"},      {"abcdefghij", 9, "abc...hij"}, {"abcdefghij", 8, "abc...ij"}, {"a\r\n\x1b\xc3\xbcz", 20, "a?????z"},
                {"abcdefghij", 3, "..."}, {"abcdefghij", 1, "."},         {"abc", 0, ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[32];
        struct text text;
        text_init(&text, buffer, sizeof(buffer));
        text_add_clean(&text, rows[i].from, strlen(rows[i].from), rows[i].max);
        cr_expect_str_eq(buffer, rows[i].expected);
    }
}

Test(text, never_writes_past_its_end)
{
    char buffer[9] = "########";
    struct text text;
    text_init(&text, buffer, 6);
    text_add(&text, "abc");
    cr_expect(!text.cut);
    text_format(&text, "%d", 12345);
    cr_expect(text.cut && text.len == 5);
    cr_expect_str_eq(buffer, "abc12");
    text_add_char(&text, 'x');
    text_add_json(&text, "y", 1, 1);
    cr_expect_str_eq(buffer, "abc12");
    cr_expect_eq(buffer[6], '#');
    cr_expect(text_copy(buffer, 4, "abc", 3) && !text_copy(buffer, 3, "abc", 3));
    cr_expect_str_eq(buffer, "ab");
}

Test(text, distance)
{
    cr_expect_eq(text_distance("", ""), 0);
    cr_expect_eq(text_distance("adress", "address"), 1);
    cr_expect_eq(text_distance("kitten", "sitting"), 3);
    cr_expect_eq(text_distance("", "abc"), 3);
    char a[200], b[200];
    memset(a, 'a', 199);
    memset(b, 'b', 199);
    a[199] = b[199] = '\0';
    cr_expect_eq(text_distance(a, b), 64);
}

Test(number, plain)
{
    uint64_t out = 7;
    cr_expect(number_read(&out, "0", 1, 0) && out == 0);
    cr_expect(number_read(&out, "18446744073709551615", 20, UINT64_MAX) && out == UINT64_MAX);
    cr_expect(number_read(&out, "65535", 5, 65535) && out == 65535);
    static const char *const bad[] = {"", "01", "00", "+1", "-1", " 1", "1 ", "1x", "0x1", "65536", "18446744073709551616", "184467440737095516150"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!number_read(&out, bad[i], strlen(bad[i]), 65535) && out == 65535, "%s", bad[i]);
    cr_expect(!number_read(&out, "18446744073709551616", 20, UINT64_MAX));
    cr_expect(!number_read(&out, "9", 1, 5));
}

Test(number, sizes_and_times)
{
    uint64_t out = 1;
    cr_expect(number_read_size(&out, "64K", 3) && out == 65536);
    cr_expect(number_read_size(&out, "2G", 2) && out == UINT64_C(2147483648));
    cr_expect(number_read_size(&out, "17", 2) && out == 17);
    cr_expect(!number_read_size(&out, "64k", 3) && !number_read_size(&out, "K", 1) && !number_read_size(&out, "1KB", 3) && out == 17);
    cr_expect(!number_read_size(&out, "17179869184G", 12), "2^64 does not fit");
    cr_expect(number_read_duration_ms(&out, "250ms", 5) && out == 250);
    cr_expect(number_read_duration_ms(&out, "8h", 2) && out == 8 * 3600 * 1000);
    cr_expect(number_read_duration_ms(&out, "1d", 2) && out == 86400 * 1000);
    cr_expect(number_read_duration_ms(&out, "0", 1) && out == 0);
    cr_expect(!number_read_duration_ms(&out, "5", 1) && !number_read_duration_ms(&out, "5 s", 3) && !number_read_duration_ms(&out, "s", 1));
    cr_expect(!number_read_duration_ms(&out, "213503982335d", 13), "2^64 ms do not fit");
}

Test(number, rates)
{
    static const struct {
        const char *text;
        struct rate rate;
        const char *normal;
    } good[] = {
        {"2G/h", {UINT64_C(2) << 30, 3600 * 1000}, "2G/h"},
        {"1/s", {1, 1000}, "1/s"},
        {"2048K/m", {2 << 20, 60 * 1000}, "2M/m"},
        {"1500/d", {1500, 86400 * 1000}, "1500/d"},
    };
    static const char *const bad[] = {"0/s", "0K/h", "2G", "2G/", "/h", "2G/ms", "2G/2h", "2G/w", "2G /h", "2G/ h",
                                      "2g/h", "-1/s", "2G/h ", "2G/h/h", "17179869184G/h", ""};
    char buf[NUMBER_RATE_TEXT_MAX];
    struct rate rate = {7, 7};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!number_read_rate(&rate, bad[i], strlen(bad[i])) && rate.amount == 7 && rate.span_ms == 7, "%s", bad[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_expect(number_read_rate(&rate, good[i].text, strlen(good[i].text)), "%s", good[i].text);
        cr_expect(rate.amount == good[i].rate.amount && rate.span_ms == good[i].rate.span_ms, "%s", good[i].text);
        cr_expect_str_eq(number_rate_text(&rate, buf), good[i].normal);
    }
    cr_expect(number_read_rate(&rate, "1/sh", 3) && rate.span_ms == 1000, "no further than its length");
    cr_expect_str_eq(number_rate_text(&(struct rate){UINT64_MAX, 86400 * 1000}, buf), "18446744073709551615/d");
}

Test(number, days)
{
    uint32_t day = 1;
    cr_expect(number_read_day(&day, "1970-01-01", 10) && day == 0);
    cr_expect(number_read_day(&day, "2026-11-21", 10) && day == 20778);
    cr_expect(number_read_day(&day, "2000-02-29", 10) && day == 11016);
    static const char *const bad[] = {"2027-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-1-01", "26-01-01",
                                      "2026/01/01", "2026-01-0x", "1969-12-31", "2026-01-01 ", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!number_read_day(&day, bad[i], strlen(bad[i])) && day == 11016, "%s", bad[i]);
    for (uint64_t d = 0; d < 60000; d += 13) {
        char text[CLOCK_TEXT_MAX];
        clock_text(d * 86400 * 1000000, text);
        cr_assert(number_read_day(&day, text, 10) && day == d, "%s", text);
    }
}

Test(clock, text_and_day)
{
    char text[CLOCK_TEXT_MAX];
    cr_expect_str_eq(clock_text(0, text), "1970-01-01T00:00:00.000000Z");
    cr_expect_str_eq(clock_text(UINT64_C(1795304957123456), text), "2026-11-21T23:49:17.123456Z");
    cr_expect_str_eq(clock_text(UINT64_MAX, text), "9999-12-31T23:59:59.999999Z");
    cr_expect_eq(clock_day(UINT64_C(1795304957123456)), 20778);
    uint64_t before = clock_monotonic_ms();
    cr_expect(clock_monotonic_ms() >= before && clock_wall_us() > UINT64_C(1600000000000000));
}

Test(ulid, shape)
{
    char id[ULID_TEXT_MAX], last[ULID_TEXT_MAX] = "";
    struct ulid read;
    for (int i = 0; i < 200; i++) {
        ulid_make(id, UINT64_C(1469918176385000), 0x7c1f + ULID_MARKS); /* the time of the specification's example */
        cr_assert_eq(strlen(id), 26);
        cr_assert_eq(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
        cr_assert(strncmp(id, "01ARYZ6S41", 10) == 0, "%s", id);
        cr_assert(ulid_read(&read, id) && ulid_wall_us(&read) == UINT64_C(1469918176385000) && ulid_mark(&read) == 0x7c1f);
        cr_assert_str_eq(id + 23, "Z0Z");
        cr_assert_str_neq(id, last);
        memcpy(last, id, sizeof(id));
    }
}

Test(ulid, is_read_and_written)
{
    static const struct { const char *text; struct ulid ulid; } rows[] = {
        {"00000000000000000000000001", {0, 1}},
        {"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", {UINT64_MAX, UINT64_MAX}},
        {"01ARYZ6S41TSV4RRFFQ69G5FAV", {UINT64_C(0x01563df36481d676), UINT64_C(0x4c61efb99302bd5b)}}, /* of the specification's example */
    };
    char text[ULID_TEXT_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ulid ulid;
        cr_expect(ulid_read(&ulid, rows[i].text));
        cr_expect(ulid.high == rows[i].ulid.high && ulid.low == rows[i].ulid.low, "%s", rows[i].text);
        ulid_text(text, &rows[i].ulid);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(ulid, is_not_read_from_other_characters)
{
    static const char *const rows[] = {"80000000000000000000000000", "01ARYZ6S41TSV4RRFFQ69G5FAU", "01aRYZ6S41TSV4RRFFQ69G5FAV",
                                       "00000000000000000000000000", "01ARYZ6S41TSV4RRFFQ69G5FA", "01ARYZ6S41-TSV4RRFFQ69G5FAV"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ulid ulid = {1, 1};
        cr_expect_not(ulid_read(&ulid, rows[i]), "%s", rows[i]);
        cr_expect(ulid.high == 0 && ulid.low == 0);
    }
}

static void *make_id(void *out)
{
    ulid_make(out, 0, 0);
    return NULL;
}

Test(ulid, threads_do_not_share_random_bytes)
{
    char ids[2][ULID_TEXT_MAX];
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, make_id, ids[i]), 0);
        pthread_join(thread, NULL);
    }
    cr_expect_str_neq(ids[0], ids[1]);
}

/* Bytes are loaded eight at a time. */
Test(hash, is_the_same_wherever_the_bytes_lie)
{
    char name[] = "........agent.buildkite.com";
    uint64_t expected = hash_bytes("agent.buildkite.com", 19, 0);
    for (size_t at = 8; at > 0; at--) {
        memmove(name + at - 1, name + at, 19);
        cr_expect_eq(hash_bytes(name + at - 1, 19, 0), expected);
    }
}

Test(hash, depends_on_every_byte_and_the_seed)
{
    char bytes[40] = {0};
    uint64_t plain = hash_bytes(bytes, sizeof(bytes), 0);
    cr_expect_eq(plain, hash_bytes(bytes, sizeof(bytes), 0));
    cr_expect_neq(plain, hash_bytes(bytes, sizeof(bytes), 1));
    cr_expect_neq(plain, hash_bytes(bytes, sizeof(bytes) - 1, 0));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        cr_expect_neq(plain, hash_bytes(bytes, sizeof(bytes), 0));
        bytes[i] = 0;
    }
    cr_expect_neq(hash_seed(), hash_seed());
}

/* The examples of FIPS 180-2, and nothing. */
Test(sha256, known_answers)
{
    static const struct {
        const char *bytes, *digits;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    struct sha256 *hash = sha256_new();
    cr_assert(hash != NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].bytes);
        uint8_t whole[SHA256_SIZE], pieces[SHA256_SIZE];
        char digits[2 * SHA256_SIZE + 1];
        cr_assert(sha256_of(whole, rows[i].bytes, len));
        for (size_t at = 0; at < SHA256_SIZE; at++)
            snprintf(digits + 2 * at, 3, "%02x", whole[at]);
        cr_expect_str_eq(digits, rows[i].digits);
        sha256_init(hash);
        sha256_add(hash, rows[i].bytes, len / 3);
        sha256_add(hash, rows[i].bytes + len / 3, len - len / 3);
        cr_assert(sha256_final(hash, pieces));
        cr_expect_arr_eq(pieces, whole, SHA256_SIZE);
    }
    sha256_free(hash);
}

static void keep_line(void *arg, const char *line, size_t len)
{
    text_add_bytes(arg, line, len);
}

Test(log, lines_are_clean_and_bounded)
{
    char buffer[4096], longer[2000];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    log_set_sink(keep_line, &text);
    log_info("%d listeners", 2);
    log_warn("odd \x1b[2J name\nexeat: forged");
    log_error("gone");
    cr_expect_str_eq(buffer, "exeat: 2 listeners\nexeat: warning: odd ?[2J name?exeat: forged\nexeat: error: gone\n");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    text_init(&text, buffer, sizeof(buffer));
    log_info("%s", longer);
    log_set_sink(NULL, NULL);
    cr_expect(text.len <= LOG_LINE_MAX && buffer[text.len - 1] == '\n' && strlen(buffer) == text.len);
}

static void *expect_default_sink(void *arg)
{
    struct text *text = arg;
    size_t before = text->len;
    log_set_sink(NULL, NULL);
    log_info("from another thread, on standard error");
    return text->len == before ? arg : NULL;
}

Test(log, each_thread_has_its_own_sink)
{
    char buffer[256];
    struct text text;
    pthread_t thread;
    void *result;
    text_init(&text, buffer, sizeof(buffer));
    log_set_sink(keep_line, &text);
    cr_assert_eq(pthread_create(&thread, NULL, expect_default_sink, &text), 0);
    pthread_join(thread, &result);
    cr_expect(result == &text, "the other thread wrote into this one's sink");
    log_info("mine");
    log_set_sink(NULL, NULL);
    cr_expect_str_eq(buffer, "exeat: mine\n");
}

/* Adds what is there, until nothing comes any more, to `len` bytes that were read before. */
static char *drain(int fd, size_t *len)
{
    static char all[1 << 20];
    ssize_t got;
    while ((got = read(fd, all + *len, sizeof(all) - 1 - *len)) > 0)
        *len += (size_t)got;
    all[*len] = '\0';
    return all;
}

Test(log_writer, writes_every_line_in_order)
{
    int ends[2];
    size_t len = 0;
    char line[32];
    cr_assert_eq(pipe(ends), 0);
    struct log_writer *writer = log_writer_start(ends[1]);
    cr_assert(writer != NULL);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "line %d\n", i);
        log_writer_put(writer, line, strlen(line));
    }
    log_writer_stop(writer, 5000);
    close(ends[1]);
    char *at = drain(ends[0], &len);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "line %d\n", i);
        cr_assert(strncmp(at, line, strlen(line)) == 0, "line %d is not there", i);
        at += strlen(line);
    }
    cr_expect_eq(*at, '\0');
}

/* Lines, and those that notes between them tell of. */
static void count_lines(const char *at, unsigned *kept, unsigned *dropped)
{
    *kept = *dropped = 0;
    for (const char *newline; (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
        unsigned lost = 0;
        if (sscanf(at, "exeat: warning: %u log lines were dropped", &lost) == 1)
            *dropped += lost;
        else
            ++*kept;
    }
}

Test(log_writer, a_stuck_reader_blocks_nobody, .timeout = 20)
{
    int ends[2];
    size_t len = 0;
    char line[1001];
    unsigned kept = 0, dropped = 0;
    cr_assert_eq(pipe(ends), 0);
    struct log_writer *writer = log_writer_start(ends[1]);
    cr_assert(writer != NULL);
    memset(line, 'x', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    uint64_t start = clock_monotonic_ms();
    for (int i = 0; i < 500; i++) /* far more than pipe and ring hold together */
        log_writer_put(writer, line, sizeof(line) - 1);
    cr_expect(clock_monotonic_ms() - start < 2000, "put waited for the reader");

    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    /* the reader is back, and reads on: the loss is told without another line coming */
    for (; kept + dropped < 500; usleep(2000))
        count_lines(drain(ends[0], &len), &kept, &dropped);
    log_writer_stop(writer, 5000);
    close(ends[1]);
    count_lines(drain(ends[0], &len), &kept, &dropped);
    cr_expect(dropped > 0 && kept + dropped == 500, "%u lines kept, %u dropped", kept, dropped);
}

Test(log_writer, stop_leaves_a_stuck_thread_behind, .timeout = 20)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], "x", 1) == 1) /* the pipe is full before the first line comes */
        ;
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
    struct log_writer *writer = log_writer_start(ends[1]);
    cr_assert(writer != NULL);
    log_writer_put(writer, "line\n", 5);
    uint64_t start = clock_monotonic_ms();
    log_writer_stop(writer, 100);
    uint64_t waited = clock_monotonic_ms() - start;
    cr_expect(waited >= 90 && waited < 3000, "waited %llu ms", (unsigned long long)waited);
    close(ends[0]); /* lets the thread end by EPIPE, which must not kill the process */
    usleep(50000);
}

Test(field, a_line_has_just_so_many)
{
    struct field fields[3];
    cr_assert(field_split(fields, 3, "a  bc", 5, ' '));
    cr_expect(field_is(&fields[0], "a") && field_is(&fields[1], "") && field_is(&fields[2], "bc") && !field_is(&fields[2], "b"));
    cr_expect(field_split(fields, 1, "", 0, ' ') && fields[0].len == 0);
    cr_expect(!field_split(fields, 3, "a b", 3, ' ') && !field_split(fields, 3, "a b c d", 7, ' ') && !field_split(fields, 3, "a b ", 3, ' '));
    cr_expect(!field_split(fields, 2, "a\0 b", 4, ' '));
}

Test(memo, what_is_written_is_read_as_often_as_one_likes)
{
    size_t len = 0;
    const int fd = memo_write("test", "words\0more", 10);
    for (int times = 0; times < 2; times++) {
        char *read = memo_read(fd, 10, &len);
        cr_assert(read != NULL && len == 10 && memcmp(read, "words\0more", 11) == 0);
        free(read);
    }
    cr_expect(memo_read(fd, 9, &len) == NULL && memo_read(-1, 9, &len) == NULL);
    close(fd);
    int ends[2];
    cr_assert(pipe(ends) == 0);
    cr_expect(memo_read(ends[0], 10, &len) == NULL, "nobody waits for what may never come");
    close(ends[0]);
    close(ends[1]);
}
