/* One door of the admin interface: a listening socket, HTTP on it, and bounds on whoever comes. */
#include "admin/http.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* Enough for whoever watches one exeat. One more, and one has to go: who holds connections open keeps nobody out. */
#define VISITORS_MAX 32

/* For all of a visit, from the first byte to the last: evhttp's own timeout begins anew with each byte. */
#define VISIT_MS 15000
#define SILENCE_S 10

/* For who waits for an answer that takes its time: longer than any such answer. */
#define WAIT_MS 600000

#define HEAD_MAX 8192
#define BODY_MAX 1024

#define ACCEPT_PAUSE_US 100000

/* Somebody who is connected, from accept to close. */
struct visitor {
    struct bufferevent *arriving;         /* evhttp makes its connection of it in this turn; a reference of our own; NULL: it has */
    struct evhttp_connection *connection; /* until it closes; NULL: not yet, or a free place */
    uint64_t until_ms;
    uint64_t number; /* in the order of coming */
    bool asked;      /* its request is being answered */
    bool dismissed;
};

struct http {
    struct event_base *base;
    struct evhttp *server;
    struct evconnlistener *listener;   /* NULL: nobody is let in any more */
    struct evhttp_bound_socket *bound; /* evhttp's name for it */
    struct event *arrived;             /* right behind accepting, before anything can come from whoever was accepted */
    struct event *watch;               /* looks for who stays too long */
    struct event *resume;              /* listens again, after descriptors were out */
    bool held;                         /* nobody is let in yet */
    struct visitor visitors[VISITORS_MAX];
    size_t visitor_count;
    uint64_t visits; /* so far */
    void (*serve)(void *arg, struct http_request *request);
    void *arg;
};

struct http_request {
    struct http *http;
    struct evhttp_request *from;
    struct evkeyvalq query;
};

/* ---- visitors ---- */

static bool visitor_is_there(const struct visitor *visitor)
{
    return visitor->arriving != NULL || visitor->connection != NULL;
}

static void http_watch_later(struct http *http)
{
    const struct timeval second = {.tv_sec = 1};
    if (!evtimer_pending(http->watch, NULL))
        evtimer_add(http->watch, &second);
}

/* There is room: who was accepted last and left none stopped the listening. evhttp tells of a connection only when there is one. */
static struct bufferevent *http_visit(struct event_base *base, void *arg)
{
    struct http *http = arg;
    struct visitor *visitor = http->visitors;
    struct bufferevent *arriving = bufferevent_socket_new(base, -1, 0);
    while (visitor_is_there(visitor))
        visitor++;
    if (arriving == NULL)
        return NULL; /* evhttp tries by itself, with no better luck */
    bufferevent_incref(arriving);
    *visitor = (struct visitor){.arriving = arriving, .until_ms = clock_monotonic_ms() + VISIT_MS, .number = http->visits++};
    if (++http->visitor_count == VISITORS_MAX)
        evconnlistener_disable(http->listener);
    event_active(http->arrived, EV_TIMEOUT, 0);
    http_watch_later(http);
    return arriving;
}

static void http_leave(struct http *http, struct visitor *visitor)
{
    *visitor = (struct visitor){.arriving = NULL};
    http->visitor_count--;
    if (http->listener != NULL && !evtimer_pending(http->resume, NULL))
        evconnlistener_enable(http->listener);
}

/* Its events go now: libevent would take them back behind the descriptor's end, when that number may be the socket of a worker. */
static void http_closed(struct evhttp_connection *connection, void *arg)
{
    struct http *http = arg;
    bufferevent_disable(evhttp_connection_get_bufferevent(connection), EV_READ | EV_WRITE);
    for (size_t i = 0; i < VISITORS_MAX; i++)
        if (http->visitors[i].connection == connection)
            http_leave(http, &http->visitors[i]);
}

/* evhttp finds its connection at an end, and closes it. */
static void http_dismiss(struct visitor *visitor)
{
    shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(visitor->connection)), SHUT_RDWR);
    visitor->dismissed = true;
}

/* Who holds a connection without asking goes before who waits for an answer. */
static bool visitor_goes_first(const struct visitor *visitor, const struct visitor *other)
{
    return visitor->asked != other->asked ? other->asked : visitor->number < other->number;
}

static void http_dismiss_one(struct http *http)
{
    struct visitor *first = NULL;
    for (size_t i = 0; i < VISITORS_MAX; i++) {
        struct visitor *visitor = &http->visitors[i];
        if (visitor->connection != NULL && !visitor->dismissed && (first == NULL || visitor_goes_first(visitor, first)))
            first = visitor;
    }
    if (first != NULL)
        http_dismiss(first);
}

/* evhttp's connection is the argument of the callbacks that it has set; without them it had no memory for one. */
static void http_arrive(struct http *http, struct visitor *visitor)
{
    struct bufferevent *arriving = visitor->arriving;
    bufferevent_event_cb told = NULL;
    void *connection = NULL;
    bufferevent_getcb(arriving, NULL, NULL, &told, &connection);
    visitor->arriving = NULL;
    visitor->connection = told != NULL ? connection : NULL;
    bufferevent_decref(arriving);
    if (visitor->connection != NULL)
        evhttp_connection_set_closecb(visitor->connection, http_closed, http);
    else
        http_leave(http, visitor);
}

static void http_arrived(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http *http = arg;
    for (size_t i = 0; i < VISITORS_MAX; i++)
        if (http->visitors[i].arriving != NULL)
            http_arrive(http, &http->visitors[i]);
    if (http->visitor_count == VISITORS_MAX)
        http_dismiss_one(http);
}

static void http_watch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http *http = arg;
    const uint64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < VISITORS_MAX; i++) {
        struct visitor *visitor = &http->visitors[i];
        if (visitor->connection != NULL && !visitor->dismissed && now_ms >= visitor->until_ms)
            http_dismiss(visitor);
    }
    if (http->visitor_count > 0)
        http_watch_later(http);
}

/* Out of descriptors, the socket would call again and again. */
static void http_cannot_accept(struct evconnlistener *listener, void *arg)
{
    const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_US};
    struct http *http = arg;
    evconnlistener_disable(listener);
    evtimer_add(http->resume, &pause);
}

static void http_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http *http = arg;
    if (http->visitor_count < VISITORS_MAX && http->listener != NULL)
        evconnlistener_enable(http->listener);
}

/* ---- requests ---- */

/* NULL: the client has left. */
static struct visitor *http_visitor(const struct http_request *request)
{
    const struct evhttp_connection *connection = evhttp_request_get_connection(request->from);
    for (size_t i = 0; i < VISITORS_MAX && connection != NULL; i++)
        if (request->http->visitors[i].connection == connection)
            return &request->http->visitors[i];
    return NULL;
}

static void http_note_asked(const struct http_request *request)
{
    struct visitor *visitor = http_visitor(request);
    if (visitor != NULL)
        visitor->asked = true;
}

static void http_serve(struct evhttp_request *from, void *arg)
{
    struct http *http = arg;
    struct http_request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        evhttp_send_error(from, HTTP_INTERNAL, NULL);
        return;
    }
    *request = (struct http_request){.http = http, .from = from};
    http_note_asked(request);
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(from));
    TAILQ_INIT(&request->query);
    if (query != NULL && evhttp_parse_query_str(query, &request->query) != 0)
        http_answer(request, 400, "text/plain", NULL, "bad query\n", 10);
    else
        http->serve(http->arg, request);
}

enum http_method http_request_method(const struct http_request *request)
{
    return evhttp_request_get_command(request->from) == EVHTTP_REQ_POST ? HTTP_POST : HTTP_GET;
}

const char *http_request_path(const struct http_request *request)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request->from));
    return path != NULL ? path : "";
}

const char *http_request_query(const struct http_request *request, const char *key)
{
    return evhttp_find_header(&request->query, key);
}

bool http_request_keys(const struct http_request *request, bool (*known)(const void *arg, const char *key), const void *arg)
{
    const struct evkeyval *pair;
    TAILQ_FOREACH(pair, &request->query, next)
    {
        if (!known(arg, pair->key))
            return false;
    }
    return true;
}

static void http_request_free(struct http_request *request)
{
    evhttp_clear_headers(&request->query);
    free(request);
}

static const char *http_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } PHRASES[] = {{200, "OK"},       {400, "Bad Request"},           {404, "Not Found"},          {405, "Method Not Allowed"},
                   {409, "Conflict"}, {500, "Internal Server Error"}, {503, "Service Unavailable"}};
    size_t i = 0;
    while (i + 1 < sizeof(PHRASES) / sizeof(PHRASES[0]) && PHRASES[i].status != status)
        i++;
    return PHRASES[i].phrase;
}

void http_wait(struct http_request *request)
{
    const struct timeval wait = {.tv_sec = WAIT_MS / 1000}, silence = {.tv_sec = SILENCE_S};
    struct visitor *visitor = http_visitor(request);
    if (visitor == NULL)
        return;
    visitor->until_ms = clock_monotonic_ms() + WAIT_MS;
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(visitor->connection), &wait, &silence);
}

void http_answer(struct http_request *request, unsigned status, const char *type, const char *allow, const char *body, size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request->from);
    struct evbuffer *bytes = evhttp_request_get_output_buffer(request->from);
    char length[24];
    evutil_snprintf(length, sizeof(length), "%zu", len);
    bool ready = evhttp_add_header(headers, "Content-Type", type) == 0 && evhttp_add_header(headers, "Content-Length", length) == 0 &&
                 evhttp_add_header(headers, "Cache-Control", "no-store") == 0 && evhttp_add_header(headers, "Connection", "close") == 0 &&
                 (allow == NULL || evhttp_add_header(headers, "Allow", allow) == 0);
    if (evhttp_request_get_command(request->from) != EVHTTP_REQ_HEAD)
        ready = ready && evbuffer_add(bytes, body, len) == 0;
    if (ready)
        evhttp_send_reply(request->from, (int)status, http_phrase(status), NULL);
    else
        evhttp_send_error(request->from, HTTP_INTERNAL, NULL);
    http_request_free(request);
}

void http_refuse(struct http_request *request, unsigned status, const char *allow, const char *error)
{
    char body[256];
    struct text text;
    text_init(&text, body, sizeof(body));
    text_add(&text, "{\"error\":");
    text_add_json(&text, error, strlen(error), sizeof(body) - 32);
    text_add(&text, "}\n");
    http_answer(request, status, "application/json", allow, body, text.len);
}

/* ---- the door ---- */

static void http_bound(struct http *http)
{
    evhttp_set_max_headers_size(http->server, HEAD_MAX);
    evhttp_set_max_body_size(http->server, BODY_MAX);
    evhttp_set_timeout(http->server, SILENCE_S);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
    evhttp_set_bevcb(http->server, http_visit, http);
    evhttp_set_gencb(http->server, http_serve, http);
    evconnlistener_set_error_cb(http->listener, http_cannot_accept);
}

struct http *http_new(struct event_base *base, int fd, void (*serve)(void *arg, struct http_request *request), void *arg)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        close(fd);
        return NULL;
    }
    *http = (struct http){.base = base, .serve = serve, .arg = arg};
    http->listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    http->server = evhttp_new(base);
    http->arrived = event_new(base, -1, 0, http_arrived, http);
    http->watch = evtimer_new(base, http_watch, http);
    http->resume = evtimer_new(base, http_resume, http);
    bool made = http->listener != NULL && http->server != NULL && http->arrived != NULL && http->watch != NULL && http->resume != NULL;
    if (http->listener == NULL)
        close(fd);
    http->bound = made ? evhttp_bind_listener(http->server, http->listener) : NULL;
    if (http->bound != NULL) {
        http_bound(http);
        return http;
    }
    if (http->listener != NULL)
        evconnlistener_free(http->listener);
    http->listener = NULL;
    http_free(http);
    return NULL;
}

void http_hold(struct http *http)
{
    if (http == NULL)
        return;
    http->held = true;
    evconnlistener_disable(http->listener);
}

void http_open(struct http *http)
{
    if (http == NULL || http->listener == NULL || !http->held)
        return;
    http->held = false;
    evconnlistener_enable(http->listener);
}

void http_retire(struct http *http)
{
    if (http == NULL || http->listener == NULL)
        return;
    evhttp_del_accept_socket(http->server, http->bound);
    http->listener = NULL;
}

/* The loop turns no more, and who waited to the end is to hear what he was answered: as much as the socket takes. */
static void http_flush(struct http *http)
{
    for (size_t i = 0; i < VISITORS_MAX; i++) {
        struct evhttp_connection *connection = http->visitors[i].connection;
        if (connection == NULL)
            continue;
        struct bufferevent *events = evhttp_connection_get_bufferevent(connection);
        struct evbuffer *answer = bufferevent_get_output(events);
        evbuffer_unfreeze(answer, 1);
        (void)evbuffer_write(answer, bufferevent_getfd(events));
    }
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    http_flush(http);
    http->listener = NULL; /* goes with the server, before its connections do */
    if (http->server != NULL)
        evhttp_free(http->server);
    for (size_t i = 0; i < VISITORS_MAX; i++)
        if (http->visitors[i].arriving != NULL)
            bufferevent_decref(http->visitors[i].arriving);
    if (http->arrived != NULL)
        event_free(http->arrived);
    if (http->watch != NULL)
        event_free(http->watch);
    if (http->resume != NULL)
        event_free(http->resume);
    free(http);
}
