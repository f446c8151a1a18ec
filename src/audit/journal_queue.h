/* A worker's end of the journal: records wait here until they are committed, and what waits for them is told. */
#ifndef EXEAT_AUDIT_JOURNAL_QUEUE_H
#define EXEAT_AUDIT_JOURNAL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_wait.h"
#include "audit/record.h"
#include "policy/reason.h"

struct event_base;
struct journal_queue;

/* How a record is treated when the journal cannot take it now. */
enum journal_need {
    NEED_DECISION = 0, /* an allow or observe: refused at once when the journal is down or the queue is past its bound */
    NEED_REFUSAL,      /* a denial: dropped and counted by reason for a `gap` record; also while the journal says that space is scarce */
    NEED_KEEP,         /* start, stop, probe: kept in memory until it can be written (with continue_on_failure past twice queue_max it is counted in
                        * the gap too) */
    NEED_CLOSE,        /* the same for a close, whose room was promised by its decision: nothing is counted for it where there is no memory, and who
                        * owes it tries again (with continue_on_failure nothing was promised) */
};

struct journal_settings {
    const char *instance;       /* copied */
    bool continue_on_failure;   /* `on_failure = continue` */
    struct probe_table *probes; /* of all queues of this process, and lives longer; NULL: this one counts by itself */
    size_t queue_max;           /* bytes that wait, past which decisions are refused and denials are counted; 0: 8 MiB */
};

/* NULL when out of memory. It is down until a socket is attached and the journal has said that it is ready. */
struct journal_queue *journal_queue_new(struct event_base *base, const struct journal_settings *settings);
/* Waits that are still there are let go without being told; what is not committed is lost. */
void journal_queue_free(struct journal_queue *queue);

/* Gives it the socket of a new journal process (owned from here on); whatever was not committed is sent again, and the journal drops what it already
 * has. One that handed over to it (FRAME_HOLD) has not failed: what waits goes on waiting, and it stays up for as long as that one said. */
void journal_queue_attach(struct journal_queue *queue, int fd);

/* Whether an allow could be recorded now (up, room in the queue, and no record has waited for 4 s). Always true with continue_on_failure. */
bool journal_queue_is_ready(const struct journal_queue *queue);

/* Whether a journal process is there and can write. */
bool journal_queue_is_up(const struct journal_queue *queue);

/* Queues one record (time and instance are filled in when zero), sent within 2 ms, many in one packet; what is waited for, as soon as the loop has
 * nothing else to do (it waits behind events of all other priorities). False: it was not taken; a decision must then be refused with
 * audit_unavailable, a close be added again later. With continue_on_failure a decision that cannot be taken is counted in the gap instead, and true
 * is returned with *committed_already set (which may be NULL for other needs). `reason` is what a gap counts. */
bool journal_queue_add(struct journal_queue *queue, struct record *record, enum journal_need need, enum reason reason, bool *committed_already);

/* Waits for the last record that was added: it is told `committed` when that is on file, and not when the journal died or its file failed after the
 * record was added, so that it is not known to be: then the tunnel must not open. Never before this returns. The record stays queued either way, and
 * will be on file when the journal is back. What was added while the journal was down (NEED_KEEP) is waited for until it is back, or fails once more.
 * With continue_on_failure it is committed also when the journal failed: nothing may be refused for it. Whoever is told may not free the queue. */
void journal_queue_wait(struct journal_queue *queue, struct journal_wait *wait);

/* A connection that ended without a byte: counted, and written as one `probe` record a source and minute. `peer_ip` is the load balancer's, not set
 * without one. */
void journal_queue_probe(struct journal_queue *queue, const char *listener, const char *mode, const struct address *client_ip,
                         const struct address *peer_ip);

/* Writes out the probes and gaps that are being counted, now (before a stop). */
void journal_queue_flush(struct journal_queue *queue);

/* True when nothing waits to be committed. */
bool journal_queue_is_empty(const struct journal_queue *queue);

/* How many records wait to be committed, and how many have been. */
uint64_t journal_queue_waiting(const struct journal_queue *queue);
uint64_t journal_queue_filed(const struct journal_queue *queue);

/* A sink for log_set_sink: lines go to the journal process; dropped and counted when they cannot be taken without waiting. */
void journal_queue_log(void *queue, const char *line, size_t len);

#endif
