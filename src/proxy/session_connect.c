/* The steps of an explicit connection: head, policy, resolve, dial, 200, ClientHello, commit, relay. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/own_address.h"
#include "proxy/session_state.h"
#include "proxy/worker.h"

/* What a client may send behind a head or a hello before anything is forwarded; more waits in its socket. */
#define EARLY_MAX 16384
#define FIRST_READ 2048

/* ---- reading from the client before the tunnel stands ---- */

static bool session_make_room(struct setup *setup, size_t most)
{
    if (setup->len < setup->size)
        return true;
    size_t size = setup->size == 0 ? FIRST_READ : setup->size * 2;
    uint8_t *bytes = realloc(setup->bytes, size < most ? size : most);
    if (bytes == NULL)
        return false;
    setup->bytes = bytes;
    setup->size = size < most ? size : most;
    return true;
}

/* One read, of what `most` still leaves room for in all. True: there is more to look at. False: nothing came, or it is closed already: past the bound for `too_much`. */
static bool session_read(struct session *session, size_t most, enum reason too_much)
{
    struct setup *setup = session->setup;
    if (setup->len >= most || !session_make_room(setup, most)) {
        session_close(session, setup->len >= most ? too_much : REASON_OVERLOAD);
        return false;
    }
    ssize_t got = recv(session->client_fd, setup->bytes + setup->len, setup->size - setup->len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        session_close(session, REASON_CLIENT_GONE);
        return false;
    }
    setup->len += (size_t)got;
    session->spoke = true;
    return true;
}

/* What was parsed goes; what came behind it is the start of what is parsed next. */
static void session_consume(struct setup *setup, size_t len)
{
    memmove(setup->bytes, setup->bytes + len, setup->len - len);
    setup->len -= len;
}

static bool session_watch_client(struct session *session, event_callback_fn readable)
{
    session->client_event = event_new(session->worker->loop->base, session->client_fd, EV_READ | EV_PERSIST, readable, session);
    return session->client_event != NULL && event_add(session->client_event, NULL) == 0;
}

static void session_unwatch_client(struct session *session)
{
    if (session->client_event != NULL)
        event_free(session->client_event);
    session->client_event = NULL;
}

/* ---- the head ---- */

static bool session_keep(char **out, const void *bytes, size_t len)
{
    *out = malloc(len + 1);
    if (*out == NULL)
        return false;
    memcpy(*out, bytes, len);
    (*out)[len] = '\0';
    return true;
}

/* What was asked for, as far as it can hold no secret: a target with a user name or a path is left out. */
static struct span session_asked_host(const struct connect_request *request, const char *bytes)
{
    const struct span target = request->target;
    if (request->host.len > 0)
        return request->host;
    if (memchr(bytes + target.at, '@', target.len) != NULL || memchr(bytes + target.at, '/', target.len) != NULL)
        return (struct span){0, 0};
    return target;
}

/* The host as it was written stands in the record until its normal form is known. */
static bool session_keep_head(struct session *session)
{
    struct setup *setup = session->setup;
    const struct connect_request *request = &setup->request;
    const char *bytes = (const char *)setup->bytes;
    const struct span host = session_asked_host(request, bytes);
    bool ok = true;
    if (host.len > 0) {
        ok = session_keep(&session->host, bytes + host.at, host.len);
        session->host_len = host.len;
    }
    session->port = request->port;
    if (request->user_agent.len > 0)
        ok = ok && session_keep(&setup->user_agent, bytes + request->user_agent.at, request->user_agent.len);
    if (request->user[0] != '\0')
        ok = ok && session_keep(&session->user, request->user, strlen(request->user));
    return ok;
}

/* `GET http://mirror.example`: who still asks in plain HTTP, and where. Not the path and the query, nor a user: they may hold tokens. */
static void session_note_asked(struct setup *setup)
{
    const struct span method = setup->request.method, target = setup->request.target;
    const char *at = (const char *)setup->bytes + target.at, *end = at + target.len;
    const char *slashes = memmem(at, target.len, "://", 3);
    const char *authority = slashes != NULL ? slashes + 3 : end;
    const char *stop = authority;
    while (stop < end && strchr("/?#", *stop) == NULL)
        stop++;
    const char *user = memrchr(authority, '@', (size_t)(stop - authority));
    struct text text;
    text_init(&text, setup->asked, sizeof(setup->asked));
    text_add_clean(&text, setup->bytes + method.at, method.len, 32);
    text_add(&text, " ");
    text_add_clean(&text, at, (size_t)(authority - at), 16);
    if (user != NULL)
        authority = user + 1;
    text_add_clean(&text, authority, (size_t)(stop - authority), 128);
}

static bool session_keep_name(struct session *session, const char *name)
{
    char *copy = NULL;
    if (!session_keep(&copy, name, strlen(name)))
        return false;
    free(session->host);
    session->host = copy;
    session->host_len = strlen(copy);
    return true;
}

static void session_judge_request(struct session *session)
{
    struct setup *setup = session->setup;
    struct question *question = &setup->question;
    const struct connect_request *request = &setup->request;
    question->client = session->client.ip;
    question->port = request->port;
    question->today = clock_day(clock_wall_us());
    if (host_read(&question->host, (const char *)setup->bytes + request->host.at, request->host.len, request->bracketed) == HOST_BAD) {
        setup->fault = "the host is no name";
        session_close(session, REASON_BAD_REQUEST);
        return;
    }
    if (!session_keep_name(session, question->host.name)) {
        session_close(session, REASON_OVERLOAD);
        return;
    }
    session_consume(setup, request->head_len);
    policy_decide(session->config->policy, question, &session->verdict);
    if (session->verdict.kind == VERDICT_DENY)
        session_close(session, session->verdict.reason);
    else if (!journal_queue_is_ready(session->worker->journal))
        session_close(session, REASON_AUDIT_UNAVAILABLE); /* nothing is asked or dialled for a tunnel that could not be opened */
    else
        session_enter(session, STEP_RESOLVE);
}

static void session_head_whole(struct session *session, enum request_result result)
{
    session_unwatch_client(session);
    session->setup->fault = session->setup->request.fault;
    if (!session_keep_head(session)) {
        session_close(session, REASON_OVERLOAD);
        return;
    }
    switch (result) {
    case REQUEST_CONNECT:
        session_judge_request(session);
        break;
    case REQUEST_DENIALS:
        session_close(session, session->verdict.group == NULL ? REASON_CLIENT_UNKNOWN : REASON_DENIALS_ASKED);
        break;
    case REQUEST_METHOD:
        session_note_asked(session->setup);
        session_close(session, REASON_METHOD_NOT_ALLOWED);
        break;
    case REQUEST_TOO_LARGE:
        session_close(session, REASON_REQUEST_TOO_LARGE);
        break;
    case REQUEST_MORE:
    case REQUEST_BAD:
        session_close(session, REASON_BAD_REQUEST);
        break;
    }
}

static void session_head_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct session *session = arg;
    struct setup *setup = session->setup;
    if (!session_read(session, session->config->limits.request_head + EARLY_MAX, REASON_REQUEST_TOO_LARGE))
        return;
    enum request_result result = connect_request_feed(&setup->request, setup->bytes, setup->len);
    if (result != REQUEST_MORE)
        session_head_whole(session, result);
}

void session_head_begin(struct session *session)
{
    connect_request_init(&session->setup->request, session->config->limits.request_head);
    if (!session_watch_client(session, session_head_readable))
        session_close(session, REASON_OVERLOAD);
}

/* ---- the name ---- */

/* An address of this host on a port of ours is ourselves, also one that came after the configuration was read: only the kernel knows. */
static bool session_leads_back(const struct session *session, const struct address *address)
{
    return policy_has_never_port(session->config->policy, session->port) && own_address_is(address);
}

static bool session_accepts(void *arg, const struct address *address)
{
    const struct session *session = arg;
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

/* Only addresses that the route may dial stay; with none left the reason says why. */
static void session_sieve(struct session *session, const struct address *addresses, size_t count)
{
    struct setup *setup = session->setup;
    memcpy(setup->addresses, addresses, count * sizeof(*addresses));
    enum reason reason;
    setup->address_count = policy_sieve(session->config->policy, session->verdict.route, session->port, setup->addresses, count, &reason);
    session_drop_own(session);
    if (setup->address_count == 0)
        session_close(session, reason);
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
    case RESOLVE_OK:
    case RESOLVE_FAILED:
        break;
    }
    return REASON_DNS_FAILED;
}

static void session_resolved(void *arg, const struct resolved *resolved)
{
    struct session *session = arg;
    session->resolving = NULL;
    session->has_dns_ms = true;
    session->dns_ms = resolved->took_ms;
    if (resolved->status == RESOLVE_OK) {
        session_sieve(session, resolved->addresses, resolved->count);
        return;
    }
    session->setup->cause = resolved->detail;
    session_close(session, session_resolve_reason(resolved->status));
}

void session_resolve_begin(struct session *session)
{
    const struct host *host = &session->setup->question.host;
    if (host->kind == HOST_ADDRESS) {
        session_sieve(session, &host->address, 1);
        return;
    }
    const struct resolve_taste taste = {session_accepts, session};
    session->resolving =
        resolve_start(session->worker->resolver, session->config, session->verdict.route, host->name, &taste, session_resolved, session);
    if (session->resolving == NULL)
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
    session->dialing = NULL;
    session->upstream = dialed->upstream;
    session->has_connect_ms = true;
    session->connect_ms = dialed->took_ms;
    if (dialed->status != DIAL_OK) {
        session->setup->cause = session_cause(dialed->error);
        session_close(session, session_dial_reason(dialed->status));
        return;
    }
    session->origin_fd = dialed->fd;
    session->egress = dialed->egress;
    session->egress_public = dialed->egress_public;
    bool tls = verdict_sni_demand(&session->verdict) != SNI_OFF;
    session_enter(session, tls ? STEP_HELLO : STEP_COMMIT);
}

void session_dial_begin(struct session *session)
{
    const struct dial_request request = {
        .route = session->verdict.route,
        .client = session->client.ip,
        .addresses = session->setup->addresses,
        .address_count = session->setup->address_count,
        .port = session->port,
        .timeout_ms = session->config->limits.connect_timeout_ms,
        .keepalive_ms = session->config->limits.keepalive_ms,
    };
    session->dialing = dial_start(session->worker->loop, &request, session_dialed, session);
    if (session->dialing == NULL)
        session_close(session, REASON_OVERLOAD);
}

/* ---- the hello ---- */

static enum reason session_hello_reason(enum hello_result result)
{
    switch (result) {
    case HELLO_NOT_TLS:
        return REASON_NOT_TLS;
    case HELLO_TOO_LARGE:
        return REASON_HELLO_TOO_LARGE;
    case HELLO_MORE:
    case HELLO_DONE:
    case HELLO_MALFORMED:
        break;
    }
    return REASON_HELLO_MALFORMED;
}

static void session_read_facts(struct setup *setup)
{
    const struct client_hello *hello = &setup->hello;
    struct hello_facts *facts = &setup->facts;
    facts->ech = hello->has_ech;
    facts->sni = SNI_NONE;
    if (hello->has_sni)
        facts->sni = hello->sni_len <= HELLO_SNI_MAX && hostname_read(facts->name, (const char *)hello->sni, hello->sni_len) ? SNI_NAME : SNI_BAD;
    setup->version_text = client_hello_version_text(hello->version, setup->version);
    setup->hello_seen = true;
}

static void session_hello_whole(struct session *session)
{
    struct setup *setup = session->setup;
    session_read_facts(setup);
    if (setup->hello.has_sni) {
        session->sni_len = setup->hello.sni_len < HELLO_SNI_MAX ? setup->hello.sni_len : HELLO_SNI_MAX;
        if (!session_keep(&session->sni, setup->hello.sni, session->sni_len)) {
            session_close(session, REASON_OVERLOAD);
            return;
        }
    }
    policy_judge_hello(session->config->policy, &setup->question, &setup->facts, &session->verdict);
    if (session->verdict.kind == VERDICT_DENY)
        session_close(session, session->verdict.reason);
    else
        session_enter(session, STEP_COMMIT);
}

static void session_hello_feed(struct session *session)
{
    struct setup *setup = session->setup;
    enum hello_result result = client_hello_feed(&setup->hello, setup->bytes, setup->len);
    if (result == HELLO_MORE)
        return;
    session_unwatch_client(session);
    setup->fault = setup->hello.fault;
    if (result == HELLO_DONE)
        session_hello_whole(session);
    else
        session_close(session, session_hello_reason(result));
}

static void session_hello_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct session *session = arg;
    if (session_read(session, session->config->limits.hello + EARLY_MAX, REASON_HELLO_TOO_LARGE))
        session_hello_feed(session);
}

/* The 200 goes alone; what the client sent early is looked at once it is out. */
void session_hello_begin(struct session *session)
{
    client_hello_init(&session->setup->hello, session->config->limits.hello);
    if (!journal_queue_is_ready(session->worker->journal)) {
        session_close(session, REASON_AUDIT_UNAVAILABLE);
        return;
    }
    session_answer_established(session);
    if (!session->answered) {
        session_close(session, REASON_CLIENT_GONE);
    } else if (!session_watch_client(session, session_hello_readable)) {
        session_close(session, REASON_OVERLOAD);
    } else if (session->setup->len > 0) {
        session_hello_feed(session);
    }
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
    switch (session_record_allow(session)) {
    case RECORDED_WAIT:
        session->commit = (struct journal_wait){.done = session_committed, .arg = session};
        journal_wait_start(session->worker->journal, &session->commit);
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

void session_relay_begin(struct session *session)
{
    struct setup *setup = session->setup;
    session->opened_ms = loop_now_ms(session->worker->loop);
    if (!session->answered)
        session_answer_established(session); /* sni = off: the decision came first */
    if (!session->answered || !relay_start(&session->relay, session->worker->loop, session->client_fd, session->origin_fd, setup->bytes, setup->len,
                                           session->config->limits.idle_timeout_ms, session_relayed, session)) {
        session_end(session, relay_end_text(RELAY_CLIENT_RESET), "the tunnel could not be opened");
        return;
    }
    session_setup_free(session);
}
