/* What the lints have to know of host lists and is nowhere else once a configuration is loaded: their names and their patterns. */
#include "config/lint_notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/document.h"
#include "config/lint_pattern.h"
#include "config/setting.h"

struct lint_notes *lint_notes_new(void)
{
    return calloc(1, sizeof(struct lint_notes));
}

static void lint_notes_free_list(struct noted_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->patterns[i].name);
    free(list->patterns);
}

static void lint_notes_free_remark(struct lint_remark *remark)
{
    free(remark->at);
    free(remark->section);
    free(remark->key);
    free(remark->pattern);
}

void lint_notes_free(struct lint_notes *notes)
{
    if (notes == NULL)
        return;
    for (size_t i = 0; i < notes->list_count; i++)
        lint_notes_free_list(&notes->lists[i]);
    for (size_t i = 0; i < notes->remark_count; i++)
        lint_notes_free_remark(&notes->remarks[i]);
    free(notes->lists);
    free(notes->remarks);
    free(notes);
}

bool lint_notes_add_list(struct lint_notes *notes, const struct host_list *list, enum list_origin origin)
{
    if (notes == NULL)
        return true;
    if (list->number != notes->list_count) /* memory ran out before, and a list is missing */
        return false;
    struct noted_list *lists = array_room(notes->lists, notes->list_count, sizeof(*lists));
    if (lists == NULL)
        return false;
    notes->lists = lists;
    lists[notes->list_count++] = (struct noted_list){.list = list, .origin = origin};
    return true;
}

static bool lint_notes_keep_pattern(struct lint_notes *notes, struct noted_list *noted, const struct pattern *pattern)
{
    if (noted->count >= LINT_PATTERNS_KEPT || notes->kept >= LINT_PATTERNS_KEPT_ALL) {
        noted->incomplete = true;
        return true;
    }
    struct noted_pattern *patterns = array_room(noted->patterns, noted->count, sizeof(*patterns));
    if (patterns == NULL)
        return false;
    noted->patterns = patterns;
    struct noted_pattern kept = {.kind = pattern->kind, .network = pattern->network};
    kept.name = strdup(pattern->name);
    if (kept.name == NULL)
        return false;
    patterns[noted->count++] = kept;
    notes->kept++;
    return true;
}

/* As an operator would write it. Malloc'd; NULL: out of memory. */
static char *lint_notes_pattern_text(const struct pattern *pattern)
{
    char buf[NETWORK_TEXT_MAX], *text = NULL;
    const char *what = pattern->kind == PATTERN_NETWORK ? network_text(&pattern->network, buf) : pattern->name;
    return asprintf(&text, "%s%s", pattern->kind == PATTERN_BELOW ? "*." : "", what) < 0 ? NULL : text;
}

static bool lint_notes_add_remark(struct lint_notes *notes, const struct host_list *list, const struct pattern *pattern, const char *what,
                                  const struct setting *from)
{
    char at[PLACE_TEXT_MAX];
    if (notes->remark_count >= LINT_REMARKS_KEPT)
        return true;
    struct lint_remark *remarks = array_room(notes->remarks, notes->remark_count, sizeof(*remarks));
    if (remarks == NULL)
        return false;
    notes->remarks = remarks;
    struct lint_remark *remark = &remarks[notes->remark_count++];
    *remark = (struct lint_remark){.list = list, .what = what};
    remark->at = strdup(place_text(from->file, from->line, at));
    remark->section = strdup(from->section->title);
    remark->key = strdup(from->row->key);
    remark->pattern = lint_notes_pattern_text(pattern);
    return remark->at && remark->section && remark->key && remark->pattern;
}

bool lint_notes_add_pattern(struct lint_notes *notes, const struct host_list *list, const struct pattern *pattern, const struct setting *from)
{
    if (notes == NULL)
        return true;
    const char *what = lint_pattern(pattern);
    return list->number < notes->list_count && lint_notes_keep_pattern(notes, &notes->lists[list->number], pattern) &&
           (what == NULL || lint_notes_add_remark(notes, list, pattern, what, from));
}

const struct noted_list *lint_notes_find(const struct lint_notes *notes, const struct host_list *list)
{
    return list->number < notes->list_count ? &notes->lists[list->number] : NULL;
}
