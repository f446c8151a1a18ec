/* What each client was denied lately, for `GET /denials`: where curl or git print only a number, a build can ask why. */
#include "proxy/denials.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A ring: `next` is where the next one goes, which is also the oldest. */
struct denials {
    pthread_mutex_t lock;
    size_t next;
    struct denial kept[DENIALS_KEPT]; /* time 0: never used */
};

struct denials *denials_new(void)
{
    struct denials *denials = calloc(1, sizeof(*denials));
    if (denials != NULL)
        pthread_mutex_init(&denials->lock, NULL);
    return denials;
}

void denials_free(struct denials *denials)
{
    if (denials == NULL)
        return;
    pthread_mutex_destroy(&denials->lock);
    free(denials);
}

void denials_add(struct denials *denials, const struct denial *denial)
{
    pthread_mutex_lock(&denials->lock);
    denials->kept[denials->next] = *denial;
    denials->next = (denials->next + 1) % DENIALS_KEPT;
    pthread_mutex_unlock(&denials->lock);
}

static void denials_write_one(struct text *out, const struct denial *denial)
{
    char time[CLOCK_TEXT_MAX];
    text_format(out, "{\"id\":\"%s\",\"time\":\"%s\",\"host\":", denial->id, clock_text(denial->time_us, time));
    text_add_json(out, denial->host[0] ? denial->host : NULL, strlen(denial->host), sizeof(denial->host));
    if (denial->port != 0)
        text_format(out, ",\"port\":%u", denial->port);
    else
        text_add(out, ",\"port\":null");
    text_format(out, ",\"reason\":\"%s\",\"rule\":", denial->reason);
    text_add_json(out, denial->rule[0] ? denial->rule : NULL, strlen(denial->rule), sizeof(denial->rule));
    text_add(out, "}");
}

void denials_write(struct denials *denials, struct text *out, const struct address *client, uint64_t now_us)
{
    const uint64_t oldest = now_us - (uint64_t)DENIALS_AGE_S * 1000000;
    size_t written = 0;
    text_add(out, "{\"denials\":[");
    pthread_mutex_lock(&denials->lock);
    for (size_t back = 1; back <= DENIALS_KEPT && written < DENIALS_PER_CLIENT; back++) {
        const struct denial *denial = &denials->kept[(denials->next + DENIALS_KEPT - back) % DENIALS_KEPT];
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
