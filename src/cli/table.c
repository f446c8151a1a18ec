/* Rows for a person or a script: aligned and coloured on a terminal, separated by tabs elsewhere. */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void table_init(struct table *table, size_t columns)
{
    *table = (struct table){.columns = columns};
}

void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
}

static bool table_grow(struct table *table)
{
    if (table->count + table->columns <= table->room)
        return true;
    size_t room = table->room * 2 + table->columns * 16;
    char **cells = realloc(table->cells, room * sizeof(*cells));
    if (cells == NULL)
        return false;
    table->cells = cells;
    table->room = room;
    return true;
}

void table_row(struct table *table, const char *const *cells)
{
    if (!table_grow(table)) {
        table->failed = true;
        return;
    }
    for (size_t i = 0; i < table->columns; i++) {
        char *copy = strdup(cells[i]);
        table->cells[table->count++] = copy;
        if (copy == NULL)
            table->failed = true;
    }
}

static int table_width(const struct table *table, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t len = strlen(table->cells[i]);
        if (len > width)
            width = len;
    }
    return (int)width;
}

static void table_print_aligned(const struct table *table, const int *widths, FILE *to)
{
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        if (column + 1 < table->columns)
            fprintf(to, "%-*s  ", widths[column], table->cells[i]);
        else
            fprintf(to, "%s\n", table->cells[i]);
    }
}

static void table_print_tabs(const struct table *table, FILE *to)
{
    for (size_t i = table->columns; i < table->count; i++)
        fprintf(to, "%s%c", table->cells[i], (i + 1) % table->columns == 0 ? '\n' : '\t');
}

bool table_print(const struct table *table, FILE *to)
{
    if (table->failed)
        return false;
    if (!isatty(fileno(to))) {
        table_print_tabs(table, to);
        return true;
    }
    int *widths = calloc(table->columns, sizeof(*widths));
    if (widths == NULL)
        return false;
    for (size_t i = 0; i < table->columns; i++)
        widths[i] = table_width(table, i);
    table_print_aligned(table, widths, to);
    free(widths);
    return true;
}

/* no-color.org: set and not empty means none. */
static bool table_has_colour(FILE *to)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(to)) && (no == NULL || *no == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void table_colour(FILE *to, enum colour colour, const char *word)
{
    static const char *const CODES[] = {[COLOUR_NONE] = "0", [COLOUR_GOOD] = "32", [COLOUR_BAD] = "31", [COLOUR_NOTE] = "33"};
    if (table_has_colour(to))
        fprintf(to, "\033[%sm%s\033[0m", CODES[colour], word);
    else
        fputs(word, to);
}
