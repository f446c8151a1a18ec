/* A configuration being built: what its sections share until they are one snapshot. */
#ifndef EXEAT_CONFIG_LOADER_H
#define EXEAT_CONFIG_LOADER_H

#include "config/config.h"
#include "config/digest.h"
#include "config/document.h"
#include "config/fault.h"

/* `[exeat]`, as far as it ends nowhere else. */
struct exeat_settings {
    char *name, *user;
    unsigned workers;
    enum sandbox_mode sandbox;
    bool observe;
    char *observe_route;
    bool keep_revoked; /* on_revoke = keep */
    uint64_t drain_delay_ms, drain_timeout_ms;
    bool watch;
};

struct loader {
    struct bundle *bundle;
    struct fault_list *faults;
    struct document document;
    struct digest *digest; /* NULL: it is known */
    struct config *config;
    const struct fact_taker *taker; /* or NULL */
    struct exeat_settings exeat;
    const char *addresses_word;    /* of the [route] in hand: `public` or `any`, once given */
    struct host_list *inline_list; /* of the [rule] in hand: its own patterns, once there are any */
    bool no_memory;                /* which was said, and is not for each line that still comes */
};

/* Adds a fault of a section as a whole, or of a key: in its line, or the section's where it is missing. */
void section_fault(const struct loader *loader, const struct section *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same of what is only odd. */
void section_warn(const struct loader *loader, const struct section *section, const char *key, const char *what);

/* Whether the section has the key, with a value or not. */
bool section_has(const struct section *section, const char *key);
/* Whether its first line is exactly this word. */
bool section_says(const struct section *section, const char *key, const char *word);

/* Gives every section its meaning, in an order in which what is named is there before who names it. */
void sections_apply(struct loader *loader);

#endif
