/* What one generation of the server tells another of itself: all of it comes over, from other versions, too, and nothing that is no such text. */
#include "admin/survey_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID "01KAPZ2S00ABCDEFGHJKMNPQRS"

static struct address address(const char *text)
{
    struct address read;
    cr_assert(address_read(&read, text, strlen(text)));
    return read;
}

static char *written(const struct survey *survey)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    survey_text_write(to, survey);
    fclose(to);
    return text;
}

static struct survey *counted(void)
{
    const struct address client = address("10.20.0.7"), source = address("203.0.113.16");
    struct survey *survey = calloc(1, sizeof(*survey));
    struct tunnel tunnel = {.id = ID,
                            .client_ip = client,
                            .egress_ip = source,
                            .upstream_ip = address("2001:db8::1"),
                            .host = "agent.example",
                            .rule = "agents",
                            .route = "nat",
                            .port = 8443,
                            .bytes_up = 5,
                            .bytes_down = 6,
                            .since_us = 7,
                            .generation = 3};
    *survey = (struct survey){.workers = 2, .listening = 2, .journal_up = 2, .journal_queue = 3, .journal_filed = 9, .tally = tally_new()};
    tally_decision(survey->tally, "explicit", VERDICT_ALLOW, REASON_RULE_ALLOW);
    tally_decision(survey->tally, "explicit", VERDICT_OBSERVE, REASON_DEFAULT_DENY);
    tally_hit(survey->tally, "agents", &client, 1763812800000000);
    tally_time(&survey->tally->setup, 3);
    tally_time(&survey->tally->dns, 4);
    tally_time(&survey->tally->connect, 99999);
    tally_open(survey->tally, "nat");
    tally_bytes(survey->tally, "nat", "agents", 50, 70);
    tally_port(survey->tally, "nat", &source, 2);
    survey->tunnels = malloc(sizeof(tunnel));
    memcpy(survey->tunnels, &tunnel, sizeof(tunnel));
    survey->tunnel_count = 1;
    return survey;
}

static struct survey *read_lines(const char *lines)
{
    char text[8192];
    const int len = snprintf(text, sizeof(text), "exeat survey 1\n%send\n", lines);
    cr_assert_lt(len, (int)sizeof(text));
    return survey_text_read(text, (size_t)len);
}

Test(survey_text, all_of_it_comes_over)
{
    struct survey *survey = counted();
    char *text = written(survey);
    struct survey *read = survey_text_read(text, strlen(text));
    cr_assert(read != NULL, "%s", text);
    cr_expect(read->journal_queue == 3 && read->journal_filed == 9 && read->tunnel_count == 1);
    cr_expect(read->workers == 0 && read->listening == 0 && read->journal_up == 0, "only their own server may judge of them");
    const struct tally_listener *listener = name_table_find(&read->tally->listeners, "explicit", 8);
    const struct tally_route *route = name_table_find(&read->tally->routes, "nat", 3);
    const struct tally_rule *rule = name_table_find(&read->tally->rules, "agents", 6);
    cr_assert(listener != NULL && route != NULL && rule != NULL && read->tally->sources.count == 1);
    const struct tally_source *source = (const struct tally_source *)read->tally->sources.rows[0];
    cr_expect(listener->sessions[VERDICT_ALLOW][REASON_RULE_ALLOW] == 1 && listener->sessions[VERDICT_OBSERVE][REASON_DEFAULT_DENY] == 1);
    cr_expect(route->open == 1 && route->bytes_up == 50 && route->bytes_down == 70);
    cr_expect(rule->hits == 1 && rule->last_hit_us == 1763812800000000 && rule->bytes_down == 70 && distinct_count(&rule->clients) == 1);
    cr_expect(source->ports == 2 && strcmp(tally_source_route(source), "nat") == 0);
    cr_expect(memcmp(&read->tally->setup, &survey->tally->setup, sizeof(read->tally->setup)) == 0);
    cr_expect(memcmp(&read->tally->connect, &survey->tally->connect, sizeof(read->tally->connect)) == 0);
    const struct tunnel *tunnel = &read->tunnels[0];
    cr_expect(strcmp(tunnel->id, ID) == 0 && strcmp(tunnel->host, "agent.example") == 0 && tunnel->client_group[0] == '\0');
    cr_expect(tunnel->port == 8443 && tunnel->bytes_down == 6 && tunnel->since_us == 7 && strcmp(tunnel->rule, "agents") == 0);
    cr_expect(address_equal(&tunnel->upstream_ip, &survey->tunnels[0].upstream_ip));
    cr_expect_eq(tunnel->generation, 0, "that is for the supervisor to say");
    free(text);
    survey_free(survey);
    survey_free(read);
}

Test(survey_text, what_is_cut_off_is_none)
{
    struct survey *survey = counted();
    char *text = written(survey);
    for (size_t len = 0; len < strlen(text); len++)
        cr_expect_null(survey_text_read(text, len), "%zu", len);
    free(text);
    survey_free(survey);
}

Test(survey_text, another_version_is_understood)
{
    struct survey *read = read_lines("weather\tfair\n"                              /* a kind of lines that there is not */
                                     "listener\texplicit\tdeny\tof_tomorrow\t3\n"   /* a reason */
                                     "sum\ttls\t5\nbucket\ttls\t1\t5\n"             /* a histogram */
                                     "bucket\tdns\t3\t4\nbucket\tdns\t60000\t2\n"); /* bounds: up to 5 ms, and beyond all of ours */
    cr_assert_not_null(read);
    const struct tally_listener *listener = name_table_find(&read->tally->listeners, "explicit", 8);
    cr_expect(listener->sessions[VERDICT_DENY][REASON_UNKNOWN] == 3, "it is counted all the same");
    cr_expect(read->tally->dns.buckets[2] == 4 && read->tally->dns.buckets[TALLY_BUCKETS] == 2);
    survey_free(read);
}

Test(survey_text, what_none_of_ours_writes_is_refused)
{
    const char *const bad[] = {
        "\n",
        "journal\n",
        "journal\t1\n",
        "journal\t1\t2\t3\n",
        "journal\t1\t-2\n",
        "journal\t1\t99999999999999999999\n",
        "listener\texplicit\tperhaps\trule_allow\t1\n",
        "listener\t\tallow\trule_allow\t1\n",
        "listener\ta name of more than forty characters, which none has\tallow\trule_allow\t1\n",
        "listener\ta\x01\tallow\trule_allow\t1\n",
        "source\tnowhere\tnat\t1\n",
        "source\t-\tnat\t1\n",
        "rule\tagents\t1\t2\t3\t4\tshort\n",
        "bucket\tdns\t-1\t1\n",
        "tunnel\tid\t10.0.0.1\t10.0.0.1\t10.0.0.1\t443\t1\t2\t3\t\tagents\tnat\thost\n",
        "tunnel\t" ID "\t10.0.0.1\t10.0.0.1\t10.0.0.1\t65536\t1\t2\t3\t\tagents\tnat\thost\n",
        "tunnel\t" ID "\t10.0.0.1\t10.0.0.1\t10.0.0.1\t443\t1\t2\t3\t\tagents\tnat\tho\x1bst\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_null(read_lines(bad[i]), "%s", bad[i]);
    cr_expect_null(survey_text_read("exeat survey 2\nend\n", 19));
    cr_expect_null(survey_text_read("exeat survey 1\njournal\t1\0\t2\nend\n", 33));
    struct survey *good = read_lines("tunnel\t" ID "\t10.0.0.1\t-\t::1\t443\t1\t2\t3\t\tagents\tnat\thost\n");
    cr_expect_not_null(good, "and those above differ from what is good in one thing each");
    survey_free(good);
}

Test(survey_text, no_register_counts_more_clients_than_there_can_be)
{
    char lines[2000] = "rule\tagents\t1\t2\t3\t4\t";
    const size_t len = strlen(lines);
    memset(lines + len, '/', 1365); /* all bits of 1,024 bytes */
    strcpy(lines + len + 1365, "w==\n");
    cr_expect_null(read_lines(lines));
    memset(lines + len, 'A', 1366);
    struct survey *none = read_lines(lines);
    cr_expect_not_null(none);
    survey_free(none);
}

Test(survey_text, a_rule_that_has_nothing_new_is_not_told_of)
{
    struct survey *survey = counted(), *before = counted();
    survey_subtract(survey, before);
    survey_settle(survey);
    char *text = written(survey);
    cr_expect(strstr(text, "\nrule\t") == NULL && strstr(text, "\ntunnel\t") == NULL && strstr(text, "\nlistener\t") == NULL, "%s", text);
    cr_expect(strstr(text, "\nroute\tnat\t0\t0\t0\n") != NULL && strstr(text, "\njournal\t0\t0\n") != NULL, "%s", text);
    free(text);
    survey_free(survey);
    survey_free(before);
}

Test(survey_text, it_goes_through_a_file)
{
    struct survey *survey = counted();
    const int fd = survey_text_leave(survey);
    struct survey *read = survey_text_take(fd);
    cr_expect(read != NULL && read->tunnel_count == 1);
    cr_expect_null(survey_text_take(-1));
    close(fd);
    survey_free(read);
    survey_free(survey);
}

Test(survey_text, what_is_asked_for_is_said_in_words)
{
    char words[SURVEY_WORDS_MAX];
    cr_expect_str_eq(survey_words(SURVEY_COUNTS | SURVEY_TUNNELS, words), "counts tunnels");
    cr_expect_eq(survey_words_read(words), SURVEY_COUNTS | SURVEY_TUNNELS);
    cr_expect_eq(survey_words_read("moods counts "), SURVEY_COUNTS);
    cr_expect_eq(survey_words_read("counts,tunnels"), 0);
    cr_expect_eq(survey_words_read(""), 0);
}
