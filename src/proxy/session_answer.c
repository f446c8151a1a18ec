/* What a client is told: the 200, a refusal in HTTP or TLS, its own denials. */
#include "proxy/session_state.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proxy/denials.h"
#include "proxy/worker.h"
#include "wire/reply.h"

/* How much of a URL is repeated to who asked for it in plain HTTP. */
#define URL_SHOWN_MAX 80

/* Everything said here fits an empty socket buffer; a socket that does not take it whole has nobody who listens. */
static bool session_say(struct session *session, const void *bytes, size_t len, int flags)
{
    return send(session->client_fd, bytes, len, MSG_NOSIGNAL | flags) == (ssize_t)len;
}

/* The last words: they go out in one segment with the FIN, which every refusal sends next. */
static void session_say_last(struct session *session, const void *bytes, size_t len)
{
    (void)session_say(session, bytes, len, MSG_MORE);
}

bool session_answer_established(struct session *session)
{
    session->past_http = session_say(session, REPLY_ESTABLISHED, strlen(REPLY_ESTABLISHED), 0);
    return session->past_http;
}

/* ---- refusals in HTTP ---- */

/* The https form of a plain URL, which is what most who ask so want. */
static void session_suggest_https(const struct session *session, struct text *out)
{
    static const char plain[] = "http://";
    const struct setup *setup = session->setup;
    const struct span target = setup->request.target;
    text_add(out, "plain HTTP is not proxied");
    if (target.len <= strlen(plain) || memcmp(setup->bytes + target.at, plain, strlen(plain)) != 0)
        return;
    text_add(out, ": use https://");
    text_add_clean(out, setup->bytes + target.at + strlen(plain), target.len - strlen(plain), URL_SHOWN_MAX);
    text_add(out, " instead"); /* the last words decide whether the agent retries: they are never the client's */
}

/* The true cause, in the words of whoever found it: parser, resolver or kernel. */
static void session_add_cause(const struct session *session, enum reason reason, struct text *out)
{
    const struct setup *setup = session->setup;
    if (reason == REASON_METHOD_NOT_ALLOWED)
        session_suggest_https(session, out);
    else if (reason_row(reason)->class == CLASS_CLIENT && setup->fault != NULL)
        text_add(out, setup->fault);
    else if (reason_row(reason)->class == CLASS_NETWORK && setup->cause != NULL)
        text_add(out, setup->cause);
    else if (reason == REASON_QUOTA)
        text_add(out, setup->detail);
}

static void session_refuse_in_http(struct session *session, enum reason reason)
{
    const struct reason_row *row = reason_row(reason);
    char cause_bytes[160], reply_bytes[REPLY_MAX];
    struct text cause, reply;
    text_init(&cause, cause_bytes, sizeof(cause_bytes));
    text_init(&reply, reply_bytes, sizeof(reply_bytes));
    if (session->setup != NULL)
        session_add_cause(session, reason, &cause);
    const char *ending = reason_ending_text(row->ending);
    bool own_words = cause.len > 0 && strcmp(cause_bytes, ending) != 0; /* the ending says it already */
    bool name_host = row->class != CLASS_CLIENT && session->host != NULL;
    const struct refusal refusal = {
        .status = row->status,
        .code = row->code,
        .proxy_error = row->proxy_error,
        .id = session->id,
        .host = name_host ? session->host : NULL,
        .host_len = name_host ? session->host_len : 0,
        .port = name_host ? session->port : 0,
        .sentence = row->sentence,
        .cause = own_words ? cause_bytes : NULL,
        .retry_s = session->setup != NULL ? session->setup->retry_s : 0,
        .ending = ending,
    };
    reply_refusal(&reply, &refusal);
    session_say_last(session, reply.at, reply.len);
}

/* ---- refusals where HTTP is not spoken, or no more ---- */

static void session_alert(struct session *session, enum tls_alert alert)
{
    uint8_t record[REPLY_ALERT_SIZE];
    reply_alert(record, alert);
    session_say_last(session, record, sizeof(record));
}

/* Whom the network brought asked for no proxy: a name that no rule knows is to him a server that does not know it. */
static enum tls_alert session_denial_alert(const struct session *session, enum reason reason)
{
    bool unnamed = listener_is_transparent(session->listener) && reason == REASON_DEFAULT_DENY && session->setup != NULL &&
                   !policy_names_host(session->config->policy, &session->setup->question.host);
    return unnamed ? ALERT_UNRECOGNIZED_NAME : ALERT_ACCESS_DENIED;
}

/* True: the socket is to be reset, which is an answer, too. */
static bool session_refuse_in_tls(struct session *session, enum reason reason)
{
    switch (reason_row(reason)->cut) {
    case CUT_ACCESS_DENIED:
        session_alert(session, session_denial_alert(session, reason));
        break;
    case CUT_DECODE_ERROR:
        session_alert(session, ALERT_DECODE_ERROR);
        break;
    case CUT_RESET:
        return true;
    case CUT_FIN:
        break;
    }
    return false;
}

/* ---- GET /denials ---- */

static bool session_is_name(const char *host, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(host, name, len) == 0;
}

/* By address, by the listener's name or by the one that `exeat env` hands out. A Host that names somebody else is a page in a browser that
 * was led here (DNS rebinding). */
static bool session_is_asked_by_name(const struct session *session)
{
    const char *host = session->host ? session->host : "";
    size_t len = session->host_len;
    struct endpoint endpoint;
    struct address address;
    if (endpoint_read(&endpoint, host, len) || address_read(&address, host, len))
        return true;
    if (len > 2 && host[0] == '[' && host[len - 1] == ']')
        return address_read(&address, host + 1, len - 2);
    const char *colon = memchr(host, ':', len);
    size_t name_len = colon != NULL ? (size_t)(colon - host) : len;
    return session_is_name(host, name_len, session->listener->name) || session_is_name(host, name_len, session->config->name);
}

static bool session_may_see_denials(const struct session *session)
{
    return session->verdict.group != NULL && session->verdict.group->denials && session_is_asked_by_name(session);
}

static void session_tell_denials(struct session *session)
{
    const size_t size = DENIALS_JSON_MAX;
    char *body = malloc(size), *reply = malloc(size + REPLY_MAX);
    if (body != NULL && reply != NULL) {
        struct text json, whole;
        text_init(&json, body, size);
        text_init(&whole, reply, size + REPLY_MAX);
        denials_write(session->worker->shared->denials, &json, &session->client.ip, clock_wall_us());
        reply_json(&whole, json.at, json.len);
        session_say_last(session, whole.at, whole.len);
    }
    free(body);
    free(reply);
}

static void session_refuse_denials(struct session *session)
{
    char bytes[REPLY_MAX];
    struct text reply;
    text_init(&reply, bytes, sizeof(bytes));
    const struct refusal refusal = {
        .status = 403,
        .code = reason_row(REASON_DENIALS_ASKED)->code,
        .proxy_error = "http_request_denied",
        .id = session->id,
        .sentence = "denials are not shown to this client, or not under this Host (denials = own)",
        .ending = "",
    };
    reply_refusal(&reply, &refusal);
    session_say_last(session, reply.at, reply.len);
}

/* ---- all of them ---- */

bool session_answer_refusal(struct session *session, enum reason reason)
{
    if (session->past_http)
        return session_refuse_in_tls(session, reason);
    if (reason == REASON_DENIALS_ASKED && session_may_see_denials(session))
        session_tell_denials(session);
    else if (reason == REASON_DENIALS_ASKED)
        session_refuse_denials(session);
    else if (reason_row(reason)->status != 0)
        session_refuse_in_http(session, reason);
    return false;
}
