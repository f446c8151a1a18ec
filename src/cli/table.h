/* Rows for a person or a script: aligned and coloured on a terminal, separated by tabs elsewhere. */
#ifndef EXEAT_CLI_TABLE_H
#define EXEAT_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table {
    size_t columns;
    char **cells; /* private: row by row */
    size_t count;
    size_t room;
    bool failed; /* out of memory: some rows are lost */
};

void table_init(struct table *table, size_t columns);
void table_fini(struct table *table);

/* Copies `columns` strings. */
void table_row(struct table *table, const char *const *cells);

/* Writes all rows; the first is the header, which a script does not get. False: out of memory, nothing was written. */
bool table_print(const struct table *table, FILE *to);

/* What a person sees coloured. */
enum colour { COLOUR_NONE = 0, COLOUR_GOOD, COLOUR_BAD, COLOUR_NOTE };

/* Writes the word, in colour when `to` is a terminal that has it and NO_COLOR is not set. */
void table_colour(FILE *to, enum colour colour, const char *word);

#endif
