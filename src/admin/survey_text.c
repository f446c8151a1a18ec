/* What a server has counted and holds open, as text: for another generation of it, which may be another version. */
#include "admin/survey_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/rule_text.h"
#include "base/field.h"
#include "base/memo.h"
#include "base/number.h"
#include "base/text.h"

/* A line each, its fields between tabs. */
#define SURVEY_TEXT_HEAD "exeat survey 1\n"
#define SURVEY_TEXT_END "end\n"

#define FIELDS_MAX 12
#define BEYOND "inf"

/* In the order of struct tally; they are words of the text. */
static const char *const TIMES[] = {"setup", "dns", "connect"};
#define TIMES_COUNT (sizeof(TIMES) / sizeof(TIMES[0]))

/* ---- writing ---- */

static void survey_text_listeners(FILE *to, const struct tally *tally)
{
    for (size_t i = 0; i < tally->listeners.count; i++) {
        const struct tally_listener *listener = (const struct tally_listener *)tally->listeners.rows[i];
        for (unsigned verdict = 0; verdict < TALLY_VERDICTS; verdict++)
            for (unsigned reason = 0; reason < REASON_COUNT; reason++)
                if (listener->sessions[verdict][reason] > 0)
                    fprintf(to, "listener\t%s\t%s\t%s\t%" PRIu64 "\n", listener->row.name, verdict_text((enum verdict_kind)verdict),
                            reason_row((enum reason)reason)->code, listener->sessions[verdict][reason]);
    }
}

static void survey_text_routes(FILE *to, const struct tally *tally)
{
    for (size_t i = 0; i < tally->routes.count; i++) {
        const struct tally_route *route = (const struct tally_route *)tally->routes.rows[i];
        fprintf(to, "route\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", route->row.name, route->bytes_up, route->bytes_down, route->open);
    }
}

static void survey_text_sources(FILE *to, const struct tally *tally)
{
    for (size_t i = 0; i < tally->sources.count; i++) {
        const struct tally_source *source = (const struct tally_source *)tally->sources.rows[i];
        char text[ADDRESS_TEXT_MAX];
        fprintf(to, "source\t%s\t%s\t%" PRIu64 "\n", address_text(&source->address, text), tally_source_route(source), source->ports);
    }
}

static void survey_text_rules(FILE *to, const struct tally *tally)
{
    for (size_t i = 0; i < tally->rules.count; i++) {
        const struct tally_rule *rule = (const struct tally_rule *)tally->rules.rows[i];
        if (rule->hits + rule->bytes_up + rule->bytes_down == 0)
            continue; /* what else is known of it was told before */
        fprintf(to, "rule\t%s\t", rule->row.name);
        rule_text_write(to, rule, '\t');
        putc('\n', to);
    }
}

static void survey_text_times(FILE *to, const char *name, const struct tally_times *times)
{
    fprintf(to, "sum\t%s\t%" PRIu64 "\n", name, times->sum_ms);
    for (unsigned i = 0; i < TALLY_BUCKETS; i++)
        fprintf(to, "bucket\t%s\t%" PRIu32 "\t%" PRIu64 "\n", name, TALLY_BOUND_MS[i], times->buckets[i]);
    fprintf(to, "bucket\t%s\t" BEYOND "\t%" PRIu64 "\n", name, times->buckets[TALLY_BUCKETS]);
}

static void survey_text_tally(FILE *to, const struct tally *tally)
{
    survey_text_listeners(to, tally);
    survey_text_routes(to, tally);
    survey_text_sources(to, tally);
    survey_text_rules(to, tally);
    survey_text_times(to, TIMES[0], &tally->setup);
    survey_text_times(to, TIMES[1], &tally->dns);
    survey_text_times(to, TIMES[2], &tally->connect);
}

static void survey_text_tunnel(FILE *to, const struct tunnel *tunnel)
{
    char client[ADDRESS_TEXT_MAX], egress[ADDRESS_TEXT_MAX], upstream[ADDRESS_TEXT_MAX], host[sizeof(tunnel->host)];
    struct text text;
    text_init(&text, host, sizeof(host));
    text_add_clean(&text, tunnel->host, strlen(tunnel->host), sizeof(host) - 1);
    fprintf(to, "tunnel\t%s\t%s\t%s\t%s\t%u\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\n", tunnel->id,
            address_text(&tunnel->client_ip, client), address_text(&tunnel->egress_ip, egress), address_text(&tunnel->upstream_ip, upstream),
            tunnel->port, tunnel->bytes_up, tunnel->bytes_down, tunnel->since_us, tunnel->client_group, tunnel->rule, tunnel->route, host);
}

void survey_text_write(FILE *to, const struct survey *survey)
{
    fputs(SURVEY_TEXT_HEAD, to);
    fprintf(to, "journal\t%" PRIu64 "\t%" PRIu64 "\n", survey->journal_queue, survey->journal_filed);
    if (survey->tally != NULL)
        survey_text_tally(to, survey->tally);
    for (size_t i = 0; i < survey->tunnel_count; i++)
        survey_text_tunnel(to, &survey->tunnels[i]);
    fputs(SURVEY_TEXT_END, to);
}

/* ---- reading ---- */

static bool field_number(const struct field *field, uint64_t *out)
{
    return number_read(out, field->at, field->len, UINT64_MAX);
}

/* A name of the configuration becomes a label of a metric and a cell of a table. */
static bool field_is_name(const struct field *field)
{
    return field->len > 0 && field->len < TUNNEL_NAME_MAX && text_is_printable(field->at, field->len);
}

static bool field_address(const struct field *field, struct address *out)
{
    *out = (struct address){.family = FAMILY_NONE};
    return field_is(field, "-") || address_read(out, field->at, field->len);
}

static bool field_verdict(const struct field *field, enum verdict_kind *out)
{
    for (unsigned verdict = 0; verdict < TALLY_VERDICTS; verdict++) {
        *out = (enum verdict_kind)verdict;
        if (field_is(field, verdict_text(*out)))
            return true;
    }
    return false;
}

static enum reason field_reason(const struct field *field)
{
    unsigned reason = 0;
    while (reason < REASON_COUNT && !field_is(field, reason_row((enum reason)reason)->code))
        reason++;
    return reason < REASON_COUNT ? (enum reason)reason : REASON_UNKNOWN;
}

static void *survey_row(struct name_table *table, const struct field *name)
{
    return field_is_name(name) ? name_table_row(table, name->at, name->len) : NULL;
}

static bool read_listener(struct survey *into, const struct field *fields)
{
    struct tally_listener *row = survey_row(&into->tally->listeners, &fields[0]);
    enum verdict_kind verdict;
    uint64_t count;
    if (row == NULL || !field_verdict(&fields[1], &verdict) || !field_number(&fields[3], &count))
        return false;
    row->sessions[verdict][field_reason(&fields[2])] += count;
    return true;
}

static bool read_route(struct survey *into, const struct field *fields)
{
    struct tally_route *row = survey_row(&into->tally->routes, &fields[0]);
    return row != NULL && field_number(&fields[1], &row->bytes_up) && field_number(&fields[2], &row->bytes_down) &&
           field_number(&fields[3], &row->open);
}

static bool read_source(struct survey *into, const struct field *fields)
{
    char route[TUNNEL_NAME_MAX];
    struct address address;
    uint64_t ports;
    if (!field_is_name(&fields[1]) || !address_read(&address, fields[0].at, fields[0].len) || !field_number(&fields[2], &ports))
        return false;
    text_copy(route, sizeof(route), fields[1].at, fields[1].len);
    tally_port(into->tally, route, &address, ports);
    return true;
}

static bool read_rule(struct survey *into, const struct field *fields)
{
    struct tally_rule *row = survey_row(&into->tally->rules, &fields[0]);
    return row != NULL && rule_text_read(row, &fields[1]);
}

static struct tally_times *survey_times(struct survey *into, const struct field *name)
{
    struct tally_times *const all[TIMES_COUNT] = {&into->tally->setup, &into->tally->dns, &into->tally->connect};
    for (size_t i = 0; i < TIMES_COUNT; i++)
        if (field_is(name, TIMES[i]))
            return all[i];
    return NULL;
}

/* Times of a kind that this version does not measure are no fault. */
static bool read_sum(struct survey *into, const struct field *fields)
{
    struct tally_times *times = survey_times(into, &fields[0]);
    return times == NULL || field_number(&fields[1], &times->sum_ms);
}

/* What was below a bound that this version has not, was below the next one, too. */
static bool read_bucket(struct survey *into, const struct field *fields)
{
    struct tally_times *times = survey_times(into, &fields[0]);
    uint64_t bound = UINT64_MAX, count;
    unsigned bucket = 0;
    if ((!field_is(&fields[1], BEYOND) && !field_number(&fields[1], &bound)) || !field_number(&fields[2], &count))
        return false;
    while (bucket < TALLY_BUCKETS && bound > TALLY_BOUND_MS[bucket])
        bucket++;
    if (times != NULL)
        times->buckets[bucket] += count;
    return true;
}

static bool read_journal(struct survey *into, const struct field *fields)
{
    return field_number(&fields[0], &into->journal_queue) && field_number(&fields[1], &into->journal_filed);
}

/* Twice as many as there are, when they fill a power of two. */
static struct tunnel *survey_new_tunnel(struct survey *into)
{
    const size_t count = into->tunnel_count;
    if ((count & (count - 1)) == 0) {
        struct tunnel *grown = reallocarray(into->tunnels, count > 0 ? 2 * count : 1, sizeof(*grown));
        if (grown == NULL)
            return NULL;
        into->tunnels = grown;
    }
    into->tunnels[count] = (struct tunnel){.port = 0};
    return &into->tunnels[into->tunnel_count++];
}

static bool field_copy(const struct field *field, char *out, size_t size)
{
    return text_is_printable(field->at, field->len) && text_copy(out, size, field->at, field->len);
}

static bool field_id(const struct field *field, char out[ULID_TEXT_MAX])
{
    struct ulid ulid;
    return field->len == ULID_LEN && ulid_read(&ulid, field->at) && text_copy(out, ULID_TEXT_MAX, field->at, field->len);
}

static bool read_tunnel(struct survey *into, const struct field *fields)
{
    struct tunnel *tunnel = survey_new_tunnel(into);
    uint64_t port;
    if (tunnel == NULL || !number_read(&port, fields[4].at, fields[4].len, UINT16_MAX))
        return false;
    tunnel->port = (uint16_t)port;
    return field_id(&fields[0], tunnel->id) && field_address(&fields[1], &tunnel->client_ip) && field_address(&fields[2], &tunnel->egress_ip) &&
           field_address(&fields[3], &tunnel->upstream_ip) && field_number(&fields[5], &tunnel->bytes_up) &&
           field_number(&fields[6], &tunnel->bytes_down) && field_number(&fields[7], &tunnel->since_us) &&
           field_copy(&fields[8], tunnel->client_group, TUNNEL_NAME_MAX) && field_copy(&fields[9], tunnel->rule, TUNNEL_NAME_MAX) &&
           field_copy(&fields[10], tunnel->route, TUNNEL_NAME_MAX) && field_copy(&fields[11], tunnel->host, sizeof(tunnel->host));
}

static const struct survey_line {
    const char *kind;
    size_t fields; /* behind that word */
    bool (*read)(struct survey *into, const struct field *fields);
} LINES[] = {
    {"listener", 4, read_listener}, {"route", 4, read_route},   {"source", 3, read_source},   {"rule", 1 + RULE_TEXT_FIELDS, read_rule},
    {"sum", 2, read_sum},           {"bucket", 3, read_bucket}, {"journal", 2, read_journal}, {"tunnel", FIELDS_MAX, read_tunnel},
};

static const struct survey_line *survey_line_find(const struct field *kind)
{
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++)
        if (field_is(kind, LINES[i].kind))
            return &LINES[i];
    return NULL;
}

static bool survey_read_line(struct survey *into, const char *line, size_t len)
{
    struct field fields[FIELDS_MAX];
    const char *tab = memchr(line, '\t', len);
    if (tab == NULL)
        return false;
    const struct field kind = {line, (size_t)(tab - line)};
    const struct survey_line *known = survey_line_find(&kind);
    return known == NULL || (field_split(fields, known->fields, tab + 1, len - kind.len - 1, '\t') && known->read(into, fields));
}

static bool survey_read_lines(struct survey *into, const char *text, size_t len)
{
    const char *const end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        if (newline == NULL || !survey_read_line(into, text, (size_t)(newline - text)))
            return false;
        text = newline + 1;
    }
    return true;
}

struct survey *survey_text_read(const char *text, size_t len)
{
    const size_t head = strlen(SURVEY_TEXT_HEAD), end = strlen(SURVEY_TEXT_END);
    if (len < head + end || len > SURVEY_TEXT_MAX || memcmp(text, SURVEY_TEXT_HEAD, head) != 0 || memcmp(text + len - end, SURVEY_TEXT_END, end) != 0)
        return NULL;
    struct survey *read = survey_new();
    if (read != NULL && survey_read_lines(read, text + head, len - head - end))
        return read;
    survey_free(read);
    return NULL;
}

/* ---- on its way ---- */

int survey_text_leave(const struct survey *survey)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL)
        return -1;
    survey_text_write(to, survey);
    const int fd = fclose(to) == 0 ? memo_write("exeat-survey", text, len) : -1;
    free(text);
    return fd;
}

struct survey *survey_text_take(int fd)
{
    size_t len = 0;
    char *text = memo_read(fd, SURVEY_TEXT_MAX, &len);
    struct survey *read = text != NULL ? survey_text_read(text, len) : NULL;
    free(text);
    return read;
}

/* ---- what is asked for ---- */

static const struct {
    int wish;
    const char *word;
} WISHES[] = {{SURVEY_COUNTS, "counts"}, {SURVEY_TUNNELS, "tunnels"}};

const char *survey_words(int wishes, char buf[SURVEY_WORDS_MAX])
{
    struct text text;
    text_init(&text, buf, SURVEY_WORDS_MAX);
    for (size_t i = 0; i < sizeof(WISHES) / sizeof(WISHES[0]); i++)
        if (wishes & WISHES[i].wish) {
            text_add(&text, text.len > 0 ? " " : "");
            text_add(&text, WISHES[i].word);
        }
    return buf;
}

int survey_words_read(const char *words)
{
    int wishes = 0;
    while (*words != '\0') {
        const struct field word = {words, strcspn(words, " ")};
        for (size_t i = 0; i < sizeof(WISHES) / sizeof(WISHES[0]); i++)
            if (field_is(&word, WISHES[i].word))
                wishes |= WISHES[i].wish;
        words += word.len + (words[word.len] == ' ');
    }
    return wishes;
}
