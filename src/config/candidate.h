/* A configuration that is read beside the one that serves: judged in full, and held against that. */
#ifndef EXEAT_CONFIG_CANDIDATE_H
#define EXEAT_CONFIG_CANDIDATE_H

#include "config/config.h"

/* Room for what changed, in words. */
#define CANDIDATE_CHANGES_MAX 1200

struct candidate {
    struct bundle *bundle; /* what was read, also where there are faults */
    int fd;                /* a file in memory that holds it, after candidate_store(); -1: none */
    struct config *config; /* NULL: there are faults */
    struct facts *facts;   /* of the configuration; NULL: not known yet */
    struct fault_list *faults;
    char digest[CONFIG_DIGEST_SIZE];     /* "": its faults are such that it has none */
    char changes[CANDIDATE_CHANGES_MAX]; /* against the one that serves; "" when there are faults */
};

/* Takes over both: the one that serves first. NULL: out of memory, and both are the caller's still. */
struct candidate *candidate_serving(struct bundle *bundle, struct config *config);
/* One that serves already, as another process of ours has stored it in `fd` (the candidate's from here on), with what only a restart changes as it
 * stands in `origin` (borrowed; -1: in that, too). NULL: its faults are added to `faults`, or memory ran out; the descriptor is the caller's
 * still. */
struct candidate *candidate_adopt(int fd, int origin, const char *path, const char *listen, struct fault_list *faults);
void candidate_free(struct candidate *candidate);

/* Writes the bundle where a server can read it, and keeps no more of it here than that: it loses its bytes, the configuration its policy. False with
 * errno. */
bool candidate_store(struct candidate *candidate);

/* Reads the configuration at `path` from the disk, with the address of `--listen` (NULL: none), lints it and runs its expectations. What only a
 * restart changes it has from `now`, and says so in a warning. Only reads `now`, which was stored, and learns its facts. NULL: out of memory. */
struct candidate *candidate_read(struct candidate *now, const char *path, const char *listen);

#endif
