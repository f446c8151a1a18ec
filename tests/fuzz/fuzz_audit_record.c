/* Fuzzes the reader of audit records: what it takes is strict JSON with the same values, and a record for the journal and the chain too. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_line.h"
#include "audit/audit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const KEYS[] = {
#define X(symbol, key, kind) key,
    AUDIT_KEY_TABLE(X)
#undef X
};

/* A text is never longer than what it is escaped to, and equal to it where nothing is. */
static void check_text(const struct audit_value *value, const json_t *json)
{
    assert(json_is_string(json) && json_string_length(json) <= value->len);
    if (memchr(value->at, '\\', value->len) == NULL)
        assert(json_string_length(json) == value->len && memcmp(json_string_value(json), value->at, value->len) == 0);
}

static void check_value(const struct audit_value *value, const json_t *json)
{
    if (value->kind == AUDIT_TEXT)
        check_text(value, json);
    else if (value->kind == AUDIT_NUMBER)
        assert(json_is_number(json) && json_number_value(json) == (double)value->number);
    else if (value->kind == AUDIT_FLAG)
        assert(json_is_boolean(json) && json_is_true(json) == (value->number == 1));
    else
        assert(value->kind == AUDIT_LIST ? json_is_array(json) : json_is_null(json));
}

/* jansson refuses a lone half of a surrogate pair, which no record has but the reader does not look for. */
static void check_json(const struct audit_record *record, const char *line, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (json == NULL && memmem(line, len, "\\ud", 3) != NULL)
        return;
    assert(json != NULL && json_object_size(json) == AUDIT_KEY_COUNT);
    for (size_t i = 0; i < AUDIT_KEY_COUNT; i++)
        check_value(&record->values[i], json_object_get(json, KEYS[i]));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_record record;
    struct audit_line line;
    char *copy = malloc(size + (size == 0)); /* of just this size, so that a read past its end is seen */
    memcpy(copy, data, size);
    const bool is_line = audit_line_read(&line, copy, size);
    audit_line_resembles(copy, size);
    if (audit_record_read(&record, copy, size)) {
        check_json(&record, copy, size);
        assert(is_line && line.seq == record.values[AUDIT_KEY_SEQ].number);
        assert((line.chain != NULL) == (record.values[AUDIT_KEY_CHAIN].kind == AUDIT_TEXT));
    }
    free(copy);
    return 0;
}
