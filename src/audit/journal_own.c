/* The records that the journal process makes itself: those about its file. */
#include "audit/journal_own.h"

#include <inttypes.h>

#include "audit/record.h"
#include "base/clock.h"

static void journal_own_write(struct text *out, const char *instance, enum record_event event, const struct text *detail)
{
    const struct record record = {.time_us = clock_wall_us(), .instance = instance, .event = event, .detail = {detail->at, detail->len}};
    record_write(out, &record);
}

void journal_own_rotate(struct text *out, const char *instance, const struct journal_head *end)
{
    char buffer[96];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    text_format(&detail, "continues inode %" PRIu64 " after seq %" PRIu64, end->inode, end->seq);
    journal_own_write(out, instance, EVENT_ROTATE, &detail);
}
