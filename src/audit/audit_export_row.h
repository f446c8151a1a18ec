/* The rows of which an exported schema is made: one a member of its JSON, in the order in which they are written. */
#ifndef EXEAT_AUDIT_AUDIT_EXPORT_ROW_H
#define EXEAT_AUDIT_AUDIT_EXPORT_ROW_H

#include "audit/audit_export_kind.h"
#include "audit/audit_record.h"
#include "base/text.h"

enum audit_export_how { EXPORT_ROWS_END = 0, EXPORT_ROW_OPEN, EXPORT_ROW_CLOSE, EXPORT_ROW_COPY, EXPORT_ROW_WORD, EXPORT_ROW_CALL, EXPORT_ROW_ROWS };

/* What is exported. */
struct audit_export {
    const struct audit_record *record;
    const struct audit_export_kind *kind;
    const struct audit_value *values; /* the record's */
};

/* A member stands in the line only when the record knows `when`, and it has a value. An object without members is left out too. */
struct audit_export_row {
    enum audit_export_how how;
    const char *key; /* as it is written: "key": */
    size_t key_len;
    enum audit_key when; /* unless said: a key that every record knows */
    enum audit_key from;
    const char *word;                                                  /* JSON */
    bool (*call)(struct text *out, const struct audit_export *export); /* appends JSON; false: there is no value */
    const struct audit_export_row *rows;
};

#define EXPORT_KEY(name) .key = "\"" name "\":", .key_len = sizeof("\"" name "\":") - 1
#define EXPORT_OPEN(name)                                                                                                                            \
    {                                                                                                                                                \
        .how = EXPORT_ROW_OPEN, EXPORT_KEY(name)                                                                                                     \
    }
#define EXPORT_CLOSE                                                                                                                                 \
    {                                                                                                                                                \
        .how = EXPORT_ROW_CLOSE                                                                                                                      \
    }
#define EXPORT_COPY(name, symbol) EXPORT_COPY_WHEN(name, symbol, symbol)
#define EXPORT_COPY_WHEN(name, symbol, known)                                                                                                        \
    {                                                                                                                                                \
        .how = EXPORT_ROW_COPY, EXPORT_KEY(name), .from = AUDIT_KEY_##symbol, .when = AUDIT_KEY_##known                                              \
    }
#define EXPORT_WORD(name, json)                                                                                                                      \
    {                                                                                                                                                \
        .how = EXPORT_ROW_WORD, EXPORT_KEY(name), .word = json                                                                                       \
    }
#define EXPORT_WORD_WHEN(name, json, known)                                                                                                          \
    {                                                                                                                                                \
        .how = EXPORT_ROW_WORD, EXPORT_KEY(name), .word = json, .when = AUDIT_KEY_##known                                                            \
    }
#define EXPORT_CALL(name, function)                                                                                                                  \
    {                                                                                                                                                \
        .how = EXPORT_ROW_CALL, EXPORT_KEY(name), .call = function                                                                                   \
    }
#define EXPORT_ROWS(table)                                                                                                                           \
    {                                                                                                                                                \
        .how = EXPORT_ROW_ROWS, .rows = table                                                                                                        \
    } /* those of another table, here */
#define EXPORT_END                                                                                                                                   \
    {                                                                                                                                                \
        .how = EXPORT_ROWS_END                                                                                                                       \
    }

#define EXPORT_DEPTH_MAX 4 /* objects in objects, the outermost not counted */

extern const struct audit_export_row AUDIT_EXPORT_ECS_ROWS[];

/* They go by the OCSF class of the record's kind. */
const struct audit_export_row *audit_export_ocsf_rows(const struct audit_export_kind *kind);

#endif
