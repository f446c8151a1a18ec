/* What became of each rule since it was first seen: the evidence for removing one. */
#include "admin/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "host/state_file.h"

#define SAVED_FIELDS 7 /* name, since, hits, last hit, bytes up and down, clients */
#define CLIENTS_LEN BASE64_LEN(DISTINCT_SIZE)

/* When a rule was first seen. */
struct rule_birth {
    struct name_row row;
    uint64_t since_us;
};

struct rules {
    struct name_table births;
    struct tally *past; /* of former servers: its rules alone */
};

struct rules *rules_new(void)
{
    struct rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL)
        return NULL;
    rules->births = (struct name_table){.row_size = sizeof(struct rule_birth), .max = TALLY_NAMES_MAX};
    rules->past = tally_new();
    if (rules->past != NULL)
        return rules;
    rules_free(rules);
    return NULL;
}

void rules_free(struct rules *rules)
{
    if (rules == NULL)
        return;
    name_table_fini(&rules->births);
    tally_free(rules->past);
    free(rules);
}

static void rules_born(struct rules *rules, const char *name, size_t len, uint64_t since_us)
{
    struct rule_birth *birth = name_table_row(&rules->births, name, len);
    if (birth != NULL && birth->since_us == 0)
        birth->since_us = since_us;
}

void rules_begin(struct rules *rules, const struct config *config, uint64_t now_us)
{
    for (size_t i = 0; i < policy_rule_count(config->policy); i++) {
        const char *name = policy_rule_at(config->policy, i)->name;
        rules_born(rules, name, strlen(name), now_us);
    }
}

/* ---- telling ---- */

/* What is known of one rule, before and now. */
struct rule_facts {
    uint64_t hits, last_hit_us, bytes_up, bytes_down, since_us;
    struct distinct clients;
};

static void rule_facts_add(struct rule_facts *facts, const struct tally_rule *row)
{
    if (row == NULL)
        return;
    facts->hits += row->hits;
    facts->last_hit_us = row->last_hit_us > facts->last_hit_us ? row->last_hit_us : facts->last_hit_us;
    facts->bytes_up += row->bytes_up;
    facts->bytes_down += row->bytes_down;
    distinct_merge(&facts->clients, &row->clients);
}

/* False: it was not counted, since there was no memory or no row for it. Then nobody may take it for a rule without hits. */
static bool rule_facts_find(struct rule_facts *facts, const struct rules *rules, const struct tally *now, const char *name, size_t len)
{
    const struct rule_birth *birth = name_table_find(&rules->births, name, len);
    *facts = (struct rule_facts){.since_us = birth != NULL ? birth->since_us : 0};
    rule_facts_add(facts, name_table_find(&rules->past->rules, name, len));
    rule_facts_add(facts, name_table_find(&now->rules, name, len));
    return birth != NULL && (facts->hits > 0 || now->rules.count < now->rules.max);
}

static const char *rule_time(uint64_t time_us, char buf[CLOCK_TEXT_MAX])
{
    return time_us != 0 ? clock_text(time_us, buf) : NULL;
}

static void rule_put_json(FILE *to, const struct rule *rule, const struct rule_facts *facts, bool counted)
{
    char last[CLOCK_TEXT_MAX], since[CLOCK_TEXT_MAX];
    fputs("{\"name\":", to);
    json_put(to, rule->name);
    json_put_member(to, "at", rule->at);
    if (counted)
        fprintf(to, ",\"hits\":%" PRIu64, facts->hits);
    else
        fputs(",\"hits\":null", to);
    json_put_member(to, "last_hit", rule_time(facts->last_hit_us, last));
    fprintf(to, ",\"clients\":%" PRIu64 ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64, distinct_count(&facts->clients), facts->bytes_up,
            facts->bytes_down);
    json_put_member(to, "since", rule_time(facts->since_us, since));
    putc('}', to);
}

void rules_write_json(FILE *to, const struct rules *rules, const struct tally *now, const struct config *config)
{
    fputs("{\"rules\":[", to);
    for (size_t i = 0; i < policy_rule_count(config->policy); i++) {
        const struct rule *rule = policy_rule_at(config->policy, i);
        struct rule_facts facts;
        const bool counted = rule_facts_find(&facts, rules, now, rule->name, strlen(rule->name));
        if (i > 0)
            putc(',', to);
        rule_put_json(to, rule, &facts, counted);
    }
    fputs("]}\n", to);
}

static const char *rule_word(const char *text)
{
    return text != NULL ? text : "";
}

void rules_write_lines(FILE *to, const struct rules *rules, const struct tally *now, const struct config *config)
{
    for (size_t i = 0; i < policy_rule_count(config->policy); i++) {
        const struct rule *rule = policy_rule_at(config->policy, i);
        struct rule_facts facts;
        char hits[24] = "", last[CLOCK_TEXT_MAX], since[CLOCK_TEXT_MAX], at[1024];
        struct text text;
        if (rule_facts_find(&facts, rules, now, rule->name, strlen(rule->name)))
            snprintf(hits, sizeof(hits), "%" PRIu64, facts.hits);
        text_init(&text, at, sizeof(at));
        text_add_clean(&text, rule->at, strlen(rule->at), sizeof(at) - 1);
        fprintf(to, "%s\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n", rule->name, at, hits,
                rule_word(rule_time(facts.last_hit_us, last)), distinct_count(&facts.clients), facts.bytes_up, facts.bytes_down,
                rule_word(rule_time(facts.since_us, since)));
    }
}

/* ---- saving, and reading that ---- */

/* All that ever were, also those that the configuration has no more: it may have them again. */
void rules_save(FILE *to, const struct rules *rules, const struct tally *now)
{
    fputs(STATE_FILE_HEAD, to);
    for (size_t i = 0; i < rules->births.count; i++) {
        const struct rule_birth *birth = (const struct rule_birth *)rules->births.rows[i];
        char clients[CLIENTS_LEN];
        struct rule_facts facts;
        rule_facts_find(&facts, rules, now, birth->row.name, birth->row.len);
        base64_write(clients, facts.clients.registers, DISTINCT_SIZE);
        fprintf(to, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.*s\n", birth->row.name, facts.since_us, facts.hits,
                facts.last_hit_us, facts.bytes_up, facts.bytes_down, (int)CLIENTS_LEN, clients);
    }
}

struct word {
    const char *at;
    size_t len;
};

/* A line's fields, between single blanks. False: more or fewer of them. */
static bool rules_split(struct word words[SAVED_FIELDS], const char *line, const char *end)
{
    for (size_t i = 0; i < SAVED_FIELDS; i++) {
        const char *blank = memchr(line, ' ', (size_t)(end - line));
        const bool last = i + 1 == SAVED_FIELDS;
        if ((blank == NULL) != last)
            return false;
        words[i] = (struct word){line, (size_t)((last ? end : blank) - line)};
        line = last ? end : blank + 1;
    }
    return words[0].len > 0;
}

static bool rules_read_number(uint64_t *out, const struct word *word)
{
    return number_read(out, word->at, word->len, INT64_MAX);
}

static bool rules_read_line(struct rules *rules, const char *line, const char *end)
{
    struct word words[SAVED_FIELDS];
    struct rule_facts read = {0};
    if (!rules_split(words, line, end) || memchr(line, '\0', (size_t)(end - line)) != NULL || !rules_read_number(&read.since_us, &words[1]) ||
        !rules_read_number(&read.hits, &words[2]) || !rules_read_number(&read.last_hit_us, &words[3]) ||
        !rules_read_number(&read.bytes_up, &words[4]) || !rules_read_number(&read.bytes_down, &words[5]) ||
        !base64_read(read.clients.registers, DISTINCT_SIZE, words[6].at, words[6].len))
        return false;
    rules_born(rules, words[0].at, words[0].len, read.since_us);
    struct tally_rule *row = name_table_row(&rules->past->rules, words[0].at, words[0].len);
    if (row == NULL)
        return false;
    const struct name_row name = row->row;
    *row = (struct tally_rule){name, read.hits, read.last_hit_us, read.bytes_up, read.bytes_down, read.clients};
    return true;
}

bool rules_read(struct rules *rules, const char *text, size_t len)
{
    const char *end = text + len;
    const size_t head = strlen(STATE_FILE_HEAD);
    if (len < head || memcmp(text, STATE_FILE_HEAD, head) != 0)
        return false;
    for (const char *line = text + head; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL || !rules_read_line(rules, line, newline))
            return false;
        line = newline + 1;
    }
    return true;
}
