/* What a configuration says, one fact a value, as its sections are read; and a set of facts, to hold two configurations against each other. */
#ifndef EXEAT_CONFIG_FACTS_H
#define EXEAT_CONFIG_FACTS_H

#include <stdbool.h>

/* `[hosts internal] host` is *.example. All strings live through the call that is given the fact. */
struct fact {
    const char *title; /* of the section: `hosts internal` */
    const char *key;   /* what stands in a file means what it would mean in place: `host`, not `host_file` */
    const char *value; /* a normal form; an option's word by its index */
    bool many;         /* the key may have further values */
    bool restart;      /* only a restart changes it */
    const char *file;  /* where it stands */
    unsigned line;
};

/* Who is told each fact of a configuration that is loaded. */
struct fact_taker {
    void (*take)(void *arg, const struct fact *fact);
    void *arg;
};

struct facts;

struct facts *facts_new(void);
void facts_free(struct facts *facts);

/* Adds the fact, and that there is a section of its title. A failure is remembered. */
void facts_add(struct facts *facts, const struct fact *fact);
/* Makes it one to be asked; nothing is added any more. False when something failed. */
bool facts_seal(struct facts *facts);

/* Of a sealed one. */
bool facts_has(const struct facts *facts, const struct fact *fact);
bool facts_has_title(const struct facts *facts, const char *title);
/* Whether each fact of the first is one of the second; both are sealed. */
bool facts_are_in(const struct facts *facts, const struct facts *others);

#endif
