/* Gives every section its meaning, each kind in its turn. */
#include "config/sections.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/suggestion.h"

/* In this order they are given their meaning: who names something stands behind what it names. */
/* clang-format off */
static const struct section_kind KINDS[] = {
    {"listen", true, listen_begin, listen_finish},
    {"clients", true, clients_begin, clients_finish},
    {"hosts", true, hosts_begin, hosts_finish},
    {"route", true, route_begin, NULL},
    {"exeat", false, exeat_begin, exeat_finish},
    {"dns", false, dns_begin, dns_finish},
    {"limits", false, limits_begin, NULL},
    {"audit", false, audit_begin, audit_finish},
    {"admin", false, admin_begin, NULL},
    {"rule", true, rule_begin, rule_finish},
    {"expect", true, expect_begin, expect_finish},
};
/* clang-format on */
#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

/* The first line that has the key, or NULL. */
static const struct entry *section_find_entry(const struct section *section, const char *key)
{
    for (size_t i = 0; i < section->count; i++) {
        if (strcmp(section->entries[i].key, key) == 0)
            return &section->entries[i];
    }
    return NULL;
}

bool section_has(const struct section *section, const char *key)
{
    return section_find_entry(section, key) != NULL;
}

bool section_says(const struct section *section, const char *key, const char *word)
{
    const struct entry *entry = section_find_entry(section, key);
    return entry != NULL && strcmp(entry->value, word) == 0;
}

void section_fault(const struct loader *loader, const struct section *section, const char *key, const char *format, ...)
{
    const struct entry *entry = key ? section_find_entry(section, key) : NULL;
    char at[PLACE_TEXT_MAX], what[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    fault_add(loader->faults, place_text(section->file, entry ? entry->line : section->line, at), section->title, key, "%s", what);
}

void section_warn(const struct loader *loader, const struct section *section, const char *key, const char *what)
{
    const struct entry *entry = section_find_entry(section, key);
    char at[PLACE_TEXT_MAX];
    fault_warn(loader->faults, place_text(section->file, entry ? entry->line : section->line, at), section->title, key, "%s", what);
}

static const struct section_kind *section_find_kind(const char *kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (strcmp(KINDS[i].kind, kind) == 0)
            return &KINDS[i];
    }
    return NULL;
}

static void section_unknown_kind(const struct loader *loader, const struct section *section)
{
    char near[SUGGESTION_TEXT_MAX], all[256];
    struct suggestion suggestion = {.asked = section->kind};
    struct text text;
    text_init(&text, all, sizeof(all));
    for (size_t i = 0; i < KIND_COUNT; i++) {
        suggestion_offer(&suggestion, KINDS[i].kind);
        text_format(&text, " %s", KINDS[i].kind);
    }
    section_fault(loader, section, NULL, "no such section; allowed:%s%s", all, suggestion_text(&suggestion, near));
}

static void section_check_title(const struct loader *loader, const struct section *section)
{
    const struct section_kind *kind = section_find_kind(section->kind);
    size_t len = strlen(section->name);
    if (kind == NULL)
        section_unknown_kind(loader, section);
    else if (!kind->named && len > 0)
        section_fault(loader, section, NULL, "takes no name; allowed: [%s]", kind->kind);
    else if (kind->named && (len == 0 || len > SECTION_NAME_MAX || strpbrk(section->name, " \t") != NULL))
        section_fault(loader, section, NULL, "needs a name of 1 to %d of a-z A-Z 0-9 . _ -; allowed: [%s NAME]", SECTION_NAME_MAX, kind->kind);
}

static int section_compare_titles(const void *left, const void *right)
{
    const struct section *a = *(const struct section *const *)left, *b = *(const struct section *const *)right;
    int order = strcmp(a->title, b->title);
    return order ? order : (a > b) - (a < b); /* both stand in one array, in the order of reading */
}

static void section_check_twins(const struct loader *loader)
{
    const struct document *document = &loader->document;
    const struct section **sorted = calloc(document->count + 1, sizeof(*sorted));
    char at[PLACE_TEXT_MAX];
    if (sorted == NULL) {
        fault_add(loader->faults, document->files.paths[0], NULL, NULL, "out of memory");
        return;
    }
    for (size_t i = 0; i < document->count; i++)
        sorted[i] = &document->sections[i];
    qsort(sorted, document->count, sizeof(*sorted), section_compare_titles);
    for (size_t first = 0, i = 1; i < document->count; i++) {
        if (strcmp(sorted[i]->title, sorted[first]->title) != 0)
            first = i;
        else
            section_fault(loader, sorted[i], NULL, "stands twice, first at %.512s", place_text(sorted[first]->file, sorted[first]->line, at));
    }
    free(sorted);
}

/* A section that takes no name holds its defaults where no file has it. */
static void section_apply_absent(struct loader *loader, const struct section_kind *kind)
{
    char word[16];
    text_copy(word, sizeof(word), kind->kind, strlen(kind->kind));
    struct section section = {.file = loader->document.files.paths[0], .title = word, .kind = word, .name = word + strlen(word)};
    section_read(loader, kind, &section);
}

static void section_apply_kind(struct loader *loader, const struct section_kind *kind)
{
    bool found = false;
    for (size_t i = 0; i < loader->document.count; i++) {
        const struct section *section = &loader->document.sections[i];
        if (strcmp(section->kind, kind->kind) != 0)
            continue;
        found = true;
        section_read(loader, kind, section);
    }
    if (!found && !kind->named)
        section_apply_absent(loader, kind);
}

void sections_apply(struct loader *loader)
{
    for (size_t i = 0; i < loader->document.count; i++)
        section_check_title(loader, &loader->document.sections[i]);
    section_check_twins(loader);
    for (size_t i = 0; i < KIND_COUNT; i++)
        section_apply_kind(loader, &KINDS[i]);
}
