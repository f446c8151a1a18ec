/* Fuzzes the export of audit records: whatever is read as one is strict JSON by each schema, and has room. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* jansson refuses a lone half of a surrogate pair, which no record has but the reader does not look for. */
static void check_json(const struct text *text)
{
    json_error_t error;
    json_t *json = json_loadb(text->at, text->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    assert(json != NULL || strstr(text->at, "\\ud") != NULL);
    json_decref(json);
}

static void check_export(const struct audit_record *record, enum audit_export_format format)
{
    struct text text;
    char *line = malloc(AUDIT_EXPORT_MAX);
    text_init(&text, line, AUDIT_EXPORT_MAX - 1);
    if (audit_export_write(&text, record, format))
        check_json(&text);
    assert(!text.cut);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_record record;
    if (audit_record_read(&record, (const char *)data, size)) {
        check_export(&record, AUDIT_EXPORT_ECS);
        check_export(&record, AUDIT_EXPORT_OCSF);
    }
    return 0;
}
