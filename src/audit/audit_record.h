/* One audit record read back from its line, key by key: as strict as the one writer (audit/record) is regular, and no reader of other JSON. */
#ifndef EXEAT_AUDIT_AUDIT_RECORD_H
#define EXEAT_AUDIT_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit_key.h"
#include "audit/record.h"

struct audit_value {
    enum audit_kind kind;
    uint64_t number; /* of a flag: 0 or 1 */
    const char *at;  /* of a text or list: what stands between its quotes or brackets, escaped as it is, in the line; no NUL behind it */
    size_t len;
};

struct audit_record {
    enum record_event event;
    struct audit_value values[AUDIT_KEY_COUNT];
};

/* `line` is without its newline and must outlive the record. False when it is not one that record_write() and the journal can have made. */
bool audit_record_read(struct audit_record *out, const char *line, size_t len);

/* The same of a text that the journal has not made a line yet: v, seq and chain are null. */
bool audit_record_read_text(struct audit_record *out, const char *text, size_t len);

/* True for a text that is this word. */
bool audit_value_is(const struct audit_value *value, const char *word);

#endif
