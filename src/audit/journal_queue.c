/* A worker's end of the journal: records wait here until they are committed, and what waits for them is told. */
#include "audit/journal_queue.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/journal_packets.h"
#include "audit/journal_wait.h"
#include "audit/probe_table.h"
#include "base/clock.h"
#include "base/log.h"

#define QUEUE_MAX_DEFAULT (8u << 20)
#define PROBE_PERIOD_S 60
#define RETRY_MS 20
#define GATHER_MS 2 /* records are sent together with what comes in this time: each packet wakes the journal */
#define SEND_BUFFER (4 * JOURNAL_PACKET_MAX)
#define DETAIL_SIZE 1536

/* What could not be recorded, by reason, until a `gap` record says it. */
struct gap {
    uint64_t counts[REASON_COUNT];
    bool is_open;
};

struct journal_queue {
    struct event_base *base;
    char *instance;
    bool continue_on_failure;
    size_t queue_max;

    int fd; /* -1: none */
    struct event *readable, *writable;
    bool up;
    bool linked;        /* the journal at the other end of this socket takes records */
    bool holds;         /* one has handed over to the next, and it is not too late for that: it is up as long */
    struct event *hold; /* until then */
    bool scarce;        /* the disk is nearly full: its rest is for those who are let out */
    uint32_t epoch;     /* of the last FRAME_UP */

    struct journal_packets packets;
    uint64_t committed;
    uint64_t moved_ms;    /* when the last commit came, or the first of the records that wait for one */
    uint64_t failed_last; /* the last record there was when the journal failed: those up to it have failed, if they are not committed */
    struct journal_wait waiting, done, failed; /* heads of rings: in order of their numbers; to be told true; to be told false */
    struct event *tell;                        /* the end of the loop's turn: tells these */
    struct event *idle;                        /* when the loop has nothing else to do: sends what is waited for */
    struct event *send;                        /* sends whatever there is */

    struct gap gap;
    struct probe_table *probes, *own_probes; /* the second only where no other was given */
    struct event *probe_minute;
    uint64_t lines_dropped;
};

/* ---- waits ---- */

void journal_queue_wait(struct journal_queue *queue, struct journal_wait *wait)
{
    wait->number = queue->packets.last;
    const bool is_known = wait->number <= queue->committed || wait->number <= queue->failed_last;
    if (wait->number <= queue->committed)
        journal_ring_add(&queue->done, wait);
    else
        journal_ring_add(is_known ? &queue->failed : &queue->waiting, wait);
    event_active(is_known ? queue->tell : queue->idle, EV_TIMEOUT, 0);
}

/* ---- records: taken, or counted ---- */

bool journal_queue_is_empty(const struct journal_queue *queue)
{
    return journal_packets_is_empty(&queue->packets);
}

uint64_t journal_queue_waiting(const struct journal_queue *queue)
{
    return queue->packets.last - queue->committed;
}

uint64_t journal_queue_filed(const struct journal_queue *queue)
{
    return queue->committed;
}

static bool journal_queue_has_room(const struct journal_queue *queue, size_t max)
{
    return queue->packets.bytes + RECORD_MAX <= max;
}

/* A journal that is up but says nothing (a hanging disk, a reader that does not read) is as good as none. */
static bool journal_queue_is_stalled(const struct journal_queue *queue)
{
    return !journal_queue_is_empty(queue) && clock_monotonic_ms() - queue->moved_ms > JOURNAL_STALL_MS;
}

static bool journal_queue_can_take(const struct journal_queue *queue)
{
    return queue->up && journal_queue_has_room(queue, queue->queue_max) && !journal_queue_is_stalled(queue);
}

bool journal_queue_is_up(const struct journal_queue *queue)
{
    return queue->up;
}

bool journal_queue_is_ready(const struct journal_queue *queue)
{
    return queue->continue_on_failure || journal_queue_can_take(queue);
}

static void journal_queue_count(struct journal_queue *queue, enum reason reason)
{
    queue->gap.counts[(unsigned)reason < REASON_COUNT ? reason : REASON_UNKNOWN]++;
    queue->gap.is_open = true;
}

/* At the latest: what is waited for goes as soon as the loop has nothing else to do. */
static void journal_queue_send_later(struct journal_queue *queue)
{
    const struct timeval later = {.tv_usec = GATHER_MS * 1000};
    if (!event_pending(queue->send, EV_TIMEOUT, NULL) && event_add(queue->send, &later) != 0)
        event_active(queue->send, EV_TIMEOUT, 0);
}

static bool journal_queue_put(struct journal_queue *queue, struct record *record)
{
    struct text text;
    char *room = journal_packets_reserve(&queue->packets);
    if (!room)
        return false;
    if (record->time_us == 0)
        record->time_us = clock_wall_us();
    if (!record->instance)
        record->instance = queue->instance;
    text_init(&text, room, RECORD_TEXT_MAX + 1);
    if (!record_write(&text, record))
        return false;
    if (journal_queue_is_empty(queue))
        queue->moved_ms = clock_monotonic_ms();
    journal_packets_add(&queue->packets, text.len);
    if (queue->packets.unsent) /* a packet is full */
        event_active(queue->send, EV_TIMEOUT, 0);
    else
        journal_queue_send_later(queue);
    return true;
}

static bool journal_queue_may_take(const struct journal_queue *queue, enum journal_need need)
{
    if (need == NEED_KEEP || need == NEED_CLOSE)
        return !queue->continue_on_failure || journal_queue_has_room(queue, 2 * queue->queue_max);
    if (need == NEED_REFUSAL && queue->scarce)
        return false;
    return journal_queue_can_take(queue);
}

bool journal_queue_add(struct journal_queue *queue, struct record *record, enum journal_need need, enum reason reason, bool *committed_already)
{
    if (committed_already)
        *committed_already = false;
    if (journal_queue_may_take(queue, need) && journal_queue_put(queue, record))
        return true;
    if ((need == NEED_DECISION || need == NEED_CLOSE) && !queue->continue_on_failure)
        return false; /* the session refuses it, and that refusal is what gets counted; or it still owes it */
    journal_queue_count(queue, reason);
    if (need != NEED_DECISION || !committed_already)
        return false;
    *committed_already = true;
    return true;
}

/* `overload 12, default_deny 40` */
static void gap_describe(const struct gap *gap, struct text *detail)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (gap->counts[i] > 0)
            text_format(detail, "%s%s %" PRIu64, detail->len > 0 ? ", " : "", reason_row((enum reason)i)->code, gap->counts[i]);
    }
}

static void journal_queue_write_gap(struct journal_queue *queue)
{
    char buffer[DETAIL_SIZE];
    struct text detail;
    if (!queue->gap.is_open)
        return;
    text_init(&detail, buffer, sizeof(buffer));
    gap_describe(&queue->gap, &detail);
    struct record record = {.event = EVENT_GAP, .detail = {detail.at, detail.len}};
    if (journal_queue_put(queue, &record))
        queue->gap = (struct gap){0};
}

static void journal_queue_write_probe(void *queue, const struct probe_source *source)
{
    char buffer[64];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    text_format(&detail, "%" PRIu64 " connection%s without a byte", source->count, source->count == 1 ? "" : "s");
    struct record record = {
        .event = EVENT_PROBE,
        .listener = source->listener[0] ? source->listener : NULL,
        .mode = source->mode[0] ? source->mode : NULL,
        .client_ip = source->client_ip,
        .peer_ip = source->peer_ip,
        .detail = {detail.at, detail.len},
    };
    journal_queue_put(queue, &record);
}

static void journal_queue_write_probes(struct journal_queue *queue)
{
    probe_table_drain(queue->probes, journal_queue_write_probe, queue);
}

static void journal_queue_start_minute(struct journal_queue *queue)
{
    const struct timeval minute = {.tv_sec = PROBE_PERIOD_S};
    if (!event_pending(queue->probe_minute, EV_TIMEOUT, NULL))
        event_add(queue->probe_minute, &minute);
}

/* While nothing can be written the table goes on counting: it is bounded, records of it would not be. */
static void journal_queue_end_minute(evutil_socket_t fd, short what, void *arg)
{
    struct journal_queue *queue = arg;
    (void)fd;
    (void)what;
    if (journal_queue_can_take(queue))
        journal_queue_write_probes(queue);
    else
        journal_queue_start_minute(queue);
}

void journal_queue_probe(struct journal_queue *queue, const char *listener, const char *mode, const struct address *client_ip,
                         const struct address *peer_ip)
{
    if (probe_table_count(queue->probes, listener, mode, client_ip, peer_ip))
        journal_queue_start_minute(queue);
}

void journal_queue_flush(struct journal_queue *queue)
{
    journal_queue_write_probes(queue);
    journal_queue_write_gap(queue);
}

/* While space is scarce one gap grows on. */
static void journal_queue_end_gap(struct journal_queue *queue)
{
    if (!queue->scarce)
        journal_queue_write_gap(queue);
}

/* ---- the socket ---- */

static void journal_queue_fail(struct journal_queue *queue)
{
    queue->up = queue->linked = false;
    queue->failed_last = queue->packets.last;
    journal_ring_move(&queue->waiting, &queue->failed, UINT64_MAX);
    event_active(queue->tell, EV_TIMEOUT, 0);
}

static void journal_queue_rise(struct journal_queue *queue, uint32_t epoch)
{
    queue->up = queue->linked = true;
    queue->holds = false;
    event_del(queue->hold);
    queue->epoch = epoch;
    journal_packets_rewind(&queue->packets);
    journal_queue_end_gap(queue);
    event_active(queue->send, EV_TIMEOUT, 0);
}

/* What is added from here on waits for the next journal, as it would for a slow one. */
static void journal_queue_begin_hold(struct journal_queue *queue, uint32_t ms)
{
    const struct timeval end = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    queue->linked = false;
    queue->holds = queue->up && event_add(queue->hold, &end) == 0;
}

static void journal_queue_end_hold(evutil_socket_t fd, short what, void *arg)
{
    struct journal_queue *queue = arg;
    (void)fd;
    (void)what;
    queue->holds = false;
    journal_queue_fail(queue);
}

static void journal_queue_commit(struct journal_queue *queue, uint64_t number)
{
    if (number <= queue->committed)
        return;
    queue->committed = number;
    queue->moved_ms = clock_monotonic_ms();
    journal_ring_move(&queue->waiting, &queue->done, number);
    journal_packets_release(&queue->packets, number);
    event_active(queue->tell, EV_TIMEOUT, 0);
    if (journal_queue_can_take(queue))
        journal_queue_end_gap(queue);
}

static void journal_queue_save(struct journal_queue *queue, bool scarce)
{
    queue->scarce = scarce;
    if (journal_queue_can_take(queue))
        journal_queue_end_gap(queue);
}

static void journal_queue_take(struct journal_queue *queue, const struct journal_frame *frame)
{
    switch (frame->kind) {
    case FRAME_COMMITTED:
        journal_queue_commit(queue, frame->first);
        break;
    case FRAME_DOWN:
        journal_queue_fail(queue);
        break;
    case FRAME_SPACE:
        journal_queue_save(queue, frame->count != 0);
        break;
    case FRAME_UP:
        journal_queue_rise(queue, frame->epoch);
        break;
    case FRAME_HOLD:
        journal_queue_begin_hold(queue, frame->count);
        break;
    default:
        break;
    }
}

enum journal_news { NEWS_END = 0, NEWS_NONE, NEWS_FRAME };

/* ECONNRESET (it ended with packets of ours unread) comes before what it still had to say. */
static enum journal_news journal_queue_receive(struct journal_queue *queue)
{
    struct journal_frame frame;
    for (;;) {
        ssize_t got = recv(queue->fd, &frame, sizeof(frame), MSG_DONTWAIT);
        if (got == (ssize_t)sizeof(frame)) {
            journal_queue_take(queue, &frame);
            return NEWS_FRAME;
        }
        if (got == 0)
            return NEWS_END;
        if (got < 0 && errno != EINTR && errno != ECONNRESET)
            return errno == EAGAIN ? NEWS_NONE : NEWS_END;
    }
}

static void journal_queue_detach(struct journal_queue *queue)
{
    if (queue->readable)
        event_free(queue->readable);
    if (queue->writable)
        event_free(queue->writable);
    if (queue->fd >= 0)
        close(queue->fd);
    queue->readable = queue->writable = NULL;
    queue->fd = -1;
    queue->linked = false;
    queue->scarce = false; /* the next journal says what it finds */
}

static void journal_queue_lose(struct journal_queue *queue)
{
    journal_queue_detach(queue);
    if (!queue->holds)
        journal_queue_fail(queue);
}

static void journal_queue_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct journal_queue *queue = arg;
    (void)fd;
    (void)what;
    if (journal_queue_receive(queue) == NEWS_END) /* one at a time: there is nearly never another */
        journal_queue_lose(queue);
}

static bool journal_queue_is_blocked(const struct journal_queue *queue)
{
    return event_pending(queue->writable, EV_WRITE, NULL);
}

/* A socket that is full says when it is not; a kernel short of memory does not. Any other fault is the journal's end, and reading will show it. */
static void journal_queue_pause(struct journal_queue *queue, int error)
{
    const struct timeval later = {.tv_usec = RETRY_MS * 1000};
    if (error == EAGAIN)
        event_add(queue->writable, NULL);
    else if (error == ENOBUFS || error == ENOMEM)
        event_add(queue->send, &later);
}

static void journal_queue_send(struct journal_queue *queue)
{
    struct journal_packet *packet;
    if (!queue->linked || journal_queue_is_blocked(queue))
        return;
    while ((packet = journal_packets_next(&queue->packets, queue->epoch))) {
        ssize_t sent = send(queue->fd, packet->wire, packet->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            journal_queue_pause(queue, errno);
            return;
        }
        journal_packets_sent(&queue->packets);
    }
}

/* ---- the operator's lines ---- */

static bool journal_queue_send_line(struct journal_queue *queue, const char *line, size_t len)
{
    struct journal_frame frame = {.kind = FRAME_LOG};
    struct iovec parts[2] = {{&frame, sizeof(frame)}, {(void *)(uintptr_t)line, len}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (queue->fd < 0 || journal_queue_is_blocked(queue))
        return false;
    return sendmsg(queue->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void journal_queue_say_dropped(struct journal_queue *queue)
{
    char line[80];
    struct text text;
    if (queue->lines_dropped == 0)
        return;
    text_init(&text, line, sizeof(line));
    text_format(&text, "exeat: warning: %" PRIu64 " log lines were dropped\n", queue->lines_dropped);
    if (journal_queue_send_line(queue, text.at, text.len))
        queue->lines_dropped = 0;
}

void journal_queue_log(void *arg, const char *line, size_t len)
{
    struct journal_queue *queue = arg;
    journal_queue_say_dropped(queue);
    if (queue->lines_dropped > 0 || !journal_queue_send_line(queue, line, len < LOG_LINE_MAX ? len : LOG_LINE_MAX))
        queue->lines_dropped++;
}

static void journal_queue_on_send(evutil_socket_t fd, short what, void *arg)
{
    struct journal_queue *queue = arg;
    (void)fd;
    (void)what;
    (void)event_del(queue->send); /* it may be set for later */
    journal_queue_send(queue);
    journal_queue_say_dropped(queue);
}

static void journal_queue_on_tell(evutil_socket_t fd, short what, void *arg)
{
    struct journal_queue *queue = arg;
    (void)fd;
    (void)what;
    journal_ring_tell(&queue->done, true);
    journal_ring_tell(&queue->failed, queue->continue_on_failure);
}

/* ---- made and ended ---- */

void journal_queue_attach(struct journal_queue *queue, int fd)
{
    if (queue->fd >= 0) {
        while (journal_queue_receive(queue) == NEWS_FRAME) /* what the old journal has committed need not be sent again */
            ;
        journal_queue_lose(queue);
    }
    queue->fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int)); /* at least a packet must fit, whatever the system's default */
    queue->readable = event_new(queue->base, fd, EV_READ | EV_PERSIST, journal_queue_on_readable, queue);
    queue->writable = event_new(queue->base, fd, EV_WRITE, journal_queue_on_send, queue);
    if (!queue->readable || !queue->writable || event_add(queue->readable, NULL) != 0)
        journal_queue_detach(queue); /* stays down: nothing is allowed unrecorded */
}

static bool journal_queue_init(struct journal_queue *queue, const struct journal_settings *settings)
{
    journal_ring_init(&queue->waiting);
    journal_ring_init(&queue->done);
    journal_ring_init(&queue->failed);
    queue->fd = -1;
    queue->continue_on_failure = settings->continue_on_failure;
    queue->queue_max = settings->queue_max > 0 ? settings->queue_max : QUEUE_MAX_DEFAULT;
    queue->instance = settings->instance ? strdup(settings->instance) : NULL;
    queue->tell = evtimer_new(queue->base, journal_queue_on_tell, queue);
    queue->idle = evtimer_new(queue->base, journal_queue_on_send, queue);
    queue->send = evtimer_new(queue->base, journal_queue_on_send, queue);
    queue->hold = evtimer_new(queue->base, journal_queue_end_hold, queue);
    queue->probe_minute = evtimer_new(queue->base, journal_queue_end_minute, queue);
    queue->probes = settings->probes ? settings->probes : (queue->own_probes = probe_table_new());
    if (queue->idle)
        (void)event_priority_set(queue->idle, event_base_get_npriorities(queue->base) - 1);
    return queue->tell && queue->idle && queue->send && queue->hold && queue->probe_minute && queue->probes &&
           (queue->instance || !settings->instance);
}

struct journal_queue *journal_queue_new(struct event_base *base, const struct journal_settings *settings)
{
    struct journal_queue *queue = calloc(1, sizeof(*queue));
    if (!queue)
        return NULL;
    queue->base = base;
    if (journal_queue_init(queue, settings))
        return queue;
    journal_queue_free(queue);
    return NULL;
}

void journal_queue_free(struct journal_queue *queue)
{
    if (!queue)
        return;
    journal_ring_drop(&queue->waiting);
    journal_ring_drop(&queue->done);
    journal_ring_drop(&queue->failed);
    journal_queue_detach(queue);
    if (queue->tell)
        event_free(queue->tell);
    if (queue->idle)
        event_free(queue->idle);
    if (queue->send)
        event_free(queue->send);
    if (queue->hold)
        event_free(queue->hold);
    if (queue->probe_minute)
        event_free(queue->probe_minute);
    journal_packets_clear(&queue->packets);
    probe_table_free(queue->own_probes);
    free(queue->instance);
    free(queue);
}
