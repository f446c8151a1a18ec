/* What kind of event a record is in the words of other schemas: one row for each that they tell apart. */
#include "audit/audit_export_kind.h"

/* OCSF 1.5.0 */
enum { ACTIVITY_OPEN = 1, ACTIVITY_CLOSE, ACTIVITY_RESET, ACTIVITY_FAIL, ACTIVITY_REFUSE, ACTIVITY_OTHER = 99 }; /* of network activity */
enum { LIFECYCLE_START = 3, LIFECYCLE_STOP };
enum { SEVERITY_INFORMATIONAL = 1, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH };
enum { STATUS_UNKNOWN = 0, STATUS_SUCCESS, STATUS_FAILURE };
enum { ACTION_ALLOWED = 1, ACTION_DENIED, ACTION_OBSERVED };
enum {
    DISPOSITION_ALLOWED = 1,
    DISPOSITION_BLOCKED = 2,
    DISPOSITION_LOGGED = 17,
    DISPOSITION_ACCESS_REVOKED = 24,
    DISPOSITION_REJECTED = 25,
    DISPOSITION_ERROR = 27
};

#define SUCCESS "\"success\""
#define FAILURE "\"failure\""
#define UNKNOWN "\"unknown\""
#define NETWORK "[\"network\"]"
#define PROCESS "[\"process\"]"
#define NET OCSF_NETWORK_ACTIVITY
#define LIFE OCSF_APPLICATION_LIFECYCLE
#define BASE OCSF_BASE_EVENT
#define ALL AUDIT_KEY_V, NULL

/* The first row that fits counts: what is said of all of an event stands behind its others. A denial that does its work is a success in ECS
 * ("the blocking of this connection is expected"). */
/* clang-format off */
static const struct audit_export_kind KINDS[] = {
    {EVENT_DECISION, AUDIT_KEY_VERDICT, "allow", NETWORK, "[\"connection\",\"start\",\"allowed\"]", SUCCESS,
     NET, ACTIVITY_OPEN, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, ACTION_ALLOWED, DISPOSITION_ALLOWED},
    {EVENT_DECISION, AUDIT_KEY_VERDICT, "observe", NETWORK, "[\"connection\",\"start\",\"allowed\"]", SUCCESS,
     NET, ACTIVITY_OPEN, SEVERITY_LOW, STATUS_SUCCESS, ACTION_OBSERVED, DISPOSITION_LOGGED},
    {EVENT_DECISION, AUDIT_KEY_CLASS, "client", NETWORK, "[\"connection\",\"denied\"]", SUCCESS,
     NET, ACTIVITY_REFUSE, SEVERITY_INFORMATIONAL, STATUS_FAILURE, ACTION_DENIED, DISPOSITION_REJECTED},
    {EVENT_DECISION, AUDIT_KEY_CLASS, "network", NETWORK, "[\"connection\"]", FAILURE,
     NET, ACTIVITY_FAIL, SEVERITY_LOW, STATUS_FAILURE, ACTION_DENIED, DISPOSITION_ERROR},
    {EVENT_DECISION, AUDIT_KEY_CLASS, "capacity", NETWORK, "[\"connection\",\"denied\"]", FAILURE,
     NET, ACTIVITY_REFUSE, SEVERITY_MEDIUM, STATUS_FAILURE, ACTION_DENIED, DISPOSITION_ERROR},
    {EVENT_DECISION, ALL, NETWORK, "[\"connection\",\"denied\"]", SUCCESS,
     NET, ACTIVITY_REFUSE, SEVERITY_LOW, STATUS_FAILURE, ACTION_DENIED, DISPOSITION_BLOCKED},
    {EVENT_CLOSE, AUDIT_KEY_END, "client_eof", NETWORK, "[\"connection\",\"end\"]", SUCCESS,
     NET, ACTIVITY_CLOSE, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
    {EVENT_CLOSE, AUDIT_KEY_END, "origin_eof", NETWORK, "[\"connection\",\"end\"]", SUCCESS,
     NET, ACTIVITY_CLOSE, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
    {EVENT_CLOSE, AUDIT_KEY_END, "policy_revoked", NETWORK, "[\"connection\",\"end\",\"denied\"]", SUCCESS,
     NET, ACTIVITY_RESET, SEVERITY_LOW, STATUS_SUCCESS, ACTION_DENIED, DISPOSITION_ACCESS_REVOKED},
    {EVENT_CLOSE, ALL, NETWORK, "[\"connection\",\"end\"]", UNKNOWN,
     NET, ACTIVITY_RESET, SEVERITY_INFORMATIONAL, STATUS_UNKNOWN, 0, 0},
    {EVENT_START, ALL, PROCESS, "[\"start\"]", SUCCESS, LIFE, LIFECYCLE_START, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
    {EVENT_STOP, ALL, PROCESS, "[\"end\"]", SUCCESS, LIFE, LIFECYCLE_STOP, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
    {EVENT_RECOVERED, ALL, PROCESS, "[\"info\"]", UNKNOWN, BASE, ACTIVITY_OTHER, SEVERITY_MEDIUM, STATUS_UNKNOWN, 0, 0},
    {EVENT_GAP, ALL, NULL, NULL, FAILURE, BASE, ACTIVITY_OTHER, SEVERITY_HIGH, STATUS_FAILURE, 0, 0},
    {EVENT_PROBE, ALL, NETWORK, "[\"info\"]", NULL, BASE, ACTIVITY_OTHER, SEVERITY_INFORMATIONAL, STATUS_UNKNOWN, 0, 0},
    {EVENT_RELOAD, ALL, "[\"configuration\"]", "[\"change\"]", NULL, BASE, ACTIVITY_OTHER, SEVERITY_INFORMATIONAL, STATUS_UNKNOWN, 0, 0},
    {EVENT_ROTATE, ALL, NULL, NULL, NULL, BASE, ACTIVITY_OTHER, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
    {EVENT_CHECKPOINT, ALL, NULL, NULL, NULL, BASE, ACTIVITY_OTHER, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, 0, 0},
};
/* clang-format on */

/* OCSF demands an end of a connection to be known. */
static const struct audit_export_kind NOBODY = {
    .category = NETWORK, .class = BASE, .activity = ACTIVITY_OTHER, .severity = SEVERITY_INFORMATIONAL, .status = STATUS_UNKNOWN};

static bool audit_export_kind_fits(const struct audit_export_kind *kind, const struct audit_record *record)
{
    return kind->event == record->event && (kind->word == NULL || audit_value_is(&record->values[kind->by], kind->word));
}

const struct audit_export_kind *audit_export_kind_find(const struct audit_record *record)
{
    const size_t last = sizeof(KINDS) / sizeof(KINDS[0]) - 1;
    size_t at = 0;
    while (at < last && !audit_export_kind_fits(&KINDS[at], record))
        at++;
    const bool has_end = record->values[AUDIT_KEY_CLIENT_IP].kind != AUDIT_NULL;
    return KINDS[at].class == NET && !has_end ? &NOBODY : &KINDS[at];
}
