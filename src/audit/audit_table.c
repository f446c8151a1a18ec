/* Counts over audit records, a row for each name. */
#include "audit/audit_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_FIRST 64

void audit_table_fini(struct audit_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->rows[i]);
    free(table->rows);
    free(table->slots);
    *table = (struct audit_table){0};
}

static uint64_t audit_table_hash(const struct audit_table *table, const char *name, size_t name_len, const char *more, size_t more_len)
{
    uint64_t hash = hash_bytes(name, name_len, table->seed);
    return hash_bytes(more, more_len, table->seed ^ hash);
}

static uint64_t audit_table_hash_row(const struct audit_table *table, const struct audit_row *row)
{
    return audit_table_hash(table, row->name ? row->name : "", row->name ? strlen(row->name) : 0, row->more ? row->more : "",
                            row->more ? strlen(row->more) : 0);
}

static uint64_t audit_table_hash_values(const struct audit_table *table, const struct audit_value *name, const struct audit_value *more)
{
    return audit_table_hash(table, name->len ? name->at : "", name->len, more->len ? more->at : "", more->len);
}

static bool audit_table_is_name(const char *name, const struct audit_value *value)
{
    return value->kind == AUDIT_TEXT ? name != NULL && audit_value_is(value, name) : name == NULL;
}

/* The slot that holds the row, or the free one where it belongs: at least half of them are free. */
static struct audit_row **audit_table_slot(const struct audit_table *table, const struct audit_value *name, const struct audit_value *more)
{
    size_t at = audit_table_hash_values(table, name, more) & (table->slot_count - 1);
    while (table->slots[at] != NULL && !(audit_table_is_name(table->slots[at]->name, name) && audit_table_is_name(table->slots[at]->more, more)))
        at = (at + 1) & (table->slot_count - 1);
    return &table->slots[at];
}

static bool audit_table_grow_slots(struct audit_table *table)
{
    if (table->count * 2 < table->slot_count)
        return true;
    const size_t count = table->slot_count > 0 ? table->slot_count * 2 : SLOTS_FIRST;
    struct audit_row **slots = calloc(count, sizeof(struct audit_row *));
    if (slots == NULL)
        return false;
    if (table->slot_count == 0)
        table->seed = hash_seed();
    for (size_t i = 0; i < table->count; i++) {
        size_t at = audit_table_hash_row(table, table->rows[i]) & (count - 1);
        while (slots[at] != NULL)
            at = (at + 1) & (count - 1);
        slots[at] = table->rows[i];
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    return true;
}

static bool audit_table_grow_rows(struct audit_table *table)
{
    if (table->count < table->room)
        return true;
    const size_t room = table->room > 0 ? table->room * 2 : SLOTS_FIRST;
    struct audit_row **rows = realloc(table->rows, room * sizeof(struct audit_row *));
    if (rows == NULL)
        return false;
    table->rows = rows;
    table->room = room;
    return true;
}

/* The row and its names are one piece of memory. */
static struct audit_row *audit_table_new_row(const struct audit_value *name, const struct audit_value *more)
{
    struct audit_row *row = calloc(1, sizeof(*row) + name->len + more->len + 2);
    if (row == NULL)
        return NULL;
    char *names = (char *)(row + 1);
    if (name->kind == AUDIT_TEXT)
        row->name = memcpy(names, name->at, name->len);
    if (more->kind == AUDIT_TEXT)
        row->more = memcpy(names + name->len + 1, more->at, more->len);
    return row;
}

static struct audit_row *audit_table_add(struct audit_table *table, const struct audit_value *name, const struct audit_value *more)
{
    if (!audit_table_grow_rows(table))
        return NULL;
    struct audit_row *row = audit_table_new_row(name, more);
    if (row != NULL)
        table->rows[table->count++] = row;
    return row;
}

/* Where all go for whom there is no room: a row that no slot points to. */
static struct audit_row *audit_table_rest(struct audit_table *table)
{
    static const struct audit_value none;
    if (table->rest == NULL) {
        table->rest = audit_table_add(table, &none, &none);
        if (table->rest != NULL)
            table->rest->is_rest = true;
    }
    return table->rest;
}

struct audit_row *audit_table_row(struct audit_table *table, const struct audit_value *name, const struct audit_value *more)
{
    if (!audit_table_grow_slots(table))
        return NULL;
    struct audit_row **slot = audit_table_slot(table, name, more);
    if (*slot != NULL)
        return *slot;
    if (table->count >= (table->max > 0 ? table->max : AUDIT_TABLE_MAX))
        return audit_table_rest(table);
    *slot = audit_table_add(table, name, more);
    return *slot;
}

static int audit_table_compare(const void *a, const void *b, void *compare)
{
    int (*const by)(const struct audit_row *, const struct audit_row *) = *(int (**)(const struct audit_row *, const struct audit_row *))compare;
    return by(*(struct audit_row *const *)a, *(struct audit_row *const *)b);
}

void audit_table_sort(struct audit_table *table, int (*compare)(const struct audit_row *a, const struct audit_row *b))
{
    free(table->slots);
    table->slots = NULL;
    table->slot_count = 0;
    if (table->count > 1)
        qsort_r(table->rows, table->count, sizeof(struct audit_row *), audit_table_compare, &compare);
}
