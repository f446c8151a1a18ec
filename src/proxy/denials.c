/* What each client was denied lately, for `GET /denials`: where curl or git print only a number, a build can ask why. */
#include "proxy/denials.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

/* `next` is where the next one goes, which is also the oldest. */
struct denial_ring {
    size_t next;
    struct denial kept[DENIALS_A_RING]; /* time 0: never used */
};

struct denials {
    pthread_mutex_t lock;
    uint64_t seed;
    struct denial_ring rings[DENIALS_RINGS];
};

_Static_assert(DENIALS_A_RING >= DENIALS_PER_CLIENT, "a client's share must fit its ring");

struct denials *denials_new(void)
{
    struct denials *denials = calloc(1, sizeof(*denials));
    if (denials == NULL)
        return NULL;
    pthread_mutex_init(&denials->lock, NULL);
    denials->seed = hash_seed();
    return denials;
}

void denials_free(struct denials *denials)
{
    if (denials == NULL)
        return;
    pthread_mutex_destroy(&denials->lock);
    free(denials);
}

static struct denial_ring *denials_ring(struct denials *denials, const struct address *client)
{
    return &denials->rings[hash_bytes(client, sizeof(*client), denials->seed) % DENIALS_RINGS];
}

void denials_add(struct denials *denials, const struct denial *denial)
{
    struct denial_ring *ring = denials_ring(denials, &denial->client);
    pthread_mutex_lock(&denials->lock);
    ring->kept[ring->next] = *denial;
    ring->next = (ring->next + 1) % DENIALS_A_RING;
    pthread_mutex_unlock(&denials->lock);
}

static void denials_write_one(struct text *out, const struct denial *denial)
{
    char time[CLOCK_TEXT_MAX];
    text_format(out, "{\"id\":\"%s\",\"time\":\"%s\",\"host\":", denial->id, clock_text(denial->time_us, time));
    text_add_json(out, denial->host_len > 0 ? denial->host : NULL, denial->host_len, DENIALS_HOST_MAX - 1);
    if (denial->port != 0)
        text_format(out, ",\"port\":%u", denial->port);
    else
        text_add(out, ",\"port\":null");
    text_format(out, ",\"reason\":\"%s\",\"rule\":", denial->reason);
    text_add_json(out, denial->rule[0] ? denial->rule : NULL, strlen(denial->rule), TEXT_ESCAPE_MAX * sizeof(denial->rule));
    text_add(out, "}");
}

void denials_write(struct denials *denials, struct text *out, const struct address *client, uint64_t now_us)
{
    const uint64_t oldest = now_us - (uint64_t)DENIALS_AGE_S * 1000000;
    const struct denial_ring *ring = denials_ring(denials, client);
    size_t written = 0;
    text_add(out, "{\"denials\":[");
    pthread_mutex_lock(&denials->lock);
    for (size_t back = 1; back <= DENIALS_A_RING && written < DENIALS_PER_CLIENT; back++) {
        const struct denial *denial = &ring->kept[(ring->next + DENIALS_A_RING - back) % DENIALS_A_RING];
        if (denial->time_us == 0 || denial->time_us < oldest)
            break;
        if (!address_equal(&denial->client, client))
            continue;
        if (written++ > 0)
            text_add(out, ",");
        denials_write_one(out, denial);
    }
    pthread_mutex_unlock(&denials->lock);
    text_add(out, "]}");
}
