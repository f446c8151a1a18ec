/* One door of the admin interface: a listening socket, HTTP on it, and bounds on whoever comes. */
#ifndef EXEAT_ADMIN_HTTP_H
#define EXEAT_ADMIN_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct http;
struct http_request;

enum http_method { HTTP_GET = 0, HTTP_POST };

/* Serves a listening socket, which is its own from here on. `serve` is told of each request, and answers it by http_answer() once, then or later;
 * also when its client has left meanwhile. NULL: out of memory or descriptors; the socket is closed. */
struct http *http_new(struct event_base *base, int fd, void (*serve)(void *arg, struct http_request *request), void *arg);
/* Lets nobody in until http_open(): who comes waits in the socket's queue, and another process may take him. Safe on NULL. */
void http_hold(struct http *http);
void http_open(struct http *http);
/* Closes the listening socket, which another process has, too: who has come in is served to his end. Safe on NULL. */
void http_retire(struct http *http);
/* After every request was answered. Safe on NULL. */
void http_free(struct http *http);

enum http_method http_request_method(const struct http_request *request); /* HEAD is a GET whose body is not sent */
const char *http_request_path(const struct http_request *request);
/* The value of a key of the query, decoded; NULL: it is not there. */
const char *http_request_query(const struct http_request *request, const char *key);
/* Whether `known` says so of every key of the query. */
bool http_request_keys(const struct http_request *request, bool (*known)(const void *arg, const char *key), const void *arg);

/* Its answer may take minutes: until then its client is not sent away for its silence. */
void http_wait(struct http_request *request);

/* Sends the answer and closes the connection; the request is gone. `allow` is the header of that name, or NULL. */
void http_answer(struct http_request *request, unsigned status, const char *type, const char *allow, const char *body, size_t len);
/* Answers {"error":…} in JSON. */
void http_refuse(struct http_request *request, unsigned status, const char *allow, const char *error);

#endif
