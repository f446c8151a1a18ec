/* The process that alone writes the audit file: takes the workers' records, numbers them, writes them, and says what is committed. */
#include "audit/journal_writer.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit_record.h"
#include "audit/journal_batch.h"
#include "audit/journal_file.h"
#include "audit/journal_frame.h"
#include "audit/journal_gist.h"
#include "audit/journal_lines.h"
#include "audit/journal_own.h"
#include "audit/journal_records.h"
#include "audit/journal_sessions.h"
#include "audit/journal_signer.h"
#include "audit/journal_tail.h"
#include "audit/journal_watch.h"
#include "audit/journal_workers.h"
#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/text.h"

#define RETRY_MS 500
#define MEASURE_MS 1000 /* without denials there may be nothing to write, and nobody who looks for space */
#define LOG_STOP_MS 1000

static_assert(JOURNAL_LINES_SIZE < JOURNAL_TAIL_SIZE, "what a dying process wrote last must be found in the tail that its successor reads");

struct journal_writer {
    struct journal_file file;
    struct journal_tail tail; /* the last records that were there when it was opened */
    struct journal_sessions sessions;
    struct journal_generations ended; /* no more, and it is still to be seen how */
    struct journal_recovery recovery; /* what is still to be told of how others ended */
    struct log_writer *log;
    struct journal_watch *watch;

    struct journal_workers workers;
    int control; /* -1: none, or ended */
    struct journal_order (*receive)(int control);
    bool yields;      /* another process is to go on, */
    uint32_t hold_ms; /* … for which workers wait so long */
    const char *instance;

    struct journal_batch batch;
    struct journal_lines lines;
    struct journal_signer signer;
    bool reopen_asked;
    bool owes_rotate; /* the first record of the file, or of what follows in it, is to say what it continues */

    uint32_t epoch;
    uint64_t reserve;
    bool scarce; /* less than that is free */
    int down;    /* errno of the failure that lasts; 0: up */
    uint64_t retry_at_ms;
};

/* ---- writing ---- */

static void journal_writer_say_up(const struct journal_writer *writer)
{
    log_info("audit file %s: writes again", writer->file.path);
}

static void journal_writer_succeed(struct journal_writer *writer)
{
    journal_workers_commit(&writer->workers);
    journal_batch_clear(&writer->batch);
    writer->owes_rotate = false;
    if (writer->down) {
        journal_writer_say_up(writer);
        writer->down = 0;
        writer->epoch++;
    }
}

static void journal_writer_fail(struct journal_writer *writer, int error)
{
    const bool deleted = error == ENOENT && writer->file.fault[0] != '\0';
    if (!writer->down)
        log_error("audit file %s cannot be written: %s%s", writer->file.path, deleted ? "it was deleted, and a new one cannot be opened: " : "",
                  deleted ? writer->file.fault : strerror(error));
    writer->down = error;
    writer->retry_at_ms = clock_monotonic_ms() + RETRY_MS;
}

static int journal_writer_append(struct journal_writer *writer)
{
    const struct journal_lines *lines = &writer->lines;
    const int error = journal_file_append(&writer->file, lines->text.at, lines->text.len, &lines->end);
    if (error == 0)
        journal_signer_commit(&writer->signer, lines->unsigned_count, lines->signed_some, lines->sign_failed);
    return error;
}

/* The last record of a file that is rotated away is a checkpoint; where there is no room for it, or the file was deleted, it goes without. */
static void journal_writer_sign_off(struct journal_writer *writer)
{
    const struct text nothing = {0};
    if (writer->signer.key && writer->signer.count > 0 && journal_lines_make(&writer->lines, &writer->file.end, &nothing, NULL, true))
        journal_writer_append(writer);
}

/* False: the old file goes on as if nothing had been asked. */
static bool journal_writer_move(struct journal_writer *writer)
{
    struct journal_file next;
    if (!journal_file_open_next(&writer->file, &next))
        return false;
    if (next.fd >= 0) {
        journal_writer_sign_off(writer);
        journal_file_replace(&writer->file, &next);
    }
    return true;
}

/* Between two batches. What could not be written yet goes into the new file. */
static void journal_writer_reopen(struct journal_writer *writer)
{
    if (writer->reopen_asked && writer->file.is_stream)
        log_info("SIGUSR1: standard output is not opened anew");
    else if ((writer->reopen_asked || journal_file_has_moved(&writer->file)) && journal_writer_move(writer))
        writer->owes_rotate = true;
    writer->reopen_asked = false;
}

static int journal_writer_write(struct journal_writer *writer, bool sign)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct text rotate;
    text_init(&rotate, buffer, sizeof(buffer));
    if (writer->owes_rotate)
        journal_own_rotate(&rotate, writer->instance, &writer->file.end);
    /* of which a stream has taken some already, they must stay what they are */
    if (writer->file.streamed == 0 && !journal_lines_make(&writer->lines, &writer->file.end, &rotate, &writer->batch, sign))
        return ENOMEM;
    return journal_writer_append(writer);
}

/* The batch that failed is kept and tried again as it is, so that the workers hear FRAME_UP only when a write has gone well. */
static void journal_writer_commit(struct journal_writer *writer)
{
    if (writer->down && clock_monotonic_ms() < writer->retry_at_ms && !writer->reopen_asked)
        return;
    if (writer->batch.count > 0 || writer->down || writer->reopen_asked || journal_signer_is_due(&writer->signer))
        journal_writer_reopen(writer);
    const bool sign = journal_signer_is_due(&writer->signer);
    if (writer->batch.count == 0 && !writer->owes_rotate && !writer->down && !sign) {
        journal_writer_succeed(writer); /* nothing but records that were there already */
        return;
    }
    int error = journal_writer_write(writer, sign);
    if (error == ENOENT) { /* deleted since it was looked for: that alone is no reason to refuse anybody */
        journal_writer_reopen(writer);
        error = journal_writer_write(writer, sign);
    }
    if (error == 0)
        journal_writer_succeed(writer);
    else
        journal_writer_fail(writer, error);
}

/* ---- what became of others ---- */

static void journal_writer_tell_recovery(struct journal_writer *writer)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    journal_own_recovered(&text, writer->instance, &writer->recovery, &writer->sessions.left);
    journal_batch_add(&writer->batch, text.at, text.len);
}

/* A server did not stop in order. False: the file fails, and it will have to be told further. */
static bool journal_writer_recover(struct journal_writer *writer, unsigned mark)
{
    journal_sessions_look_back(&writer->sessions);
    journal_sessions_leave(&writer->sessions, mark);
    writer->recovery.server_died = true;
    writer->recovery.unknown = writer->sessions.unknown;
    writer->recovery.beside = journal_sessions_others_run(&writer->sessions, mark) ? mark : 0;
    do {
        if (journal_batch_is_full(&writer->batch))
            journal_writer_commit(writer);
        if (writer->down)
            return false;
        journal_writer_tell_recovery(writer);
    } while (writer->sessions.left.count > 0);
    writer->recovery.server_died = false;
    journal_sessions_end(&writer->sessions, mark);
    return true;
}

/* Who wrote a `start` and no `stop`; the `stop` may have been for a journal process before this one to write. */
static bool journal_writer_has_died(struct journal_writer *writer, unsigned mark)
{
    if (journal_generations_has(&writer->sessions.running, mark))
        journal_sessions_look_back(&writer->sessions);
    return journal_generations_has(&writer->sessions.running, mark);
}

/* Those who are no more, when all that they had sent is heard. */
static void journal_writer_settle(struct journal_writer *writer)
{
    unsigned mark;
    while (!writer->down && !journal_workers_has_dead(&writer->workers) && (mark = journal_generations_first(&writer->ended)) > 0) {
        if (!journal_writer_has_died(writer, mark) || journal_writer_recover(writer, mark))
            journal_generations_remove(&writer->ended, mark);
    }
}

/* ---- taking packets in ---- */

/* The text of a record that a worker may make. It is read key by key: whoever reads the line otherwise must not find another event or time in it. */
static bool journal_writer_check_record(struct audit_record *record, const char *text, size_t len)
{
    return len >= RECORD_TEXT_MIN && audit_record_read_text(record, text, len) && record->event != EVENT_ROTATE && record->event != EVENT_RECOVERED &&
           record->event != EVENT_CHECKPOINT;
}

/* Whether a packet holds what it says; and whether a server starts with it. */
static bool journal_writer_check_records(const struct journal_writer *writer, const struct journal_frame *frame, const uint8_t *at, size_t left,
                                         bool *starts)
{
    const bool again = frame->flags & FRAME_FLAG_AGAIN;
    struct audit_record record;
    const char *text;
    size_t len;
    for (uint32_t i = 0; i < frame->count; i++) {
        if (!journal_records_next(&at, &left, &text, &len) || !journal_writer_check_record(&record, text, len))
            return false;
        *starts = *starts || (record.event == EVENT_START && !(again && journal_tail_has(&writer->tail, text, len)));
    }
    return frame->count > 0 && left == 0;
}

/* Takes one record, unless an earlier process had written it before it died. */
static void journal_writer_add(struct journal_writer *writer, const char *text, size_t len, bool again, unsigned mark)
{
    if (again && journal_tail_take(&writer->tail, text, len))
        return;
    const struct journal_gist gist = journal_gist_read(text, len);
    journal_sessions_note(&writer->sessions, &gist, mark);
    journal_batch_add(&writer->batch, text, len);
}

/* Takes all records of a packet or none. While the file fails they are left out: nobody is told that they are there, so they come again. */
static bool journal_writer_take_records(struct journal_writer *writer, struct journal_worker *worker, const struct journal_frame *frame,
                                        const uint8_t *at, size_t left)
{
    size_t len;
    const char *text;
    bool starts = false;
    if (!journal_writer_check_records(writer, frame, at, left, &starts))
        return false;
    if (writer->down || frame->epoch != writer->epoch)
        return true;
    if (starts && writer->sessions.stranger && !journal_writer_recover(writer, 0))
        return true;
    while (journal_records_next(&at, &left, &text, &len))
        journal_writer_add(writer, text, len, frame->flags & FRAME_FLAG_AGAIN, journal_generation_mark(worker->generation));
    worker->taken = frame->first + frame->count - 1;
    return true;
}

/* A worker reads hostile bytes: its line is made clean once more. */
static void journal_writer_take_line(struct journal_writer *writer, const char *line, size_t len)
{
    char buffer[LOG_LINE_MAX + 1];
    struct text text;
    if (len > 0 && line[len - 1] == '\n')
        len--;
    text_init(&text, buffer, sizeof(buffer));
    text_add_clean(&text, line, len, LOG_LINE_MAX - 1);
    text_add_char(&text, '\n');
    log_writer_put(writer->log, text.at, text.len);
}

static bool journal_writer_take(struct journal_writer *writer, struct journal_worker *worker, const uint8_t *packet, size_t len)
{
    struct journal_frame frame;
    if (len < sizeof(frame) || len > JOURNAL_PACKET_MAX)
        return false;
    memcpy(&frame, packet, sizeof(frame));
    packet += sizeof(frame);
    len -= sizeof(frame);
    if (frame.kind == FRAME_RECORDS)
        return journal_writer_take_records(writer, worker, &frame, packet, len);
    if (frame.kind == FRAME_LOG)
        journal_writer_take_line(writer, (const char *)packet, len);
    return frame.kind == FRAME_LOG;
}

/* Until all has been heard, or the batch is full. */
static void journal_writer_collect(struct journal_writer *writer)
{
    struct journal_worker *worker;
    const uint8_t *packet;
    size_t len;
    while ((writer->down || !journal_batch_is_full(&writer->batch)) && (worker = journal_workers_next(&writer->workers, &packet, &len))) {
        if (journal_writer_take(writer, worker, packet, len))
            continue;
        log_error("a worker sent the journal a malformed packet: it is not listened to any more");
        journal_worker_close(worker);
    }
}

/* ---- telling ---- */

/* Denials may flood a disk; what is left of it is for those who are let out. */
static void journal_writer_measure(struct journal_writer *writer)
{
    bool scarce = journal_file_is_scarce(&writer->file, writer->reserve, writer->scarce);
    if (scarce && !writer->scarce)
        log_warn("audit file %s: less than the reserve is free: denials are only counted", writer->file.path);
    else if (writer->scarce && !scarce)
        log_info("audit file %s: there is space again: denials are recorded", writer->file.path);
    writer->scarce = scarce;
}

static void journal_writer_tell(struct journal_writer *writer)
{
    journal_writer_measure(writer);
    const struct journal_news news = {.epoch = writer->epoch, .down = writer->down, .scarce = writer->scarce};
    journal_workers_tell(&writer->workers, &news);
}

/* ---- the loop ---- */

static void journal_writer_obey(struct journal_writer *writer, const struct journal_order *order)
{
    switch (order->kind) {
    case JOURNAL_WORKER:
        if (order->fd >= 0)
            journal_workers_admit(&writer->workers, order->fd, order->generation);
        break;
    case JOURNAL_ENDED:
        journal_workers_end(&writer->workers, order->generation);
        journal_generations_add(&writer->ended, journal_generation_mark(order->generation));
        break;
    case JOURNAL_REOPEN:
        writer->reopen_asked = true;
        break;
    case JOURNAL_YIELD:
        writer->yields = true;
        writer->hold_ms = order->ms;
        break;
    case JOURNAL_NOTHING:
    case JOURNAL_END:
        break;
    }
}

static void journal_writer_read_control(struct journal_writer *writer)
{
    struct journal_order order;
    while ((order = writer->receive(writer->control)).kind != JOURNAL_NOTHING && order.kind != JOURNAL_END)
        journal_writer_obey(writer, &order);
    if (order.kind == JOURNAL_NOTHING)
        return;
    close(writer->control);
    writer->control = -1;
}

static int journal_writer_timeout(const struct journal_writer *writer)
{
    const uint64_t now = clock_monotonic_ms(), due = journal_signer_due_ms(&writer->signer);
    uint64_t until = writer->scarce ? now + MEASURE_MS : UINT64_MAX;
    if (writer->down)
        until = writer->retry_at_ms;
    else if (writer->ended.count > 0 && !journal_workers_has_dead(&writer->workers))
        until = now;
    else if (due < until)
        until = due;
    if (until == UINT64_MAX)
        return -1;
    return until > now ? (int)(until - now) : 0;
}

/* Whoever asks for anything between two waits may have to wait for the disk, and then the watch says so. */
static void journal_writer_begin_turn(struct journal_writer *writer)
{
    if (!writer->down)
        journal_watch_begin(writer->watch);
}

static void journal_writer_end_turn(struct journal_writer *writer)
{
    journal_writer_settle(writer);
    journal_writer_commit(writer);
    journal_writer_tell(writer);
    if (journal_watch_end(writer->watch) && !writer->down)
        journal_writer_say_up(writer);
}

/* What was sent by now is the last that this process takes: another goes on with what comes next. */
static void journal_writer_take_leave(struct journal_writer *writer)
{
    bool on_control;
    journal_workers_cease(&writer->workers);
    while (!journal_workers_are_silent(&writer->workers)) {
        if (!journal_workers_wait(&writer->workers, -1, 0, &on_control))
            continue;
        journal_writer_begin_turn(writer);
        journal_writer_collect(writer);
        journal_writer_end_turn(writer);
    }
}

static void journal_writer_serve(struct journal_writer *writer)
{
    journal_writer_begin_turn(writer);
    journal_writer_end_turn(writer); /* a new file begins with its `rotate` */
    while (!writer->yields && (journal_workers_has_any(&writer->workers) || writer->control >= 0)) {
        bool on_control;
        if (!journal_workers_wait(&writer->workers, writer->control, journal_writer_timeout(writer), &on_control))
            continue;
        journal_writer_begin_turn(writer);
        journal_writer_collect(writer);
        if (on_control)
            journal_writer_read_control(writer);
        journal_writer_end_turn(writer);
    }
}

/* ---- beginning and end ---- */

/* Only the end of its sockets ends this process, so that the workers' last records are still taken. A full disk or pipe is an errno, no signal. */
static void journal_writer_ignore_signals(void)
{
    const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

static bool journal_writer_init(struct journal_writer *writer, const struct journal_writer_settings *settings)
{
    writer->instance = settings->instance;
    writer->signer = (struct journal_signer){
        .key = settings->unchained ? NULL : settings->key, /* what is signed is the chain */
        .instance = settings->instance,
        .records = settings->checkpoint_records,
        .time_ms = settings->checkpoint_ms,
    };
    writer->reserve = settings->reserve;
    writer->control = settings->control;
    writer->receive = settings->receive;
    writer->epoch = 1;
    bool good = journal_batch_init(&writer->batch) && journal_lines_init(&writer->lines, !settings->unchained, &writer->signer) &&
                journal_workers_init(&writer->workers);
    for (size_t i = 0; good && i < settings->socket_count; i++)
        good = journal_workers_admit(&writer->workers, settings->sockets[i], 0);
    return good;
}

static void journal_writer_fini(struct journal_writer *writer)
{
    journal_file_close(&writer->file);
    journal_tail_fini(&writer->tail);
    journal_sessions_fini(&writer->sessions);
    journal_workers_fini(&writer->workers);
    journal_lines_fini(&writer->lines);
    journal_batch_fini(&writer->batch);
}

/* What is still in hand when all is heard gets one more chance, and whatever is unsigned is signed. */
static bool journal_writer_finish(struct journal_writer *writer)
{
    writer->retry_at_ms = 0;
    writer->signer.time_ms = 0;
    if (writer->down)
        journal_writer_commit(writer);
    if (!writer->down)
        journal_writer_commit(writer);
    if (writer->batch.count > 0 && !writer->yields) /* else workers keep theirs */
        log_error("audit file %s: %zu records could not be written and are lost", writer->file.path, writer->batch.count);
    return !writer->down;
}

/* False: it has not all on file, and who comes next is to take it for dead. */
static bool journal_writer_yield(struct journal_writer *writer)
{
    journal_writer_take_leave(writer);
    journal_writer_begin_turn(writer);
    journal_writer_finish(writer);
    journal_writer_end_turn(writer);
    const bool good = !writer->down && writer->ended.count == 0;
    if (good)
        journal_workers_hand_over(&writer->workers, writer->hold_ms);
    return good;
}

/* Servers that died before this process was there, while others go on: it is as if that was only said now. */
static void journal_writer_find_dead(struct journal_writer *writer)
{
    unsigned mark;
    journal_sessions_look_back(&writer->sessions);
    while ((mark = journal_sessions_find_dead(&writer->sessions)) > 0) {
        journal_generations_add(&writer->sessions.running, mark);
        journal_generations_add(&writer->ended, mark);
    }
}

/* What stands there already: so that nothing is written twice, and that what did not end in order is told. */
static bool journal_writer_look_back(struct journal_writer *writer, const struct journal_writer_settings *settings)
{
    const bool served = settings->served;
    const struct journal_file *file = &writer->file;
    struct journal_recovery *recovery = &writer->recovery;
    if (!journal_tail_read(&writer->tail, file->path, &file->end))
        return false;
    journal_signer_begin(&writer->signer, writer->tail.unsigned_count);
    journal_sessions_begin(&writer->sessions, file->path, &file->end);
    recovery->cut = file->cut;
    recovery->missing_first = file->missing_last > 0 ? file->end.seq + 1 : 0;
    recovery->missing_last = file->missing_last;
    recovery->journal_died = served && !settings->continues;
    if (served && file->is_stream) /* where nothing can be looked up */
        writer->sessions.stranger = writer->sessions.unknown = true;
    if (served && settings->living)
        journal_sessions_know(&writer->sessions, settings->living);
    if (writer->sessions.stranger && !served)
        journal_writer_recover(writer, 0);
    else if (recovery->journal_died || recovery->cut > 0 || recovery->missing_first > 0)
        journal_writer_tell_recovery(writer);
    if (served && settings->bereaved && settings->living)
        journal_writer_find_dead(writer);
    return true;
}

static void journal_writer_say_proof(const struct journal_writer *writer, bool chained)
{
    const struct journal_head *end = &writer->file.end;
    const bool was_chained = end->chain[0] != '\0';
    if (end->seq > 0 && was_chained != chained)
        log_info("audit file %s: its records carry %s", writer->file.path,
                 chained ? "no chain; it begins with the next" : "a chain; it ends here (chain = no)");
    if (writer->signer.key)
        log_info("audit file %s: checkpoints are signed by key %s", writer->file.path, ed25519_id(writer->signer.key));
}

static bool journal_writer_work(struct journal_writer *writer, const struct journal_writer_settings *settings)
{
    if (!journal_writer_init(writer, settings)) {
        log_error("audit file %s: out of memory", settings->file);
        return false;
    }
    if (!journal_file_open(&writer->file, settings->file, settings->sync))
        return false;
    journal_writer_say_proof(writer, !settings->unchained);
    writer->owes_rotate = writer->file.continues;
    if (!journal_writer_look_back(writer, settings)) {
        log_error("audit file %s: out of memory", settings->file);
        return false;
    }
    journal_writer_serve(writer);
    return writer->yields ? journal_writer_yield(writer) : journal_writer_finish(writer);
}

int journal_writer_run(const struct journal_writer_settings *settings)
{
    struct journal_writer writer = {.file = {.fd = -1, .head = {.fd = -1}}};
    journal_writer_ignore_signals();
    writer.log = log_writer_start(STDERR_FILENO);
    if (!writer.log)
        return 1;
    log_set_sink(log_writer_put, writer.log);
    writer.watch = journal_watch_start(writer.log, settings->file);
    if (settings->holds)
        log_info("journal: %s", settings->holds);
    bool good = writer.watch && journal_writer_work(&writer, settings);
    journal_writer_fini(&writer);
    journal_watch_stop(writer.watch);
    log_set_sink(NULL, NULL);
    log_writer_stop(writer.log, LOG_STOP_MS);
    return good ? 0 : 1;
}
