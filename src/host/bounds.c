/* The addresses that are listened on, by one socket a worker, bound here or passed to us: which stay, come and go with a configuration. */
#include "host/bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "host/bind.h"

/* Longer than the server needs to empty what was dropped. */
#define DROPPED_FOR_MS 5000

static void bound_close(struct bound *bound, unsigned workers)
{
    for (unsigned i = 0; i < workers && bound->fds != NULL; i++)
        close(bound->fds[i]);
    free(bound->fds);
    bound->fds = NULL;
}

void bounds_fini(struct bounds *bounds)
{
    for (size_t i = 0; i < bounds->count; i++)
        bound_close(&bounds->all[i], bounds->workers);
    free(bounds->all);
    bounds->all = NULL;
    bounds->count = 0;
}

/* ---- the plan ---- */

static size_t bounds_wanted(const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->listener_count; i++)
        count += config->listeners[i].address_count;
    return count;
}

static const struct bound *bounds_find_number(const struct bounds *bounds, uint32_t number)
{
    for (size_t i = 0; i < bounds->count; i++)
        if (bounds->all[i].number == number)
            return &bounds->all[i];
    return NULL;
}

/* Each serves one listener: a second that asks for the same port 0 gets another one. */
static const struct bound *bounds_find_kept(const struct bounds *now, const struct bounds *next, const struct bound *wanted)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct bound *bound = &now->all[i];
        const bool same = endpoint_equal(&bound->asked, &wanted->asked) && (bound->asked.port != 0 || strcmp(bound->name, wanted->name) == 0);
        if (same && bounds_find_number(next, bound->number) == NULL)
            return bound;
    }
    return NULL;
}

/* Who listens on that port may be ourselves: a wildcard beside one address of it, or what was dropped a moment ago and is still being emptied. */
static bool bounds_had_port(const struct bounds *now, uint16_t port)
{
    if (now->dropped_ms != 0 && clock_monotonic_ms() - now->dropped_ms < DROPPED_FOR_MS)
        return true;
    for (size_t i = 0; i < now->count; i++)
        if (now->all[i].address.port == port)
            return true;
    return false;
}

static bool bounds_keep(struct bound *wanted, const struct bound *kept, bool tproxy, unsigned workers)
{
    wanted->number = kept->number;
    wanted->address = kept->address;
    wanted->inherited = kept->inherited;
    wanted->fresh = false;
    memcpy(wanted->fds, kept->fds, workers * sizeof(*wanted->fds));
    return !tproxy || bind_make_tproxy(wanted->fds, workers, wanted->address.ip.family, &wanted->made_tproxy);
}

/* Where there are fewer than workers, some share: all of them are woken, and the first one accepts. */
static bool bounds_share(int *fds, size_t count, unsigned workers)
{
    for (size_t i = count; i < workers; i++) {
        fds[i] = fcntl(fds[i % count], F_DUPFD_CLOEXEC, 0);
        if (fds[i] >= 0)
            continue;
        const int error = errno;
        while (i > count)
            close(fds[--i]);
        errno = error;
        return false;
    }
    return true;
}

static bool bounds_inherit(struct bound *wanted, size_t count, bool tproxy, unsigned workers)
{
    wanted->inherited = true;
    if ((!tproxy || bind_make_tproxy(wanted->fds, count, wanted->address.ip.family, &wanted->made_tproxy)) &&
        bounds_share(wanted->fds, count, workers))
        return true;
    const int error = errno;
    while (count > 0)
        close(wanted->fds[--count]);
    errno = error;
    return false;
}

static bool bounds_bind(struct bounds *next, const struct bounds *now, struct bound *wanted, bool tproxy)
{
    wanted->number = ++next->last_number;
    wanted->address = wanted->asked;
    wanted->fresh = true;
    const size_t passed = now->passed != NULL ? activation_take(now->passed, &wanted->asked, wanted->fds, next->workers) : 0;
    if (passed > 0)
        return bounds_inherit(wanted, passed, tproxy, next->workers);
    if (wanted->asked.port != 0 && bounds_had_port(now, wanted->asked.port))
        return bind_listeners_beside(&wanted->address, tproxy, wanted->fds, next->workers);
    return bind_listeners(&wanted->address, tproxy, wanted->fds, next->workers);
}

static void bounds_fault(struct fault_list *faults, const struct listener *listener, const struct endpoint *address, int error)
{
    char text[ENDPOINT_TEXT_MAX], section[64];
    const bool powerless = error == EPERM && listener->mode == LISTENER_TPROXY;
    struct text title;
    text_init(&title, section, sizeof(section));
    text_format(&title, "listen %s", listener->name);
    fault_add(faults, listener->at, section, "address", "cannot listen on %s: %s%s", endpoint_text(address, text), strerror(error),
              powerless ? ": mode = tproxy needs CAP_NET_ADMIN or CAP_NET_RAW" : "");
}

static void bounds_plan_one(struct bounds *next, const struct bounds *now, const struct config *config, unsigned index,
                            const struct endpoint *address, struct fault_list *faults)
{
    const struct listener *listener = &config->listeners[index];
    const bool tproxy = listener->mode == LISTENER_TPROXY;
    struct bound wanted = {.listener = index, .asked = *address, .fds = calloc(next->workers, sizeof(int))};
    text_copy(wanted.name, sizeof(wanted.name), listener->name, strlen(listener->name));
    const struct bound *kept = bounds_find_kept(now, next, &wanted);
    errno = ENOMEM;
    const bool fine =
        wanted.fds != NULL && (kept != NULL ? bounds_keep(&wanted, kept, tproxy, next->workers) : bounds_bind(next, now, &wanted, tproxy));
    if (fine) {
        next->all[next->count++] = wanted;
        return;
    }
    bounds_fault(faults, listener, address, errno);
    free(wanted.fds);
}

static void bounds_plan_none_lost(const struct bounds *next, const struct bounds *now, struct fault_list *faults)
{
    char text[ENDPOINT_TEXT_MAX];
    for (size_t i = 0; i < now->count; i++)
        if (now->all[i].inherited && bounds_find_number(next, now->all[i].number) == NULL)
            fault_add(faults, "listeners", NULL, NULL,
                      "%s was passed by the service manager: take it out of its socket unit, and start anew, to let go of it",
                      endpoint_text(&now->all[i].address, text));
}

void bounds_plan(struct bounds *next, const struct bounds *now, const struct config *config, struct fault_list *faults)
{
    next->last_number = now->last_number;
    next->all = calloc(bounds_wanted(config) + 1, sizeof(*next->all));
    if (next->all == NULL) {
        fault_add(faults, "listeners", NULL, NULL, "out of memory");
        return;
    }
    for (unsigned i = 0; i < config->listener_count; i++)
        for (size_t k = 0; k < config->listeners[i].address_count; k++)
            bounds_plan_one(next, now, config, i, &config->listeners[i].addresses[k], faults);
    bounds_plan_none_lost(next, now, faults);
}

/* ---- its end ---- */

/* Closes what the other one has not got, and forgets the rest. Whether it closed any. */
static bool bounds_leave(struct bounds *bounds, const struct bounds *other, bool silence)
{
    bool closed = false;
    for (size_t i = 0; i < bounds->count; i++) {
        struct bound *bound = &bounds->all[i];
        if (bounds_find_number(other, bound->number) != NULL) {
            free(bound->fds);
            continue;
        }
        if (silence && !bound->inherited)
            bind_silence(bound->fds, bounds->workers);
        bound_close(bound, bounds->workers);
        closed = true;
    }
    free(bounds->all);
    return closed;
}

void bounds_commit(struct bounds *now, struct bounds *next)
{
    next->dropped_ms = bounds_leave(now, next, true) ? clock_monotonic_ms() : now->dropped_ms;
    *now = *next;
    *next = (struct bounds){.workers = now->workers};
}

void bounds_roll_back(const struct bounds *now, struct bounds *next)
{
    for (size_t i = 0; i < next->count; i++)
        if (next->all[i].made_tproxy)
            bind_unmake_tproxy(next->all[i].fds, next->workers, next->all[i].address.ip.family);
    bounds_leave(next, now, false);
    *next = (struct bounds){.workers = now->workers};
}
