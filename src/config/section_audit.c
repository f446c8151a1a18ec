/* [audit]: the file, and what signs it. */
#include "config/sections.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "config/path.h"

#define CHECKPOINT_RECORDS_MAX 1000000
#define CHECKPOINT_MIN_MS 1000
#define CHECKPOINT_MAX_MS (24 * 3600 * 1000)

void *audit_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->audit;
}

void audit_set_sign_key(const struct setting *setting)
{
    struct audit_settings *audit = setting->target;
    char at[PLACE_TEXT_MAX];
    if (setting->len > OPTION_TEXT_MAX) {
        setting_fault(setting, "too long; allowed: up to %d bytes", OPTION_TEXT_MAX);
        return;
    }
    free(audit->sign_key);
    free(audit->sign_key_at);
    audit->sign_key = path_beside(setting->file, setting->text);
    audit->sign_key_at = strdup(place_text(setting->file, setting->line, at));
    if (audit->sign_key == NULL || audit->sign_key_at == NULL)
        setting_no_memory(setting);
    setting_fact(setting, setting->text);
}

/* RECORDS TIME */
void audit_set_checkpoint(const struct setting *setting)
{
    struct audit_settings *audit = setting->target;
    const size_t first = strcspn(setting->text, " \t");
    const char *time = setting->text + first + strspn(setting->text + first, " \t");
    char fact[64];
    if (!number_read(&audit->checkpoint_records, setting->text, first, CHECKPOINT_RECORDS_MAX) || audit->checkpoint_records == 0 ||
        !number_read_duration_ms(&audit->checkpoint_ms, time, strlen(time)) || audit->checkpoint_ms < CHECKPOINT_MIN_MS ||
        audit->checkpoint_ms > CHECKPOINT_MAX_MS) {
        setting_fault(setting, "\"%.100s\" is not allowed; allowed: %s", setting->text, setting->row->value);
        return;
    }
    snprintf(fact, sizeof(fact), "%" PRIu64 " %" PRIu64, audit->checkpoint_records, audit->checkpoint_ms);
    setting_fact(setting, fact);
}

static void audit_check_signing(const struct loader *loader, const struct section *section)
{
    const bool signs = section_has(section, "sign_key");
    if (signs && loader->config->audit.unchained)
        section_fault(loader, section, "sign_key", "cannot stand beside chain = no: what is signed is the chain; allowed: chain = yes");
    if (!signs && section_has(section, "checkpoint"))
        section_warn(loader, section, "checkpoint", "does nothing without sign_key");
}

/* By now the digest knows the name as it was written: where the files stand is no part of what they mean. */
void audit_finish(struct loader *loader, const struct section *section, void *target)
{
    struct audit_settings *audit = target;
    audit_check_signing(loader, section);
    if (audit->file == NULL || strcmp(audit->file, "-") == 0)
        return;
    char *path = path_beside(section->file, audit->file);
    if (path == NULL) {
        section_fault(loader, section, "file", "out of memory");
        return;
    }
    free(audit->file);
    audit->file = path;
}
