/* One audit record as one line of JSON by a public schema: the Elastic Common Schema or OCSF. */
#ifndef EXEAT_AUDIT_AUDIT_EXPORT_H
#define EXEAT_AUDIT_AUDIT_EXPORT_H

#include "audit/audit_record.h"
#include "base/text.h"

#define AUDIT_EXPORT_MAX (4 * RECORD_MAX) /* bytes of a line, with a newline and a NUL: no value stands in it more than three times */

enum audit_export_format { AUDIT_EXPORT_NONE = 0, AUDIT_EXPORT_ECS, AUDIT_EXPORT_OCSF };

/* "ecs", "ocsf"; AUDIT_EXPORT_NONE for another word. */
enum audit_export_format audit_export_format_read(const char *word);

/* Appends one JSON object, without a newline: what becomes of each key stands in exeat-audit(5). False: the record's time is none, or there was no
 * room (there is, where AUDIT_EXPORT_MAX bytes are free); what was appended then is no JSON. */
bool audit_export_write(struct text *out, const struct audit_record *record, enum audit_export_format format);

#endif
