/* A configuration that is read beside the one that serves: what changed, in words, what takes a restart, and what is wrong with it. */
#include "config/candidate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_text.h"

#define LISTEN "[listen l]\naddress = 127.0.0.1:0\n"
#define CLIENTS "[clients builds]\nfrom = 10.0.0.0/8\n"
#define ROUTE "[route nat]\nsource = 127.0.0.1\n"
#define HOSTS "[hosts internal]\nhost = a.example b.example\n"
#define RULE "[rule r]\nto = @internal\n"
#define ALL LISTEN CLIENTS ROUTE HOSTS RULE

static char path[64], list_path[80];

static void write_at(const char *at, const char *text)
{
    FILE *file = fopen(at, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void begin(void)
{
    static char directory[] = "/tmp/exeat-candidate-XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/exeat.conf", directory);
    snprintf(list_path, sizeof(list_path), "%s/more.hosts", directory);
}

static void end(void)
{
    unlink(path);
    unlink(list_path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static struct candidate *serving(const char *text)
{
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    write_at(path, text);
    struct config *config = config_load(bundle, path, faults);
    cr_assert_not_null(config, "%s", fault_text(faults, 0));
    fault_list_free(faults);
    struct candidate *candidate = candidate_serving(bundle, config);
    cr_assert(candidate != NULL && candidate_store(candidate));
    return candidate;
}

static void expect_changes(const char *before, const char *after, const char *changes)
{
    struct candidate *now = serving(before);
    write_at(path, after);
    struct candidate *next = candidate_read(now, path, NULL);
    cr_assert_not_null(next);
    cr_assert_not_null(next->config, "%s", fault_text(next->faults, 0));
    cr_expect_str_eq(next->changes, changes);
    cr_expect_str_eq(next->digest, next->config->digest);
    candidate_free(next);
    candidate_free(now);
}

Test(candidate, says_what_changed, .init = begin, .fini = end)
{
    expect_changes(ALL, "# a comment\n" ALL, "nothing changed");
    expect_changes(ALL, ALL "[rule more]\nto = c.example\n", "rule more added");
    expect_changes(ALL "[rule more]\nto = c.example\n", ALL, "rule more removed");
    expect_changes(ALL, ALL "[clients few]\nfrom = 10.2.0.0/16\n", "clients few added");
    expect_changes(LISTEN CLIENTS "upload = 1G/h\n" ROUTE HOSTS RULE, LISTEN CLIENTS "upload = 2G/h\n" ROUTE HOSTS RULE, "clients builds upload changed");
    expect_changes(ALL, LISTEN "[clients builds]\nfrom = 10.0.0.0/8 192.0.2.0/24\n" ROUTE HOSTS RULE, "clients builds from: added 192.0.2.0/24");
    expect_changes(ALL, LISTEN CLIENTS ROUTE "[hosts internal]\nhost = b.example c.example d.example\n" RULE,
                   "hosts internal host: added c.example d.example, removed a.example");
    expect_changes(ALL, LISTEN CLIENTS ROUTE "[hosts internal]\nhost = a.example b.example 1.example 2.example 3.example 4.example\n" RULE,
                   "hosts internal host: added 1.example 2.example 3.example (and 1 more)");
    expect_changes(ALL, ALL "port = 443 444\n", "rule r port: added 444-444");
    expect_changes(ALL, ALL "ech = outer\n", "rule r ech changed");
    expect_changes(ALL, ALL "[limits]\nidle_timeout = 1h\n", "limits idle_timeout changed");
    expect_changes(ALL, LISTEN CLIENTS ROUTE "[hosts other]\nhost = a.example\n[rule r]\nto = @other\n",
                   "hosts other added; rule r to: added @other, removed @internal; hosts internal removed");
    expect_changes(LISTEN CLIENTS ROUTE "[rule a]\nto = a.example\n[rule b]\nto = b.example\n",
                   LISTEN CLIENTS ROUTE "[rule b]\nto = b.example\n[rule a]\nto = a.example\n", "rules in another order");
    expect_changes(LISTEN CLIENTS ROUTE "[rule a]\nto = a.example\n[rule b]\nto = b.example\n",
                   LISTEN CLIENTS ROUTE "[rule new]\nto = c.example\n[rule a]\nto = a.example\n[rule b]\nto = b.example\n", "rule new added");
}

/* What stands in a file means what it would mean in place, before and after. */
Test(candidate, reads_listed_files_anew, .init = begin, .fini = end)
{
    write_at(list_path, "a.example\n");
    struct candidate *now = serving(LISTEN CLIENTS ROUTE "[hosts internal]\nhost_file = more.hosts\n" RULE);
    write_at(list_path, "a.example\nb.example\n");
    struct candidate *next = candidate_read(now, path, NULL);
    cr_assert_not_null(next->config);
    cr_expect_str_eq(next->changes, "hosts internal host: added b.example");
    candidate_free(next);
    candidate_free(now);
}

/* As much as there is room for, and then how many more. */
Test(candidate, says_as_much_as_fits, .init = begin, .fini = end)
{
    char *text = NULL;
    size_t len = 0;
    FILE *after = open_memstream(&text, &len);
    fputs(ALL, after);
    for (int i = 0; i < 1000; i++)
        fprintf(after, "[rule number-%d]\nto = n%d.example\n", i, i);
    fclose(after);
    struct candidate *now = serving(ALL);
    write_at(path, text);
    struct candidate *next = candidate_read(now, path, NULL);
    cr_assert_not_null(next->config);
    const char *more = strstr(next->changes, "; and ");
    size_t named = 1, left = 0;
    cr_expect(strncmp(next->changes, "rule number-0 added; rule number-1 added; ", 42) == 0, "%s", next->changes);
    cr_assert(more != NULL && sscanf(more, "; and %zu more", &left) == 1, "%s", next->changes);
    for (const char *at = next->changes; (at = strstr(at, "; rule ")) != NULL; at++)
        named++;
    cr_expect_eq(named + left, 1000, "%zu are named, %zu more", named, left);
    free(text);
    candidate_free(next);
    candidate_free(now);
}

Test(candidate, goes_on_with_what_takes_a_restart, .init = begin, .fini = end)
{
    struct candidate *now = serving("[exeat]\nname = old\nworkers = 2\n" ALL "[audit]\nfile = old.jsonl\n");
    write_at(path, "[exeat]\nworkers = 3\n" ALL "[audit]\nfile = new.jsonl\non_failure = continue\n");
    struct candidate *next = candidate_read(now, path, NULL);
    cr_assert_not_null(next->config, "%s", fault_text(next->faults, 0));
    char *warnings = config_text_print(next->faults, false, true);
    cr_expect_str_eq(next->config->name, "old");
    cr_expect_eq(next->config->workers, 2);
    cr_expect_str_eq(strrchr(next->config->audit.file, '/'), "/old.jsonl");
    cr_expect_not(next->config->audit.continue_on_failure);
    cr_expect_str_eq(next->changes, "exeat workers changed, which takes a restart; audit file changed, which takes a restart; "
                                    "audit on_failure changed, which takes a restart; exeat name changed, which takes a restart");
    cr_expect_not_null(strstr(warnings, "[exeat] workers: takes a restart"), "%s", warnings);
    cr_expect_not_null(strstr(warnings, "[exeat] name: takes a restart"), "%s", warnings);
    cr_expect_not_null(strstr(warnings, "[audit] file: takes a restart"), "%s", warnings);
    free(warnings);
    candidate_free(next);
    candidate_free(now);
}

/* All of them, as at a start; an expectation that fails is one. */
Test(candidate, with_faults_it_is_none, .init = begin, .fini = end)
{
    struct candidate *now = serving(ALL);
    write_at(path, ALL "[rule s]\nto = @nowhere\nport = 0\n");
    struct candidate *next = candidate_read(now, path, NULL);
    cr_expect_null(next->config);
    cr_expect_eq(fault_count(next->faults), 2);
    cr_expect_str_eq(next->digest, "");
    cr_expect_str_eq(next->changes, "");
    candidate_free(next);

    write_at(path, ALL "[expect e]\nfrom = 10.0.0.1\nallow = c.example\n");
    next = candidate_read(now, path, NULL);
    cr_expect_null(next->config);
    cr_expect_eq(fault_count(next->faults), 1);
    cr_expect_str_neq(next->digest, "");
    candidate_free(next);

    unlink(path);
    next = candidate_read(now, path, NULL);
    cr_expect_null(next->config);
    cr_expect_eq(fault_count(next->faults), 1);
    candidate_free(next);
    candidate_free(now);
}

Test(candidate, the_command_line_names_the_listener, .init = begin, .fini = end)
{
    struct candidate *now = serving(ALL);
    struct candidate *next = candidate_read(now, path, "127.0.0.1:3999");
    cr_assert_not_null(next->config);
    cr_expect_eq(next->config->listener_count, 1);
    cr_expect_eq(next->config->listeners[0].addresses[0].port, 3999);
    candidate_free(next);
    candidate_free(now);
}
