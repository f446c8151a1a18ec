/* Tells the quotas of a client's groups what its tunnel carries. */
#include "proxy/meter.h"

#include <stdlib.h>

#include "proxy/quotas.h"

struct meter {
    uint64_t told[QUOTA_WAYS], told_ms;
    size_t count;
    struct quota *quotas[];
};

static size_t meter_groups(const struct policy *policy, const struct address *client)
{
    size_t count = 0;
    for (size_t i = 0; i < policy_bounded_count(policy); i++)
        count += group_has_client(policy_bounded_at(policy, i), client);
    return count;
}

/* One that is not known bounds nothing: who asks first whether there is room (quotas_admit) hears of it. */
static void meter_add(struct meter *meter, struct quota *quota)
{
    if (quota != NULL)
        meter->quotas[meter->count++] = quota;
}

bool meter_new(struct meter **out, struct quotas *quotas, const struct policy *policy, const struct address *client, uint64_t up, uint64_t down)
{
    const size_t groups = meter_groups(policy, client);
    *out = NULL;
    if (groups == 0)
        return true;
    struct meter *meter = calloc(1, sizeof(*meter) + groups * sizeof(struct quota *));
    if (meter == NULL)
        return false;
    meter->told[QUOTA_UPLOAD] = up;
    meter->told[QUOTA_DOWNLOAD] = down;
    for (size_t i = 0; i < policy_bounded_count(policy); i++) {
        const struct group *group = policy_bounded_at(policy, i);
        if (group_has_client(group, client))
            meter_add(meter, quotas_find(quotas, group->name));
    }
    *out = meter;
    return true;
}

static void meter_tell(struct meter *meter, enum quota_way way, uint64_t carried, uint64_t now_ms)
{
    const uint64_t bytes = carried - meter->told[way];
    if (bytes == 0)
        return;
    for (size_t i = 0; i < meter->count; i++)
        quota_use(meter->quotas[i], way, bytes, now_ms);
    meter->told[way] = carried;
    meter->told_ms = now_ms;
}

void meter_read(struct meter *meter, uint64_t up, uint64_t down, uint64_t now_ms)
{
    const uint64_t untold = up - meter->told[QUOTA_UPLOAD] + down - meter->told[QUOTA_DOWNLOAD];
    if (untold < METER_PORTION && now_ms - meter->told_ms < METER_MS)
        return;
    meter_tell(meter, QUOTA_UPLOAD, up, now_ms);
    meter_tell(meter, QUOTA_DOWNLOAD, down, now_ms);
}

void meter_free(struct meter *meter, uint64_t up, uint64_t down, uint64_t now_ms)
{
    meter_tell(meter, QUOTA_UPLOAD, up, now_ms);
    meter_tell(meter, QUOTA_DOWNLOAD, down, now_ms);
    free(meter);
}
