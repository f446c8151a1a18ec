/* What /tunnels says: every open tunnel, or those that are asked for. */
#include "admin/tunnels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

const char *const TUNNEL_KEY[TUNNEL_KEYS + 1] = {
    [TUNNEL_BY_CLIENT] = "client_ip",
    [TUNNEL_BY_GROUP] = "client_group",
    [TUNNEL_BY_HOST] = "host",
    [TUNNEL_BY_RULE] = "rule",
    [TUNNEL_BY_ROUTE] = "route",
    [TUNNEL_BY_EGRESS] = "egress_ip",
    [TUNNEL_BY_UPSTREAM] = "upstream_ip",
};

/* Its values as text; "" where there is none. */
struct tunnel_texts {
    char client[ADDRESS_TEXT_MAX], egress[ADDRESS_TEXT_MAX], upstream[ADDRESS_TEXT_MAX], since[CLOCK_TEXT_MAX];
    const char *keys[TUNNEL_KEYS];
};

static void tunnel_texts(struct tunnel_texts *texts, const struct tunnel *tunnel)
{
    texts->keys[TUNNEL_BY_CLIENT] = address_text(&tunnel->client_ip, texts->client);
    texts->keys[TUNNEL_BY_GROUP] = tunnel->client_group;
    texts->keys[TUNNEL_BY_HOST] = tunnel->host;
    texts->keys[TUNNEL_BY_RULE] = tunnel->rule;
    texts->keys[TUNNEL_BY_ROUTE] = tunnel->route;
    texts->keys[TUNNEL_BY_EGRESS] = address_text(&tunnel->egress_ip, texts->egress);
    texts->keys[TUNNEL_BY_UPSTREAM] = address_text(&tunnel->upstream_ip, texts->upstream);
    clock_text(tunnel->since_us, texts->since);
}

static bool tunnel_is_below(const char *host, const char *wanted)
{
    const size_t host_len = strlen(host), len = strlen(wanted + 1);
    return wanted[0] == '*' && wanted[1] == '.' && host_len > len && strcmp(host + host_len - len, wanted + 1) == 0;
}

static bool tunnel_passes(const struct tunnel_texts *texts, const struct tunnel_filter *filter)
{
    for (unsigned key = 0; key < TUNNEL_KEYS; key++) {
        const char *wanted = filter->values[key];
        if (wanted == NULL || strcmp(texts->keys[key], wanted) == 0)
            continue;
        if (key != TUNNEL_BY_HOST || !tunnel_is_below(texts->keys[key], wanted))
            return false;
    }
    return true;
}

static int tunnel_compare(const void *a, const void *b)
{
    const struct tunnel *left = a, *right = b;
    if (left->since_us != right->since_us)
        return left->since_us < right->since_us ? -1 : 1;
    return strcmp(left->id, right->id);
}

static void tunnel_put_name(FILE *to, const char *key, const char *name)
{
    json_put_member(to, key, name[0] != '\0' ? name : NULL);
}

static void tunnel_put_json(FILE *to, const struct tunnel *tunnel, const struct tunnel_texts *texts)
{
    fprintf(to, "{\"id\":\"%s\"", tunnel->id);
    json_put_member(to, "client_ip", texts->client);
    tunnel_put_name(to, "client_group", tunnel->client_group);
    json_put_member(to, "host", tunnel->host);
    fprintf(to, ",\"port\":%u", tunnel->port);
    tunnel_put_name(to, "rule", tunnel->rule);
    tunnel_put_name(to, "route", tunnel->route);
    json_put_member(to, "egress_ip", texts->egress);
    json_put_member(to, "upstream_ip", texts->upstream);
    fprintf(to, ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64 ",\"since\":\"%s\",\"generation\":%" PRIu32 "}", tunnel->bytes_up,
            tunnel->bytes_down, texts->since, tunnel->generation);
}

static void tunnel_put_line(FILE *to, const struct tunnel *tunnel, const struct tunnel_texts *texts)
{
    char host[sizeof(tunnel->host)];
    struct text text;
    text_init(&text, host, sizeof(host));
    text_add_clean(&text, tunnel->host, strlen(tunnel->host), sizeof(host) - 1);
    fprintf(to, "%s\t%s\t%s\t%s\t%u\t%s\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%s\t%" PRIu32 "\n", tunnel->id, texts->client, tunnel->client_group,
            host, tunnel->port, tunnel->rule, tunnel->route, texts->egress, texts->upstream, tunnel->bytes_up, tunnel->bytes_down, texts->since,
            tunnel->generation);
}

static void tunnels_sort(struct survey *whole)
{
    if (whole->tunnel_count > 0)
        qsort(whole->tunnels, whole->tunnel_count, sizeof(*whole->tunnels), tunnel_compare);
}

void tunnels_write_json(FILE *to, struct survey *whole, const struct tunnel_filter *filter)
{
    const char *before = "";
    tunnels_sort(whole);
    fputs("{\"tunnels\":[", to);
    for (size_t i = 0; i < whole->tunnel_count; i++) {
        struct tunnel_texts texts;
        tunnel_texts(&texts, &whole->tunnels[i]);
        if (!tunnel_passes(&texts, filter))
            continue;
        fputs(before, to);
        tunnel_put_json(to, &whole->tunnels[i], &texts);
        before = ",";
    }
    putc(']', to);
    if (whole->silent > 0)
        fprintf(to, ",\"silent\":%u", whole->silent);
    fputs("}\n", to);
}

void tunnels_write_lines(FILE *to, struct survey *whole, const struct tunnel_filter *filter)
{
    tunnels_sort(whole);
    for (size_t i = 0; i < whole->tunnel_count; i++) {
        struct tunnel_texts texts;
        tunnel_texts(&texts, &whole->tunnels[i]);
        if (tunnel_passes(&texts, filter))
            tunnel_put_line(to, &whole->tunnels[i], &texts);
    }
    if (whole->silent > 0)
        fprintf(to, "# generations that do not answer, and whose tunnels are not here: %u\n", whole->silent);
}
