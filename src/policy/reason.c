/* Why a connection ended as it did: the table as rows to look up. */
#include "policy/reason.h"

#include <stddef.h>

static const struct reason_row REASON_ROWS[] = {
#define X(symbol, code, class, status, error, ending, cut, sentence) [REASON_##symbol] = {code, class, status, error, ending, cut, sentence},
    REASON_TABLE(X)
#undef X
};

const struct reason_row *reason_row(enum reason reason)
{
    return &REASON_ROWS[(unsigned)reason < REASON_COUNT ? reason : REASON_UNKNOWN];
}

const char *reason_class_text(enum reason_class class)
{
    switch (class) {
    case CLASS_POLICY:
        return "policy";
    case CLASS_CLIENT:
        return "client";
    case CLASS_NETWORK:
        return "network";
    case CLASS_CAPACITY:
        return "capacity";
    case CLASS_NONE:
        break;
    }
    return NULL;
}

const char *reason_ending_text(enum reason_ending ending)
{
    switch (ending) {
    case ENDING_NO_HOST:
        return "no such host";
    case ENDING_TIMED_OUT:
        return "connection timed out";
    case ENDING_REFUSED:
        return "connection refused";
    case ENDING_NONE:
        break;
    }
    return "";
}

bool reason_is_relaxable(enum reason reason)
{
    switch (reason) {
    case REASON_DEFAULT_DENY:
    case REASON_RULE_DENY:
    case REASON_RULE_EXPIRED:
    case REASON_SNI_MISMATCH:
    case REASON_SNI_DENIED:
    case REASON_ECH_DENIED:
        return true;
    default:
        return false;
    }
}
