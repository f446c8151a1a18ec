/* The admin interface: metrics, health, tunnels, rules, reloads and upgrades over HTTP, on the server's main thread. */
#include "admin/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/collection.h"
#include "admin/health.h"
#include "admin/http.h"
#include "admin/metrics.h"
#include "admin/petition_page.h"
#include "admin/rules.h"
#include "admin/rules_keeper.h"
#include "admin/succession.h"
#include "admin/tunnels.h"
#include "base/clock.h"
#include "base/json.h"
#include "proxy/census.h"

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

struct admin {
    struct server *server;
    struct rules *rules;
    struct collection *collection;
    struct rules_keeper *keeper;
    struct succession *succession;
    struct petition_page *petitions;
    struct http *doors[DOOR_COUNT];
    struct inquiry *inquiries; /* who waits for workers, here or in other generations */
};

/* A request that waits until every worker has said how it stands. */
struct inquiry {
    struct census_wish wish;
    struct inquiry *next, **link;
    struct admin *admin;
    struct http_request *request;
    const struct page *page;
};

/* ---- the pages: each writes its body, when the workers have been asked, and returns the status; or it serves by itself ---- */

struct page {
    const char *path;
    enum http_method method;
    bool everywhere;         /* also at the door for metrics */
    bool has_lines;          /* with `?format=lines` it answers in lines, for our own commands */
    const char *const *keys; /* what else its query may hold; NULL: nothing */
    int wishes;              /* enum survey_wish, for all generations; 0: only the workers here are asked */
    const char *type;
    bool without; /* it has an answer also when a worker has none: `whole` is NULL then */
    unsigned (*write)(FILE *to, const struct inquiry *inquiry, struct survey *whole);
    void (*serve)(struct admin *admin, struct http_request *request); /* where there is no `write` */
};

static bool page_wants_lines(const struct http_request *request)
{
    const char *format = http_request_query(request, "format");
    return format != NULL && strcmp(format, "lines") == 0;
}

static unsigned page_metrics(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    struct server *server = inquiry->admin->server;
    const struct server_reloads reloads = server_reloads(server);
    metrics_write(to, whole, server_config(server), &reloads, server_quotas(server), clock_monotonic_ms());
    return 200;
}

static unsigned page_healthz(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    const char *words;
    (void)inquiry;
    const bool alive = health_is_alive(whole, &words);
    fprintf(to, "%s\n", words);
    return alive ? 200 : 503;
}

static unsigned page_readyz(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    const char *words;
    const bool ready = health_is_ready(whole, server_stage(inquiry->admin->server), &words);
    fprintf(to, "%s\n", words);
    return ready ? 200 : 503;
}

static unsigned page_server(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    const struct server *server = inquiry->admin->server;
    (void)whole;
    if (page_wants_lines(inquiry->request)) {
        fprintf(to, "generation %" PRIu32 ": %s\n", server_generation(server), server_holds(server));
        return 200;
    }
    fprintf(to, "{\"generation\":%" PRIu32, server_generation(server));
    json_put_member(to, "holds", server_holds(server));
    fputs("}\n", to);
    return 200;
}

static unsigned page_tunnels(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    struct tunnel_filter filter;
    for (unsigned key = 0; key < TUNNEL_KEYS; key++)
        filter.values[key] = http_request_query(inquiry->request, TUNNEL_KEY[key]);
    if (page_wants_lines(inquiry->request))
        tunnels_write_lines(to, whole, &filter);
    else
        tunnels_write_json(to, whole, &filter);
    return 200;
}

static unsigned page_rules(FILE *to, const struct inquiry *inquiry, struct survey *whole)
{
    const struct config *config = server_config(inquiry->admin->server);
    const struct rules *rules = inquiry->admin->rules;
    if (page_wants_lines(inquiry->request))
        rules_write_lines(to, rules, whole->tally, config);
    else
        rules_write_json(to, rules, whole->tally, config);
    return 200;
}

static void page_reload(struct admin *admin, struct http_request *request)
{
    petition_page_ask(admin->petitions, PETITION_RELOAD, request, page_wants_lines(request));
}

static void page_upgrade(struct admin *admin, struct http_request *request)
{
    petition_page_ask(admin->petitions, PETITION_UPGRADE, request, page_wants_lines(request));
}

/* clang-format off */
static const struct page PAGES[] = {
    {"/metrics", HTTP_GET, .everywhere = true, .wishes = SURVEY_COUNTS, .type = METRICS_TYPE, .write = page_metrics},
    {"/healthz", HTTP_GET, .everywhere = true, .without = true, .type = TYPE_TEXT, .write = page_healthz},
    {"/readyz", HTTP_GET, .everywhere = true, .without = true, .type = TYPE_TEXT, .write = page_readyz},
    {"/server", HTTP_GET, .has_lines = true, .without = true, .type = TYPE_JSON, .write = page_server},
    {"/tunnels", HTTP_GET, .has_lines = true, .keys = TUNNEL_KEY, .wishes = SURVEY_TUNNELS, .type = TYPE_JSON, .write = page_tunnels},
    {"/rules", HTTP_GET, .has_lines = true, .wishes = SURVEY_COUNTS, .type = TYPE_JSON, .write = page_rules},
    {"/reload", HTTP_POST, .has_lines = true, .serve = page_reload},
    {"/upgrade", HTTP_POST, .has_lines = true, .serve = page_upgrade},
};
/* clang-format on */
#define PAGE_COUNT (sizeof(PAGES) / sizeof(PAGES[0]))

static const struct page *page_find(const char *path, bool everything)
{
    for (size_t i = 0; i < PAGE_COUNT; i++)
        if (strcmp(PAGES[i].path, path) == 0 && (everything || PAGES[i].everywhere))
            return &PAGES[i];
    return NULL;
}

static bool page_knows(const void *arg, const char *key)
{
    const struct page *page = arg;
    if (page->has_lines && strcmp(key, "format") == 0)
        return true;
    for (const char *const *known = page->keys; known != NULL && *known != NULL; known++)
        if (strcmp(*known, key) == 0)
            return true;
    return false;
}

/* ---- answers ---- */

static void inquiry_answer(struct inquiry *inquiry, struct survey *whole)
{
    const struct page *page = inquiry->page;
    char *body = NULL;
    size_t len = 0;
    unsigned status = 0;
    FILE *to = open_memstream(&body, &len);
    if (to != NULL) {
        status = page->write(to, inquiry, whole);
        if (fclose(to) != 0)
            status = 0;
    }
    if (status != 0)
        http_answer(inquiry->request, status, page_wants_lines(inquiry->request) ? TYPE_TEXT : page->type, NULL, body, len);
    else
        http_refuse(inquiry->request, 500, NULL, "out of memory");
    free(body);
}

static void inquiry_free(struct inquiry *inquiry)
{
    *inquiry->link = inquiry->next;
    if (inquiry->next != NULL)
        inquiry->next->link = inquiry->link;
    free(inquiry);
}

static void inquiry_done(struct census_wish *wish, struct survey *whole)
{
    struct inquiry *inquiry = (struct inquiry *)wish;
    if (whole != NULL || inquiry->page->without)
        inquiry_answer(inquiry, whole);
    else
        http_refuse(inquiry->request, 503, NULL, "a worker does not answer");
    inquiry_free(inquiry);
}

static void inquiry_start(struct admin *admin, struct http_request *request, const struct page *page)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));
    if (inquiry == NULL) {
        http_refuse(request, 500, NULL, "out of memory");
        return;
    }
    *inquiry = (struct inquiry){.wish = {.wishes = page->wishes, .done = inquiry_done},
                                .next = admin->inquiries,
                                .link = &admin->inquiries,
                                .admin = admin,
                                .request = request,
                                .page = page};
    if (inquiry->next != NULL)
        inquiry->next->link = &inquiry->next;
    admin->inquiries = inquiry;
    if (page->wishes != 0)
        collection_ask(admin->collection, &inquiry->wish);
    else
        census_ask(server_census(admin->server), &inquiry->wish);
}

/* ---- requests ---- */

static void admin_serve(struct admin *admin, struct http_request *request, bool everything)
{
    const struct page *page = page_find(http_request_path(request), everything);
    if (page == NULL)
        http_refuse(request, 404, NULL,
                    everything ? "there is no such page" : "there is no such page here; others are on the socket of [admin] listen");
    else if (http_request_method(request) != page->method)
        http_refuse(request, 405, page->method == HTTP_POST ? "POST" : "GET, HEAD", "the page is not asked for like that");
    else if (!http_request_keys(request, page_knows, page))
        http_refuse(request, 400, NULL, "the query has a key that this page does not know");
    else if (page->serve != NULL)
        page->serve(admin, request);
    else
        inquiry_start(admin, request, page);
}

static void admin_serve_everything(void *arg, struct http_request *request)
{
    admin_serve(arg, request, true);
}

static void admin_serve_metrics(void *arg, struct http_request *request)
{
    admin_serve(arg, request, false);
}

/* ---- the guest ---- */

/* Rules that were not there before are counted from now on. */
static void admin_changed(void *guest)
{
    struct admin *admin = guest;
    rules_begin(admin->rules, server_config(admin->server), clock_wall_us());
}

/* Where others live already one of them answers until it is said that this one serves. */
static void admin_hold(struct admin *admin)
{
    for (int door = 0; server_others(admin->server) > 0 && door < DOOR_COUNT; door++)
        http_hold(admin->doors[door]);
}

static void admin_recount(struct admin *admin)
{
    for (int door = 0; door < DOOR_COUNT; door++)
        http_open(admin->doors[door]);
    collection_recount(admin->collection);
}

/* The one that serves now lets visitors in. */
static void admin_retire(struct admin *admin)
{
    for (int door = 0; door < DOOR_COUNT; door++)
        http_retire(admin->doors[door]);
    succession_begin(admin->succession);
    collection_recount(admin->collection);
}

static void admin_heard(void *guest, const struct channel_message *message)
{
    struct admin *admin = guest;
    switch (message->kind) {
    case CHANNEL_RETIRE:
        admin_retire(admin);
        break;
    case CHANNEL_OTHERS:
        admin_recount(admin);
        break;
    case CHANNEL_COLLECT:
        succession_answer(admin->succession, message);
        break;
    case CHANNEL_COLLECTED:
        collection_take(admin->collection, message);
        break;
    case CHANNEL_STATE:
        rules_keeper_take(admin->keeper, message);
        break;
    default:
        break;
    }
}

static void admin_end(void *guest)
{
    struct admin *admin = guest;
    while (admin->inquiries != NULL) {
        http_refuse(admin->inquiries->request, 503, NULL, "stopped");
        inquiry_free(admin->inquiries);
    }
    petition_page_free(admin->petitions);
    for (int door = 0; door < DOOR_COUNT; door++)
        http_free(admin->doors[door]);
    succession_free(admin->succession);
    rules_keeper_free(admin->keeper);
    collection_free(admin->collection);
    rules_free(admin->rules);
    free(admin);
}

static bool admin_open(struct admin *admin, const int doors[DOOR_COUNT])
{
    static void (*const SERVE[DOOR_COUNT])(void *,
                                           struct http_request *) = {[DOOR_ADMIN] = admin_serve_everything, [DOOR_METRICS] = admin_serve_metrics};
    for (int door = 0; door < DOOR_COUNT; door++) {
        if (doors[door] < 0)
            continue;
        admin->doors[door] = http_new(server_base(admin->server), doors[door], SERVE[door], admin);
        if (admin->doors[door] == NULL)
            return false;
    }
    return true;
}

static void *admin_begin(struct server *server, const int doors[DOOR_COUNT])
{
    struct admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return NULL;
    admin->server = server;
    admin->rules = rules_new();
    admin->collection = collection_new(server);
    if (admin->rules != NULL && admin->collection != NULL)
        admin->keeper = rules_keeper_new(server, admin->collection, admin->rules);
    admin->succession = succession_new(server, admin->collection, admin->keeper);
    admin->petitions = petition_page_new(server);
    if (admin->keeper != NULL && admin->succession != NULL && admin->petitions != NULL && admin_open(admin, doors)) {
        admin_changed(admin); /* behind those that were kept */
        admin_hold(admin);
        return admin;
    }
    admin_end(admin);
    return NULL;
}

const struct server_guest ADMIN_GUEST = {admin_begin, admin_changed, admin_heard, admin_end};
