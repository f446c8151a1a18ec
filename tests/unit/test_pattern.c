/* What an operator may write as a pattern, and what it covers. */
#include <criterion/criterion.h>
#include <string.h>

#include "data.h"
#include "policy/pattern.h"

static bool read_text(struct pattern *pattern, const char *text, const char **why)
{
    return pattern_read(pattern, text, strlen(text), why);
}

static bool read_member(struct pattern *pattern, const json_t *row, const char **why)
{
    const json_t *value = json_object_get(row, "pattern");
    return pattern_read(pattern, json_string_value(value), json_string_length(value), why);
}

/* The vectors have host fields apart from network fields; here a network is a pattern that covers no name. */
static const char *verdict_of(const json_t *row)
{
    struct pattern pattern;
    struct host host;
    const char *why;
    const json_t *value = json_object_get(row, "host");
    host_read(&host, json_string_value(value), json_string_length(value), false);
    if (!read_member(&pattern, row, &why))
        return "invalid-pattern";
    if (pattern.kind == PATTERN_NETWORK)
        return pattern_matches(&pattern, &host) ? "match" : "invalid-pattern";
    if (host.kind == HOST_BAD)
        return "invalid-host";
    return pattern_matches(&pattern, &host) ? "match" : "nomatch";
}

Test(pattern, vectors)
{
    FILE *file = data_open("vectors/hostmatch.jsonl");
    unsigned count = 0;
    for (json_t *row; (row = data_next(file)); json_decref(row)) {
        const char *got = verdict_of(row);
        cr_expect_str_eq(got, data_text(row, "expect_multi"), "%s: pattern %s, host %s: %s (%s)", data_text(row, "id"), data_text(row, "pattern"),
                         data_text(row, "host"), got, data_text(row, "why"));
        count++;
    }
    fclose(file);
    cr_expect(count > 80);
}

struct example {
    const char *text;
    enum pattern_kind kind;
    const char *name; /* the normal form, or a word of the fault */
};

static const struct example examples[] = {
    {"Example.COM.", PATTERN_EXACT, "example.com"},
    {"*.Example.com.", PATTERN_BELOW, "example.com"},
    {"*.co.uk", PATTERN_BELOW, "co.uk"}, /* a lint's business */
    {"*.s3.amazonaws.com", PATTERN_BELOW, "s3.amazonaws.com"},
    {"*.internal", PATTERN_BELOW, "internal"},
    {"*.corp", PATTERN_BELOW, "corp"},
    {"-bucket.example", PATTERN_EXACT, "-bucket.example"},
    {"m\xc3\xbcnchen.example", PATTERN_EXACT, "xn--mnchen-3ya.example"},
    {"xn--i-7iq.ws", PATTERN_EXACT, "xn--i-7iq.ws"}, /* registered before IDNA 2008 */
    {"a\xe3\x80\x82" "example", PATTERN_EXACT, "a.example"}, /* an ideographic full stop */
    {"10.0.0.0/8", PATTERN_NETWORK, "10.0.0.0/8"},
    {"192.0.2.1", PATTERN_NETWORK, "192.0.2.1"},
    {"2001:DB8::/32", PATTERN_NETWORK, "2001:db8::/32"},

    {"*", PATTERN_BAD, "every host"},
    {"*.*", PATTERN_BAD, "whole labels in front"},
    {"*.*.example", PATTERN_BAD, "whole labels in front"},
    {"*example.com", PATTERN_BAD, "whole labels in front"},
    {"a.*", PATTERN_BAD, "whole labels in front"},
    {"*.", PATTERN_BAD, "not a name"},
    {"*..example", PATTERN_BAD, "not a name"},
    {"\xef\xbc\x8a.com", PATTERN_BAD, "not a name"}, /* a full-width star, which UTS 46 folds to * */
    {"*.com", PATTERN_BAD, "top-level"},
    {"*.COM.", PATTERN_BAD, "top-level"},
    {"*.\xd1\x80\xd1\x84", PATTERN_BAD, "top-level"},
    {"", PATTERN_BAD, "empty"},
    {"a b", PATTERN_BAD, "blank"},
    {"a\x7f", PATTERN_BAD, "control"},
    {"example.com:443", PATTERN_BAD, "port"},
    {"192.0.2.1:443", PATTERN_BAD, "port"},
    {"[2001:db8::1]", PATTERN_BAD, "brackets"},
    {"2001:db8:::1", PATTERN_BAD, "IPv6"},
    {"https://example.com", PATTERN_BAD, "scheme"},
    {"example.com/a", PATTERN_BAD, "path"},
    {"user@example.com", PATTERN_BAD, "user"},
    {"10.0.0.1/8", PATTERN_BAD, "host bits"},
    {"10.0.0.0/33", PATTERN_BAD, "prefix"},
    {"::ffff:192.0.2.1", PATTERN_BAD, "IPv4 inside"},
    {"010.0.0.1", PATTERN_BAD, "not a name"},
    {"10/8", PATTERN_BAD, "CIDR"},
    {"*.10.0.0.1", PATTERN_BAD, "not a name"},
    {"\xef\xbc\x91" "27.0.0.1", PATTERN_BAD, "not a name"}, /* 127.0.0.1 with a full-width one */
    {"xn--.example", PATTERN_BAD, "Punycode"},
    {"xn--zzzzzzzzzzzzz99999.example", PATTERN_BAD, "Punycode"},
    {"\xc3(.example", PATTERN_BAD, "UTF-8"},
};

Test(pattern, examples)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const struct example *example = &examples[i];
        struct pattern pattern;
        char network[NETWORK_TEXT_MAX];
        const char *why;
        bool good = read_text(&pattern, example->text, &why);
        cr_expect_eq(pattern.kind, example->kind, "%s: %s", example->text, why ? why : "");
        cr_expect_eq(good, example->kind != PATTERN_BAD);
        if (!good)
            cr_expect(strstr(why, example->name) != NULL, "%s: \"%s\" does not say \"%s\"", example->text, why, example->name);
        else
            cr_expect_str_eq(pattern.kind == PATTERN_NETWORK ? network_text(&pattern.network, network) : pattern.name, example->name);
    }
}

Test(pattern, host_bits_leave_what_was_written)
{
    struct pattern pattern;
    const char *why;
    char text[NETWORK_TEXT_MAX];
    cr_assert_not(read_text(&pattern, "10.1.2.3/8", &why));
    network_mask(&pattern.network);
    cr_expect_str_eq(network_cidr_text(&pattern.network, text), "10.0.0.0/8");
}

Test(pattern, long_texts_end_in_a_fault)
{
    char text[4096];
    struct pattern pattern;
    const char *why;
    memset(text, 'a', sizeof(text));
    for (size_t len = 200; len <= sizeof(text); len += 97)
        cr_expect_not(pattern_read(&pattern, text, len, &why));
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    for (size_t len = 400; len <= sizeof(text); len += 98)
        cr_expect_not(pattern_read(&pattern, text, len, &why));
}

/* A name is never held against a network, nor an address against a name. */
Test(pattern, kinds_do_not_mix)
{
    struct host address, name;
    struct pattern pattern;
    const char *why;
    host_read(&address, "192.0.2.1", 9, false);
    host_read(&name, "192.0.2.1.example", 17, false);
    cr_assert(read_text(&pattern, "0.0.0.0/0", &why));
    cr_expect(pattern_matches(&pattern, &address));
    cr_expect_not(pattern_matches(&pattern, &name));
    cr_assert(read_text(&pattern, "*.example", &why));
    cr_expect_not(pattern_matches(&pattern, &address));
    cr_expect(pattern_matches(&pattern, &name));
    struct host bad = {0};
    struct pattern zero = {0};
    cr_expect_not(pattern_matches(&pattern, &bad));
    cr_expect_not(pattern_matches(&zero, &bad));
}

/* It was tried as a name first. */
Test(pattern, a_network_has_no_name)
{
    static const char nothing[HOSTNAME_SIZE];
    struct pattern pattern;
    const char *why;
    cr_assert(read_text(&pattern, "2001:db8::/32", &why));
    cr_expect_eq(pattern.kind, PATTERN_NETWORK);
    cr_expect_arr_eq(pattern.name, nothing, sizeof(nothing));
}
