/* Rows of one size, each found by its name (or by any few bytes); they keep the order of their coming. */
#ifndef EXEAT_BASE_NAME_TABLE_H
#define EXEAT_BASE_NAME_TABLE_H

#include <stddef.h>

/* What every row begins with. */
struct name_row {
    const char *name; /* with a NUL behind it */
    size_t len;
};

/* Zeroed but for its row size and bound: empty. */
struct name_table {
    size_t row_size; /* of the struct that begins with a name_row */
    size_t max;      /* rows; past it none is added */
    struct name_row **rows;
    size_t count, room;
    struct name_row **slots; /* private */
    size_t slot_count;
};

void name_table_fini(struct name_table *table);

/* The row of that name, or NULL. */
void *name_table_find(const struct name_table *table, const void *name, size_t len);

/* The same, with a new zeroed row where there is none. NULL: out of memory, or the table is full. Rows do not move. */
void *name_table_row(struct name_table *table, const void *name, size_t len);

#endif
