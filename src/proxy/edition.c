/* One edition of what the workers serve by: a snapshot of the configuration and the addresses that it listens on. */
#include "proxy/edition.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct edition *edition_new(uint32_t number, struct config *config, unsigned workers)
{
    struct edition *edition = calloc(1, sizeof(*edition));
    if (edition == NULL) {
        config_unref(config);
        return NULL;
    }
    *edition = (struct edition){.number = number, .config = config, .workers = workers, .refs = 1};
    return edition;
}

struct edition *edition_ref(struct edition *edition)
{
    __atomic_add_fetch(&edition->refs, 1, __ATOMIC_RELAXED);
    return edition;
}

static void edition_free(struct edition *edition)
{
    for (size_t i = 0; i < edition->address_count; i++) {
        for (unsigned worker = 0; worker < edition->workers; worker++)
            if (edition->addresses[i].fds[worker] >= 0)
                close(edition->addresses[i].fds[worker]);
        free(edition->addresses[i].fds);
    }
    free(edition->addresses);
    config_unref(edition->config);
    free(edition);
}

void edition_unref(struct edition *edition)
{
    if (edition != NULL && __atomic_sub_fetch(&edition->refs, 1, __ATOMIC_ACQ_REL) == 0)
        edition_free(edition);
}

static struct edition_address *edition_find_own(const struct edition *edition, uint32_t number)
{
    for (size_t i = 0; i < edition->address_count; i++)
        if (edition->addresses[i].number == number)
            return &edition->addresses[i];
    return NULL;
}

const struct edition_address *edition_find(const struct edition *edition, uint32_t number)
{
    return edition_find_own(edition, number);
}

/* An address that one of us listens on is never dialled; a port that was picked at bind is known only once it is bound. */
static bool edition_never_dial(struct edition *edition, const struct edition_address *address)
{
    return !address_is_set(&address->bound.ip) || config_never_listener(edition->config, &address->bound);
}

bool edition_add_address(struct edition *edition, uint32_t number, uint32_t listener, bool inherited, const struct edition *before)
{
    const struct edition_address *known = before != NULL ? edition_find(before, number) : NULL;
    if (listener >= edition->config->listener_count || edition_find(edition, number) != NULL)
        return false;
    struct edition_address *grown = reallocarray(edition->addresses, edition->address_count + 1, sizeof(*grown));
    int *fds = calloc(edition->workers, sizeof(*fds));
    if (grown != NULL)
        edition->addresses = grown;
    if (grown == NULL || fds == NULL) {
        free(fds);
        return false;
    }
    for (unsigned worker = 0; worker < edition->workers; worker++)
        fds[worker] = -1;
    struct edition_address *address = &grown[edition->address_count++];
    *address = (struct edition_address){.number = number, .listener = &edition->config->listeners[listener], .inherited = inherited, .fds = fds};
    if (known != NULL)
        address->bound = known->bound;
    return edition_never_dial(edition, address);
}

static bool edition_learn(struct edition *edition, struct edition_address *address, int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    if (address_is_set(&address->bound.ip))
        return true;
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(&address->bound, (struct sockaddr *)&name, len) &&
           edition_never_dial(edition, address);
}

bool edition_add_socket(struct edition *edition, uint32_t number, uint32_t worker, int fd)
{
    struct edition_address *address = edition_find_own(edition, number);
    if (address == NULL || worker >= edition->workers || address->fds[worker] >= 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    address->fds[worker] = fd;
    edition->lacks = edition->lacks || fd < 0;
    return fd < 0 || edition_learn(edition, address, fd);
}

bool edition_is_whole(const struct edition *edition)
{
    for (size_t i = 0; i < edition->address_count; i++)
        if (!address_is_set(&edition->addresses[i].bound.ip))
            return false;
    return edition->address_count > 0 && !edition->lacks;
}
