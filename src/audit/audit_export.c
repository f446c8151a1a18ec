/* One audit record as one line of JSON by a public schema: its rows, written one after the other. */
#include "audit/audit_export.h"

#include <assert.h>
#include <string.h>

#include "audit/audit_export_row.h"
#include "audit/audit_export_value.h"

/* Where an object began, so that it can be taken back. */
struct audit_export_object {
    size_t before, inside;
};

enum audit_export_format audit_export_format_read(const char *word)
{
    if (strcmp(word, "ecs") == 0)
        return AUDIT_EXPORT_ECS;
    return strcmp(word, "ocsf") == 0 ? AUDIT_EXPORT_OCSF : AUDIT_EXPORT_NONE;
}

static void audit_export_take_back(struct text *out, size_t len)
{
    out->len = len;
    out->at[len] = '\0';
}

/* A key with its comma; nothing else that is written ends in a brace that opens. */
static void audit_export_key(struct text *out, const struct audit_export_row *row)
{
    if (out->len > 0 && out->at[out->len - 1] != '{')
        text_add_char(out, ',');
    text_add_bytes(out, row->key, row->key_len);
}

/* As it stands in the record: what is escaped there stays so. */
static void audit_export_copy(struct text *out, const struct audit_value *value)
{
    switch (value->kind) {
    case AUDIT_NUMBER:
        audit_export_number(out, value->number);
        break;
    case AUDIT_FLAG:
        text_add(out, value->number ? "true" : "false");
        break;
    case AUDIT_TEXT:
        (void)audit_export_text(out, value);
        break;
    case AUDIT_LIST:
        text_add_char(out, '[');
        text_add_bytes(out, value->at, value->len);
        text_add_char(out, ']');
        break;
    case AUDIT_NULL:
        break;
    }
}

/* False: there is no value. */
static bool audit_export_value(struct text *out, const struct audit_export_row *row, const struct audit_export *export)
{
    if (row->how == EXPORT_ROW_CALL)
        return row->call(out, export);
    if (row->how == EXPORT_ROW_COPY)
        audit_export_copy(out, &export->values[row->from]);
    else
        text_add(out, row->word);
    return true;
}

static void audit_export_member(struct text *out, const struct audit_export_row *row, const struct audit_export *export)
{
    const size_t before = out->len;
    if (export->values[row->when].kind == AUDIT_NULL)
        return;
    audit_export_key(out, row);
    const size_t value = out->len;
    if (!audit_export_value(out, row, export) || out->len == value)
        audit_export_take_back(out, before);
}

static void audit_export_open(struct text *out, const struct audit_export_row *row, struct audit_export_object *object)
{
    object->before = out->len;
    audit_export_key(out, row);
    text_add_char(out, '{');
    object->inside = out->len;
}

static void audit_export_close(struct text *out, const struct audit_export_object *object)
{
    if (out->len == object->inside)
        audit_export_take_back(out, object->before);
    else
        text_add_char(out, '}');
}

static void audit_export_rows(struct text *out, const struct audit_export_row *row, const struct audit_export *export)
{
    struct audit_export_object objects[EXPORT_DEPTH_MAX];
    size_t depth = 0;
    for (; row->how != EXPORT_ROWS_END; row++) {
        if (row->how == EXPORT_ROW_OPEN) {
            assert(depth < EXPORT_DEPTH_MAX);
            audit_export_open(out, row, &objects[depth++]);
        } else if (row->how == EXPORT_ROW_CLOSE) {
            audit_export_close(out, &objects[--depth]);
        } else if (row->how == EXPORT_ROW_ROWS) {
            audit_export_rows(out, row->rows, export);
        } else {
            audit_export_member(out, row, export);
        }
    }
    assert(depth == 0);
}

bool audit_export_write(struct text *out, const struct audit_record *record, enum audit_export_format format)
{
    uint64_t ms;
    const struct audit_export export = {.record = record, .kind = audit_export_kind_find(record), .values = record->values};
    if (!audit_export_time_ms(&ms, record))
        return false;
    text_add_char(out, '{');
    audit_export_rows(out, format == AUDIT_EXPORT_ECS ? AUDIT_EXPORT_ECS_ROWS : audit_export_ocsf_rows(export.kind), &export);
    text_add_char(out, '}');
    return !out->cut;
}
