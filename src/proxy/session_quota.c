/* What a session has to do with the quotas of its client's groups: no tunnel where one is used up, and its bytes are counted. */
#include "proxy/session_state.h"

#include <inttypes.h>

#include "base/number.h"
#include "proxy/meter.h"
#include "proxy/quotas.h"
#include "proxy/worker.h"

/* Rounded up: who comes back then finds room. */
static uint64_t session_quota_wait_s(const struct quota_refusal *refusal)
{
    return (refusal->wait_ms + 999) / 1000;
}

static void session_refuse_quota(struct session *session, const struct quota_refusal *refusal)
{
    struct setup *setup = session->setup;
    struct text words;
    char rate[NUMBER_RATE_TEXT_MAX];
    const uint64_t wait_s = session_quota_wait_s(refusal);
    text_init(&words, setup->detail, sizeof(setup->detail));
    text_format(&words, "%s quota %s of group %s is used up: room in %" PRIu64 " s", quota_way_text(refusal->way),
                number_rate_text(&refusal->group->quotas[refusal->way], rate), refusal->group->name, wait_s);
    setup->retry_s = (uint32_t)wait_s;
    session_close(session, REASON_QUOTA);
}

bool session_admit(struct session *session)
{
    struct quota_refusal refusal;
    const struct worker *worker = session->worker;
    const struct policy *policy = session->config->policy;
    if (policy_bounded_count(policy) == 0 || quotas_admit(worker->shared->quotas, policy, &session->client.ip, loop_now_ms(worker->loop), &refusal))
        return true;
    if (refusal.group != NULL)
        session_refuse_quota(session, &refusal);
    else
        session_close(session, REASON_OVERLOAD);
    return false;
}

bool session_meter(struct session *session)
{
    struct relay *relay = &session->relay;
    const struct worker *worker = session->worker;
    const uint64_t up = relay_bytes_up(relay), down = relay_bytes_down(relay);
    struct meter *meter;
    if (!meter_new(&meter, worker->shared->quotas, worker->config->policy, &session->client.ip, up, down))
        return false;
    session_meter_free(session);
    relay->settings.meter = meter;
    return true;
}

void session_meter_free(struct session *session)
{
    struct relay *relay = &session->relay;
    if (relay->settings.meter != NULL)
        meter_free(relay->settings.meter, relay_bytes_up(relay), relay_bytes_down(relay), loop_now_ms(session->worker->loop));
    relay->settings.meter = NULL;
}
