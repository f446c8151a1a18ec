/* The table of host patterns must say the same as pattern_matches() asked pattern by pattern. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/host_table.h"

#define PATTERNS 400
#define LISTS 7

static const char *const LABELS[] = {"a", "b", "ab", "x-1", "_s", "test"};

/* Names of one to five labels out of few, so that many are below others. */
static void random_name(char *out, size_t size, unsigned *seed)
{
    out[0] = '\0';
    for (int left = 1 + rand_r(seed) % 5; left > 0; left--) {
        size_t len = strlen(out);
        snprintf(out + len, size - len, "%s%s", len ? "." : "", LABELS[rand_r(seed) % 6]);
    }
}

struct held {
    struct pattern pattern;
    uint32_t list;
};

static struct host_table *random_table(struct held held[PATTERNS], unsigned *seed)
{
    struct host_table *table = host_table_new();
    for (size_t i = 0; i < PATTERNS; i++) {
        held[i].pattern = (struct pattern){.kind = rand_r(seed) % 2 ? PATTERN_EXACT : PATTERN_BELOW};
        random_name(held[i].pattern.name, sizeof(held[i].pattern.name), seed);
        held[i].list = (uint32_t)(rand_r(seed) % LISTS);
        cr_assert(host_table_add(table, &held[i].pattern, held[i].list));
    }
    cr_assert(host_table_seal(table));
    return table;
}

struct answer {
    unsigned times[LISTS];
};

static bool count_list(void *arg, uint32_t list)
{
    struct answer *answer = arg;
    cr_assert(list < LISTS);
    answer->times[list]++;
    return true;
}

static bool is_repeated(const struct held *held, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (held[i].list == held[index].list && held[i].pattern.kind == held[index].pattern.kind &&
            strcmp(held[i].pattern.name, held[index].pattern.name) == 0)
            return true;
    }
    return false;
}

Test(host_table, agrees_with_pattern_matches)
{
    unsigned seed = 3128;
    for (int round = 0; round < 20; round++) {
        struct held held[PATTERNS];
        struct host_table *table = random_table(held, &seed);
        for (int asked = 0; asked < 200; asked++) {
            struct host host = {.kind = HOST_NAME};
            random_name(host.name, sizeof(host.name), &seed);
            struct answer wanted = {{0}}, got = {{0}};
            for (size_t i = 0; i < PATTERNS; i++) {
                if (!is_repeated(held, i) && pattern_matches(&held[i].pattern, &host))
                    wanted.times[held[i].list]++;
            }
            host_table_find(table, host.name, count_list, &got);
            cr_expect_arr_eq(&got, &wanted, sizeof(got), "%s", host.name);
        }
        host_table_free(table);
    }
}

static void add_text(struct host_table *table, const char *text, uint32_t list)
{
    struct pattern pattern;
    const char *why;
    cr_assert(pattern_read(&pattern, text, strlen(text), &why), "%s: %s", text, why);
    cr_assert(host_table_add(table, &pattern, list));
}

static bool write_list(void *arg, uint32_t list)
{
    char *out = arg;
    sprintf(out + strlen(out), "%u ", list);
    return true;
}

static bool write_one(void *arg, uint32_t list)
{
    write_list(arg, list);
    return false;
}

static void expect_lists(const struct host_table *table, const char *name, const char *lists)
{
    char got[256] = "";
    host_table_find(table, name, write_list, got);
    cr_expect_str_eq(got, lists, "%s: %s", name, got);
}

Test(host_table, the_most_specific_pattern_comes_first)
{
    struct host_table *table = host_table_new();
    add_text(table, "*.example.com", 1);
    add_text(table, "*.b.example.com", 2);
    add_text(table, "a.b.example.com", 3);
    add_text(table, "*.a.b.example.com", 4);
    add_text(table, "a.b.example.com", 3);
    cr_assert(host_table_seal(table));
    expect_lists(table, "a.b.example.com", "3 2 1 ");
    expect_lists(table, "x.a.b.example.com", "4 2 1 ");
    expect_lists(table, "b.example.com", "1 ");
    expect_lists(table, "example.com", "");
    expect_lists(table, "aexample.com", "");
    expect_lists(table, "com", "");
    cr_expect_eq(host_table_count(table), 4);
    char got[256] = "";
    host_table_find(table, "a.b.example.com", write_one, got);
    cr_expect_str_eq(got, "3 ");
    host_table_free(table);
}

/* Chains are shared between patterns: growing one must not touch the other. */
Test(host_table, lists_of_one_pattern_stay_its_own)
{
    struct host_table *table = host_table_new();
    add_text(table, "one.example", 5);
    add_text(table, "two.example", 5);
    add_text(table, "one.example", 6);
    cr_assert(host_table_seal(table));
    expect_lists(table, "one.example", "6 5 ");
    expect_lists(table, "two.example", "5 ");
    host_table_free(table);
}

Test(host_table, a_name_in_thousands_of_lists)
{
    struct host_table *table = host_table_new();
    struct pattern pattern = {.kind = PATTERN_EXACT, .name = "shared.example"};
    for (uint32_t list = 0; list < 3000; list++)
        cr_assert(host_table_add(table, &pattern, list));
    struct pattern other = {.kind = PATTERN_EXACT, .name = "other.example"};
    for (uint32_t list = 0; list < 3000; list += 2)
        cr_assert(host_table_add(table, &other, list));
    cr_assert(host_table_seal(table));
    char *got = calloc(1, 32768);
    host_table_find(table, "other.example", write_list, got);
    cr_expect_eq(strncmp(got, "2998 2996 ", 10), 0);
    free(got);
    cr_expect_eq(host_table_count(table), 2);
    host_table_free(table);
}

/* So many that each tag stands in the table a hundred times, and runs of taken slots are long; and each name is found, for its list, and no other. */
Test(host_table, thousands_of_names)
{
    enum { NAMES = 30000 };
    struct host_table *table = host_table_new();
    char name[64], lists[32];
    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "%sn%u.example", i % 3 ? "" : "*.", i);
        add_text(table, name, i);
    }
    cr_assert(host_table_seal(table));
    cr_expect_eq(host_table_count(table), NAMES);
    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(lists, sizeof(lists), "%u ", i);
        snprintf(name, sizeof(name), "n%u.example", i);
        expect_lists(table, name, i % 3 ? lists : "");
        snprintf(name, sizeof(name), "deep.below.n%u.example", i);
        expect_lists(table, name, i % 3 ? "" : lists);
        snprintf(name, sizeof(name), "n%u.example", NAMES + i);
        expect_lists(table, name, "");
    }
    host_table_free(table);
}

static bool collect(void *arg, enum pattern_kind kind, const char *name, size_t len, uint32_t list)
{
    char *out = arg;
    sprintf(out + strlen(out), "%s%.*s:%u ", kind == PATTERN_BELOW ? "*." : "", (int)len, name, list);
    return true;
}

Test(host_table, each_tells_everything_in_order)
{
    struct host_table *table = host_table_new();
    char got[256] = "";
    add_text(table, "*.a.example", 2);
    add_text(table, "a.example", 1);
    add_text(table, "*.a.example", 3);
    add_text(table, "b.example", 1);
    cr_assert(host_table_seal(table));
    host_table_each(table, collect, got);
    cr_expect_str_eq(got, "*.a.example:3 *.a.example:2 a.example:1 b.example:1 ");
    host_table_free(table);
}

Test(host_table, nothing_is_in_an_empty_one)
{
    struct host_table *table = host_table_new();
    char got[256] = "";
    cr_assert(host_table_seal(table));
    host_table_each(table, collect, got);
    cr_expect_str_eq(got, "");
    expect_lists(table, "a.example", "");
    cr_expect_eq(host_table_count(table), 0);
    host_table_free(table);
}
