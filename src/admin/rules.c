/* What became of each rule since it was first seen: the evidence for removing one. */
#include "admin/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/rule_text.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "host/state_file.h"

#define SAVED_FIELDS (2 + RULE_TEXT_FIELDS) /* name, since, what was counted */

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
    if (birth != NULL && since_us != 0 && (birth->since_us == 0 || since_us < birth->since_us))
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
    uint64_t since_us;
    struct tally_rule sum;
};

static void rule_facts_add(struct rule_facts *facts, const struct tally_rule *row)
{
    if (row != NULL)
        tally_rule_add(&facts->sum, row);
}

/* False: it was not counted, since there was no memory or no row for it. Then nobody may take it for a rule without hits. */
static bool rule_facts_find(struct rule_facts *facts, const struct rules *rules, const struct tally *now, const char *name, size_t len)
{
    const struct rule_birth *birth = name_table_find(&rules->births, name, len);
    *facts = (struct rule_facts){.since_us = birth != NULL ? birth->since_us : 0};
    rule_facts_add(facts, name_table_find(&rules->past->rules, name, len));
    rule_facts_add(facts, name_table_find(&now->rules, name, len));
    return birth != NULL && (facts->sum.hits > 0 || now->rules.count < now->rules.max);
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
        fprintf(to, ",\"hits\":%" PRIu64, facts->sum.hits);
    else
        fputs(",\"hits\":null", to);
    json_put_member(to, "last_hit", rule_time(facts->sum.last_hit_us, last));
    fprintf(to, ",\"clients\":%" PRIu64 ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64, distinct_count(&facts->sum.clients), facts->sum.bytes_up,
            facts->sum.bytes_down);
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
            snprintf(hits, sizeof(hits), "%" PRIu64, facts.sum.hits);
        text_init(&text, at, sizeof(at));
        text_add_clean(&text, rule->at, strlen(rule->at), sizeof(at) - 1);
        fprintf(to, "%s\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n", rule->name, at, hits,
                rule_word(rule_time(facts.sum.last_hit_us, last)), distinct_count(&facts.sum.clients), facts.sum.bytes_up, facts.sum.bytes_down,
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
        struct rule_facts facts;
        rule_facts_find(&facts, rules, now, birth->row.name, birth->row.len);
        fprintf(to, "%s %" PRIu64 " ", birth->row.name, facts.since_us);
        rule_text_write(to, &facts.sum, ' ');
        putc('\n', to);
    }
}

static bool rules_read_line(struct rules *rules, const char *line, size_t len)
{
    struct field fields[SAVED_FIELDS];
    struct tally_rule read = {.row = {NULL, 0}};
    uint64_t since_us;
    if (!field_split(fields, SAVED_FIELDS, line, len, ' ') || fields[0].len == 0 || !number_read(&since_us, fields[1].at, fields[1].len, INT64_MAX) ||
        !rule_text_read(&read, &fields[2]))
        return false;
    rules_born(rules, fields[0].at, fields[0].len, since_us);
    struct tally_rule *row = name_table_row(&rules->past->rules, fields[0].at, fields[0].len);
    if (row == NULL)
        return false;
    read.row = row->row;
    *row = read;
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
        if (newline == NULL || !rules_read_line(rules, line, (size_t)(newline - line)))
            return false;
        line = newline + 1;
    }
    return true;
}

bool rules_replace(struct rules *rules, const char *text, size_t len)
{
    struct rules *read = rules_new();
    const bool whole = read != NULL && rules_read(read, text, len);
    if (whole) {
        struct tally *before = rules->past;
        rules->past = read->past;
        read->past = before;
        for (size_t i = 0; i < read->births.count; i++) {
            const struct rule_birth *birth = (const struct rule_birth *)read->births.rows[i];
            rules_born(rules, birth->row.name, birth->row.len, birth->since_us);
        }
    }
    rules_free(read);
    return whole;
}
