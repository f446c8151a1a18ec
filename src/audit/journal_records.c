/* Records one behind another, each its length (32 bits) and its text: as packets carry them, and a batch keeps them. */
#include "audit/journal_records.h"

#include <string.h>

void journal_records_put(uint8_t *at, const char *text, size_t len)
{
    const uint32_t length = (uint32_t)len;
    memcpy(at, &length, sizeof(length));
    memcpy(at + sizeof(length), text, len);
}

bool journal_records_next(const uint8_t **at, size_t *left, const char **text, size_t *len)
{
    uint32_t length;
    if (*left < sizeof(length))
        return false;
    memcpy(&length, *at, sizeof(length));
    if (length > *left - sizeof(length))
        return false;
    *text = (const char *)*at + sizeof(length);
    *len = length;
    *at += JOURNAL_RECORDS_SIZE(length);
    *left -= JOURNAL_RECORDS_SIZE(length);
    return true;
}
