/* Rows of one size, each found by its name (or by any few bytes); they keep the order of their coming. */
#include "base/name_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_FIRST 16

void name_table_fini(struct name_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->rows[i]);
    free(table->rows);
    free(table->slots);
    *table = (struct name_table){.row_size = table->row_size, .max = table->max};
}

/* The slot that holds the row, or the free one where it belongs: at least half of them are free. Names are the configuration's: no seed. */
static struct name_row **name_table_slot(struct name_row **slots, size_t slot_count, const void *name, size_t len)
{
    size_t at = hash_bytes(name, len, 0) & (slot_count - 1);
    while (slots[at] != NULL && (slots[at]->len != len || memcmp(slots[at]->name, name, len) != 0))
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

void *name_table_find(const struct name_table *table, const void *name, size_t len)
{
    return table->count > 0 ? *name_table_slot(table->slots, table->slot_count, name, len) : NULL;
}

static bool name_table_grow_rows(struct name_table *table)
{
    if (table->count < table->room)
        return true;
    const size_t room = table->room > 0 ? table->room * 2 : SLOTS_FIRST;
    struct name_row **rows = realloc(table->rows, room * sizeof(struct name_row *));
    if (rows == NULL)
        return false;
    table->rows = rows;
    table->room = room;
    return true;
}

static bool name_table_grow_slots(struct name_table *table)
{
    if ((table->count + 1) * 2 <= table->slot_count)
        return true;
    const size_t slot_count = table->slot_count > 0 ? table->slot_count * 2 : SLOTS_FIRST;
    struct name_row **slots = calloc(slot_count, sizeof(struct name_row *));
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < table->count; i++)
        *name_table_slot(slots, slot_count, table->rows[i]->name, table->rows[i]->len) = table->rows[i];
    free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return true;
}

static struct name_row *name_table_add(struct name_table *table, const void *name, size_t len)
{
    if (table->count >= table->max || !name_table_grow_rows(table) || !name_table_grow_slots(table))
        return NULL;
    struct name_row *row = calloc(1, table->row_size + len + 1);
    if (row == NULL)
        return NULL;
    char *copy = (char *)row + table->row_size;
    memcpy(copy, name, len);
    row->name = copy;
    row->len = len;
    *name_table_slot(table->slots, table->slot_count, name, len) = row;
    table->rows[table->count++] = row;
    return row;
}

void *name_table_row(struct name_table *table, const void *name, size_t len)
{
    struct name_row *row = name_table_find(table, name, len);
    return row != NULL ? row : name_table_add(table, name, len);
}
