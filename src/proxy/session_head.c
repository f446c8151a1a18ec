/* Reads the CONNECT head and puts its question to the policy. */
#include "proxy/session_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proxy/worker.h"

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

bool session_read(struct session *session, size_t most, enum reason too_much)
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

void session_consume(struct setup *setup, size_t len)
{
    memmove(setup->bytes, setup->bytes + len, setup->len - len);
    setup->len -= len;
}

/* ---- the head ---- */

bool session_keep(char **out, const void *bytes, size_t len)
{
    *out = malloc(len + 1);
    if (*out == NULL)
        return false;
    memcpy(*out, bytes, len);
    (*out)[len] = '\0';
    return true;
}

static bool session_is_connect(const struct connect_request *request, const char *bytes)
{
    static const char connect[] = "CONNECT";
    return request->method.len == strlen(connect) && memcmp(bytes + request->method.at, connect, strlen(connect)) == 0;
}

/* What was asked for, as far as it can hold no secret: a target with a user name or a path is left out. */
static struct span session_asked_host(const struct connect_request *request, const char *bytes)
{
    const struct span target = request->target;
    if (request->host.len > 0 || !session_is_connect(request, bytes))
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
    bool ok = host.len == 0 || session_keep_host(session, bytes + host.at, host.len);
    session->port = request->port;
    if (request->user_agent.len > 0)
        ok = ok && session_keep(&setup->user_agent, bytes + request->user_agent.at, request->user_agent.len);
    session->user_len = request->user_len;
    if (request->user_len > 0)
        ok = ok && session_keep(&session->user, request->user, request->user_len);
    return ok;
}

/* The length of `scheme://` at the start of a target; 0 when it does not start so. */
static size_t session_scheme_len(const char *target, size_t len)
{
    size_t at = 0;
    while (at < len && (isalnum((unsigned char)target[at]) || strchr("+-.", target[at]) != NULL) && target[at] != '\0')
        at++;
    return at > 0 && len - at >= 3 && memcmp(target + at, "://", 3) == 0 ? at + 3 : 0;
}

/* `GET http://mirror.example`: who still asks in plain HTTP, and where. Not the path and the query, nor a user: they may hold tokens. */
static void session_note_request(struct setup *setup)
{
    const struct span method = setup->request.method, target = setup->request.target;
    const char *at = (const char *)setup->bytes + target.at;
    const size_t scheme = session_scheme_len(at, target.len);
    size_t end = scheme;
    struct text text;
    text_init(&text, setup->detail, sizeof(setup->detail));
    text_add_clean(&text, setup->bytes + method.at, method.len, 32);
    if (scheme == 0)
        return;
    while (end < target.len && memchr("/?#", at[end], 3) == NULL)
        end++;
    const char *user = memrchr(at + scheme, '@', end - scheme);
    const char *authority = user != NULL ? user + 1 : at + scheme;
    text_add(&text, " ");
    text_add_clean(&text, at, scheme, 16);
    text_add_clean(&text, authority, (size_t)(at + end - authority), 128);
}

bool session_keep_host(struct session *session, const void *bytes, size_t len)
{
    char *copy = NULL;
    if (!session_keep(&copy, bytes, len))
        return false;
    free(session->host);
    session->host = copy;
    session->host_len = len;
    return true;
}

void session_follow_verdict(struct session *session)
{
    if (session->verdict.kind == VERDICT_DENY)
        session_close(session, session->verdict.reason);
    else if (session->too_late)
        session_close(session, REASON_DRAINING);
    else if (!journal_queue_is_ready(session->worker->journal))
        session_close(session, REASON_AUDIT_UNAVAILABLE); /* nothing is asked or dialled for a tunnel that could not be opened */
    else if (session_admit(session))
        session_enter(session, STEP_RESOLVE);
}

static void session_judge_request(struct session *session)
{
    struct setup *setup = session->setup;
    struct question *question = &setup->question;
    const struct connect_request *request = &setup->request;
    session_update(session);
    question->client = session->client.ip;
    question->port = request->port;
    question->today = clock_day(clock_wall_us());
    if (host_read(&question->host, (const char *)setup->bytes + request->host.at, request->host.len, request->bracketed) == HOST_BAD) {
        setup->fault = "the host is no name";
        session_close(session, REASON_BAD_REQUEST);
        return;
    }
    if (!session_keep_host(session, question->host.name, strlen(question->host.name))) {
        session_close(session, REASON_OVERLOAD);
        return;
    }
    session_consume(setup, request->head_len);
    policy_decide(session->config->policy, question, &session->verdict);
    session_follow_verdict(session);
}

static void session_head_whole(struct session *session, enum request_result result)
{
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
        session_note_request(session->setup);
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

static void session_head_feed(struct session *session)
{
    struct setup *setup = session->setup;
    enum request_result result = connect_request_feed(&setup->request, setup->bytes, setup->len);
    if (result != REQUEST_MORE)
        session_head_whole(session, result);
}

void session_head_readable(struct session *session)
{
    if (session_read(session, session->config->limits.request_head + EARLY_MAX, REASON_REQUEST_TOO_LARGE))
        session_head_feed(session);
}

/* Behind a PROXY header the head may have come already. */
void session_head_begin(struct session *session)
{
    connect_request_init(&session->setup->request, session->config->limits.request_head);
    if (session->setup->len > 0)
        session_head_feed(session);
}
