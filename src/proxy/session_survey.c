/* What a session says of itself to whoever asks how things stand. */
#include "proxy/session_state.h"

#include <string.h>

#include "base/text.h"
#include "proxy/session.h"
#include "proxy/survey.h"
#include "proxy/worker.h"

const struct session *session_next(const struct session *session)
{
    return session->next;
}

static bool session_is_open(const struct session *session)
{
    return session->step == STEP_RELAY && session->verdict.route != NULL;
}

void session_count(const struct session *session, struct tally *tally)
{
    const struct verdict *verdict = &session->verdict;
    if (session->origin_fd >= 0 && verdict->route != NULL && address_is_set(&session->egress.ip))
        tally_port(tally, verdict->route->name, &session->egress.ip, 1);
    if (!session_is_open(session))
        return;
    tally_open(tally, verdict->route->name);
    tally_bytes(tally, verdict->route->name, verdict->rule != NULL ? verdict->rule->name : NULL, relay_bytes_up(&session->relay),
                relay_bytes_down(&session->relay));
}

static void session_copy_name(char out[TUNNEL_NAME_MAX], const char *name)
{
    text_copy(out, TUNNEL_NAME_MAX, name, strlen(name));
}

bool session_describe(const struct session *session, struct tunnel *tunnel)
{
    const struct verdict *verdict = &session->verdict;
    struct ulid id;
    if (!session_is_open(session) || !ulid_read(&id, session->id))
        return false;
    *tunnel = (struct tunnel){.client_ip = session->client.ip,
                              .egress_ip = session->egress.ip,
                              .upstream_ip = session->upstream.ip,
                              .port = session->port,
                              .bytes_up = relay_bytes_up(&session->relay),
                              .bytes_down = relay_bytes_down(&session->relay),
                              .since_us = ulid_wall_us(&id)};
    memcpy(tunnel->id, session->id, sizeof(tunnel->id));
    if (session->host != NULL)
        text_copy(tunnel->host, sizeof(tunnel->host), session->host, session->host_len);
    if (verdict->group != NULL)
        session_copy_name(tunnel->client_group, verdict->group->name);
    if (verdict->rule != NULL)
        session_copy_name(tunnel->rule, verdict->rule->name);
    session_copy_name(tunnel->route, verdict->route->name);
    return true;
}
