/* The keys of a record, in their order. */
#include "audit/audit_key.h"

const struct audit_key_row AUDIT_KEYS[AUDIT_KEY_COUNT] = {
#define X(symbol, key, kind) {",\"" key "\":null", sizeof(key) + 3, AUDIT_##kind},
    AUDIT_KEY_TABLE(X)
#undef X
};
