/* What the clients of each group have moved lately, held against the group's quotas: a row a group, which outlives the snapshots that name it. */
#include "proxy/quotas.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bucket.h"
#include "base/name_table.h"

#define QUOTAS_MAX 10000 /* names of groups: reloads may bring others */

struct quota {
    struct name_row row;
    struct quotas *quotas;     /* that it is of */
    const struct group *group; /* while a policy is taken: its group there */
    struct quota_account {
        struct rate rate; /* zeroed: no bound */
        struct bucket used;
    } ways[QUOTA_WAYS];
};

struct quotas {
    pthread_mutex_t lock;
    struct name_table rows; /* they do not move, and none goes */
};

struct quotas *quotas_new(void)
{
    struct quotas *quotas = calloc(1, sizeof(*quotas));
    if (quotas == NULL)
        return NULL;
    pthread_mutex_init(&quotas->lock, NULL);
    quotas->rows = (struct name_table){.row_size = sizeof(struct quota), .max = QUOTAS_MAX};
    return quotas;
}

void quotas_free(struct quotas *quotas)
{
    if (quotas == NULL)
        return;
    name_table_fini(&quotas->rows);
    pthread_mutex_destroy(&quotas->lock);
    free(quotas);
}

/* ---- which there are ---- */

/* What went while nobody counted is not known: a bound that is new begins with nothing. */
static void quota_account_take(struct quota_account *account, const struct rate *rate, uint64_t now_ms)
{
    if (rate->amount > 0 && account->rate.amount > 0)
        bucket_change(&account->used, &account->rate, rate, now_ms);
    else
        account->used = (struct bucket){0};
    account->rate = *rate;
}

static bool quotas_add(struct quotas *quotas, const struct group *group)
{
    struct quota *quota = name_table_row(&quotas->rows, group->name, strlen(group->name));
    if (quota == NULL)
        return false;
    quota->quotas = quotas;
    quota->group = group;
    return true;
}

static void quota_take(struct quota *quota, uint64_t now_ms)
{
    static const struct rate none;
    for (int way = 0; way < QUOTA_WAYS; way++)
        quota_account_take(&quota->ways[way], quota->group != NULL ? &quota->group->quotas[way] : &none, now_ms);
    quota->group = NULL;
}

bool quotas_take(struct quotas *quotas, const struct policy *policy, uint64_t now_ms)
{
    bool whole = true;
    pthread_mutex_lock(&quotas->lock);
    for (size_t i = 0; i < policy_bounded_count(policy); i++)
        whole = quotas_add(quotas, policy_bounded_at(policy, i)) && whole;
    for (size_t i = 0; i < quotas->rows.count; i++)
        quota_take((struct quota *)quotas->rows.rows[i], now_ms);
    pthread_mutex_unlock(&quotas->lock);
    return whole;
}

struct quota *quotas_find(struct quotas *quotas, const char *group)
{
    pthread_mutex_lock(&quotas->lock);
    struct quota *quota = name_table_find(&quotas->rows, group, strlen(group));
    pthread_mutex_unlock(&quotas->lock);
    return quota;
}

/* ---- what of them is used ---- */

void quota_use(struct quota *quota, enum quota_way way, uint64_t bytes, uint64_t now_ms)
{
    struct quota_account *account = &quota->ways[way];
    pthread_mutex_lock(&quota->quotas->lock);
    if (account->rate.amount > 0)
        bucket_pour(&account->used, &account->rate, bytes, now_ms);
    pthread_mutex_unlock(&quota->quotas->lock);
}

bool quota_left(struct quota *quota, enum quota_way way, uint64_t now_ms, int64_t *left)
{
    struct quota_account *account = &quota->ways[way];
    pthread_mutex_lock(&quota->quotas->lock);
    const bool bounded = account->rate.amount > 0;
    if (bounded)
        *left = bucket_room(&account->used, &account->rate, now_ms);
    pthread_mutex_unlock(&quota->quotas->lock);
    return bounded;
}

static uint64_t quota_wait_ms(struct quota *quota, enum quota_way way, uint64_t now_ms)
{
    struct quota_account *account = &quota->ways[way];
    pthread_mutex_lock(&quota->quotas->lock);
    const uint64_t wait_ms = account->rate.amount > 0 ? bucket_wait_ms(&account->used, &account->rate, now_ms) : 0;
    pthread_mutex_unlock(&quota->quotas->lock);
    return wait_ms;
}

static void quota_admit(struct quota *quota, const struct group *group, uint64_t now_ms, struct quota_refusal *refusal)
{
    for (int way = 0; way < QUOTA_WAYS; way++) {
        const uint64_t wait_ms = quota_wait_ms(quota, (enum quota_way)way, now_ms);
        if (wait_ms > refusal->wait_ms)
            *refusal = (struct quota_refusal){.group = group, .way = (enum quota_way)way, .wait_ms = wait_ms};
    }
}

bool quotas_admit(struct quotas *quotas, const struct policy *policy, const struct address *client, uint64_t now_ms, struct quota_refusal *refusal)
{
    *refusal = (struct quota_refusal){0};
    for (size_t i = 0; i < policy_bounded_count(policy); i++) {
        const struct group *group = policy_bounded_at(policy, i);
        if (!group_has_client(group, client))
            continue;
        struct quota *quota = quotas_find(quotas, group->name);
        if (quota == NULL)
            return false;
        quota_admit(quota, group, now_ms, refusal);
    }
    return refusal->group == NULL;
}
