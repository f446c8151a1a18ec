/* The normal form of a host, by the vectors: CONNECT hosts, address literals, server names. */
#include <criterion/criterion.h>
#include <string.h>

#include "data.h"
#include "policy/hostname.h"

static size_t text_of(const json_t *row, const char *key, const char **text)
{
    const json_t *value = json_object_get(row, key);
    *text = json_is_string(value) ? json_string_value(value) : "";
    return json_is_string(value) ? json_string_length(value) : 0;
}

/* Splits brackets off as the CONNECT parser does: a first [ and a last ]. */
static enum host_kind read_authority(struct host *host, const char *text, size_t len)
{
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    return host_read(host, text + bracketed, len - (bracketed ? 2 : 0), bracketed);
}

Test(hostname, literals_of_the_vectors)
{
    FILE *file = data_open("vectors/address.jsonl");
    unsigned count = 0;
    for (json_t *row; (row = data_next(file)); json_decref(row)) {
        if (strcmp(data_text(row, "kind"), "literal") != 0)
            continue;
        const char *text, *strict = data_text(row, "strict");
        size_t len = text_of(row, "input", &text);
        struct host host;
        enum host_kind kind = read_authority(&host, text, len);
        enum host_kind wanted = !strcmp(strict, "ip") ? HOST_ADDRESS : !strcmp(strict, "name") ? HOST_NAME : HOST_BAD;
        cr_expect_eq(kind, wanted, "%s: %s is %u, not %s", data_text(row, "id"), text, kind, strict);
        if (wanted == HOST_ADDRESS)
            cr_expect_str_eq(host.name, data_text(row, "canonical"));
        count++;
    }
    fclose(file);
    cr_expect(count >= 45, "%u literals", count);
}

Test(hostname, hosts_of_the_match_vectors)
{
    FILE *file = data_open("vectors/hostmatch.jsonl");
    unsigned count = 0;
    for (json_t *row; (row = data_next(file)); json_decref(row)) {
        const char *text, *verdict = data_text(row, "expect_multi");
        size_t len = text_of(row, "host", &text);
        struct host host;
        bool bad = host_read(&host, text, len, false) == HOST_BAD;
        if (strcmp(verdict, "invalid-pattern") != 0)
            cr_expect_eq(bad, strcmp(verdict, "invalid-host") == 0, "%s: %s should be %s", data_text(row, "id"), text, verdict);
        count++;
    }
    fclose(file);
    cr_expect(count > 80);
}

/* The vectors write a byte of the wire as the character of that number. */
static size_t to_bytes(char *out, size_t size, const char *utf8)
{
    size_t len = 0;
    for (; *utf8 && len < size; utf8++) {
        unsigned char c = (unsigned char)*utf8;
        if (c >= 0xc0)
            c = (unsigned char)(c << 6 | (*++utf8 & 0x3f));
        out[len++] = (char)c;
    }
    return len;
}

Test(hostname, server_names_of_the_hello_vectors)
{
    FILE *file = data_open("vectors/client_hello.jsonl");
    unsigned good = 0, bad = 0;
    for (json_t *row; (row = data_next(file)); json_decref(row)) {
        const char *expect = data_text(row, "expect"), *utf8;
        bool name = strcmp(expect, "sni") == 0;
        if (text_of(row, "sni", &utf8) == 0 || (!name && strcmp(expect, "ip") != 0 && strcmp(expect, "badname") != 0))
            continue;
        if (strlen(utf8) != json_string_length(json_object_get(row, "sni")))
            utf8 = "nul\1in.it"; /* to_bytes() stops at NUL; any control does as well */
        char sni[2048], out[HOSTNAME_SIZE];
        size_t len = to_bytes(sni, sizeof(sni), utf8);
        cr_expect_eq(hostname_read(out, sni, len), name, "%s: %s is %s", data_text(row, "id"), utf8, expect);
        cr_expect_str_eq(out, data_text(row, "normalized"));
        good += name;
        bad += !name;
    }
    fclose(file);
    cr_expect(good > 50 && bad > 20, "%u good, %u bad", good, bad);
}

struct example {
    const char *text;
    const char *name; /* NULL: bad */
};

Test(hostname, limits_and_numbers)
{
    static const struct example examples[] = {
        {"Example.COM.", "example.com"}, {"a", "a"},           {"_dmarc.x", "_dmarc.x"}, {"-a.b-.c", "-a.b-.c"}, {"3com.example", "3com.example"},
        {"1.2.3.4.example", "1.2.3.4.example"}, {"0x7f.example", "0x7f.example"}, {"0xfg", "0xfg"}, {"1e3", "1e3"}, {"xn--", "xn--"},
        {"", NULL}, {".", NULL}, {"..", NULL}, {"a..b", NULL}, {"a..", NULL}, {"1", NULL}, {"a.1", NULL}, {"a.1.", NULL}, {"a.0x", NULL},
        {"a.0X1F", NULL}, {"010.1", NULL}, {"-1", NULL}, {"a.-0x1", NULL}, {"127.0.0.1.", NULL}, {"a b", NULL}, {"a%41", NULL}, {"a:1", NULL},
        {"\xc3\xbc.example", NULL}, {"*.example", NULL}, {"a/b", NULL}, {"a\\b", NULL},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        char out[HOSTNAME_SIZE];
        bool good = hostname_read(out, examples[i].text, strlen(examples[i].text));
        cr_expect_eq(good, examples[i].name != NULL, "%s", examples[i].text);
        cr_expect_str_eq(out, examples[i].name ? examples[i].name : "");
    }
}

Test(hostname, lengths)
{
    char text[300], out[HOSTNAME_SIZE];
    memset(text, 'a', sizeof(text));
    cr_expect(hostname_read(out, text, 63));
    cr_expect_not(hostname_read(out, text, 64));
    for (size_t i = 1; i < sizeof(text); i += 2)
        text[i] = '.';
    cr_expect(hostname_read(out, text, 253));
    cr_expect(hostname_read(out, text, 254), "253 and the trailing dot");
    cr_expect_not(hostname_read(out, text, 255));
    cr_expect_str_eq(out, "");
}

Test(hostname, brackets_are_for_ipv6_alone)
{
    static const struct {
        const char *text;
        bool bracketed;
        enum host_kind kind;
    } examples[] = {
        {"::1", true, HOST_ADDRESS},  {"::1", false, HOST_BAD},         {"192.0.2.1", false, HOST_ADDRESS}, {"192.0.2.1", true, HOST_BAD},
        {"name", true, HOST_BAD},     {"::ffff:192.0.2.1", true, HOST_ADDRESS}, {"", true, HOST_BAD},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct host host;
        cr_expect_eq(host_read(&host, examples[i].text, strlen(examples[i].text), examples[i].bracketed), examples[i].kind, "%s", examples[i].text);
        cr_expect_eq(host.kind, examples[i].kind);
        cr_expect_eq(address_is_set(&host.address), examples[i].kind == HOST_ADDRESS);
        cr_expect_eq(*host.name == '\0', examples[i].kind == HOST_BAD);
    }
}
