/* One section on its way into its struct: each entry to its option, and what holds where there is none. */
#include "config/sections.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/options.h"
#include "config/suggestion.h"

#define SECTION_ROWS_MAX 128

struct section_reader {
    struct loader *loader;
    const struct section *section;
    void *target;
    unsigned seen[SECTION_ROWS_MAX];  /* by row of the whole table: the line of its first entry, or 0 */
    unsigned words[SECTION_ROWS_MAX]; /* and how many values it had */
};

static size_t section_row_index(const struct option_row *row)
{
    size_t count, index = (size_t)(row - options_all(&count));
    assert(count <= SECTION_ROWS_MAX && index < count);
    return index;
}

static void section_unknown_key(const struct section_reader *reader, const struct entry *entry)
{
    char near[SUGGESTION_TEXT_MAX], all[512], at[PLACE_TEXT_MAX];
    struct suggestion suggestion = {.asked = entry->key};
    struct text text;
    size_t count;
    const struct option_row *rows = options_all(&count);
    text_init(&text, all, sizeof(all));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].section, reader->section->kind) != 0)
            continue;
        suggestion_offer(&suggestion, rows[i].key);
        text_format(&text, " %s", rows[i].key);
    }
    fault_add(reader->loader->faults, place_text(reader->section->file, entry->line, at), reader->section->title, entry->key,
              "no such key; allowed:%s%s", text.len ? all : " none", suggestion_text(&suggestion, near));
}

static void section_not_allowed(const struct setting *setting)
{
    char allowed[OPTION_VALUE_TEXT_MAX], near[SUGGESTION_TEXT_MAX];
    option_suggest(setting->row, setting->text, near);
    setting_fault(setting, "\"%.100s\" is not allowed; allowed: %s%s", setting->text, option_value_text(setting->row, allowed), near);
}

static void section_store_text(const struct setting *setting)
{
    char **at = (char **)(void *)((char *)setting->target + setting->row->offset);
    if (setting->len > setting->row->max) {
        setting_fault(setting, "too long; allowed: up to %" PRIu64 " bytes", setting->row->max);
        return;
    }
    free(*at);
    *at = strdup(setting->text);
    if (*at == NULL)
        setting_no_memory(setting);
}

static void section_store(const struct setting *setting)
{
    uint64_t number;
    if (setting->row->set != NULL)
        setting->row->set(setting);
    else if (setting->row->type == OPTION_TEXT)
        section_store_text(setting);
    else if (option_read(setting->row, setting->text, &number))
        option_store(setting->row, setting->target, number);
    else
        section_not_allowed(setting);
}

static struct setting section_setting(const struct section_reader *reader, const struct option_row *row, unsigned line)
{
    return (struct setting){
        .loader = reader->loader,
        .row = row,
        .section = reader->section,
        .file = reader->section->file,
        .line = line,
        .text = "",
        .target = reader->target,
    };
}

/* Each word of a list is a value; `value` is cut up. */
static void section_store_words(struct section_reader *reader, struct setting *setting, char *value)
{
    char *rest = NULL;
    for (char *word = strtok_r(value, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        setting->text = word;
        setting->len = strlen(word);
        reader->words[section_row_index(setting->row)]++;
        section_store(setting);
    }
}

static void section_store_scalar(struct section_reader *reader, struct setting *setting, char *value)
{
    size_t index = section_row_index(setting->row);
    setting->text = value;
    setting->len = strlen(value);
    if (setting->len == 0)
        return;
    reader->words[index]++;
    section_store(setting);
}

/* An indented `key = value` reads like an entry to a person and like more of the value above to a parser: nobody may have to guess. */
static bool section_hides_key(const struct section_reader *reader, const struct entry *entry)
{
    char key[64];
    size_t len = strcspn(entry->value, " \t=");
    if (entry->value[len + strspn(entry->value + len, " \t")] != '=' || !text_copy(key, sizeof(key), entry->value, len))
        return false;
    return options_find(reader->section->kind, key) != NULL;
}

/* The text goes on over indented lines; the joined one replaces the entry's value. */
static void section_join(const struct setting *setting, struct entry *entry, const struct entry *more)
{
    char *joined = NULL;
    if (strlen(entry->value) > setting->row->max) /* too long already, as storing it will say */
        return;
    if (asprintf(&joined, "%s%s%s", entry->value, *entry->value ? " " : "", more->value) < 0) {
        setting_no_memory(setting);
        return;
    }
    free(entry->value);
    entry->value = joined;
}

/* What the indented lines below an entry add to it; returns how many there are. */
static size_t section_take_continued(struct section_reader *reader, struct setting *setting, struct entry *entry, size_t left)
{
    size_t taken = 0;
    struct setting inner = *setting;
    for (struct entry *more = entry + 1; taken < left && more->continued; more++, taken++) {
        inner.line = more->line;
        if (section_hides_key(reader, more))
            setting_fault(&inner, "an indented line goes on with the key above it; keys begin at the start of a line");
        else if (setting->row->type == OPTION_TEXT)
            section_join(&inner, entry, more);
        else if (setting->row->list)
            section_store_words(reader, &inner, more->value);
        else
            setting_fault(&inner, "takes one value; an indented line goes on with the key above it");
    }
    return taken;
}

static size_t section_skip_continued(const struct entry *entry, size_t left)
{
    size_t skipped = 0;
    while (skipped < left && entry[skipped + 1].continued)
        skipped++;
    return skipped;
}

/* One key with all its lines; returns how many follow its first. */
static size_t section_take_entry(struct section_reader *reader, struct entry *entry, size_t left)
{
    const struct option_row *row = options_find(reader->section->kind, entry->key);
    if (row == NULL) {
        section_unknown_key(reader, entry);
        return section_skip_continued(entry, left);
    }
    size_t index = section_row_index(row), taken;
    struct setting setting = section_setting(reader, row, entry->line);
    if (reader->seen[index] && !row->list) {
        setting_fault(&setting, "stands twice, first in line %u; only lists may be repeated", reader->seen[index]);
        return section_skip_continued(entry, left);
    }
    if (!reader->seen[index])
        reader->seen[index] = entry->line;
    if (row->list) {
        section_store_words(reader, &setting, entry->value);
        return section_take_continued(reader, &setting, entry, left);
    }
    taken = section_take_continued(reader, &setting, entry, left);
    section_store_scalar(reader, &setting, entry->value);
    return taken;
}

/* What the file left out: a fault, or what holds then. */
static void section_take_absent(struct section_reader *reader, const struct option_row *row)
{
    size_t index = section_row_index(row);
    unsigned seen = reader->seen[index];
    struct setting setting = section_setting(reader, row, seen ? seen : reader->section->line);
    char allowed[OPTION_VALUE_TEXT_MAX];
    if (seen != 0 && reader->words[index] == 0)
        setting_fault(&setting, "has no value; allowed: %s", option_value_text(row, allowed));
    else if (seen == 0 && row->required)
        setting_fault(&setting, "is missing; allowed: %s", option_value_text(row, allowed));
    else if (seen == 0 && row->fallback != NULL) {
        setting.text = row->fallback;
        setting.len = strlen(row->fallback);
        section_store(&setting);
    }
}

static void section_tell_digest(struct section_reader *reader, const struct option_row *row)
{
    char stored[OPTION_TEXT_MAX + 1];
    struct setting setting = section_setting(reader, row, reader->section->line);
    if (option_stored_text(row, reader->target, stored, sizeof(stored)))
        setting_fact(&setting, stored);
}

static void section_each_row(struct section_reader *reader, void (*visit)(struct section_reader *reader, const struct option_row *row))
{
    size_t count;
    const struct option_row *rows = options_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].section, reader->section->kind) == 0)
            visit(reader, &rows[i]);
    }
}

void section_read(struct loader *loader, const struct section_kind *kind, const struct section *section)
{
    struct section_reader reader = {.loader = loader, .section = section};
    reader.target = kind->begin(loader, section);
    if (reader.target == NULL) {
        section_fault(loader, section, NULL, "out of memory");
        return;
    }
    for (size_t i = 0; i < section->count; i++)
        i += section_take_entry(&reader, &section->entries[i], section->count - i - 1);
    section_each_row(&reader, section_take_absent);
    section_each_row(&reader, section_tell_digest);
    if (kind->finish != NULL)
        kind->finish(loader, section, reader.target);
}
