/* What groups have moved is held against their quotas, from whichever tunnel and worker, and over reloads. */
#include "proxy/quotas.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "config/config.h"
#include "config_text.h"
#include "proxy/meter.h"

#define BASE "[listen explicit]\naddress = 127.0.0.1:3128\n[route nat]\n[rule all]\nto = host.example\n"
#define ALL "[clients all]\nfrom = 10.0.0.0/8\n"
#define BUILDERS "[clients builders]\nfrom = 10.1.0.0/16\n"
#define KIB UINT64_C(1024)
#define SPAN_MS 3600000

static const struct address BUILDER = {FAMILY_V4, {10, 1, 0, 1}}, OTHER = {FAMILY_V4, {10, 2, 0, 1}}, STRANGER = {FAMILY_V4, {192, 0, 2, 1}};

static struct quotas *quotas;
static struct config *config;

/* As at the start and at each reload. */
static void take(const char *text, uint64_t now_ms)
{
    config_unref(config);
    config = config_text_load(text, NULL);
    cr_assert(quotas_take(quotas, config->policy, now_ms));
}

static void open_quotas(void)
{
    cr_assert((quotas = quotas_new()) != NULL);
}

static void close_quotas(void)
{
    config_unref(config);
    quotas_free(quotas);
    quotas_free(NULL);
}

TestSuite(quotas, .init = open_quotas, .fini = close_quotas);
TestSuite(meter, .init = open_quotas, .fini = close_quotas);

static bool admits(const struct address *client, uint64_t now_ms)
{
    struct quota_refusal refusal;
    return quotas_admit(quotas, config->policy, client, now_ms, &refusal);
}

static int64_t left(const char *group, enum quota_way way, uint64_t now_ms)
{
    int64_t bytes;
    cr_assert(quota_left(quotas_find(quotas, group), way, now_ms, &bytes));
    return bytes;
}

Test(quotas, who_is_in_a_group_that_has_used_it_up_waits)
{
    struct quota_refusal refusal;
    take(BASE ALL "download = 3600K/h\n" BUILDERS, 0);
    cr_expect(admits(&BUILDER, 0) && admits(&STRANGER, 0));
    quota_use(quotas_find(quotas, "all"), QUOTA_DOWNLOAD, 3600 * KIB + 10 * KIB - 1, 0);
    cr_expect(!admits(&OTHER, 0) && admits(&STRANGER, 0));
    cr_expect(!quotas_admit(quotas, config->policy, &BUILDER, 0, &refusal), "a client of several groups counts in each");
    cr_expect_str_eq(refusal.group->name, "all");
    cr_expect_eq(refusal.way, QUOTA_DOWNLOAD);
    cr_expect_eq(refusal.wait_ms, 10000);
    cr_expect(!admits(&BUILDER, 9999) && admits(&BUILDER, 10000));
}

Test(quotas, what_takes_longest_is_said)
{
    struct quota_refusal refusal;
    take(BASE ALL "upload = 3600K/h\ndownload = 3600K/h\n" BUILDERS "upload = 60K/m\n", 0);
    quota_use(quotas_find(quotas, "all"), QUOTA_UPLOAD, 3602 * KIB, 0);
    quota_use(quotas_find(quotas, "all"), QUOTA_DOWNLOAD, 3605 * KIB, 0);
    quota_use(quotas_find(quotas, "builders"), QUOTA_UPLOAD, 63 * KIB, 0);
    cr_expect(!quotas_admit(quotas, config->policy, &BUILDER, 0, &refusal));
    cr_expect(strcmp(refusal.group->name, "all") == 0 && refusal.way == QUOTA_DOWNLOAD && refusal.wait_ms == 5001);
    quota_use(quotas_find(quotas, "builders"), QUOTA_UPLOAD, 10 * KIB, 0);
    cr_expect(!quotas_admit(quotas, config->policy, &BUILDER, 0, &refusal));
    cr_expect(strcmp(refusal.group->name, "builders") == 0 && refusal.way == QUOTA_UPLOAD && refusal.wait_ms == 13001);
}

Test(quotas, a_reload_keeps_what_was_used)
{
    take(BASE ALL "download = 3600K/h\n", 0);
    quota_use(quotas_find(quotas, "all"), QUOTA_DOWNLOAD, 3000 * KIB, 0);
    take(BASE ALL "download = 3600K/h\nupload = 1K/s\n" BUILDERS "download = 1G/h\n", 1000);
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, 1000), 601 * KIB);
    cr_expect_eq(left("all", QUOTA_UPLOAD, 1000), KIB);
    take(BASE ALL "download = 36000K/h\n", 2000);
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, 2000), 36000 * KIB - 2998 * KIB, "so does another quota of the same group");
    int64_t bytes;
    cr_expect(!quota_left(quotas_find(quotas, "builders"), QUOTA_DOWNLOAD, 2000, &bytes), "it is not there any more");
}

Test(quotas, one_that_was_away_begins_anew)
{
    take(BASE ALL "download = 3600K/h\n", 0);
    quota_use(quotas_find(quotas, "all"), QUOTA_DOWNLOAD, 7200 * KIB, 0);
    take(BASE ALL, 0);
    quota_use(quotas_find(quotas, "all"), QUOTA_DOWNLOAD, 7200 * KIB, 0);
    cr_expect(admits(&BUILDER, 0));
    take(BASE ALL "download = 3600K/h\n", 0);
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, 0), 3600 * KIB);
}

/* As when memory ran out: who cannot be counted is not let out. */
Test(quotas, a_group_that_is_not_known_lets_nobody_out)
{
    struct quota_refusal refusal;
    take(BASE, 0);
    struct config *newer = config_text_load(BASE ALL "upload = 1G/d\n", NULL);
    cr_expect(!quotas_admit(quotas, newer->policy, &BUILDER, 0, &refusal));
    cr_expect_null(refusal.group);
    cr_expect(quotas_admit(quotas, newer->policy, &STRANGER, 0, &refusal));
    config_unref(newer);
}

static void *use_much(void *arg)
{
    for (int i = 0; i < 20000; i++)
        quota_use(arg, i % 2 ? QUOTA_UPLOAD : QUOTA_DOWNLOAD, 3, 0);
    return NULL;
}

Test(quotas, workers_use_them_at_once)
{
    pthread_t threads[4];
    take(BASE ALL "upload = 1G/h\ndownload = 1G/h\n", 0);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, use_much, quotas_find(quotas, "all")), 0);
    for (int i = 0; i < 100; i++)
        take(BASE ALL "upload = 1G/h\ndownload = 1G/h\n", 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int way = 0; way < QUOTA_WAYS; way++)
        cr_expect_eq(left("all", (enum quota_way)way, 0), 1024 * 1024 * KIB - 4 * 10000 * 3);
}

/* ---- a tunnel's meter ---- */

static struct meter *meter_of(const struct address *client)
{
    struct meter *meter;
    cr_assert(meter_new(&meter, quotas, config->policy, client, 0, 0));
    return meter;
}

Test(meter, who_has_no_quota_has_none)
{
    take(BASE ALL BUILDERS "upload = 1G/h\n", 0);
    cr_expect_null(meter_of(&OTHER));
    cr_expect_null(meter_of(&STRANGER));
    struct meter *meter = meter_of(&BUILDER);
    cr_expect_not_null(meter);
    meter_free(meter, 0, 0, 0);
}

Test(meter, tells_in_portions_and_the_rest_at_the_end)
{
    take(BASE ALL "upload = 1M/h\ndownload = 1M/h\n", 0);
    const int64_t all = 1024 * KIB;
    struct meter *meter = meter_of(&OTHER);
    meter_read(meter, 10, 20, METER_MS);
    cr_expect_eq(left("all", QUOTA_UPLOAD, 0), all - 10, "the first after a while");
    meter_read(meter, 30, 50, METER_MS + 1);
    cr_expect_eq(left("all", QUOTA_UPLOAD, 0), all - 10, "no portion yet");
    meter_read(meter, 30, 50 + METER_PORTION, METER_MS + 2);
    cr_expect_eq(left("all", QUOTA_UPLOAD, METER_MS + 2) / 1000, (all - 30) / 1000);
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, METER_MS + 2) / 1000, (int64_t)(all - 50 - METER_PORTION) / 1000);
    meter_free(meter, 31, 51 + METER_PORTION, METER_MS + 2);
    cr_expect_eq(left("all", QUOTA_UPLOAD, SPAN_MS), all);
}

/* To the byte, whatever the portions. */
Test(meter, all_is_told_once_and_to_every_group)
{
    take(BASE ALL "upload = 1G/d\ndownload = 1G/d\n" BUILDERS "download = 512M/d\n", 0);
    struct meter *meter = meter_of(&BUILDER);
    uint64_t up = 0, down = 0;
    for (int i = 0; i < 1000; i++)
        meter_read(meter, up += 7, down += 1009, 0);
    meter_free(meter, up + 1, down + 2, 0);
    cr_expect_eq(left("all", QUOTA_UPLOAD, 0), (int64_t)(1024 * 1024 * KIB - 7001));
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, 0), (int64_t)(1024 * 1024 * KIB - 1009002));
    cr_expect_eq(left("builders", QUOTA_DOWNLOAD, 0), (int64_t)(512 * 1024 * KIB - 1009002));
}

Test(meter, one_that_comes_later_does_not_count_what_was)
{
    struct meter *meter;
    take(BASE ALL "upload = 1M/h\ndownload = 1M/h\n", 0);
    cr_assert(meter_new(&meter, quotas, config->policy, &OTHER, 1000, 2000));
    meter_free(meter, 1001, 2002, 0);
    cr_expect_eq(left("all", QUOTA_UPLOAD, 0), (int64_t)(1024 * KIB - 1));
    cr_expect_eq(left("all", QUOTA_DOWNLOAD, 0), (int64_t)(1024 * KIB - 2));
}
