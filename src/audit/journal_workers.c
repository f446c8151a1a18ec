/* The workers as the journal process knows them: a socket each, whose turn it is to be heard, and what each must still be told. */
#include "audit/journal_workers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/journal_frame.h"
#include "base/log.h"

#define PACKETS_A_TURN 64 /* from one worker: a flood of log lines must not keep records from being written */

/* ---- who is there ---- */

static bool journal_workers_grow(struct journal_workers *workers)
{
    size_t room = workers->room * 2 + 16;
    struct journal_worker *all = realloc(workers->all, room * sizeof(*all));
    if (all)
        workers->all = all;
    struct pollfd *polls = realloc(workers->polls, (room + 1) * sizeof(*polls));
    if (polls)
        workers->polls = polls;
    if (!all || !polls)
        return false;
    workers->room = room;
    return true;
}

bool journal_workers_init(struct journal_workers *workers)
{
    *workers = (struct journal_workers){.packet = malloc(JOURNAL_PACKET_MAX)};
    return workers->packet && journal_workers_grow(workers);
}

void journal_workers_fini(struct journal_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0)
            close(workers->all[i].fd);
    }
    free(workers->packet);
    free(workers->polls);
    free(workers->all);
    *workers = (struct journal_workers){0};
}

/* In the place of one that has ended where there is one. */
bool journal_workers_admit(struct journal_workers *workers, int fd, uint32_t generation)
{
    size_t at = 0;
    while (at < workers->count && workers->all[at].fd >= 0)
        at++;
    if (at == workers->room && !journal_workers_grow(workers)) {
        log_error("no memory for a further worker's socket: it cannot record");
        close(fd);
        return false;
    }
    if (at == workers->count)
        workers->count++;
    workers->all[at] = (struct journal_worker){.fd = fd, .generation = generation};
    return true;
}

void journal_worker_close(struct journal_worker *worker)
{
    close(worker->fd);
    worker->fd = -1;
    worker->left = 0;
}

bool journal_workers_has_any(const struct journal_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0)
            return true;
    }
    return false;
}

/* ---- hearing ---- */

void journal_workers_end(struct journal_workers *workers, uint32_t generation)
{
    for (size_t i = 0; i < workers->count; i++) {
        struct journal_worker *worker = &workers->all[i];
        worker->dead = worker->dead || worker->generation == generation;
    }
}

bool journal_workers_has_dead(const struct journal_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0 && workers->all[i].dead && !workers->all[i].silent)
            return true;
    }
    return false;
}

/* A packet is here by now, or sending it fails: none is left unread. */
void journal_workers_cease(struct journal_workers *workers)
{
    workers->ceased = true;
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0)
            shutdown(workers->all[i].fd, SHUT_RD);
    }
}

/* Who is told nothing, because he does not read, is not heard either. */
bool journal_workers_are_silent(const struct journal_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        const struct journal_worker *worker = &workers->all[i];
        if (worker->fd >= 0 && !worker->silent && !worker->blocked)
            return false;
    }
    return true;
}

static void journal_workers_begin_turn(struct journal_workers *workers)
{
    workers->turn = 0;
    for (size_t i = 0; i < workers->count; i++) {
        struct journal_worker *worker = &workers->all[i];
        worker->left = workers->polls[i].revents != 0 && !worker->blocked ? PACKETS_A_TURN : 0;
    }
}

bool journal_workers_wait(struct journal_workers *workers, int control, int timeout_ms, bool *on_control)
{
    const bool has_dead = journal_workers_has_dead(workers);
    for (size_t i = 0; i < workers->count; i++) {
        const struct journal_worker *worker = &workers->all[i];
        const bool heard = !worker->silent && (!has_dead || worker->dead);
        workers->polls[i] = (struct pollfd){.fd = heard ? worker->fd : -1, .events = worker->blocked ? POLLOUT : POLLIN};
    }
    struct pollfd *last = &workers->polls[workers->count];
    *last = (struct pollfd){.fd = control, .events = POLLIN};
    if (poll(workers->polls, workers->count + 1, timeout_ms) < 0)
        return false;
    *on_control = last->revents != 0;
    journal_workers_begin_turn(workers);
    return true;
}

/* There comes nothing more: it has ended, or we have. */
static void journal_worker_fall_silent(struct journal_worker *worker, bool ceased)
{
    worker->silent = ceased;
    worker->left = 0;
    if (!ceased)
        journal_worker_close(worker);
}

/* True: a packet came. ECONNRESET only says that the worker ended without reading all we told it: its last packets come behind. */
static bool journal_workers_receive(struct journal_workers *workers, struct journal_worker *worker, size_t *len)
{
    const ssize_t got = recv(worker->fd, workers->packet, JOURNAL_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
    worker->left--;
    if (got > 0)
        *len = (size_t)got;
    else if (got < 0 && errno == EAGAIN)
        worker->left = 0;
    else if (got == 0 || (errno != EINTR && errno != ECONNRESET))
        journal_worker_fall_silent(worker, workers->ceased);
    return got > 0;
}

struct journal_worker *journal_workers_next(struct journal_workers *workers, const uint8_t **packet, size_t *len)
{
    *packet = workers->packet;
    for (size_t silent = 0; silent < workers->count;) {
        struct journal_worker *worker = &workers->all[workers->turn++ % workers->count];
        silent = worker->left > 0 ? 0 : silent + 1;
        if (worker->left > 0 && journal_workers_receive(workers, worker, len))
            return worker;
    }
    return NULL;
}

/* ---- telling ---- */

void journal_workers_commit(struct journal_workers *workers)
{
    for (size_t i = 0; i < workers->count; i++)
        workers->all[i].committed = workers->all[i].taken;
}

static bool journal_worker_send(struct journal_worker *worker, const struct journal_frame *frame)
{
    if (send(worker->fd, frame, sizeof(*frame), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return true;
    worker->blocked = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
    return !worker->blocked; /* any other fault is its end: reading will show it, and there is nobody left to tell */
}

static void journal_worker_tell(struct journal_worker *worker, const struct journal_news *news)
{
    const struct journal_frame committed = {.kind = FRAME_COMMITTED, .first = worker->committed};
    const struct journal_frame down = {.kind = FRAME_DOWN, .count = (uint32_t)news->down};
    const struct journal_frame up = {.kind = FRAME_UP, .epoch = news->epoch};
    const struct journal_frame space = {.kind = FRAME_SPACE, .count = news->scarce};
    worker->blocked = false;
    if (worker->told_scarce != news->scarce && journal_worker_send(worker, &space))
        worker->told_scarce = news->scarce;
    if (worker->told != worker->committed) {
        if (!journal_worker_send(worker, &committed))
            return;
        worker->told = worker->committed;
    }
    if (news->down && !worker->told_down)
        worker->told_down = journal_worker_send(worker, &down);
    if (!news->down && worker->told_epoch != news->epoch && journal_worker_send(worker, &up)) {
        worker->told_epoch = news->epoch;
        worker->told_down = false;
    }
}

void journal_workers_tell(struct journal_workers *workers, const struct journal_news *news)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0)
            journal_worker_tell(&workers->all[i], news);
    }
}

void journal_workers_hand_over(struct journal_workers *workers, uint32_t ms)
{
    const struct journal_frame hold = {.kind = FRAME_HOLD, .count = ms};
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->all[i].fd >= 0)
            journal_worker_send(&workers->all[i], &hold);
    }
}
