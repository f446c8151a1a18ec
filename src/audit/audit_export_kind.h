/* What kind of event a record is in the words of other schemas: one row for each that they tell apart. */
#ifndef EXEAT_AUDIT_AUDIT_EXPORT_KIND_H
#define EXEAT_AUDIT_AUDIT_EXPORT_KIND_H

#include "audit/audit_record.h"

enum { OCSF_BASE_EVENT = 0, OCSF_NETWORK_ACTIVITY = 4001, OCSF_APPLICATION_LIFECYCLE = 6002 };

struct audit_export_kind {
    enum record_event event;
    enum audit_key by; /* of the event only those that have `word` here; without a word: all */
    const char *word;

    const char *category, *type, *outcome; /* ECS event.…, as JSON; NULL: none */

    unsigned class, activity, severity, status; /* OCSF …_id */
    unsigned action, disposition;               /* 0: nobody decided anything */
};

/* Never NULL. */
const struct audit_export_kind *audit_export_kind_find(const struct audit_record *record);

#endif
