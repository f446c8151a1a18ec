/* Values that more than one exported schema has, and that no key of the record holds as they are. */
#ifndef EXEAT_AUDIT_AUDIT_EXPORT_VALUE_H
#define EXEAT_AUDIT_AUDIT_EXPORT_VALUE_H

#include "audit/audit_export_row.h"

/* The record's time as milliseconds since 1970. False: no such day. */
bool audit_export_time_ms(uint64_t *out, const struct audit_record *record);

/* A text of the record, as JSON. False: it is none. */
bool audit_export_text(struct text *out, const struct audit_value *value);

/* A number; one above INT64_MAX, which no schema has, becomes that. */
void audit_export_number(struct text *out, uint64_t number);

/* All below are as audit_export_row.call is. */

/* Which event of all: "INSTANCE/SEQ". */
bool audit_export_uid(struct text *out, const struct audit_export *export);

/* What was asked for, unless it is an address. */
bool audit_export_name(struct text *out, const struct audit_export *export);

/* The address that was dialled, else the one asked for, else the original one. */
bool audit_export_address(struct text *out, const struct audit_export *export);

/* Both ways together. */
bool audit_export_bytes(struct text *out, const struct audit_export *export);

#endif
