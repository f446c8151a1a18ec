/* From an allowed name to an open tunnel: resolve, dial, commit, relay. */
#include "proxy/session_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/address_class.h"
#include "proxy/client_shares.h"
#include "proxy/own_address.h"
#include "proxy/tally.h"
#include "proxy/worker.h"

/* ---- the name ---- */

/* An address of this host is ourselves, on a port of ours and, where the network brings what it is asked to, on every one; also one that came after
 * the configuration was read: only the kernel knows. On loopback nothing is brought. Notes when it could not be found out. */
static bool session_leads_back(struct session *session, const struct address *address)
{
    const struct config *config = session->config;
    bool any_port = config->transparent && address_class_of(address) != ADDRESS_LOOPBACK;
    if (!any_port && !policy_has_never_port(config->policy, session->port))
        return false;
    enum own_answer own = own_address_ask(session->worker->own_address, address, session->verdict.route->mark);
    session->setup->own_unknown = session->setup->own_unknown || own == OWN_UNKNOWN;
    return own != OWN_NO;
}

static bool session_accepts(void *arg, const struct address *address)
{
    struct session *session = arg;
    const struct endpoint to = {.ip = *address, .port = session->port};
    return policy_accepts(session->config->policy, session->verdict.route, &to) && !session_leads_back(session, address);
}

static void session_drop_own(struct session *session)
{
    struct setup *setup = session->setup;
    size_t kept = 0;
    for (size_t i = 0; i < setup->address_count; i++)
        if (!session_leads_back(session, &setup->addresses[i]))
            setup->addresses[kept++] = setup->addresses[i];
    setup->address_count = kept;
}

/* Where the client meant to go comes first, if that is among the addresses. */
static bool session_prefer_original(const struct session *session)
{
    struct setup *setup = session->setup;
    for (size_t i = 0; i < setup->address_count; i++) {
        if (!address_equal(&setup->addresses[i], &session->original))
            continue;
        setup->addresses[i] = setup->addresses[0];
        setup->addresses[0] = session->original;
        return true;
    }
    return false;
}

/* Only addresses that the route may dial stay; with none left the reason says why. */
static void session_sieve(struct session *session, const struct address *addresses, size_t count)
{
    struct setup *setup = session->setup;
    memcpy(setup->addresses, addresses, count * sizeof(*addresses));
    enum reason reason;
    setup->address_count = policy_sieve(session->config->policy, session->verdict.route, session->port, setup->addresses, count, &reason);
    session_drop_own(session);
    setup->original_first = session_prefer_original(session);
    if (setup->address_count == 0)
        session_close(session, setup->own_unknown ? REASON_OVERLOAD : reason); /* what could not be asked is no judgement */
    else
        session_enter(session, STEP_DIAL);
}

static enum reason session_resolve_reason(enum resolve_status status)
{
    switch (status) {
    case RESOLVE_TIMEOUT:
        return REASON_DNS_TIMEOUT;
    case RESOLVE_NO_WAY:
        return REASON_ROUTE_UNAVAILABLE;
    case RESOLVE_OVERLOAD:
        return REASON_OVERLOAD;
    case RESOLVE_QUOTA:
        return REASON_QUOTA;
    case RESOLVE_OK:
    case RESOLVE_FAILED:
        break;
    }
    return REASON_DNS_FAILED;
}

static void session_resolved(void *arg, const struct resolved *resolved)
{
    struct session *session = arg;
    struct setup *setup = session->setup;
    setup->resolving = NULL;
    setup->has_dns_ms = true;
    setup->dns_ms = resolved->took_ms;
    if (resolved->status == RESOLVE_OK) {
        session_sieve(session, resolved->addresses, resolved->count);
        return;
    }
    setup->cause = resolved->detail;
    session_close(session, session_resolve_reason(resolved->status));
}

void session_resolve_begin(struct session *session)
{
    struct setup *setup = session->setup;
    const struct host *host = &setup->question.host;
    if (host->kind == HOST_ADDRESS) {
        session_sieve(session, &host->address, 1);
        return;
    }
    const struct resolve_taste taste = {session_accepts, session, &session->client.ip};
    setup->resolving =
        resolve_start(session->worker->resolver, session->config, session->verdict.route, host->name, &taste, session_resolved, session);
    if (setup->resolving == NULL)
        session_close(session, REASON_OVERLOAD);
}

/* ---- the origin ---- */

static enum reason session_dial_reason(enum dial_status status)
{
    switch (status) {
    case DIAL_TIMEOUT:
        return REASON_CONNECT_TIMEOUT;
    case DIAL_NO_WAY:
        return REASON_ROUTE_UNAVAILABLE;
    case DIAL_OVERLOAD:
        return REASON_OVERLOAD;
    case DIAL_OK:
    case DIAL_FAILED:
        break;
    }
    return REASON_CONNECT_FAILED;
}

/* The words that people know from their clients; the system's own for the rest. */
static const char *session_cause(int error)
{
    switch (error) {
    case 0:
        return NULL;
    case EHOSTUNREACH:
        return "no route to host";
    case ENETUNREACH:
        return "network is unreachable";
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
        return "connection reset by peer";
    case ETIMEDOUT:
        return "connection timed out";
    case EADDRNOTAVAIL:
        return "no source address or port is left";
    default:
        return strerrordesc_np(error);
    }
}

static void session_dialed(void *arg, const struct dialed *dialed)
{
    struct session *session = arg;
    struct setup *setup = session->setup;
    setup->dialing = NULL;
    session->upstream = dialed->upstream;
    setup->has_connect_ms = true;
    setup->connect_ms = dialed->took_ms;
    if (dialed->status != DIAL_OK) {
        setup->cause = session_cause(dialed->error);
        session_close(session, session_dial_reason(dialed->status));
        return;
    }
    session->origin_fd = dialed->fd;
    session->egress = dialed->egress;
    session->egress_public = dialed->egress_public;
    bool hello_next = !listener_is_transparent(session->listener) && verdict_sni_demand(&session->verdict) != SNI_OFF;
    session_enter(session, hello_next ? STEP_HELLO : STEP_COMMIT);
}

void session_dial_begin(struct session *session)
{
    struct setup *setup = session->setup;
    const struct dial_request request = {
        .route = session->verdict.route,
        .client = session->client.ip,
        .addresses = setup->addresses,
        .address_count = setup->address_count,
        .first_preferred = setup->original_first,
        .may_come_back = session->config->transparent,
        .tries = &session->worker->shared->tries,
        .port = session->port,
        .timeout_ms = session->config->limits.connect_timeout_ms,
    };
    setup->dialing = dial_start(session->worker->loop, &request, session_dialed, session);
    if (setup->dialing == NULL)
        session_close(session, REASON_OVERLOAD);
}

/* ---- the record ---- */

static void session_committed(void *arg, bool committed)
{
    struct session *session = arg;
    if (committed)
        session_enter(session, STEP_RELAY);
    else
        session_uncommitted(session, "the journal failed before the decision was committed: the tunnel was not opened");
}

void session_commit_begin(struct session *session)
{
    if (!session_confirm(session))
        return;
    switch (session_record_allow(session)) {
    case RECORDED_WAIT:
        session->setup->commit = (struct journal_wait){.done = session_committed, .arg = session};
        journal_queue_wait(session->worker->journal, &session->setup->commit);
        break;
    case RECORDED_AT_ONCE:
        session_enter(session, STEP_RELAY);
        break;
    case RECORDED_NOT:
        session_close(session, REASON_AUDIT_UNAVAILABLE);
        break;
    }
}

/* ---- the bytes ---- */

static void session_relayed(void *arg, enum relay_end end)
{
    session_end(arg, relay_end_text(end), NULL);
}

/* Mostly they are the same: one text is enough for as long as the tunnel is open. */
static void session_share_names(struct session *session)
{
    if (session->sni == NULL || session->sni_len != session->host_len || memcmp(session->sni, session->host, session->host_len) != 0)
        return;
    free(session->sni);
    session->sni = session->host;
}

/* A tunnel may be open for days. */
static void session_end_judging(struct session *session)
{
    config_hold(session->config);
    config_unref(session->config);
    session->judged = true;
}

void session_relay_begin(struct session *session)
{
    struct setup *setup = session->setup;
    session->opened_ms = loop_now_ms(session->worker->loop);
    client_shares_open(session->worker->shared->client_shares, &session->client.ip);
    const struct limit_settings *limits = &session->config->limits;
    const bool ready =
        session_meter(session) && (session->past_http || session_answer_established(session)); /* sni = off: the decision came before the 200 */
    const struct relay_settings settings = {.idle_ms = limits->idle_timeout_ms,
                                            .keepalive_ms = limits->keepalive_ms,
                                            .done = session_relayed,
                                            .arg = session,
                                            .meter = session->relay.settings.meter};
    if (!ready || !relay_start(&session->relay, session->worker->loop, session->client_fd, session->origin_fd, setup->bytes, setup->len, &settings)) {
        session_end(session, relay_end_text(RELAY_CLIENT_RESET), "the tunnel could not be opened");
        return;
    }
    tally_time(&session->worker->tally->setup, session->opened_ms - setup->accepted_ms);
    session_ignore_client(session);
    session_share_names(session);
    session_end_judging(session);
    session_setup_free(session);
}
