/* The traps of inih that the reader stands before, one test each. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/ini_reader.h"

/* What the file said, a line each: `3 [section]`, `4 key=value`, `5 key+value` for an indented line, `6 ! fault`. */
static char said[1 << 16];
static struct text out;

static bool note_item(void *arg, const struct ini_item *item)
{
    (void)arg;
    if (item->key == NULL)
        text_format(&out, "%u [%s]\n", item->line, item->section);
    else
        text_format(&out, "%u %s%s%s\n", item->line, item->key, item->continued ? "+" : "=", item->value);
    return true;
}

static void note_fault(void *arg, unsigned line, const char *what)
{
    (void)arg;
    text_format(&out, "%u ! %s\n", line, what);
}

static bool read_bytes(const char *bytes, size_t len)
{
    static const struct ini_events EVENTS = {.item = note_item, .fault = note_fault};
    text_init(&out, said, sizeof(said));
    return ini_read(bytes, len, &EVENTS);
}

static bool read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

Test(ini_reader, sections_keys_and_lines)
{
    cr_expect(read_text("[a b]\nkey = value\n\n  more\n[c]\n\n[  d   e  ]\nk=v"));
    cr_expect_str_eq(said, "1 [a b]\n2 key=value\n4 key+more\n5 [c]\n7 [d   e]\n8 k=v\n");
}

Test(ini_reader, nothing_is_no_fault)
{
    cr_expect(read_text(""));
    cr_expect(read_text("\n\n  ; a comment\n# another"));
    cr_expect_str_eq(said, "");
}

Test(ini_reader, comments_stand_at_the_start_or_behind_a_blank)
{
    cr_expect(read_text("[a] ; one\n# two\nk = v ; three\n   w # four\n   ; five\nl = a;b#c\nm =;x\nn = ; y\n"));
    cr_expect_str_eq(said, "1 [a]\n3 k=v\n4 k+w\n6 l=a;b#c\n7 m=;x\n8 n=\n");
}

Test(ini_reader, byte_order_mark_and_crlf_are_taken_off)
{
    cr_expect(read_text("\xef\xbb\xbf[a]\r\nkey = value\r\n  more \r\n"));
    cr_expect_str_eq(said, "1 [a]\n2 key=value\n3 key+more\n");
}

Test(ini_reader, nul_hides_nothing)
{
    cr_expect_not(read_bytes("[a]\nk = v\0w\nl = x\n", 18));
    cr_expect_str_eq(said, "1 [a]\n2 ! a NUL byte; allowed: text\n3 l=x\n");
}

Test(ini_reader, control_characters_even_in_comments)
{
    cr_expect_not(read_text("[a]\nk = v\001\n; \x1b[2J\nl\tm = 1\rx\n"));
    cr_expect_str_eq(said, "1 [a]\n2 ! a control character; allowed: text\n3 ! a control character; allowed: text\n"
                           "4 ! a control character; allowed: text\n");
}

/* inih itself goes on in the section before a broken one. */
Test(ini_reader, what_follows_a_broken_section_belongs_nowhere)
{
    cr_expect_not(read_text("[a]\nk = 1\n[b\nk = 2\nno key\n  more\n[c]\nk = 3\n"));
    cr_expect_str_eq(said, "1 [a]\n2 k=1\n3 ! a section without its ]; allowed: [KIND] or [KIND NAME]\n7 [c]\n8 k=3\n");
}

Test(ini_reader, indented_lines_need_a_key)
{
    cr_expect_not(read_text("[a]\n  k = 1\n"));
    cr_expect_str_eq(said, "1 [a]\n2 ! an indented line goes on with the key above it, and there is none; keys begin at the start of a line\n");
}

Test(ini_reader, an_indented_section_is_no_value)
{
    cr_expect_not(read_text("[a]\nk = 1\n  [b]\nk = 2\n  [::]:1\n"));
    cr_expect_str_eq(said, "1 [a]\n2 k=1\n3 ! an indented line goes on with the key above it; a section begins at the start of a line\n");
}

/* A colon is no `=` (to inih it is), and a value may hold both. */
Test(ini_reader, only_an_equals_sign_parts_key_and_value)
{
    cr_expect_not(read_text("[a]\nk: v\nl = a:b=c\n2001:db8::/32\n"));
    cr_expect_str_eq(said, "1 [a]\n2 ! a key without its =; allowed: KEY = VALUE\n3 l=a:b=c\n4 ! a key without its =; allowed: KEY = VALUE\n");
}

Test(ini_reader, names_that_inih_would_cut)
{
    char text[256];
    snprintf(
        text, sizeof(text), "[%.48s]\n%.48s = 1\n"
        "", "clients-123456789012345678901234567890123456789012", "k23456789012345678901234567890123456789012345678901");
    cr_expect(read_text(text));
    cr_expect_str_eq(said, "1 [clients-1234567890123456789012345678901234567890]\n2 k23456789012345678901234567890123456789012345678=1\n");
    snprintf(
        text, sizeof(text), "[a]\n%.49s = 1\n[%.49s]\n"
        "", "k23456789012345678901234567890123456789012345678901", "clients-123456789012345678901234567890123456789012");
    cr_expect_not(read_text(text));
    cr_expect_str_eq(
        said, "1 [a]\n2 ! not a key; allowed: KEY = VALUE\n"
        "3 ! not a section; allowed: [KIND] or [KIND NAME] with a NAME of 1 to 40 of a-z A-Z 0-9 . _ -\n");
}

/* Every length around the cuts, of values with and without blanks where a cut may fall. */
Test(ini_reader, long_values_come_back_whole)
{
    static char text[6000], expected[6100];
    for (unsigned blank = 0; blank <= 3; blank++) {
        for (size_t len = 1; len < 4096; len += len < 800 ? 1 : 97) {
            struct text value;
            text_init(&value, text, sizeof(text));
            text_add(&value, "[s]\nkey = ");
            for (size_t i = 0; i < len; i++)
                text_add_char(&value, blank && i % (blank + 2) == blank && i + 1 < len ? ' ' : (char)('a' + i % 26));
            snprintf(expected, sizeof(expected), "1 [s]\n2 key=%s\n", text + 10);
            cr_assert(read_text(text));
            cr_assert_str_eq(said, expected, "a value of %zu characters", len);
        }
    }
}

Test(ini_reader, long_continuations_come_back_whole)
{
    static char text[2048], expected[2048];
    char name[254];
    memset(name, 'n', 253);
    name[253] = '\0';
    snprintf(text, sizeof(text), "[s]\nhost = %s a\n   %s %s b\n", name, name, name);
    snprintf(expected, sizeof(expected), "1 [s]\n2 host=%s a\n3 host+%s %s b\n", name, name, name);
    cr_expect(read_text(text));
    cr_expect_str_eq(said, expected);
}

Test(ini_reader, a_line_has_a_bound)
{
    size_t len = INI_LINE_MAX + 8;
    char *text = malloc(len);
    memset(text, 'x', len);
    memcpy(text, "[s]\nk =", 7);
    cr_expect_not(read_bytes(text, len));
    cr_expect_str_eq(said, "1 [s]\n2 ! a line of more than 1 MiB; allowed: a list may go on in indented lines\n");
    free(text);
}

static bool refuse_item(void *arg, const struct ini_item *item)
{
    (void)item;
    return ++*(unsigned *)arg < 2;
}

static void count_fault(void *arg, unsigned line, const char *what)
{
    (void)line;
    (void)what;
    *(unsigned *)arg += 100;
}

Test(ini_reader, a_refused_item_is_a_fault)
{
    unsigned count = 0;
    struct ini_events events = {.arg = &count, .item = refuse_item, .fault = count_fault};
    cr_expect_not(ini_read("[a]\nk = v\n", 10, &events));
    cr_expect_eq(count, 102);
}
