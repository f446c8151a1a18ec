/* Values that more than one exported schema has, and that no key of the record holds as they are. */
#include "audit/audit_export_value.h"

#include "base/address.h"
#include "base/number.h"

#define DAY_MS (UINT64_C(86400) * 1000)

/* Digits of a time, whose form the reader has seen. */
static unsigned audit_export_digits(const char *at, size_t count)
{
    unsigned number = 0;
    for (size_t i = 0; i < count; i++)
        number = number * 10 + (unsigned)(at[i] - '0');
    return number;
}

bool audit_export_time_ms(uint64_t *out, const struct audit_record *record)
{
    const char *time = record->values[AUDIT_KEY_TIME].at; /* 2026-11-21T23:49:17.123456Z */
    uint32_t day;
    if (!number_read_day(&day, time, 10))
        return false;
    const unsigned hour = audit_export_digits(time + 11, 2), minute = audit_export_digits(time + 14, 2), second = audit_export_digits(time + 17, 2);
    *out = day * DAY_MS + ((hour * 60ul + minute) * 60 + second) * 1000 + audit_export_digits(time + 20, 3);
    return hour < 24 && minute < 60 && second <= 60;
}

bool audit_export_text(struct text *out, const struct audit_value *value)
{
    if (value->kind != AUDIT_TEXT)
        return false;
    text_add_char(out, '"');
    text_add_bytes(out, value->at, value->len);
    text_add_char(out, '"');
    return true;
}

void audit_export_number(struct text *out, uint64_t number)
{
    text_add_number(out, number < INT64_MAX ? number : INT64_MAX);
}

bool audit_export_uid(struct text *out, const struct audit_export *export)
{
    const struct audit_value *instance = &export->values[AUDIT_KEY_INSTANCE];
    text_add_char(out, '"');
    text_add_bytes(out, instance->at, instance->kind == AUDIT_TEXT ? instance->len : 0);
    text_add_char(out, '/');
    text_add_number(out, export->values[AUDIT_KEY_SEQ].number);
    text_add_char(out, '"');
    return true;
}

static bool audit_export_is_address(const struct audit_value *value)
{
    struct address address;
    return value->kind == AUDIT_TEXT && address_read(&address, value->at, value->len);
}

bool audit_export_name(struct text *out, const struct audit_export *export)
{
    const struct audit_value *host = &export->values[AUDIT_KEY_HOST];
    return !audit_export_is_address(host) && audit_export_text(out, host);
}

bool audit_export_address(struct text *out, const struct audit_export *export)
{
    const struct audit_value *values = export->values, *host = &values[AUDIT_KEY_HOST];
    return audit_export_text(out, &values[AUDIT_KEY_UPSTREAM_IP]) || (audit_export_is_address(host) && audit_export_text(out, host)) ||
           audit_export_text(out, &values[AUDIT_KEY_ORIGINAL_IP]);
}

bool audit_export_bytes(struct text *out, const struct audit_export *export)
{
    const struct audit_value *up = &export->values[AUDIT_KEY_BYTES_UP], *down = &export->values[AUDIT_KEY_BYTES_DOWN];
    uint64_t sum;
    if (up->kind == AUDIT_NULL || down->kind == AUDIT_NULL)
        return false;
    if (__builtin_add_overflow(up->number, down->number, &sum))
        sum = UINT64_MAX;
    audit_export_number(out, sum);
    return true;
}
