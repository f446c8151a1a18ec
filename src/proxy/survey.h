/* How one worker stands at one moment, as it says itself when it is asked; and how all of them do, added up. */
#ifndef EXEAT_PROXY_SURVEY_H
#define EXEAT_PROXY_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ulid.h"
#include "policy/hostname.h"
#include "proxy/tally.h"

struct worker;

/* What is asked for beside the little that every survey says. */
enum survey_wish { SURVEY_COUNTS = 1, SURVEY_TUNNELS = 2 };

#define TUNNEL_NAME_MAX 41 /* of a group, rule or route, NUL included */

/* An open tunnel. */
struct tunnel {
    char id[ULID_TEXT_MAX];
    struct address client_ip, egress_ip, upstream_ip;
    char host[HOSTNAME_SIZE];                                                          /* as in its record, cut where it is no name */
    char client_group[TUNNEL_NAME_MAX], rule[TUNNEL_NAME_MAX], route[TUNNEL_NAME_MAX]; /* "": none */
    uint16_t port;
    uint64_t bytes_up, bytes_down;
    uint64_t since_us;   /* when its client came */
    uint32_t generation; /* of the server that holds it; a worker does not say it */
};

struct survey {
    unsigned workers;       /* how many are in it */
    unsigned listening;     /* … of which accept connections */
    unsigned journal_up;    /* … of which have a journal that can write */
    unsigned journal_ready; /* … of which could let a tunnel out now, as far as the journal is concerned */
    uint64_t journal_queue; /* records that wait to be on file */
    uint64_t journal_filed; /* records that are */
    struct tally *tally;    /* NULL: not asked for */
    struct tunnel *tunnels; /* likewise; in no order */
    size_t tunnel_count;
    unsigned others, silent; /* generations of the server that should be in it beside this one, and which are not; a worker does not say it */
};

/* Of nobody yet, with counts; malloc'd. NULL: out of memory. */
struct survey *survey_new(void);

/* On the worker's thread: a malloc'd survey. NULL: out of memory. */
struct survey *survey_take(const struct worker *worker, int wishes);
void survey_free(struct survey *survey);

/* Takes away what was counted of it elsewhere, and what is only of the moment: of the journal's records, and as tally_subtract() and tally_settle()
 * do. Both have counts. */
void survey_subtract(struct survey *from, const struct survey *part);
void survey_settle(struct survey *survey);

/* NULL: out of memory. */
struct survey *survey_copy(const struct survey *survey);

/* Adds `from`, which may be emptied. False: out of memory, and `into` is not whole. */
bool survey_add(struct survey *into, struct survey *from);

#endif
