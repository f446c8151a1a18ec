/* Any bytes as a configuration: a fault or a snapshot, never both, and no file of the disk is touched. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* The first file up to a byte 0xff (which no UTF-8 has), behind it the one that `more` names in lists, hosts files and includes. */
static void put_files(struct bundle *bundle, const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, 0xff, size) : NULL;
    size_t first = cut ? (size_t)(cut - data) : size;
    check(bundle_put(bundle, "fuzz.conf", data, first));
    if (cut != NULL)
        check(bundle_put(bundle, "more", cut + 1, size - first - 1));
    bundle_seal(bundle);
}

static void check_digest(const struct config *config, struct bundle *bundle)
{
    struct fault_list *faults = fault_list_new();
    struct config *again = config_load(bundle, "fuzz.conf", faults);
    check(again != NULL && strcmp(config->digest, again->digest) == 0 && strlen(config->digest) == CONFIG_DIGEST_SIZE - 1);
    config_unref(again);
    fault_list_free(faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bundle *bundle = bundle_new();
    struct fault_list *faults = fault_list_new();
    check(bundle != NULL && faults != NULL);
    put_files(bundle, data, size);
    struct config *config = config_load(bundle, "fuzz.conf", faults);
    check((config == NULL) == (fault_count(faults) > 0));
    if (config != NULL) {
        check(config->listener_count > 0);
        check_digest(config, bundle);
        config_lint(config, 20778, faults);
        config_expect(config, 20778, faults);
    }
    config_unref(config);
    fault_list_free(faults);
    bundle_free(bundle);
    return 0;
}
