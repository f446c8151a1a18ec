/* A configuration that is read beside the one that serves: judged in full, and held against that. */
#include "config/candidate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/difference.h"
#include "config/document.h"
#include "config/sign_key.h"

struct candidate *candidate_serving(struct bundle *bundle, struct config *config)
{
    struct candidate *candidate = calloc(1, sizeof(*candidate));
    if (candidate == NULL)
        return NULL;
    candidate->bundle = bundle;
    candidate->fd = -1;
    candidate->config = config;
    return candidate;
}

void candidate_free(struct candidate *candidate)
{
    if (candidate == NULL)
        return;
    config_unref(candidate->config);
    bundle_free(candidate->bundle);
    facts_free(candidate->facts);
    fault_list_free(candidate->faults);
    if (candidate->fd >= 0)
        close(candidate->fd);
    free(candidate);
}

bool candidate_store(struct candidate *candidate)
{
    /* every server has it, and none may change what the next one is to go by */
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    candidate->fd = memfd_create("exeat-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (candidate->fd < 0)
        return false;
    if (!bundle_write(candidate->bundle, candidate->fd) || fcntl(candidate->fd, F_ADD_SEALS, seals) != 0) {
        close(candidate->fd);
        candidate->fd = -1;
        return false;
    }
    bundle_shed(candidate->bundle);
    config_drop_policy(candidate->config);
    return true;
}

static struct candidate *candidate_new(void)
{
    struct candidate *candidate = calloc(1, sizeof(*candidate));
    if (candidate == NULL)
        return NULL;
    candidate->fd = -1;
    candidate->bundle = bundle_new();
    candidate->facts = facts_new();
    candidate->faults = fault_list_new();
    if (candidate->bundle != NULL && candidate->facts != NULL && candidate->faults != NULL)
        return candidate;
    candidate_free(candidate);
    return NULL;
}

/* ---- what it says that the other does not ---- */

struct comparison {
    struct facts *own;          /* of what is being read; NULL: known already */
    const struct facts *others; /* of what it is held against; NULL: against nothing */
    struct difference *difference;
    enum difference_way way; /* of what the others do not have */
    struct fault_list *faults;
};

static void comparison_warn(const struct comparison *comparison, const struct fact *fact)
{
    char at[PLACE_TEXT_MAX];
    fault_warn(comparison->faults, place_text(fact->file, fact->line, at), fact->title, fact->key,
               "takes a restart; until then it stays as it was at the start");
}

static void comparison_take(void *arg, const struct fact *fact)
{
    struct comparison *comparison = arg;
    if (comparison->own != NULL)
        facts_add(comparison->own, fact);
    if (comparison->others == NULL || facts_has(comparison->others, fact))
        return;
    const bool whole = !facts_has_title(comparison->others, fact->title);
    if (difference_note(comparison->difference, fact, comparison->way, whole) && fact->restart)
        comparison_warn(comparison, fact);
}

/* Whoever serves was read without faults, and is read again: it is the same. */
static bool candidate_read_again(const struct candidate *now, const char *path, struct comparison *comparison)
{
    const struct fact_taker taker = {comparison_take, comparison};
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_read(now->fd);
    struct config *config = bundle != NULL && faults != NULL ? config_load_facts(bundle, path, faults, &taker) : NULL;
    const bool fine = config != NULL;
    config_unref(config);
    bundle_free(bundle);
    fault_list_free(faults);
    return fine;
}

static bool candidate_learn(struct candidate *now, const char *path)
{
    struct comparison comparison = {.own = facts_new()};
    if (comparison.own != NULL && candidate_read_again(now, path, &comparison) && facts_seal(comparison.own))
        now->facts = comparison.own;
    else
        facts_free(comparison.own);
    return now->facts != NULL;
}

/* ---- judging ---- */

static void candidate_replace_listeners(struct config *config, const char *listen, struct fault_list *faults)
{
    struct endpoint address;
    if (listen != NULL && !(endpoint_read(&address, listen, strlen(listen)) && config_set_listen(config, &address)))
        fault_add(faults, "--listen", NULL, NULL, "out of memory");
}

/* The key is the journal's, and takes a restart; but a file that is none is a fault, as it would be at that. */
static void candidate_check_key(struct candidate *next)
{
    const int key = sign_key_open(&next->config->audit, false, next->faults);
    if (key >= 0)
        close(key);
}

static void candidate_judge(struct candidate *next, const struct candidate *now, const char *listen)
{
    const uint32_t today = clock_day(clock_wall_us());
    config_lint(next->config, today, next->faults);
    config_expect(next->config, today, next->faults);
    candidate_check_key(next);
    candidate_replace_listeners(next->config, listen, next->faults);
    if (!config_keep(next->config, now->config))
        fault_add(next->faults, "configuration", NULL, NULL, "out of memory");
}

static void candidate_compare(struct candidate *next, struct candidate *now, const char *path, const char *listen, struct comparison *comparison)
{
    struct text words;
    text_init(&words, next->changes, sizeof(next->changes));
    if (!facts_seal(next->facts)) {
        fault_add(next->faults, path, NULL, NULL, "out of memory");
        return;
    }
    memcpy(next->digest, next->config->digest, sizeof(next->digest));
    candidate_judge(next, now, listen);
    comparison->own = NULL;
    comparison->others = next->facts;
    comparison->way = DIFFERENCE_REMOVED;
    if (!facts_are_in(now->facts, next->facts) && !candidate_read_again(now, path, comparison))
        fault_add(next->faults, path, NULL, NULL, "out of memory");
    if (fault_count(next->faults) == 0)
        difference_say(comparison->difference, &words);
}

struct candidate *candidate_read(struct candidate *now, const char *path, const char *listen)
{
    struct candidate *next = candidate_new();
    struct comparison comparison = {.difference = difference_new()};
    if (next != NULL && comparison.difference != NULL && (now->facts != NULL || candidate_learn(now, path))) {
        const struct fact_taker taker = {comparison_take, &comparison};
        comparison.own = next->facts;
        comparison.others = now->facts;
        comparison.faults = next->faults;
        next->config = config_load_facts(next->bundle, path, next->faults, &taker);
        if (next->config != NULL)
            candidate_compare(next, now, path, listen, &comparison);
    } else {
        candidate_free(next);
        next = NULL;
    }
    difference_free(comparison.difference);
    if (next == NULL || fault_count(next->faults) == 0)
        return next;
    config_unref(next->config);
    next->config = NULL;
    return next;
}

/* ---- from another process ---- */

static struct config *candidate_read_stored(int fd, const char *path, struct bundle **kept, struct fault_list *faults)
{
    struct bundle *bundle = bundle_read(fd);
    struct config *config = bundle != NULL ? config_load(bundle, path, faults) : NULL;
    if (bundle == NULL)
        fault_add(faults, path, NULL, NULL, "what serves cannot be read");
    if (kept != NULL && config != NULL)
        *kept = bundle;
    else
        bundle_free(bundle);
    return config;
}

/* What only a restart changes is as it was at the start. */
static bool candidate_keep_stored(struct config *config, int origin, const char *path, struct fault_list *faults)
{
    struct config *first = candidate_read_stored(origin, path, NULL, faults);
    const bool kept = first != NULL && config_keep(config, first);
    if (first != NULL && !kept)
        fault_add(faults, path, NULL, NULL, "out of memory");
    config_unref(first);
    return kept;
}

struct candidate *candidate_adopt(int fd, int origin, const char *path, const char *listen, struct fault_list *faults)
{
    struct bundle *bundle = NULL;
    struct config *config = candidate_read_stored(fd, path, &bundle, faults);
    if (config != NULL)
        candidate_replace_listeners(config, listen, faults);
    const bool fine = config != NULL && (origin < 0 || candidate_keep_stored(config, origin, path, faults)) && fault_count(faults) == 0;
    struct candidate *candidate = fine ? candidate_serving(bundle, config) : NULL;
    if (candidate != NULL) {
        candidate->fd = fd;
        bundle_shed(candidate->bundle);
        config_drop_policy(candidate->config);
        return candidate;
    }
    config_unref(config);
    bundle_free(bundle);
    return NULL;
}
