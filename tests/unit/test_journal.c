/* Both ends of the journal: a queue in this process's loop, the writer in a child that is killed, starved of space, and lied to. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/journal_batch.h"
#include "audit/journal_frame.h"
#include "audit/journal_generations.h"
#include "audit/journal_head.h"
#include "audit/journal_ids.h"
#include "audit/journal_line.h"
#include "audit/journal_queue.h"
#include "audit/journal_writer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/ulid.h"
#include "rfc_key.h"

#define WAIT_MS 10000
#define WORKERS_MAX 3

static char dir[64], path[96], head_path[104], log_path[96];
static struct event_base *base;

static void setup(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%s/exeat-journal-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    cr_assert(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
    snprintf(head_path, sizeof(head_path), "%s.head", path);
    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    base = event_base_new();
}

static void teardown(void)
{
    event_base_free(base);
    rmdir(path);
    unlink(path);
    unlink(head_path);
    unlink(log_path);
    rmdir(dir);
}

/* The disk, as journal processes see it with `sync`: the library's syncs end here. */
static struct disk {
    bool fails, head_fails;
    off_t synced; /* the size that the file had when it was synced last */
    ino_t first;  /* what was synced first */
    unsigned syncs, heads, directories;
    useconds_t takes;
    fsblkcnt_t size, blocks; /* of 4 KiB, and of these free */
    bool cannot_sign;
    bool loses_file; /* it is deleted while the next checkpoint is signed */
} *disk;

static void disk_new(void)
{
    disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(disk, MAP_FAILED);
}

int fdatasync(int fd)
{
    struct stat status;
    if (!disk || fstat(fd, &status) != 0)
        return 0;
    if (disk->fails || (disk->head_fails && status.st_size == JOURNAL_HEAD_LEN)) {
        errno = EIO;
        return -1;
    }
    if (disk->syncs++ == 0)
        disk->first = status.st_ino;
    usleep(disk->takes);
    if (status.st_size == JOURNAL_HEAD_LEN)
        disk->heads = disk->syncs;
    else
        disk->synced = status.st_size;
    return 0;
}

/* OpenSSL, as the journal's own signer meets it. */
int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *signature, size_t *size, const unsigned char *bytes, size_t len)
{
    int (*real)(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t) = NULL;
    void *found = dlsym(RTLD_NEXT, "EVP_DigestSign");
    memcpy(&real, &found, sizeof(real));
    if (disk && disk->loses_file)
        disk->loses_file = unlink(path) != 0;
    return disk && disk->cannot_sign ? 0 : real(context, signature, size, bytes, len);
}

int fsync(int fd)
{
    struct stat status;
    if (disk && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        disk->directories++;
    return 0;
}

int fstatvfs(int fd, struct statvfs *status)
{
    (void)fd;
    *status = (struct statvfs){.f_frsize = 4096, .f_blocks = disk->size, .f_bavail = disk->blocks};
    return 0;
}

TestSuite(journal, .init = setup, .fini = teardown, .timeout = 60);

/* A journal process. */

struct child {
    pid_t pid;
    int workers[WORKERS_MAX]; /* the workers' ends; whoever takes one sets it to -1 */
};

struct child_settings {
    const char *file; /* NULL: path */
    int output;       /* its standard output; 0: ours */
    rlim_t size_max;  /* 0: none */
    mode_t mask;
    int control; /* 0: none */
    bool unchained, served, sync, continues, bereaved;
    uint32_t living[3]; /* generations; the rest is 0 */
    uint64_t reserve;
    uint64_t checkpoint_records; /* 0: nothing is signed */
    uint64_t checkpoint_ms;      /* 0: an hour */
};

static void pair_open(int *ours, int *theirs)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    *ours = pair[0];
    *theirs = pair[1];
}

static void order_send(int control, const void *order, size_t len, int fd)
{
    struct iovec part = {(void *)(uintptr_t)order, len};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } rights = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&rights.head), &fd, sizeof(fd));
    const struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = fd >= 0 ? &rights : NULL, .msg_controllen = fd >= 0 ? sizeof(rights) : 0};
    cr_assert_eq(sendmsg(control, &message, MSG_NOSIGNAL), (ssize_t)len);
    if (fd >= 0)
        close(fd);
}

static void fd_send(int control, int fd)
{
    order_send(control, "", 1, fd);
}

/* What the program gives the writer to read its control with: a byte asks for a new file, one with a descriptor is a worker, an order is itself. */
static struct journal_order order_receive(int control)
{
    struct journal_order order;
    int fd = -1;
    struct iovec part = {&order, sizeof(order)};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } rights;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof(rights)};
    ssize_t got = recvmsg(control, &message, MSG_DONTWAIT);
    if (got < 0)
        return (struct journal_order){.kind = JOURNAL_NOTHING};
    if (got > 0 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    if (got == (ssize_t)sizeof(order)) {
        order.fd = fd;
        return order;
    }
    return (struct journal_order){.kind = got == 0 ? JOURNAL_END : fd < 0 ? JOURNAL_REOPEN : JOURNAL_WORKER, .fd = fd};
}

static void child_run(const struct child_settings *settings, const int *sockets)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDERR_FILENO);
    if (settings->output > 0)
        dup2(settings->output, STDOUT_FILENO);
    if (settings->size_max > 0)
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){settings->size_max, RLIM_INFINITY});
    umask(settings->mask);
    for (int fd = STDERR_FILENO + 1; fd < 256; fd++) {
        if (fd != sockets[0] && fd != sockets[1] && fd != sockets[2] && fd != settings->control)
            close(fd);
    }
    struct journal_generations living = {.count = 0};
    for (int i = 0; i < 3 && settings->living[i] > 0; i++)
        journal_generations_add(&living, journal_generation_mark(settings->living[i]));
    const struct journal_writer_settings writer = {
        .file = settings->file ? settings->file : path,
        .instance = "egress-a",
        .unchained = settings->unchained,
        .served = settings->served,
        .continues = settings->continues,
        .bereaved = settings->bereaved,
        .living = settings->living[0] > 0 ? &living : NULL,
        .sync = settings->sync,
        .reserve = settings->reserve,
        .key = settings->checkpoint_records > 0 ? rfc_key_private() : NULL,
        .checkpoint_records = settings->checkpoint_records,
        .checkpoint_ms = settings->checkpoint_ms > 0 ? settings->checkpoint_ms : 3600 * 1000,
        .sockets = sockets,
        .socket_count = WORKERS_MAX,
        .control = settings->control > 0 ? settings->control : -1,
        .receive = order_receive,
    };
    _exit(journal_writer_run(&writer));
}

static struct child child_start(const struct child_settings *settings)
{
    struct child child;
    int theirs[WORKERS_MAX];
    for (int i = 0; i < WORKERS_MAX; i++)
        pair_open(&child.workers[i], &theirs[i]);
    child.pid = fork();
    cr_assert_geq(child.pid, 0);
    if (child.pid == 0)
        child_run(settings, theirs);
    for (int i = 0; i < WORKERS_MAX; i++)
        close(theirs[i]);
    return child;
}

static int child_take(struct child *child, int worker)
{
    int fd = child->workers[worker];
    child->workers[worker] = -1;
    return fd;
}

static int child_wait(struct child *child)
{
    int status = -1;
    for (int i = 0; i < WORKERS_MAX; i++) {
        if (child->workers[i] >= 0)
            close(child->workers[i]);
        child->workers[i] = -1;
    }
    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    cr_assert_eq(child_wait(child), -SIGKILL);
}

static void limit_size(pid_t pid, rlim_t max)
{
    cr_assert_eq(prlimit(pid, RLIMIT_FSIZE, &(struct rlimit){max, RLIM_INFINITY}, NULL), 0);
}

/* The file. */

static char *file_read(const char *name, size_t *len)
{
    struct stat status;
    int fd = open(name, O_RDONLY);
    cr_assert_geq(fd, 0, "no %s", name);
    fstat(fd, &status);
    char *bytes = malloc((size_t)status.st_size + 1);
    *len = (size_t)read(fd, bytes, (size_t)status.st_size);
    bytes[*len] = '\0';
    close(fd);
    return bytes;
}

static unsigned log_count(const char *words)
{
    size_t len;
    unsigned count = 0;
    char *log = file_read(log_path, &len);
    for (const char *at = log; (at = strstr(at, words)); at++)
        count++;
    free(log);
    return count;
}

static bool log_has(const char *words)
{
    return log_count(words) > 0;
}

/* A checkpoint is rightly signed, wherever it stands. */
static void signature_check(const struct chain *chain, const char *at, size_t len)
{
    struct checkpoint checkpoint;
    if (!checkpoint_is(at, len))
        return;
    struct ed25519_key *key = rfc_key_public();
    cr_assert(checkpoint_read(&checkpoint, at, len), "%s", at);
    cr_assert(checkpoint_verify(&checkpoint, chain_text(chain), key), "%s", at);
    ed25519_free(key);
}

/* The chain goes on with this line, or begins with it where it had none. */
static void chain_check(struct chain *chain, const char *at, size_t len)
{
    struct journal_line line;
    cr_assert(journal_line_read(&line, at, len), "%.200s", at);
    signature_check(chain, at, (size_t)(line.text + line.len - at));
    if (!line.chain) {
        chain_set(chain, NULL);
        return;
    }
    cr_assert(chain_add(chain, at, (size_t)(line.text + line.len - at)));
    cr_assert(memcmp(chain_text(chain), line.chain, CHAIN_LEN) == 0, "the chain breaks at %.200s", at);
}

/* All records as an array: each line strict JSON, `seq` gapless from `first`, the chain whole from where it stands. */
static json_t *records_behind(const char *text, size_t len, json_int_t first, struct chain *chain)
{
    json_t *records = json_array();
    const char *end = text + len;
    for (const char *at = text, *newline; at < end; at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        cr_assert(newline != NULL, "the last line is torn: %.200s", at);
        json_t *record = json_loadb(at, (size_t)(newline - at), JSON_REJECT_DUPLICATES, NULL);
        cr_assert(record != NULL, "no JSON: %.200s", at);
        cr_assert_eq(json_integer_value(json_object_get(record, "seq")), first + (json_int_t)json_array_size(records));
        chain_check(chain, at, (size_t)(newline - at));
        json_array_append_new(records, record);
    }
    return records;
}

static json_t *records_of(const char *text, size_t len, json_int_t first)
{
    struct chain *chain = chain_new();
    json_t *records = records_behind(text, len, first, chain);
    chain_free(chain);
    return records;
}

static json_t *records_read(void)
{
    size_t len;
    char *text = file_read(path, &len);
    json_t *records = records_of(text, len, 1);
    free(text);
    return records;
}

/* … without those that the journal makes itself. */
static json_t *workers_records_read(void)
{
    static const char *const own[] = {"rotate", "recovered"};
    json_t *records = records_read();
    for (size_t i = 0; i < json_array_size(records);) {
        const char *event = json_string_value(json_object_get(json_array_get(records, i), "event"));
        if (strcmp(event ? event : "", own[0]) == 0 || strcmp(event ? event : "", own[1]) == 0)
            json_array_remove(records, i);
        else
            i++;
    }
    return records;
}

static const char *member(const json_t *records, size_t index, const char *key)
{
    const char *text = json_string_value(json_object_get(json_array_get(records, index), key));
    return text ? text : "";
}

/* The queue's side. */

static bool loop_until(bool (*condition)(void *arg), void *arg)
{
    const struct timeval tick = {.tv_usec = 5000};
    uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    while (!condition(arg)) {
        if (clock_monotonic_ms() > deadline)
            return false;
        event_base_loopexit(base, &tick);
        event_base_dispatch(base);
    }
    return true;
}

static void loop_turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static bool is_ready(void *queue)
{
    return journal_queue_is_ready(queue);
}

static bool is_down(void *queue)
{
    return !journal_queue_is_ready(queue);
}

static bool is_empty(void *queue)
{
    return journal_queue_is_empty(queue);
}

static struct journal_queue *queue_new(bool continue_on_failure, size_t queue_max)
{
    const struct journal_settings settings = {.instance = "egress-a", .continue_on_failure = continue_on_failure, .queue_max = queue_max};
    struct journal_queue *queue = journal_queue_new(base, &settings);
    cr_assert(queue != NULL);
    return queue;
}

static bool add_named(struct journal_queue *queue, const char *id, enum journal_need need, enum reason reason)
{
    struct record record = {.event = need == NEED_KEEP ? EVENT_CLOSE : EVENT_DECISION, .id = id, .verdict = "allow"};
    bool committed_already = true;
    bool taken = journal_queue_add(queue, &record, need, reason, &committed_already);
    cr_assert_not(committed_already);
    return taken;
}

static bool add_decision(struct journal_queue *queue, const char *id)
{
    return add_named(queue, id, NEED_DECISION, REASON_RULE_ALLOW);
}

struct waiter {
    struct journal_wait wait;
    int told; /* how often */
    bool committed;
    struct waiter *cancels;
};

static void waiter_done(void *arg, bool committed)
{
    struct waiter *waiter = arg;
    waiter->told++;
    waiter->committed = committed;
    if (waiter->cancels)
        journal_wait_cancel(&waiter->cancels->wait);
}

static void waiter_start(struct waiter *waiter, struct journal_queue *queue)
{
    waiter->wait.done = waiter_done;
    waiter->wait.arg = waiter;
    journal_queue_wait(queue, &waiter->wait);
    cr_assert_eq(waiter->told, 0, "told before start returned");
}

static bool is_told(void *arg)
{
    const struct waiter *waiter = arg;
    return waiter->told > 0;
}

/* A peer that the test plays itself. */

static void frame_send(int fd, const struct journal_frame *frame)
{
    cr_assert_eq(send(fd, frame, sizeof(*frame), MSG_NOSIGNAL), (ssize_t)sizeof(*frame));
}

static bool frame_next(int fd, struct journal_frame *frame, int wait_ms)
{
    static uint8_t packet[JOURNAL_PACKET_MAX];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) <= 0)
        return false;
    ssize_t got = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
    if (got < (ssize_t)sizeof(*frame))
        return false;
    memcpy(frame, packet, sizeof(*frame));
    return true;
}

static void frame_expect(int fd, struct journal_frame *frame, uint32_t kind)
{
    cr_assert(frame_next(fd, frame, WAIT_MS), "no frame of kind %u", kind);
    cr_assert_eq(frame->kind, kind, "a frame of kind %u, not %u", frame->kind, kind);
}

static void check_refused(struct child *child, int worker, const void *packet, size_t len)
{
    struct journal_frame frame;
    cr_assert_geq(send(child->workers[worker], packet, len, MSG_NOSIGNAL), 0);
    cr_assert_not(frame_next(child->workers[worker], &frame, WAIT_MS));
}

/* One record in one packet, as a worker sends it. */
static void record_send(int fd, uint64_t number, const char *id, uint32_t epoch, uint32_t flags, const char *detail)
{
    static uint8_t packet[JOURNAL_PACKET_MAX];
    const struct journal_frame frame = {.kind = FRAME_RECORDS, .count = 1, .first = number, .epoch = epoch, .flags = flags};
    struct record record = {.time_us = 1000000 + number, .event = EVENT_DECISION, .id = id, .detail = {detail, detail ? strlen(detail) : 0}};
    struct text text;
    text_init(&text, (char *)packet + sizeof(frame) + sizeof(uint32_t), RECORD_TEXT_MAX + 1);
    cr_assert(record_write(&text, &record));
    const uint32_t len = (uint32_t)text.len;
    memcpy(packet, &frame, sizeof(frame));
    memcpy(packet + sizeof(frame), &len, sizeof(len));
    cr_assert_geq(send(fd, packet, sizeof(frame) + sizeof(len) + len, MSG_NOSIGNAL), 0);
}

Test(journal, commits_and_tells)
{
    struct child child = child_start(&(struct child_settings){.mask = 077});
    struct journal_queue *queue = queue_new(false, 0);
    struct waiter first = {0}, last = {0};
    cr_assert_not(journal_queue_is_ready(queue), "ready without a journal");
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert_not(journal_queue_is_ready(queue), "ready before the journal said so");
    cr_assert(loop_until(is_ready, queue));
    cr_assert(add_decision(queue, "a"));
    waiter_start(&first, queue);
    cr_assert(add_decision(queue, "b"));
    cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    waiter_start(&last, queue);
    cr_assert_not(journal_queue_is_empty(queue));
    cr_assert(loop_until(is_told, &last));
    cr_assert(first.told == 1 && first.committed && last.told == 1 && last.committed);
    cr_assert(journal_queue_is_empty(queue));
    json_t *records = records_read(); /* what was told is on file at that moment */
    cr_assert_eq(json_array_size(records), 3);
    cr_assert_str_eq(member(records, 0, "id"), "a");
    cr_assert_str_eq(member(records, 2, "id"), "c");
    cr_assert_str_eq(member(records, 2, "instance"), "egress-a");
    cr_assert_gt(strcmp(member(records, 0, "time"), "2020"), 0);
    json_decref(records);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, what_is_added_before_the_journal_is_there_is_waited_for)
{
    struct journal_queue *queue = queue_new(false, 0);
    struct waiter waiter = {0};
    cr_assert(add_named(queue, "start", NEED_KEEP, REASON_UNKNOWN));
    waiter_start(&waiter, queue);
    loop_turn();
    cr_assert_eq(waiter.told, 0);
    struct child child = child_start(&(struct child_settings){0});
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_told, &waiter));
    cr_assert(waiter.committed);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, file_is_0640_whatever_the_umask)
{
    for (mode_t mask = 0; mask <= 0777; mask += 0777) {
        struct stat status;
        struct journal_frame frame;
        struct child child = child_start(&(struct child_settings){.mask = mask});
        frame_expect(child.workers[0], &frame, FRAME_UP);
        cr_assert_eq(stat(path, &status), 0);
        cr_assert_eq(status.st_mode & 07777, 0640);
        cr_assert_eq(child_wait(&child), 0);
        unlink(path);
    }
}

Test(journal, a_wait_may_be_cancelled_from_within_another)
{
    struct child child = child_start(&(struct child_settings){0});
    struct journal_queue *queue = queue_new(false, 0);
    struct waiter second = {0}, third = {0}, first = {.cancels = &second};
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    cr_assert(add_decision(queue, "a"));
    waiter_start(&first, queue);
    waiter_start(&second, queue);
    waiter_start(&third, queue);
    cr_assert(loop_until(is_told, &third));
    cr_assert_eq(first.told, 1);
    cr_assert_eq(second.told, 0);
    journal_wait_cancel(&second.wait);
    second = (struct waiter){0};
    waiter_start(&second, queue); /* for what is on file already: still told, and from the loop */
    cr_assert(loop_until(is_told, &second));
    cr_assert(second.committed);
    waiter_start(&(struct waiter){0}, queue); /* let go by free */
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

/* Killing it while it works. */

#define LOAD_QUEUES 2
#define KILLS 30

struct load {
    struct journal_queue *queue;
    unsigned added;
    struct waiter *waiters;
};

static void load_add(struct load *load, int worker, unsigned count, unsigned max)
{
    char id[32], detail[1200];
    memset(detail, 'x', sizeof(detail));
    for (unsigned i = 0; i < count && load->added < max; i++) {
        snprintf(id, sizeof(id), "%d-%u", worker, load->added);
        struct record record = {.event = EVENT_CLOSE, .id = id, .detail = {detail, load->added * 37 % sizeof(detail)}};
        cr_assert(journal_queue_add(load->queue, &record, NEED_KEEP, REASON_UNKNOWN, NULL));
        waiter_start(&load->waiters[load->added++], load->queue);
    }
}

static void load_attach(struct load loads[LOAD_QUEUES], struct child *child)
{
    for (int i = 0; i < LOAD_QUEUES; i++)
        journal_queue_attach(loads[i].queue, child_take(child, i));
}

/* Each record stands there once, those of one worker in their order. */
static void load_check(struct load loads[LOAD_QUEUES])
{
    unsigned next[LOAD_QUEUES] = {0};
    json_t *records = workers_records_read();
    for (size_t i = 0; i < json_array_size(records); i++) {
        int worker;
        unsigned number;
        cr_assert_eq(sscanf(member(records, i, "id"), "%d-%u", &worker, &number), 2);
        cr_assert_eq(number, next[worker], "worker %d: record %u stands where %u should", worker, number, next[worker]);
        next[worker]++;
    }
    json_decref(records);
    for (int i = 0; i < LOAD_QUEUES; i++) {
        cr_assert_eq(next[i], loads[i].added);
        for (unsigned number = 0; number < loads[i].added; number++)
            cr_assert_eq(loads[i].waiters[number].told, 1);
    }
}

Test(journal, killed_many_times_nothing_is_lost_or_doubled)
{
    enum { MAX = KILLS * 1000 };
    struct load loads[LOAD_QUEUES];
    struct child child = child_start(&(struct child_settings){0});
    srand(7);
    for (int i = 0; i < LOAD_QUEUES; i++)
        loads[i] = (struct load){.queue = queue_new(false, 0), .waiters = calloc(MAX, sizeof(struct waiter))};
    load_attach(loads, &child);
    for (int kills = 0; kills < KILLS; kills++) {
        cr_assert(loop_until(is_ready, loads[0].queue));
        for (int turn = rand() % 6; turn >= 0; turn--) {
            for (int i = 0; i < LOAD_QUEUES; i++)
                load_add(&loads[i], i, (unsigned)rand() % 300, MAX);
            loop_turn();
        }
        usleep((useconds_t)(rand() % 2500)); /* it is writing now: some die within a write, some between it and saying so */
        child_kill(&child);
        if (rand() % 2)
            loop_turn(); /* sometimes they see its end before the next one is there */
        child = child_start(&(struct child_settings){0});
        load_attach(loads, &child);
    }
    for (int i = 0; i < LOAD_QUEUES; i++) {
        cr_assert(loop_until(is_empty, loads[i].queue));
        loop_turn();
    }
    load_check(loads);
    for (int i = 0; i < LOAD_QUEUES; i++) {
        journal_queue_free(loads[i].queue);
        free(loads[i].waiters);
    }
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, what_a_dead_journal_had_written_is_not_written_again)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){0});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    for (uint64_t number = 1; number <= 3; number++) {
        record_send(child.workers[0], number, "same", frame.epoch, 0, NULL);
        frame_expect(child.workers[0], &(struct journal_frame){0}, FRAME_COMMITTED);
    }
    child_kill(&child);
    child = child_start(&(struct child_settings){0});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    for (uint64_t number = 2; number <= 4; number++) {
        struct journal_frame committed;
        record_send(child.workers[0], number, "same", frame.epoch, FRAME_FLAG_AGAIN, NULL);
        frame_expect(child.workers[0], &committed, FRAME_COMMITTED);
        cr_assert_eq(committed.first, number);
    }
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = workers_records_read();
    cr_assert_eq(json_array_size(records), 4);
    json_decref(records);
}

/* What was there before. */

static void file_write_bytes(const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void file_write(const char *bytes)
{
    file_write_bytes(bytes, strlen(bytes));
}

static void write_two(void)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){0});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    record_send(child.workers[0], 2, "b", frame.epoch, 0, NULL);
    cr_assert_eq(child_wait(&child), 0); /* what is in the socket when the worker ends is still written */
}

Test(journal, a_torn_last_line_is_cut_off)
{
    size_t len, torn_len;
    write_two();
    char *whole = file_read(path, &len);
    const char *second = strchr(whole, '\n') + 1;
    for (torn_len = 1; torn_len < strlen(second); torn_len += 97) {
        char *torn = strndup(whole, (size_t)(second - whole) + torn_len);
        file_write(torn);
        free(torn);
        write_two();
        json_t *records = workers_records_read();
        cr_assert_eq(json_array_size(records), 3);
        json_decref(records);
        cr_assert(log_has("cut off a torn last line"));
        unlink(log_path);
    }
    free(whole);
}

Test(journal, a_file_of_someone_else_is_left_alone)
{
    static const char *const foreign[] = {
        "root:x:0:0\n", "no newline", "{\"v\":1,\"seq\":x,\"time\":\"\",\"chain\":null}\n", "{\"v\":2,\"seq\":1}\n", "\n",
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        size_t len;
        file_write(foreign[i]);
        struct child child = child_start(&(struct child_settings){0});
        cr_assert_eq(child_wait(&child), 1, "%s", foreign[i]);
        char *bytes = file_read(path, &len);
        cr_assert_str_eq(bytes, foreign[i]);
        free(bytes);
    }
    struct child child = child_start(&(struct child_settings){.file = "/dev/null"});
    cr_assert_eq(child_wait(&child), 1);
}

/* The chain, and the head. */

static void write_one(const char *id, bool unchained)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){.unchained = unchained});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    record_send(child.workers[0], 1, id, frame.epoch, 0, NULL);
    cr_assert_eq(child_wait(&child), 0);
}

static struct journal_head head_read(void)
{
    struct journal_head head;
    struct stat status;
    int fd = open(head_path, O_RDONLY);
    cr_assert(fd >= 0 && fstat(fd, &status) == 0);
    cr_assert_eq(status.st_size, JOURNAL_HEAD_LEN);
    cr_assert_eq(status.st_mode & 07777, 0640);
    cr_assert(journal_head_read(&head, fd));
    close(fd);
    return head;
}

Test(journal, the_chain_goes_on_over_restarts_and_the_head_names_its_end)
{
    for (json_int_t count = 1; count <= 3; count++) {
        struct stat status;
        write_one("a", false);
        json_t *records = records_read();
        cr_assert_eq((json_int_t)json_array_size(records), 2 * count - 1, "each behind a `recovered`, since nothing stops in order");
        struct journal_head head = head_read();
        cr_assert_eq(stat(path, &status), 0);
        cr_assert_eq((json_int_t)head.seq, 2 * count - 1);
        cr_assert_str_eq(head.chain, member(records, 2 * (size_t)count - 2, "chain"));
        cr_assert_eq(head.inode, status.st_ino);
        cr_assert_eq((off_t)head.size, status.st_size);
        json_decref(records);
    }
}

Test(journal, a_file_that_is_gone_or_empty_goes_on_from_its_head)
{
    size_t len;
    struct chain *chain = chain_new();
    write_two();
    chain_set(chain, head_read().chain);
    for (json_int_t seq = 3; seq < 7; seq += 2) {
        cr_assert_eq(seq == 3 ? unlink(path) : truncate(path, 0), 0);
        write_one("c", false);
        char *text = file_read(path, &len);
        json_t *records = records_behind(text, len, seq, chain);
        cr_assert_eq(json_array_size(records), 2);
        cr_assert_str_eq(member(records, 0, "event"), "rotate");
        cr_assert_str_eq(member(records, 1, "id"), "c");
        json_decref(records);
        free(text);
    }
    chain_free(chain);
}

Test(journal, a_head_that_is_none_of_ours_is_not_believed)
{
    static const char *const heads[] = {
        "",
        "{}",
        "{\"seq\":7,\"chain\":\"AAAA\",\"inode\":1,\"size\":1}",
        "{\"seq\":07,\"chain\":null,\"inode\":1,\"size\":1}",
        "{\"seq\":99999999999999999999,\"chain\":null,\"inode\":1,\"size\":1}",
        "{\"seq\":7,\"chain\":null,\"inode\":1,\"size\":1",
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char line[JOURNAL_HEAD_LEN + 1];
        snprintf(line, sizeof(line), "%-191s\n", heads[i]);
        int fd = open(head_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        cr_assert_eq(write(fd, line, strlen(line)), JOURNAL_HEAD_LEN);
        close(fd);
        write_one("a", false);
        json_decref(records_read());
        unlink(path);
    }
}

static void head_write(const struct journal_head *head)
{
    int fd = open(head_path, O_WRONLY);
    cr_assert(journal_head_write(head, fd));
    close(fd);
}

/* Four records, of which `head` names the second; `whole` is the caller's. */
static char *write_four(struct journal_head *head, size_t *len)
{
    write_two();
    *head = head_read();
    write_two();
    return file_read(path, len);
}

/* As some file systems leave it where the power went before all of it was on the disk. */
static void file_write_with_blank(const char *bytes, size_t len, size_t at, size_t blank)
{
    char *copy = malloc(len);
    memcpy(copy, bytes, len);
    memset(copy + at, 0, blank < len - at ? blank : len - at);
    file_write_bytes(copy, len);
    free(copy);
}

Test(journal, blank_bytes_behind_what_the_head_names_are_cut_off_with_all_behind_them)
{
    struct journal_head head;
    size_t len;
    char *whole = write_four(&head, &len);
    for (size_t at = head.size; at < len; at += 71) {
        file_write_with_blank(whole, len, at, 1 + at % 200);
        head_write(&head);
        write_two();
        json_t *records = records_read();
        const char *told = "";
        for (size_t i = 2; i < json_array_size(records); i++) {
            if (strcmp(member(records, i, "event"), "recovered") == 0)
                told = member(records, i, "detail");
        }
        cr_assert_eq(strncmp(told, "cut off ", 8), 0, "blank from %zu on: %s", at, told);
        json_decref(records);
    }
    free(whole);
}

Test(journal, blank_bytes_that_the_head_vouches_for_are_not_cut_off)
{
    size_t len, after;
    write_two();
    char *whole = file_read(path, &len);
    file_write_with_blank(whole, len, 20, 100);
    free(whole);
    char *before = file_read(path, &len);
    write_one("c", false);
    char *now = file_read(path, &after);
    cr_assert_gt(after, len);
    cr_assert_eq(memcmp(now, before, len), 0, "who has spoilt it is seen by whoever verifies it");
    cr_assert(strstr(now + len, "\"seq\":3,"));
    free(before);
    free(now);
}

Test(journal, a_first_batch_that_is_blank_at_its_beginning_is_cut_off)
{
    struct journal_head head;
    size_t len;
    char *whole = write_four(&head, &len);
    head.inode++; /* it was of the file before */
    file_write_with_blank(whole, len, 0, 512);
    head_write(&head);
    write_one("c", false);
    cr_assert(log_has("it is new, and goes on behind seq 2"));
    cr_assert_eq(head_read().seq, 5); /* `rotate` and `recovered` come before */
    free(whole);
}

Test(journal, a_strangers_file_that_begins_with_blank_bytes_is_left_alone)
{
    static const char theirs[] = "\0\0\0\1\nsome\nwords\n";
    size_t len;
    file_write_bytes(theirs, sizeof(theirs) - 1);
    struct child child = child_start(&(struct child_settings){0});
    cr_assert_eq(child_wait(&child), 1);
    char *bytes = file_read(path, &len);
    cr_assert_eq(len, sizeof(theirs) - 1);
    cr_assert_eq(memcmp(bytes, theirs, len), 0);
    free(bytes);
}

Test(journal, without_its_head_a_file_is_still_written)
{
    cr_assert_eq(mkdir(head_path, 0700), 0);
    write_one("a", false);
    json_decref(records_read());
    cr_assert(log_has(".head cannot be written"));
    rmdir(head_path);
}

/* Who may put names beside the file must not have others' files written. */
Test(journal, a_head_that_is_a_link_is_not_followed)
{
    static const char bytes[] = "not ours\n";
    char other[112];
    size_t len;
    snprintf(other, sizeof(other), "%s/other", dir);
    int fd = open(other, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(fd);
    cr_assert_eq(symlink(other, head_path), 0);
    write_one("a", false);
    json_decref(records_read());
    cr_assert(log_has(".head cannot be written"));
    char *now = file_read(other, &len);
    cr_assert(len == strlen(bytes) && memcmp(now, bytes, len) == 0);
    free(now);
    unlink(other);
}

Test(journal, a_chain_can_be_left_and_begun)
{
    write_one("a", true);
    cr_assert_str_eq(head_read().chain, "");
    write_one("b", false);
    cr_assert(log_has("its records carry no chain; it begins with the next"));
    cr_assert_not(log_has("chain = no"));
    write_one("c", true);
    cr_assert(log_has("its records carry a chain; it ends here (chain = no)"));
    write_one("d", false);
    json_t *records = workers_records_read();
    cr_assert_eq(json_array_size(records), 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(strlen(member(records, i, "chain")), i % 2 ? CHAIN_LEN : 0);
    json_decref(records);
}

/* Power. */

static off_t file_size(void)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    return status.st_size;
}

Test(journal, what_is_told_is_on_the_disk)
{
    struct journal_frame frame;
    disk_new();
    struct child child = child_start(&(struct child_settings){.sync = true});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    cr_assert_eq(disk->directories, 1);
    for (uint64_t number = 1; number <= 20; number++) {
        record_send(child.workers[0], number, "a", frame.epoch, 0, NULL);
        frame_expect(child.workers[0], &(struct journal_frame){0}, FRAME_COMMITTED);
        cr_assert_eq(disk->synced, file_size());
        cr_assert_eq(disk->syncs, 2 * number);
        cr_assert_eq(disk->heads, disk->syncs, "the head comes last");
    }
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, without_sync_nothing_is_synced)
{
    disk_new();
    write_two();
    cr_assert_eq(disk->syncs + disk->directories, 0);
}

Test(journal, a_sync_that_fails_is_a_write_that_failed)
{
    struct journal_frame frame;
    disk_new();
    struct child child = child_start(&(struct child_settings){.sync = true});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    disk->fails = true;
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    frame_expect(child.workers[0], &frame, FRAME_DOWN);
    cr_assert_eq(frame.count, EIO);
    disk->fails = false;
    frame_expect(child.workers[0], &frame, FRAME_COMMITTED);
    cr_assert_eq(disk->synced, file_size());
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), 1);
    json_decref(records);
}

static void record_commit(const struct child *child, uint64_t number)
{
    record_send(child->workers[0], number, "a", 1, 0, NULL);
    frame_expect(child->workers[0], &(struct journal_frame){0}, FRAME_COMMITTED);
}

Test(journal, a_head_that_fails_beside_a_good_file_is_said_once_each_way)
{
    disk_new();
    struct child child = child_start(&(struct child_settings){.sync = true});
    frame_expect(child.workers[0], &(struct journal_frame){0}, FRAME_UP);
    record_commit(&child, 1);
    disk->head_fails = true;
    record_commit(&child, 2); /* with the next one it may be the file that fails, and then that is the line */
    disk->head_fails = false;
    record_commit(&child, 3);
    disk->head_fails = true;
    for (uint64_t number = 4; number < 8; number++)
        record_commit(&child, number);
    disk->head_fails = false;
    record_commit(&child, 8);
    record_commit(&child, 9);
    cr_assert_eq(child_wait(&child), 0);
    cr_assert_eq(log_count(".head cannot be written"), 1);
    cr_assert_eq(log_count(".head is written again"), 1);
}

Test(journal, a_disk_that_hangs_is_said_once_each_way)
{
    disk_new();
    struct child child = child_start(&(struct child_settings){.sync = true});
    frame_expect(child.workers[0], &(struct journal_frame){0}, FRAME_UP);
    disk->takes = (JOURNAL_STALL_MS + 500) * 1000 / 2; /* file and head */
    record_commit(&child, 1);
    disk->takes = 0;
    record_commit(&child, 2);
    cr_assert_eq(child_wait(&child), 0);
    cr_assert_eq(log_count("nothing could be written for 4 s"), 1);
    cr_assert_eq(log_count("writes again"), 1);
}

Test(journal, what_comes_during_a_sync_shares_the_next)
{
    enum { COUNT = 2000 };
    disk_new();
    struct child child = child_start(&(struct child_settings){.sync = true});
    struct journal_queue *queue = queue_new(false, 0);
    struct waiter last = {0};
    disk->takes = 2000;
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    for (int i = 0; i < COUNT; i++) {
        cr_assert(add_decision(queue, "a"));
        loop_turn(); /* a packet each */
    }
    waiter_start(&last, queue);
    cr_assert(loop_until(is_told, &last));
    cr_assert(last.committed);
    cr_assert_lt(disk->syncs, COUNT / 10);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

/* A disk that is nearly full. */

Test(journal, where_space_is_scarce_that_is_told_both_ways)
{
    struct journal_frame frame;
    disk_new();
    disk->size = 1000;
    disk->blocks = 99;
    struct child child = child_start(&(struct child_settings){.reserve = 100 * 4096});
    frame_expect(child.workers[0], &frame, FRAME_SPACE);
    cr_assert_eq(frame.count, 1);
    frame_expect(child.workers[0], &frame, FRAME_UP);
    disk->blocks = 103; /* not so much more that it would not be scarce again at once */
    usleep(1200000);
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    frame_expect(child.workers[0], &frame, FRAME_COMMITTED);
    disk->blocks = 200;
    frame_expect(child.workers[0], &frame, FRAME_SPACE);
    cr_assert_eq(frame.count, 0);
    cr_assert_eq(child_wait(&child), 0);
    cr_assert(log_has("denials are only counted"));
    cr_assert(log_has("there is space again"));
}

Test(journal, a_small_disk_keeps_a_tenth)
{
    struct journal_frame frame;
    disk_new();
    disk->size = 500;
    disk->blocks = 60;
    struct child child = child_start(&(struct child_settings){.reserve = 100 * 4096});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    disk->blocks = 49;
    usleep(1200000);
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    frame_expect(child.workers[0], &frame, FRAME_SPACE);
    cr_assert_eq(frame.count, 1);
    frame_expect(child.workers[0], &frame, FRAME_COMMITTED);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, who_writes_fast_looks_sooner_for_space)
{
    const char *detail = "a detail of about the same size as what a denial says, so that not too many of them are needed for the story";
    struct journal_frame frame;
    disk_new();
    disk->size = 1000;
    disk->blocks = 104; /* 16 KiB to spare: looked for again when 8 KiB were written, long before a second is over */
    struct child child = child_start(&(struct child_settings){.reserve = 100 * 4096});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    disk->blocks = 99;
    for (uint64_t number = 1; number <= 12; number++)
        record_send(child.workers[0], number, "a", frame.epoch, 0, detail);
    do
        cr_assert(frame_next(child.workers[0], &frame, WAIT_MS));
    while (frame.kind == FRAME_COMMITTED && frame.first < 12);
    cr_assert_eq(frame.kind, FRAME_SPACE);
    cr_assert_eq(child_wait(&child), 0);
}

/* Another file in its place. */

struct rotation {
    struct child child;
    int control;
    char old_path[112];
    uint64_t number;
};

static struct rotation rotation_signed(uint64_t records)
{
    int theirs;
    struct rotation rotation = {0};
    pair_open(&rotation.control, &theirs);
    rotation.child = child_start(&(struct child_settings){.control = theirs, .checkpoint_records = records});
    close(theirs);
    snprintf(rotation.old_path, sizeof(rotation.old_path), "%s.1", path);
    frame_expect(rotation.child.workers[0], &(struct journal_frame){0}, FRAME_UP);
    return rotation;
}

static struct rotation rotation_start(void)
{
    return rotation_signed(0);
}

static void rotation_record(struct rotation *rotation, const char *id)
{
    record_send(rotation->child.workers[0], ++rotation->number, id, 1, 0, NULL);
    frame_expect(rotation->child.workers[0], &(struct journal_frame){0}, FRAME_COMMITTED);
}

static void rotation_reopen(const struct rotation *rotation)
{
    cr_assert_eq(send(rotation->control, "r", 1, MSG_NOSIGNAL), 1);
}

/* Ends it, and gives the records of the old file, if there is one, and the new. */
static json_t *rotation_end(struct rotation *rotation)
{
    size_t old_len = 0, len;
    struct stat status;
    close(rotation->control);
    cr_assert_eq(child_wait(&rotation->child), 0);
    char *old = stat(rotation->old_path, &status) == 0 ? file_read(rotation->old_path, &old_len) : strdup("");
    char *new = file_read(path, &len);
    char *both = malloc(old_len + len + 1);
    memcpy(both, old, old_len);
    memcpy(both + old_len, new, len + 1);
    json_t *records = records_of(both, old_len + len, 1);
    cr_assert_eq(head_read().seq, json_array_size(records));
    cr_assert_eq(head_read().size, len);
    free(old);
    free(new);
    free(both);
    unlink(rotation->old_path);
    return records;
}

static void check_rotate(const json_t *records, size_t index, ino_t inode, unsigned seq)
{
    char detail[96];
    snprintf(detail, sizeof(detail), "continues inode %ju after seq %u", (uintmax_t)inode, seq);
    cr_assert_str_eq(member(records, index, "event"), "rotate");
    cr_assert_str_eq(member(records, index, "detail"), detail);
    cr_assert_str_eq(member(records, index, "instance"), "egress-a");
}

Test(journal, a_renamed_file_is_continued_by_a_new_one)
{
    struct stat old, new;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    cr_assert_eq(rename(path, rotation.old_path), 0);
    rotation_reopen(&rotation);
    while (stat(path, &new) != 0 || new.st_size == 0)
        usleep(1000);
    rotation_record(&rotation, "b");
    cr_assert_eq(stat(rotation.old_path, &old), 0);
    cr_assert_eq(new.st_mode & 07777, 0640);
    json_t *records = rotation_end(&rotation);
    cr_assert_eq(json_array_size(records), 3);
    check_rotate(records, 1, old.st_ino, 1);
    cr_assert_str_eq(member(records, 2, "id"), "b");
    json_decref(records);
}

Test(journal, a_file_that_was_not_renamed_gets_its_rotate_all_the_same)
{
    struct stat status;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    cr_assert_eq(stat(path, &status), 0);
    rotation_reopen(&rotation);
    json_t *records = rotation_end(&rotation);
    cr_assert_eq(json_array_size(records), 2);
    check_rotate(records, 1, status.st_ino, 1);
    json_decref(records);
}

Test(journal, a_deleted_file_is_begun_anew_and_that_is_said)
{
    size_t len;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    struct chain *chain = chain_new();
    chain_set(chain, head_read().chain);
    cr_assert_eq(unlink(path), 0);
    rotation_record(&rotation, "b");
    close(rotation.control);
    cr_assert_eq(child_wait(&rotation.child), 0);
    char *text = file_read(path, &len);
    json_t *records = records_behind(text, len, 2, chain);
    cr_assert_str_eq(member(records, 0, "event"), "rotate");
    cr_assert_str_eq(member(records, 1, "id"), "b");
    cr_assert(log_has("was deleted, with its records up to seq 1"));
    json_decref(records);
    chain_free(chain);
    free(text);
}

Test(journal, a_file_that_was_moved_without_a_word_is_noticed)
{
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    usleep(1100000); /* it looks once a second */
    cr_assert_eq(rename(path, rotation.old_path), 0);
    rotation_record(&rotation, "b");
    json_t *records = rotation_end(&rotation);
    cr_assert_str_eq(member(records, 1, "event"), "rotate");
    cr_assert_eq(json_array_size(records), 3);
    json_decref(records);
}

Test(journal, a_file_that_was_emptied_in_its_place_is_continued_and_that_is_said)
{
    size_t len;
    struct stat status;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    struct chain *chain = chain_new();
    chain_set(chain, head_read().chain);
    cr_assert_eq(truncate(path, 0), 0);
    rotation_record(&rotation, "b");
    close(rotation.control);
    cr_assert_eq(child_wait(&rotation.child), 0);
    char *text = file_read(path, &len);
    json_t *records = records_behind(text, len, 2, chain);
    cr_assert_eq(json_array_size(records), 2);
    cr_assert_eq(stat(path, &status), 0);
    check_rotate(records, 0, status.st_ino, 1);
    cr_assert(log_has("somebody else cut it"));
    json_decref(records);
    chain_free(chain);
    free(text);
}

Test(journal, a_strangers_file_with_the_inode_of_the_old_one_is_left_alone)
{
    static const char zeros[5000] = {0};
    char other_path[112];
    struct stat status;
    snprintf(other_path, sizeof(other_path), "%s/other", dir);
    write_two();
    struct journal_head head = head_read();
    int fd = open(other_path, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, zeros, sizeof(zeros)), (ssize_t)sizeof(zeros));
    cr_assert_eq(fstat(fd, &status), 0);
    close(fd);
    head.inode = status.st_ino;
    fd = open(head_path, O_WRONLY);
    cr_assert(journal_head_write(&head, fd));
    close(fd);
    unlink(path);
    write_one("c", false);
    cr_assert_eq(stat(other_path, &status), 0);
    cr_assert_eq(status.st_size, sizeof(zeros));
    cr_assert_eq(head_read().seq, 4);
    unlink(other_path);
}

Test(journal, where_no_new_file_can_be_had_the_old_one_goes_on)
{
    size_t len;
    char *mention;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    cr_assert_eq(rename(path, rotation.old_path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        rotation_reopen(&rotation);
        rotation_record(&rotation, "b");
    }
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(rename(rotation.old_path, path), 0);
    json_t *records = rotation_end(&rotation);
    cr_assert_eq(json_array_size(records), 3);
    cr_assert(log_has("a new one cannot be opened: Is a directory; the old one goes on"));
    char *log = file_read(log_path, &len);
    mention = strstr(log, "cannot be opened");
    cr_assert_null(strstr(mention + 1, "cannot be opened"), "said twice");
    free(log);
    json_decref(records);
}

Test(journal, a_deleted_file_that_cannot_be_had_again_is_a_failure)
{
    struct journal_frame frame;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    record_send(rotation.child.workers[0], 2, "b", 1, 0, NULL);
    frame_expect(rotation.child.workers[0], &frame, FRAME_DOWN);
    cr_assert_eq(rmdir(path), 0);
    frame_expect(rotation.child.workers[0], &frame, FRAME_COMMITTED);
    cr_assert_eq(frame.first, 2);
    close(rotation.control);
    cr_assert_eq(child_wait(&rotation.child), 0);
    cr_assert_eq(head_read().seq, 3);
}

Test(journal, what_could_not_be_written_goes_into_the_new_file)
{
    struct journal_frame frame;
    struct stat status;
    struct rotation rotation = rotation_start();
    rotation_record(&rotation, "a");
    cr_assert_eq(stat(path, &status), 0);
    limit_size(rotation.child.pid, (rlim_t)status.st_size);
    record_send(rotation.child.workers[0], 2, "b", 1, 0, "this does not fit any more");
    frame_expect(rotation.child.workers[0], &frame, FRAME_DOWN);
    rename(path, rotation.old_path);
    rotation_reopen(&rotation);
    while (stat(path, &status) != 0)
        usleep(1000);
    limit_size(rotation.child.pid, RLIM_INFINITY);
    frame_expect(rotation.child.workers[0], &frame, FRAME_COMMITTED);
    cr_assert_eq(frame.first, 2);
    json_t *records = rotation_end(&rotation);
    cr_assert_eq(json_array_size(records), 3);
    cr_assert_str_eq(member(records, 1, "event"), "rotate");
    cr_assert_str_eq(member(records, 2, "id"), "b");
    json_decref(records);
}

/* What did not end in order. */

#define ID_A "01K0000000000000000000000A"
#define ID_B "01K0000000000000000000000B"
#define ID_C "01K0000000000000000000000C"

/* A worker of a server of its own. */
struct worker {
    int fd;
    uint64_t number;
};

static void worker_send(struct worker *worker, const struct record *record)
{
    static uint8_t packet[JOURNAL_PACKET_MAX];
    const struct journal_frame frame = {.kind = FRAME_RECORDS, .count = 1, .first = ++worker->number, .epoch = 1};
    struct text text;
    text_init(&text, (char *)packet + sizeof(frame) + sizeof(uint32_t), RECORD_TEXT_MAX + 1);
    cr_assert(record_write(&text, record));
    const uint32_t len = (uint32_t)text.len;
    memcpy(packet, &frame, sizeof(frame));
    memcpy(packet + sizeof(frame), &len, sizeof(len));
    cr_assert_geq(send(worker->fd, packet, sizeof(frame) + sizeof(len) + len, MSG_NOSIGNAL), 0);
}

static void worker_write(struct worker *worker, enum record_event event, const char *id, const char *verdict)
{
    worker_send(worker, &(struct record){.time_us = 1, .instance = "egress-a", .event = event, .id = id, .verdict = verdict});
    frame_expect(worker->fd, &(struct journal_frame){0}, FRAME_COMMITTED);
}

static struct worker worker_of(const struct child *child, int worker)
{
    frame_expect(child->workers[worker], &(struct journal_frame){0}, FRAME_UP);
    return (struct worker){.fd = child->workers[worker]};
}

static void worker_decide(struct worker *worker, const char *id, const char *verdict)
{
    worker_write(worker, EVENT_DECISION, id, verdict);
}

static void check_events(const json_t *records, const char *expected)
{
    char events[1024];
    struct text text;
    text_init(&text, events, sizeof(events));
    for (size_t i = 0; i < json_array_size(records); i++)
        text_format(&text, "%s%s", i > 0 ? " " : "", member(records, i, "event"));
    cr_assert_str_eq(events, expected);
}

Test(journal, a_server_that_did_not_stop_is_told_before_the_next_starts)
{
    struct child child = child_start(&(struct child_settings){0});
    struct worker first = worker_of(&child, 0), second = worker_of(&child, 1);
    worker_write(&first, EVENT_START, NULL, NULL);
    worker_decide(&first, ID_A, "allow");
    worker_decide(&first, ID_B, "observe");
    worker_decide(&first, ID_C, "deny");
    worker_write(&first, EVENT_CLOSE, ID_A, NULL);
    worker_write(&second, EVENT_START, NULL, NULL);
    worker_write(&second, EVENT_STOP, NULL, NULL);
    worker_write(&second, EVENT_START, NULL, NULL); /* this one comes behind a stop */
    worker_write(&second, EVENT_START, NULL, NULL); /* and this one finds nobody open */
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    check_events(records, "start decision decision decision close recovered start stop start recovered start");
    cr_assert_str_eq(member(records, 5, "detail"), "left without close: " ID_B);
    cr_assert_str_eq(member(records, 9, "detail"), "left without close: none");
    json_decref(records);
}

Test(journal, a_journal_that_died_with_its_server_is_told_first)
{
    struct child child = child_start(&(struct child_settings){0});
    struct worker worker = worker_of(&child, 0);
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_decide(&worker, ID_A, "allow");
    child_kill(&child);
    int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert_eq(write(fd, "{\"v\":1,", 7), 7);
    close(fd);
    for (int i = 0; i < 2; i++) {
        child = child_start(&(struct child_settings){0});
        worker = worker_of(&child, 0);
        cr_assert_eq(child_wait(&child), 0);
    }
    json_t *records = records_read();
    check_events(records, "start decision recovered");
    cr_assert_str_eq(member(records, 2, "detail"), "cut off 7 bytes of a torn record; left without close: " ID_A);
    json_decref(records);
}

Test(journal, a_journal_that_died_alone_names_nobody_but_knows_them_all)
{
    struct child child = child_start(&(struct child_settings){0});
    struct worker worker = worker_of(&child, 0);
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_decide(&worker, ID_A, "allow");
    worker_decide(&worker, ID_B, "allow");
    child_kill(&child);
    child = child_start(&(struct child_settings){.served = true});
    worker = worker_of(&child, 0);
    worker_decide(&worker, ID_C, "allow");
    worker_write(&worker, EVENT_CLOSE, ID_A, NULL);
    worker_write(&worker, EVENT_CLOSE, ID_C, NULL);
    worker_write(&worker, EVENT_START, NULL, NULL); /* now the server has died, too */
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    check_events(records, "start decision decision recovered decision close close recovered start");
    cr_assert_str_eq(member(records, 3, "detail"), "the journal died, the server and its sessions go on");
    cr_assert_str_eq(member(records, 7, "detail"), "left without close: " ID_B);
    json_decref(records);
}

Test(journal, a_start_that_is_sent_again_is_no_other_server)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){0});
    struct worker worker = worker_of(&child, 0);
    worker_write(&worker, EVENT_START, NULL, NULL);
    child_kill(&child);
    child = child_start(&(struct child_settings){.served = true});
    worker = worker_of(&child, 0);
    static uint8_t packet[JOURNAL_PACKET_MAX];
    size_t len;
    char *text = file_read(path, &len);
    struct journal_line line;
    cr_assert(journal_line_read(&line, text, (size_t)(strchr(text, '\n') - text)));
    const uint32_t length = (uint32_t)line.len;
    frame = (struct journal_frame){.kind = FRAME_RECORDS, .count = 1, .first = 1, .epoch = 1, .flags = FRAME_FLAG_AGAIN};
    memcpy(packet, &frame, sizeof(frame));
    memcpy(packet + sizeof(frame), &length, sizeof(length));
    memcpy(packet + sizeof(frame) + sizeof(length), line.text, length);
    cr_assert_geq(send(worker.fd, packet, sizeof(frame) + sizeof(length) + length, MSG_NOSIGNAL), 0);
    frame_expect(worker.fd, &frame, FRAME_COMMITTED);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    check_events(records, "start recovered");
    json_decref(records);
    free(text);
}

Test(journal, the_ids_take_as_many_records_as_they_need)
{
    enum { OPEN = 3000 };
    char id[ULID_TEXT_MAX];
    struct child child = child_start(&(struct child_settings){0});
    struct worker worker = worker_of(&child, 0);
    for (int i = 0; i < OPEN; i++) {
        ulid_make(id, (uint64_t)i, 0);
        worker_decide(&worker, id, "allow");
        if (i % 3 == 0)
            worker_write(&worker, EVENT_CLOSE, id, NULL);
    }
    child_kill(&child);
    child = child_start(&(struct child_settings){0});
    worker_of(&child, 0);
    child_kill(&child);
    child = child_start(&(struct child_settings){0}); /* finds that all is told */
    worker_of(&child, 0);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    size_t named = 0, told = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        const char *detail = member(records, i, "detail"), *at = strstr(detail, "left without close:");
        if (!at)
            continue;
        told++;
        cr_assert_leq(strlen(detail), 1500);
        cr_assert_eq(strstr(detail, "; more follow") == NULL, i + 1 == json_array_size(records));
        for (at += strlen("left without close:"); at[0] == ' '; at += ULID_TEXT_MAX)
            named++;
    }
    cr_assert_eq(named, OPEN - OPEN / 3);
    cr_assert_gt(told, named / 50);
    json_decref(records);
}

Test(journal, records_that_were_cut_away_are_missed)
{
    struct child child = child_start(&(struct child_settings){0});
    struct worker worker = worker_of(&child, 0);
    size_t len;
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_decide(&worker, ID_A, "allow");
    worker_write(&worker, EVENT_CLOSE, ID_A, NULL);
    worker_write(&worker, EVENT_STOP, NULL, NULL);
    cr_assert_eq(child_wait(&child), 0);
    char *text = file_read(path, &len);
    cr_assert_eq(truncate(path, strchr(strchr(text, '\n') + 1, '\n') + 1 - text), 0);
    free(text);
    child = child_start(&(struct child_settings){0});
    worker_of(&child, 0);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    check_events(records, "start decision recovered");
    cr_assert_str_eq(member(records, 2, "detail"), "seq 3 to 4 are missing; left without close: " ID_A);
    json_decref(records);
}

Test(journal, sessions_are_looked_for_in_the_files_before)
{
    struct rotation rotation = rotation_start();
    struct worker worker = {.fd = rotation.child.workers[0]};
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_decide(&worker, ID_A, "allow");
    worker_decide(&worker, ID_B, "allow");
    cr_assert_eq(rename(path, rotation.old_path), 0);
    rotation_reopen(&rotation);
    while (access(path, F_OK) != 0)
        usleep(1000);
    worker_write(&worker, EVENT_CLOSE, ID_B, NULL);
    worker_decide(&worker, ID_C, "allow");
    close(rotation.control);
    child_kill(&rotation.child);
    int theirs;
    pair_open(&rotation.control, &theirs);
    rotation.child = child_start(&(struct child_settings){.control = theirs});
    close(theirs);
    json_t *records = rotation_end(&rotation);
    check_events(records, "start decision decision rotate close decision recovered");
    cr_assert(strstr(member(records, 6, "detail"), ID_A) && strstr(member(records, 6, "detail"), ID_C));
    cr_assert_eq(strlen(member(records, 6, "detail")), strlen("left without close: " ID_A " " ID_C));
    json_decref(records);
}

Test(journal, where_a_file_before_is_gone_that_is_said)
{
    struct rotation rotation = rotation_start();
    struct worker worker = {.fd = rotation.child.workers[0]};
    size_t len;
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_decide(&worker, ID_A, "allow");
    cr_assert_eq(rename(path, rotation.old_path), 0);
    rotation_reopen(&rotation);
    while (access(path, F_OK) != 0)
        usleep(1000);
    worker_decide(&worker, ID_C, "allow");
    cr_assert_eq(unlink(rotation.old_path), 0);
    close(rotation.control);
    child_kill(&rotation.child);
    struct child child = child_start(&(struct child_settings){0});
    worker_of(&child, 0);
    cr_assert_eq(child_wait(&child), 0);
    char *text = file_read(path, &len);
    cr_assert(strstr(text, "\"left without close: " ID_C "; older ones are not known\"") != NULL, "%s", text);
    free(text);
}

Test(journal, a_file_that_was_renamed_in_the_middle_of_a_batch_is_continued_where_it_ends)
{
    struct stat old;
    struct rotation rotation = rotation_start();
    struct worker worker = {.fd = rotation.child.workers[0]};
    worker_write(&worker, EVENT_START, NULL, NULL);
    const struct journal_head head = head_read();
    worker_decide(&worker, ID_A, "allow");
    close(rotation.control);
    child_kill(&rotation.child);
    cr_assert_eq(rename(path, rotation.old_path), 0);
    int fd = open(rotation.old_path, O_WRONLY | O_APPEND);
    cr_assert_eq(write(fd, "{\"v\":1,", 7), 7);
    close(fd);
    head_write(&head); /* as if it had died before it could renew that */
    cr_assert_eq(stat(rotation.old_path, &old), 0);
    disk_new();
    int theirs;
    pair_open(&rotation.control, &theirs);
    rotation.child = child_start(&(struct child_settings){.control = theirs, .sync = true});
    close(theirs);
    json_t *records = rotation_end(&rotation);
    check_events(records, "start decision rotate recovered");
    cr_assert_str_eq(member(records, 3, "detail"), "cut off 7 bytes of a torn record; left without close: " ID_A);
    cr_assert_eq(disk->first, old.st_ino, "what counts as written now must be on the disk, and its end may not be");
    json_decref(records);
}

Test(journal, a_worker_cannot_make_the_journals_own_records)
{
    static const enum record_event own[] = {EVENT_ROTATE, EVENT_RECOVERED, EVENT_CHECKPOINT};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        static uint8_t packet[JOURNAL_PACKET_MAX];
        const struct journal_frame frame = {.kind = FRAME_RECORDS, .count = 1, .first = 1, .epoch = 1};
        struct record record = {.time_us = 1, .event = own[i]};
        struct text text;
        text_init(&text, (char *)packet + sizeof(frame) + sizeof(uint32_t), RECORD_TEXT_MAX + 1);
        cr_assert(record_write(&text, &record));
        const uint32_t len = (uint32_t)text.len;
        memcpy(packet, &frame, sizeof(frame));
        memcpy(packet + sizeof(frame), &len, sizeof(len));
        struct child child = child_start(&(struct child_settings){0});
        worker_of(&child, 0);
        check_refused(&child, 0, packet, sizeof(frame) + sizeof(len) + len);
        cr_assert_eq(child_wait(&child), 0);
    }
    size_t len;
    free(file_read(path, &len));
    cr_assert_eq(len, 0);
}

Test(journal, a_second_process_on_the_file_is_refused)
{
    struct journal_frame frame;
    struct child first = child_start(&(struct child_settings){0});
    frame_expect(first.workers[0], &frame, FRAME_UP);
    struct child second = child_start(&(struct child_settings){0});
    cr_assert_eq(child_wait(&second), 1);
    cr_assert(log_has("another process writes it"));
    cr_assert_eq(child_wait(&first), 0);
}

Test(journal, signals_that_stop_a_service_do_not_end_it)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){0});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    kill(child.pid, SIGTERM);
    kill(child.pid, SIGINT);
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    frame_expect(child.workers[0], &frame, FRAME_COMMITTED);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, a_worker_that_ends_without_reading_is_still_heard)
{
    struct stat status;
    struct child child = child_start(&(struct child_settings){0});
    while (stat(path, &status) != 0)
        usleep(1000);
    usleep(20000);
    kill(child.pid, SIGSTOP);
    record_send(child.workers[0], 1, "a", 1, 0, NULL);
    close(child_take(&child, 0)); /* with the UP unread: ECONNRESET at the other end */
    kill(child.pid, SIGCONT);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), 1);
    json_decref(records);
}

Test(journal, further_workers_come_and_go)
{
    enum { GENERATIONS = 5, WORKERS = 40 };
    int control, theirs;
    struct journal_frame frame;
    uint64_t total = 0;
    pair_open(&control, &theirs);
    struct child child = child_start(&(struct child_settings){.control = theirs});
    close(theirs);
    for (int i = 0; i < WORKERS_MAX; i++)
        close(child_take(&child, i)); /* none is left, yet it lives on */
    for (int generation = 0; generation < GENERATIONS; generation++) {
        int workers[WORKERS];
        for (int i = 0; i < WORKERS; i++) {
            pair_open(&workers[i], &theirs);
            fd_send(control, theirs);
        }
        for (int i = 0; i < WORKERS; i++) {
            frame_expect(workers[i], &frame, FRAME_UP);
            record_send(workers[i], 1, "a", frame.epoch, 0, NULL);
            frame_expect(workers[i], &frame, FRAME_COMMITTED);
            total++;
        }
        for (int i = 0; i < WORKERS; i++)
            close(workers[i]);
    }
    close(control);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), total);
    json_decref(records);
}

/* Without room for more. */

static unsigned fill_until_down(struct journal_queue *queue)
{
    unsigned added = 0;
    while (journal_queue_is_ready(queue) && added < 10000) {
        char id[32];
        snprintf(id, sizeof(id), "%u", added);
        if (add_decision(queue, id))
            added++;
        if (added % 7 == 0)
            event_base_loop(base, EVLOOP_ONCE);
    }
    return added;
}

Test(journal, a_full_disk_refuses_and_comes_back)
{
    size_t len;
    struct child child = child_start(&(struct child_settings){.size_max = 20000});
    struct journal_queue *queue = queue_new(false, 0);
    struct waiter waiter = {0}, late = {0};
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    unsigned added = fill_until_down(queue);
    waiter_start(&waiter, queue);
    cr_assert(loop_until(is_told, &waiter));
    cr_assert_not(waiter.committed);
    char *text = file_read(path, &len);
    json_decref(records_of(text, len, 1)); /* whole lines only */
    free(text);

    cr_assert_not(add_decision(queue, "refused"));
    for (int i = 0; i < 12; i++)
        cr_assert_not(add_named(queue, "counted", NEED_REFUSAL, REASON_OVERLOAD));
    for (int i = 0; i < 40; i++)
        cr_assert_not(add_named(queue, "counted", NEED_REFUSAL, REASON_DEFAULT_DENY));
    cr_assert(add_named(queue, "kept", NEED_KEEP, REASON_UNKNOWN));
    waiter_start(&late, queue);
    loop_turn();
    cr_assert_eq(late.told, 0, "told before the journal is back");

    limit_size(child.pid, RLIM_INFINITY);
    cr_assert(loop_until(is_ready, queue));
    cr_assert(loop_until(is_empty, queue));
    cr_assert(loop_until(is_told, &late));
    cr_assert(late.committed);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), added + 2);
    cr_assert_str_eq(member(records, added, "id"), "kept");
    cr_assert_str_eq(member(records, added + 1, "event"), "gap");
    cr_assert_str_eq(member(records, added + 1, "detail"), "default_deny 40, overload 12");
    json_decref(records);
    cr_assert(log_has("cannot be written: File too large"));
    cr_assert(log_has("writes again"));
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, records_that_never_find_room_are_not_passed_over)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){.size_max = 500});
    frame_expect(child.workers[0], &frame, FRAME_UP);
    record_send(child.workers[0], 1, "a", frame.epoch, 0, NULL);
    frame_expect(child.workers[0], &frame, FRAME_DOWN);
    cr_assert_eq(frame.count, EFBIG);
    cr_assert_eq(child_wait(&child), 1);
    cr_assert(log_has("are lost"));
    size_t len;
    free(file_read(path, &len));
    cr_assert_eq(len, 0);
}

Test(journal, records_sent_before_an_up_was_heard_are_not_doubled)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){.size_max = 10});
    int fd = child.workers[0];
    frame_expect(fd, &frame, FRAME_UP);
    record_send(fd, 1, "a", frame.epoch, 0, NULL);
    frame_expect(fd, &(struct journal_frame){0}, FRAME_DOWN);
    limit_size(child.pid, RLIM_INFINITY);
    frame_expect(fd, &(struct journal_frame){0}, FRAME_COMMITTED);
    record_send(fd, 2, "b", frame.epoch, 0, NULL); /* crosses the UP */
    frame_expect(fd, &frame, FRAME_UP);
    record_send(fd, 2, "b", frame.epoch, FRAME_FLAG_AGAIN, NULL);
    frame_expect(fd, &frame, FRAME_COMMITTED);
    cr_assert_eq(frame.first, 2);
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), 2);
    json_decref(records);
}

static bool has_gap(void *unused)
{
    size_t len;
    char *text = file_read(path, &len);
    (void)unused;
    free(text);
    return len > 0;
}

Test(journal, continue_lets_out_and_counts)
{
    struct child child = child_start(&(struct child_settings){.size_max = 1000});
    struct journal_queue *queue = queue_new(true, 0);
    struct waiter waiter = {0};
    struct record record = {.event = EVENT_DECISION, .id = "gone"};
    bool committed_already = false;
    cr_assert(journal_queue_is_ready(queue));
    cr_assert(journal_queue_add(queue, &record, NEED_DECISION, REASON_RULE_ALLOW, &committed_already));
    cr_assert(committed_already);
    struct journal_queue *other = queue_new(false, 0); /* shows when the journal is up, then down */
    journal_queue_attach(queue, child_take(&child, 0));
    journal_queue_attach(other, child_take(&child, 1));
    cr_assert(loop_until(is_ready, other));
    cr_assert(loop_until(has_gap, NULL)); /* one record fits, a second does not */
    cr_assert(add_decision(queue, "in flight when it fails"));
    waiter_start(&waiter, queue);
    cr_assert(loop_until(is_told, &waiter));
    cr_assert(waiter.committed, "with on_failure = continue nothing is refused");
    cr_assert(loop_until(is_down, other));
    cr_assert(journal_queue_add(queue, &record, NEED_DECISION, REASON_RULE_ALLOW, &committed_already));
    cr_assert(committed_already);
    limit_size(child.pid, RLIM_INFINITY);
    cr_assert(loop_until(is_ready, other));
    cr_assert(loop_until(is_empty, queue));
    journal_queue_free(queue);
    journal_queue_free(other);
    cr_assert_eq(child_wait(&child), 0);
    size_t len;
    char *text = file_read(path, &len);
    cr_assert(strstr(text, "\"id\":\"in flight when it fails\"") != NULL);
    cr_assert(strstr(text, "\"event\":\"gap\"") != NULL);
    cr_assert(strstr(text, "\"detail\":\"rule_allow 1\"") != NULL, "%s", text);
    cr_assert(strstr(text, "\"id\":\"gone\"") == NULL);
    free(text);
}

/* Standard output. */

static size_t pipe_drain(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t got;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (len < size && poll(&ready, 1, 300) > 0 && (got = read(fd, out + len, size - len)) > 0)
        len += (size_t)got;
    return len;
}

Test(journal, a_stuck_standard_output_stalls_nobody_else)
{
    static char out[1 << 20];
    int ends[2];
    struct waiter waiter = {0};
    cr_assert_eq(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    struct child child = child_start(&(struct child_settings){.file = "-", .output = ends[1]});
    close(ends[1]);
    struct journal_queue *queue = queue_new(false, 0);
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    for (int i = 0; i < 100; i++)
        cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    for (int i = 0; i < 20; i++) {
        loop_turn();
        usleep(5000);
    }
    cr_assert_eq(waiter.told, 0, "told without a reader");
    size_t len = pipe_drain(ends[0], out, sizeof(out));
    cr_assert(loop_until(is_told, &waiter));
    cr_assert(waiter.committed);
    json_t *records = records_of(out, len, 1);
    cr_assert_eq(json_array_size(records), 100);
    json_decref(records);
    close(ends[0]);
    cr_assert(add_decision(queue, "b"));
    cr_assert(loop_until(is_down, queue));
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 1);
    cr_assert(log_has("cannot be written: Broken pipe"));
}

/* What its successor writes would go on in it. */
Test(journal, one_that_is_killed_while_it_waits_for_a_reader_leaves_no_half_line)
{
    static char out[1 << 20];
    int ends[2];
    struct journal_frame up;
    cr_assert_eq(pipe(ends), 0);
    struct child child = child_start(&(struct child_settings){.file = "-", .output = ends[1]});
    frame_expect(child.workers[0], &up, FRAME_UP);
    kill(child.pid, SIGSTOP);
    for (uint64_t number = 1; number <= 150; number++)
        record_send(child.workers[0], number, "a", up.epoch, 0, NULL);
    kill(child.pid, SIGCONT);
    for (int held = 0, before = -1; held != before || held == 0; usleep(100000)) {
        before = held;
        cr_assert_eq(ioctl(ends[0], FIONREAD, &held), 0);
    }
    child_kill(&child);
    close(ends[1]);
    const size_t len = pipe_drain(ends[0], out, sizeof(out));
    cr_assert(len > PIPE_BUF && out[len - 1] == '\n');
    json_decref(records_of(out, len, 1));
    close(ends[0]);
}

/* The queue alone, the test being the journal. */

static struct journal_queue *queue_with_peer(int *peer, size_t queue_max)
{
    int fd;
    struct journal_queue *queue = queue_new(false, queue_max);
    pair_open(&fd, peer);
    journal_queue_attach(queue, fd);
    frame_send(*peer, &(struct journal_frame){.kind = FRAME_UP, .epoch = 1});
    cr_assert(loop_until(is_ready, queue));
    return queue;
}

static unsigned packets_take(int peer, uint64_t *last, unsigned flags)
{
    struct journal_frame frame;
    unsigned packets = 0;
    while (frame_next(peer, &frame, 0)) {
        if (frame.kind != FRAME_RECORDS)
            continue;
        cr_assert_eq(frame.first, *last + 1);
        cr_assert_eq(frame.flags, flags);
        *last = frame.first + frame.count - 1;
        packets++;
    }
    return packets;
}

/* … what nobody waits for comes a little later. */
static unsigned packets_await(int peer, uint64_t *last, uint64_t until)
{
    unsigned packets = 0;
    for (int i = 0; i < 1000 && *last < until; i++) {
        const struct timeval tick = {.tv_usec = 1000};
        event_base_loopexit(base, &tick);
        event_base_dispatch(base);
        packets += packets_take(peer, last, 0);
    }
    cr_assert_eq(*last, until);
    return packets;
}

Test(journal, one_turn_is_one_packet)
{
    int peer;
    uint64_t last = 0;
    struct waiter waiter = {0};
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    for (int i = 0; i < 30; i++)
        cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    cr_assert_eq(packets_take(peer, &last, 0), 0, "sent before the turn's end");
    loop_turn();
    cr_assert_eq(packets_take(peer, &last, 0), 1);
    cr_assert_eq(last, 30);
    journal_wait_cancel(&waiter.wait);
    journal_queue_free(queue);
    close(peer);
}

Test(journal, what_nobody_waits_for_shares_a_packet_with_what_comes_next)
{
    int peer;
    uint64_t last = 0;
    struct waiter waiter = {0};
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    loop_turn();
    cr_assert_eq(packets_take(peer, &last, 0), 0, "it was sent alone");
    cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    loop_turn();
    cr_assert_eq(packets_take(peer, &last, 0), 1);
    cr_assert_eq(last, 2);
    cr_assert(add_named(queue, "d", NEED_REFUSAL, REASON_QUOTA));
    loop_turn();
    cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    cr_assert_eq(packets_await(peer, &last, 4), 1, "also when nothing is waited for");
    journal_wait_cancel(&waiter.wait);
    journal_queue_free(queue);
    close(peer);
}

Test(journal, what_nobody_waits_for_is_not_hurried_by_a_commit)
{
    int peer;
    uint64_t last = 0;
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    cr_assert(add_named(queue, "a", NEED_REFUSAL, REASON_QUOTA));
    packets_await(peer, &last, 1);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = 1});
    cr_assert(add_named(queue, "b", NEED_REFUSAL, REASON_QUOTA));
    loop_turn();
    cr_assert_eq(journal_queue_filed(queue), 1);
    cr_assert_eq(packets_take(peer, &last, 0), 0, "it was sent with the news of the commit");
    packets_await(peer, &last, 2);
    journal_queue_free(queue);
    close(peer);
}

/* A loop that has something to do in each of so many turns, in which it adds a decision, until the journal hears of any. */
struct busy {
    struct event *event;
    struct journal_queue *queue;
    struct waiter waiter;
    int peer;
    unsigned turns;
};

static void busy_turn(evutil_socket_t fd, short what, void *arg)
{
    struct busy *busy = arg;
    struct pollfd heard = {.fd = busy->peer, .events = POLLIN};
    (void)fd, (void)what;
    (void)add_decision(busy->queue, "b");
    if (--busy->turns > 0 && poll(&heard, 1, 0) == 0)
        event_active(busy->event, EV_TIMEOUT, 0);
}

/* Until it has nothing to do; what the journal has heard then. */
static unsigned busy_run(struct journal_queue *queue, int peer, unsigned turns, uint64_t *last)
{
    struct busy busy = {.queue = queue, .peer = peer, .turns = turns};
    busy.event = evtimer_new(base, busy_turn, &busy);
    cr_assert(add_decision(queue, "a"));
    waiter_start(&busy.waiter, queue);
    event_active(busy.event, EV_TIMEOUT, 0);
    loop_turn();
    event_free(busy.event);
    journal_wait_cancel(&busy.waiter.wait);
    return packets_take(peer, last, 0);
}

/* On a machine that is slow now and then it goes before, for its time is up. */
Test(journal, what_is_waited_for_goes_when_nothing_else_is_to_be_done)
{
    enum { TURNS = 5, TRIES = 100 };
    int peer;
    bool together = false;
    cr_assert_eq(event_base_priority_init(base, 3), 0);
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    uint64_t last = 0;
    for (int i = 0; i < TRIES && !together; i++) {
        const uint64_t before = last;
        together = busy_run(queue, peer, TURNS, &last) == 1 && last == before + 1 + TURNS;
    }
    cr_assert(together);
    journal_queue_free(queue);
    close(peer);
}

Test(journal, what_is_waited_for_goes_though_there_is_always_something_to_be_done)
{
    int peer;
    uint64_t last = 0;
    cr_assert_eq(event_base_priority_init(base, 3), 0);
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    cr_assert_geq(busy_run(queue, peer, UINT32_MAX, &last), 1);
    journal_queue_free(queue);
    close(peer);
}

Test(journal, uncommitted_records_are_sent_again_on_a_new_socket)
{
    int peer, fd, next_peer;
    uint64_t last = 0;
    struct waiter first = {0}, second = {0};
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    cr_assert(add_decision(queue, "a"));
    waiter_start(&first, queue);
    loop_turn();
    cr_assert(add_decision(queue, "b"));
    waiter_start(&second, queue);
    loop_turn();
    cr_assert_eq(packets_take(peer, &last, 0), 2);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = 1}); /* its last words: not read before it is dead */
    close(peer);
    pair_open(&fd, &next_peer);
    journal_queue_attach(queue, fd);
    cr_assert(loop_until(is_told, &second));
    cr_assert(first.told == 1 && first.committed);
    cr_assert(second.told == 1 && !second.committed);
    cr_assert_not(add_decision(queue, "while down"));
    cr_assert_eq(packets_take(next_peer, &last, 0), 0, "sent before it was up");
    frame_send(next_peer, &(struct journal_frame){.kind = FRAME_UP, .epoch = 1});
    cr_assert(loop_until(is_ready, queue));
    loop_turn();
    last = 1;
    cr_assert_eq(packets_take(next_peer, &last, FRAME_FLAG_AGAIN), 1);
    cr_assert_eq(last, 2);
    journal_queue_free(queue);
    close(next_peer);
}

Test(journal, an_end_with_packets_unread_comes_behind_the_last_words)
{
    int peer;
    struct waiter first = {0}, second = {0};
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    cr_assert(add_decision(queue, "a"));
    waiter_start(&first, queue);
    cr_assert(add_decision(queue, "b"));
    waiter_start(&second, queue);
    loop_turn();
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = 1});
    close(peer); /* read as ECONNRESET, then the frame, then the end */
    cr_assert(loop_until(is_told, &second));
    cr_assert(first.told == 1 && first.committed);
    cr_assert(second.told == 1 && !second.committed);
    cr_assert_not(journal_queue_is_ready(queue));
    journal_queue_free(queue);
}

Test(journal, a_queue_that_is_full_refuses_decisions_and_keeps_closes)
{
    enum { MAX = 100000 };
    int peer;
    uint64_t last = 0;
    unsigned taken = 0, kept = 20;
    struct journal_queue *queue = queue_with_peer(&peer, MAX);
    while (add_decision(queue, "a") && taken < MAX) {
        taken++;
        loop_turn();
    }
    cr_assert_lt(taken, MAX / 300, "more was taken than may wait");
    cr_assert_not(journal_queue_is_ready(queue));
    cr_assert_not(add_named(queue, "d", NEED_REFUSAL, REASON_QUOTA));
    for (unsigned i = 0; i < kept; i++)
        cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    packets_await(peer, &last, taken + kept);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = last});
    cr_assert(loop_until(is_ready, queue));
    packets_await(peer, &last, taken + kept + 1); /* the gap is written once there is room */
    journal_queue_free(queue);
    close(peer);
}

Test(journal, where_space_is_scarce_denials_are_counted)
{
    int peer;
    uint64_t last = 0;
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_SPACE, .count = 1});
    loop_turn();
    for (int i = 0; i < 3; i++)
        cr_assert_not(add_named(queue, "d", NEED_REFUSAL, REASON_DEFAULT_DENY));
    cr_assert(journal_queue_is_ready(queue));
    cr_assert(add_decision(queue, "a"));
    cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    packets_await(peer, &last, 2);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = last});
    loop_turn();
    cr_assert(add_named(queue, "c", NEED_KEEP, REASON_UNKNOWN));
    packets_await(peer, &last, 3); /* no gap while space is scarce */
    frame_send(peer, &(struct journal_frame){.kind = FRAME_SPACE, .count = 0});
    packets_await(peer, &last, 4); /* then one */
    cr_assert(add_named(queue, "d", NEED_REFUSAL, REASON_DEFAULT_DENY));
    journal_queue_free(queue);
    close(peer);
}

Test(journal, a_journal_that_does_not_read_blocks_nobody)
{
    int peer;
    uint64_t last = 0;
    enum { COUNT = 3000 }; /* far more than a socket holds */
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert(add_decision(queue, "a"));
        if (i % 10 == 0)
            loop_turn();
    }
    loop_turn();
    packets_take(peer, &last, 0);
    cr_assert_lt(last, COUNT);
    for (int i = 0; i < 1000 && last < COUNT; i++) {
        loop_turn();
        packets_take(peer, &last, 0);
    }
    cr_assert_eq(last, COUNT);
    journal_queue_free(queue);
    close(peer);
}

Test(journal, log_lines_are_dropped_rather_than_waited_for)
{
    int peer;
    char line[] = "exeat: something happened\n";
    unsigned sent = 100000, seen = 0;
    struct journal_frame frame;
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    for (unsigned i = 0; i < sent; i++)
        journal_queue_log(queue, line, strlen(line));
    while (frame_next(peer, &frame, 0))
        seen += frame.kind == FRAME_LOG;
    cr_assert(seen > 0 && seen < sent);
    journal_queue_log(queue, line, strlen(line));
    cr_assert(frame_next(peer, &frame, 0) && frame_next(peer, &frame, 0), "the count, then the line");
    journal_queue_free(queue);
    close(peer);
}

Test(journal, log_lines_reach_standard_error)
{
    struct child child = child_start(&(struct child_settings){0});
    struct journal_queue *queue = queue_new(false, 0);
    journal_queue_log(queue, "exeat: lost\n", 12); /* nobody there yet */
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    journal_queue_log(queue, "exeat: one\x1b[2J\ntwo\n", 19);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
    cr_assert(log_has("1 log lines were dropped\n"));
    cr_assert(log_has("exeat: one?[2J?two\n"));
    cr_assert_not(log_has("lost"));
}

Test(journal, probes_are_counted_by_source)
{
    struct child child = child_start(&(struct child_settings){0});
    struct journal_queue *queue = queue_new(false, 0);
    struct address ip = {.family = FAMILY_V4};
    const struct address nobody = {0};
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    for (unsigned source = 0; source < 1030; source++) {
        ip.bytes[2] = (uint8_t)(source >> 8);
        ip.bytes[3] = (uint8_t)source;
        journal_queue_probe(queue, "explicit", "connect", &ip, &nobody);
    }
    memset(ip.bytes, 0, sizeof(ip.bytes));
    for (int i = 0; i < 11; i++)
        journal_queue_probe(queue, "explicit", "connect", &ip, &nobody);
    journal_queue_flush(queue);
    journal_queue_flush(queue); /* nothing more to say */
    cr_assert(loop_until(is_empty, queue));
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), 1025);
    cr_assert_str_eq(member(records, 0, "event"), "probe");
    cr_assert_str_eq(member(records, 0, "listener"), "explicit");
    cr_assert_str_eq(member(records, 0, "client_ip"), "0.0.0.0");
    cr_assert_str_eq(member(records, 0, "detail"), "12 connections without a byte");
    cr_assert_str_eq(member(records, 1, "detail"), "1 connection without a byte");
    cr_assert(json_is_null(json_object_get(json_array_get(records, 1024), "client_ip")));
    cr_assert_str_eq(member(records, 1024, "detail"), "6 connections without a byte");
    json_decref(records);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

Test(journal, a_source_of_probes_is_door_mode_client_and_balancer)
{
    static const char *const doors[] = {"explicit", "other"}, *const modes[] = {"connect", "tproxy"}, *const texts[] = {"10.0.0.0", "11.0.0.0"};
    const struct address ips[] = {{.family = FAMILY_V4, .bytes = {10}}, {.family = FAMILY_V4, .bytes = {11}}};
    struct child child = child_start(&(struct child_settings){0});
    struct journal_queue *queue = queue_new(false, 0);
    journal_queue_attach(queue, child_take(&child, 0));
    cr_assert(loop_until(is_ready, queue));
    for (unsigned i = 0; i < 32; i++) /* each of sixteen twice */
        journal_queue_probe(queue, doors[i & 1], modes[i >> 1 & 1], &ips[i >> 2 & 1], &ips[i >> 3 & 1]);
    journal_queue_flush(queue);
    cr_assert(loop_until(is_empty, queue));
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), 16);
    for (size_t i = 0; i < 16; i++) {
        cr_expect_str_eq(member(records, i, "detail"), "2 connections without a byte");
        cr_expect_str_eq(member(records, i, "listener"), doors[i & 1]);
        cr_expect_str_eq(member(records, i, "mode"), modes[i >> 1 & 1]);
        cr_expect_str_eq(member(records, i, "client_ip"), texts[i >> 2 & 1]);
        cr_expect_str_eq(member(records, i, "peer_ip"), texts[i >> 3 & 1]);
    }
    json_decref(records);
    journal_queue_free(queue);
    cr_assert_eq(child_wait(&child), 0);
}

/* Checkpoints; that each is rightly signed is seen whenever records are read. */

/* Such a server's records, each committed before the next. */
static void write_decisions(const struct child_settings *settings, unsigned count)
{
    struct child child = child_start(settings);
    struct worker worker = worker_of(&child, 0);
    while (worker.number < count)
        worker_decide(&worker, ID_A, "deny");
    cr_assert_eq(child_wait(&child), 0);
}

static void check_file(const char *events)
{
    json_t *records = records_read();
    check_events(records, events);
    json_decref(records);
}

static void wait_for_lines(size_t count)
{
    const uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    for (size_t lines = 0, len; lines < count; usleep(1000)) {
        char *text = file_read(path, &len);
        lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')); at++)
            lines++;
        free(text);
        cr_assert_lt(clock_monotonic_ms(), deadline, "there are %zu lines of %zu", lines, count);
    }
}

Test(journal, so_many_records_are_signed_and_what_is_left_at_the_end)
{
    write_decisions(&(struct child_settings){.checkpoint_records = 3}, 7);
    check_file("decision decision decision checkpoint decision decision decision checkpoint decision checkpoint");
}

Test(journal, within_a_batch_too)
{
    struct child child = child_start(&(struct child_settings){.checkpoint_records = 3});
    struct worker worker = worker_of(&child, 0);
    kill(child.pid, SIGSTOP);
    for (unsigned i = 1; i <= 6; i++)
        record_send(worker.fd, i, ID_A, 1, 0, NULL);
    kill(child.pid, SIGCONT);
    cr_assert_eq(child_wait(&child), 0);
    check_file("decision decision decision checkpoint decision decision decision checkpoint");
}

Test(journal, nothing_is_signed_twice)
{
    struct child child = child_start(&(struct child_settings){.checkpoint_records = 5});
    struct worker worker = worker_of(&child, 0);
    worker_write(&worker, EVENT_START, NULL, NULL);
    worker_write(&worker, EVENT_STOP, NULL, NULL);
    cr_assert_eq(child_wait(&child), 0);
    for (int i = 0; i < 2; i++)
        write_decisions(&(struct child_settings){.checkpoint_records = 5, .checkpoint_ms = 1}, 0);
    check_file("start stop checkpoint"); /* and that was an orderly end */
}

/* Until so many decisions are there and the last word is a checkpoint's, whatever else was signed before. */
static void wait_for_signed(size_t decisions)
{
    const uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    for (size_t found = 0, is_signed = 0; found < decisions || !is_signed; usleep(1000)) {
        size_t len;
        char *text = file_read(path, &len);
        found = is_signed = 0;
        for (const char *at = text, *newline; (newline = strchr(at, '\n')); at = newline + 1) {
            is_signed = checkpoint_is(at, (size_t)(newline - at));
            found += !is_signed;
        }
        free(text);
        cr_assert_lt(clock_monotonic_ms(), deadline, "there are %zu decisions of %zu", found, decisions);
    }
}

Test(journal, what_is_unsigned_for_long_is_signed)
{
    struct child child = child_start(&(struct child_settings){.checkpoint_records = 100, .checkpoint_ms = 50});
    struct worker worker = worker_of(&child, 0);
    worker_decide(&worker, ID_A, "deny");
    worker_decide(&worker, ID_A, "deny");
    wait_for_signed(2);
    worker_decide(&worker, ID_A, "deny");
    wait_for_signed(3);
    child_kill(&child);
    json_t *records = records_read();
    cr_assert_str_eq(member(records, json_array_size(records) - 1, "event"), "checkpoint");
    json_decref(records);
}

Test(journal, what_a_killed_journal_left_unsigned_is_counted)
{
    struct child child = child_start(&(struct child_settings){.checkpoint_records = 3});
    struct worker worker = worker_of(&child, 0);
    worker_decide(&worker, ID_A, "deny");
    worker_decide(&worker, ID_A, "deny");
    child_kill(&child);
    write_decisions(&(struct child_settings){.checkpoint_records = 3}, 1);
    check_file("decision decision recovered checkpoint decision checkpoint");
}

Test(journal, what_was_never_signed_is_signed_first)
{
    write_decisions(&(struct child_settings){0}, 5);
    write_decisions(&(struct child_settings){.checkpoint_records = 2}, 2);
    check_file("decision decision decision decision decision checkpoint recovered decision checkpoint decision checkpoint");
}

Test(journal, a_key_signs_no_records_without_a_chain)
{
    write_decisions(&(struct child_settings){.checkpoint_records = 1, .unchained = true}, 2);
    check_file("decision decision");
}

static void check_rotation(struct rotation *rotation, const char *events)
{
    json_t *records = rotation_end(rotation);
    check_events(records, events);
    json_decref(records);
}

static void wait_for_file(void)
{
    struct stat status;
    while (stat(path, &status) != 0 || status.st_size == 0)
        usleep(1000);
}

Test(journal, a_file_that_is_rotated_away_ends_in_a_checkpoint)
{
    struct rotation rotation = rotation_signed(100);
    rotation_record(&rotation, "a");
    rename(path, rotation.old_path);
    rotation_reopen(&rotation);
    wait_for_file();
    rotation_record(&rotation, "b");
    check_rotation(&rotation, "decision checkpoint rotate decision checkpoint");
}

/* The last look before a write is not the last moment. */
Test(journal, one_that_is_deleted_while_its_lines_are_made_is_begun_anew_at_once)
{
    size_t len;
    disk_new();
    struct rotation rotation = rotation_signed(1);
    rotation_record(&rotation, "a");
    struct chain *chain = chain_new();
    chain_set(chain, head_read().chain);
    disk->loses_file = true;
    rotation_record(&rotation, "b"); /* without a FRAME_DOWN before it */
    cr_assert_not(disk->loses_file);
    close(rotation.control);
    cr_assert_eq(child_wait(&rotation.child), 0);
    char *text = file_read(path, &len);
    json_t *records = records_behind(text, len, 3, chain);
    check_events(records, "rotate checkpoint decision checkpoint");
    cr_assert_str_eq(member(records, 2, "id"), "b");
    cr_assert(log_has("was deleted, with its records up to seq 2"));
    cr_assert_not(log_has("cannot be written"));
    json_decref(records);
    chain_free(chain);
    free(text);
}

Test(journal, a_file_that_is_signed_already_does_not_end_in_another)
{
    struct rotation rotation = rotation_signed(1);
    rotation_record(&rotation, "a");
    rename(path, rotation.old_path);
    rotation_reopen(&rotation);
    wait_for_file();
    check_rotation(&rotation, "decision checkpoint rotate checkpoint");
}

Test(journal, a_file_that_goes_on_is_not_rotated_away)
{
    struct rotation rotation = rotation_signed(100);
    rotation_record(&rotation, "a");
    rotation_reopen(&rotation);
    wait_for_lines(2);
    check_rotation(&rotation, "decision rotate checkpoint");
}

Test(journal, a_full_disk_keeps_no_file_from_being_rotated_away)
{
    struct stat status;
    struct rotation rotation = rotation_signed(100);
    rotation_record(&rotation, "a");
    cr_assert_eq(stat(path, &status), 0);
    limit_size(rotation.child.pid, (rlim_t)status.st_size + 400); /* room enough for a `rotate` in the new one */
    rename(path, rotation.old_path);
    rotation_reopen(&rotation);
    wait_for_file();
    limit_size(rotation.child.pid, RLIM_INFINITY);
    rotation_record(&rotation, "b");
    check_rotation(&rotation, "decision rotate decision checkpoint");
}

Test(journal, a_deleted_file_cannot_be_signed_but_what_follows_can)
{
    struct rotation rotation = rotation_signed(2);
    rotation_record(&rotation, "a");
    unlink(path);
    rotation_reopen(&rotation);
    wait_for_file();
    rotation_record(&rotation, "b");
    close(rotation.control);
    cr_assert_eq(child_wait(&rotation.child), 0);
    size_t len;
    char *text = file_read(path, &len);
    static const char *const events[] = {"rotate", "checkpoint", "decision", "checkpoint"};
    const char *at = text;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++, at = strchr(at, '\n') + 1) {
        char event[32];
        cr_assert_eq(sscanf(strstr(at, "\"event\":\""), "\"event\":\"%31[a-z]", event), 1);
        cr_assert_str_eq(event, events[i]);
    }
    free(text);
}

Test(journal, a_batch_that_is_written_again_is_signed_anew)
{
    struct journal_frame frame;
    struct child child = child_start(&(struct child_settings){.size_max = 1500, .checkpoint_records = 2});
    struct worker worker = worker_of(&child, 0);
    worker_decide(&worker, ID_A, "deny");
    record_send(worker.fd, 2, ID_B, 1, 0, NULL); /* there is room for it, but not for the checkpoint behind it */
    frame_expect(worker.fd, &frame, FRAME_DOWN);
    limit_size(child.pid, RLIM_INFINITY);
    frame_expect(worker.fd, &frame, FRAME_COMMITTED);
    cr_assert_eq(child_wait(&child), 0);
    check_file("decision decision checkpoint");
}

/* A part of it is out already, with a time and a signature that must not change any more. */
Test(journal, a_batch_that_a_stream_has_taken_a_part_of_is_not_signed_anew)
{
    struct journal_frame frame;
    int output = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct child child = child_start(&(struct child_settings){.file = "-", .output = output, .size_max = 2000, .checkpoint_records = 2});
    struct worker worker = worker_of(&child, 0);
    close(output);
    worker_decide(&worker, ID_A, "deny");
    record_send(worker.fd, 2, ID_B, 1, 0, NULL);
    frame_expect(worker.fd, &frame, FRAME_DOWN);
    limit_size(child.pid, RLIM_INFINITY);
    frame_expect(worker.fd, &frame, FRAME_COMMITTED);
    cr_assert_eq(child_wait(&child), 0);
    check_file("decision decision checkpoint");
}

Test(journal, where_signing_fails_records_go_on_and_that_is_said_once)
{
    disk_new();
    disk->cannot_sign = true;
    struct child child = child_start(&(struct child_settings){.checkpoint_records = 2, .checkpoint_ms = 1});
    struct worker worker = worker_of(&child, 0);
    for (int i = 0; i < 5; i++)
        worker_decide(&worker, ID_A, "deny");
    disk->cannot_sign = false;
    wait_for_lines(6);
    worker_decide(&worker, ID_A, "deny");
    cr_assert_eq(child_wait(&child), 0);
    check_file("decision decision decision decision decision checkpoint decision checkpoint");
    size_t len;
    char *log = file_read(log_path, &len), *said = strstr(log, "OpenSSL cannot sign");
    cr_assert(said && !strstr(said + 1, "OpenSSL cannot sign"), "%s", log);
    cr_assert(strstr(said, "OpenSSL signs again"));
    cr_assert(strstr(log, "checkpoints are signed by key " RFC_KEY_ID));
    free(log);
}

/* The writer alone, the test being a worker that lies. */

/* A packet with one record of these bytes, whose lengths may be lies. */
static size_t packet_make(uint8_t *packet, uint32_t count, uint32_t announced, const char *bytes)
{
    const struct journal_frame frame = {.kind = FRAME_RECORDS, .count = count, .first = 1, .epoch = 1};
    memcpy(packet, &frame, sizeof(frame));
    memcpy(packet + sizeof(frame), &announced, sizeof(announced));
    memcpy(packet + sizeof(frame) + sizeof(announced), bytes, strlen(bytes));
    return sizeof(frame) + sizeof(announced) + strlen(bytes);
}

Test(journal, a_worker_cannot_write_lines_of_its_own)
{
    static uint8_t packet[JOURNAL_PACKET_MAX + 1];
    static const struct {
        uint32_t count, len;
        const char *bytes;
    } lies[] = {
        {1, 30, "\"time\":\"x\"}\n{\"v\":1,\"seq\":1,\"y\""},
        {1, 7, "\"seq\":1"},
        {1, 0, ""},
        {1, 9, "\"time\":\""},
        {1, UINT32_MAX, "\"time\":\"x\""},
        {2, 10, "\"time\":\"x\""},
        {UINT32_MAX, 10, "\"time\":\"x\""},
        {0, 10, "\"time\":\"x\""},
        {1, 9, "\"time\":\"x\" and more"},
    };
    struct journal_frame frame;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct child child = child_start(&(struct child_settings){0});
        frame_expect(child.workers[0], &frame, FRAME_UP);
        frame_expect(child.workers[1], &frame, FRAME_UP);
        check_refused(&child, 0, packet, packet_make(packet, lies[i].count, lies[i].len, lies[i].bytes));
        record_send(child.workers[1], 1, "honest", frame.epoch, 0, NULL); /* the others go on */
        frame_expect(child.workers[1], &frame, FRAME_COMMITTED);
        cr_assert_eq(child_wait(&child), 0);
    }
    struct child child = child_start(&(struct child_settings){0});
    for (int i = 0; i < WORKERS_MAX; i++)
        frame_expect(child.workers[i], &frame, FRAME_UP);
    check_refused(&child, 0, packet, 5);
    check_refused(&child, 1, packet, sizeof(packet));
    check_refused(&child, 2, &(struct journal_frame){.kind = FRAME_UP}, sizeof(struct journal_frame));
    cr_assert_eq(child_wait(&child), 0);
    json_t *records = workers_records_read();
    cr_assert_eq(json_array_size(records), sizeof(lies) / sizeof(lies[0]));
    json_decref(records);
}

/* Whoever reads a line by its last key of a name, or takes its time on trust, must read the same as we do. */
Test(journal, a_worker_cannot_write_what_is_no_record)
{
    static const char event[] = ",\"event\":\"decision\"", detail[] = ",\"detail\":null", time[] = "\"1970-01-01T00:00:00.000001Z\"";
    static const struct {
        const char *old, *new;
    } lies[] = {
        {event, ",\"event\":\"decision\",\"event\":\"checkpoint\""},
        {event, ",\"event\":\"close\\u0000\""},
        {event, ""},
        {time, "\"1970-01-01T00:00:00Z host sshd 1 - - Accepted\""},
        {detail, ",\"detail\":\"\",\"event\":\"rotate\""},
        {detail, ",\"detail\":null}"},
        {detail, ",\"detail\":null,\"chain\":null"},
        {detail, ",\"detail\":{}"},
    };
    const struct record record = {.time_us = 1, .event = EVENT_DECISION};
    static uint8_t packet[JOURNAL_PACKET_MAX];
    char honest[RECORD_TEXT_MAX + 1], lie[RECORD_TEXT_MAX + 1];
    struct text text;
    text_init(&text, honest, sizeof(honest));
    cr_assert(record_write(&text, &record));
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        const char *at = strstr(honest, lies[i].old);
        cr_assert(at);
        snprintf(lie, sizeof(lie), "%.*s%s%s", (int)(at - honest), honest, lies[i].new, at + strlen(lies[i].old));
        struct child child = child_start(&(struct child_settings){0});
        worker_of(&child, 0);
        check_refused(&child, 0, packet, packet_make(packet, 1, (uint32_t)strlen(lie), lie));
        cr_assert_eq(child_wait(&child), 0);
    }
    size_t len;
    free(file_read(path, &len));
    cr_assert_eq(len, 0);
}

/* As many records as a packet can hold, of the least that is taken; as often as the socket takes it. Returns how many. */
static size_t send_shortest(int fd, uint32_t epoch)
{
    static uint8_t packet[JOURNAL_PACKET_MAX];
    static char shortest[RECORD_TEXT_MAX + 1];
    struct text text;
    text_init(&text, shortest, sizeof(shortest));
    cr_assert(record_write(&text, &(struct record){.event = EVENT_GAP}));
    const uint32_t len = (uint32_t)text.len, each = sizeof(len) + len;
    struct journal_frame frame = {.kind = FRAME_RECORDS, .count = (JOURNAL_PACKET_MAX - sizeof(frame)) / each, .first = 1, .epoch = epoch};
    for (uint32_t i = 0; i < frame.count; i++) {
        memcpy(packet + sizeof(frame) + i * each, &len, sizeof(len));
        memcpy(packet + sizeof(frame) + i * each + sizeof(len), shortest, len);
    }
    do
        memcpy(packet, &frame, sizeof(frame));
    while (send(fd, packet, sizeof(frame) + frame.count * each, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 && (frame.first += frame.count));
    return frame.first - 1;
}

/* The largest batch that there can be: the process finds more packets than one takes. */
static void check_shortest(uint64_t checkpoint_records, size_t lines)
{
    struct journal_frame up;
    size_t sent = 0;
    struct child child = child_start(&(struct child_settings){.checkpoint_records = checkpoint_records});
    for (int i = 0; i < WORKERS_MAX; i++)
        frame_expect(child.workers[i], &up, FRAME_UP);
    kill(child.pid, SIGSTOP);
    for (int i = 0; i < WORKERS_MAX; i++)
        sent += send_shortest(child.workers[i], up.epoch);
    kill(child.pid, SIGCONT);
    cr_assert_eq(child_wait(&child), 0);
    cr_assert_gt(sent * RECORD_TEXT_MIN, JOURNAL_BATCH_FULL);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), lines * sent);
    json_decref(records);
    unlink(path);
    unlink(head_path);
}

Test(journal, packets_of_the_shortest_records_outgrow_no_batch)
{
    check_shortest(0, 1);
    check_shortest(1, 2);
}

/* Several generations of the server at once, each with a worker of its own. */

struct generation {
    uint32_t number; /* 0: it is not there */
    struct worker worker;
    unsigned decided, closed; /* sessions */
};

struct journal {
    struct child child;
    int control;
};

static struct journal journal_start(struct child_settings settings)
{
    struct journal journal;
    int theirs;
    pair_open(&journal.control, &theirs);
    settings.control = theirs;
    journal.child = child_start(&settings);
    close(theirs);
    for (int i = 0; i < WORKERS_MAX; i++)
        close(child_take(&journal.child, i));
    return journal;
}

static void journal_order(const struct journal *journal, struct journal_order order, int fd)
{
    order_send(journal->control, &order, sizeof(order), fd);
}

static void journal_join(const struct journal *journal, struct generation *generation)
{
    int theirs;
    pair_open(&generation->worker.fd, &theirs);
    generation->worker.number = 0;
    journal_order(journal, (struct journal_order){.kind = JOURNAL_WORKER, .generation = generation->number}, theirs);
    frame_expect(generation->worker.fd, &(struct journal_frame){0}, FRAME_UP);
}

static int journal_wait(struct journal *journal)
{
    close(journal->control);
    return child_wait(&journal->child);
}

static void journal_kill(struct journal *journal)
{
    close(journal->control);
    child_kill(&journal->child);
}

/* Until the next one is there, whoever lives hears that it comes. */
static void journal_yield(struct journal *journal)
{
    journal_order(journal, (struct journal_order){.kind = JOURNAL_YIELD, .ms = 3000}, -1);
    cr_assert_eq(journal_wait(journal), 0);
}

/* Ids that sort by generation and number. */
static const char *session_of(uint32_t generation, unsigned number)
{
    static char id[ULID_TEXT_MAX];
    const struct ulid ulid = {.high = 1, .low = (uint64_t)number << 15 | journal_generation_mark(generation)};
    ulid_text(id, &ulid);
    return id;
}

static struct generation generation_begin(const struct journal *journal, uint32_t number)
{
    struct generation generation = {.number = number};
    journal_join(journal, &generation);
    worker_write(&generation.worker, EVENT_START, NULL, NULL);
    return generation;
}

static void generation_open(struct generation *generation, unsigned count)
{
    for (; count > 0; count--)
        worker_decide(&generation->worker, session_of(generation->number, generation->decided++), "allow");
}

static void generation_close(struct generation *generation, unsigned count)
{
    for (; count > 0; count--)
        worker_write(&generation->worker, EVENT_CLOSE, session_of(generation->number, generation->closed++), NULL);
}

/* Its process is still to end. */
static void generation_leave(struct generation *generation, bool others)
{
    char buffer[128];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    generation_close(generation, generation->decided - generation->closed);
    if (others)
        journal_generation_say_end(&detail, generation->number);
    worker_send(&generation->worker, &(struct record){.time_us = 1, .instance = "egress-a", .event = EVENT_STOP, .detail = {detail.at, detail.len}});
    frame_expect(generation->worker.fd, &(struct journal_frame){0}, FRAME_COMMITTED);
    close(generation->worker.fd);
}

static void generation_stop(const struct journal *journal, struct generation *generation, bool others)
{
    generation_leave(generation, others);
    journal_order(journal, (struct journal_order){.kind = JOURNAL_ENDED, .generation = generation->number}, -1);
    generation->number = 0;
}

/* With words that nobody has heard yet. */
static void generation_die(const struct journal *journal, struct generation *generation)
{
    kill(journal->child.pid, SIGSTOP);
    record_send(generation->worker.fd, ++generation->worker.number, session_of(generation->number, 999), 1, 0, NULL);
    close(generation->worker.fd);
    journal_order(journal, (struct journal_order){.kind = JOURNAL_ENDED, .generation = generation->number}, -1);
    kill(journal->child.pid, SIGCONT);
    generation->number = 0;
}

/* Nobody who is open, of one generation or (0) at all. */
static void check_none_open(const struct journal_ids *open, unsigned mark)
{
    struct journal_ids all = {0}, of_it = {0};
    for (size_t i = 0; i < open->size; i++) {
        char id[ULID_TEXT_MAX];
        ulid_text(id, &open->slots[i]);
        journal_ids_add(&all, id);
    }
    journal_ids_move(&all, &of_it, mark);
    cr_assert_eq(of_it.count, 0, "%zu of generation %u are open", of_it.count, mark);
    journal_ids_clear(&all);
    journal_ids_clear(&of_it);
}

static void check_named(struct journal_ids *open, const char *detail, unsigned mark)
{
    struct ulid ulid;
    const char *names = strstr(detail, "left without close: ");
    for (const char *at = names ? names + 20 : ""; ulid_read(&ulid, at); at += ULID_LEN + (at[ULID_LEN] == ' ')) {
        cr_assert(journal_ids_remove(open, at), "%.26s is named and was not open", at);
        cr_assert(mark == 0 || ulid_mark(&ulid) == mark, "%.26s is not of generation %u", at, mark);
    }
}

/* Of each session that was let out the file has an end, and none of one that is still there. */
static json_t *check_ends(void)
{
    struct journal_ids open = {0};
    json_t *records = records_read();
    for (size_t i = 0; i < json_array_size(records); i++) {
        const char *event = member(records, i, "event"), *id = member(records, i, "id"), *detail = member(records, i, "detail");
        const unsigned mark = journal_generation_read_end(detail, strlen(detail));
        if (strcmp(event, "decision") == 0 && strcmp(member(records, i, "verdict"), "allow") == 0)
            journal_ids_add(&open, id);
        if (strcmp(event, "close") == 0)
            cr_assert(journal_ids_remove(&open, id), "%s", id);
        check_named(&open, detail, mark);
        if (strcmp(event, "stop") == 0 || strstr(detail, "left without close: "))
            check_none_open(&open, mark);
    }
    cr_assert_eq(open.count, 0);
    journal_ids_clear(&open);
    return records;
}

static void await_record(const char *words, unsigned count)
{
    const uint64_t deadline = clock_monotonic_ms() + WAIT_MS;
    for (unsigned found = 0; found < count; usleep(1000)) {
        size_t len;
        char *text = file_read(path, &len);
        found = 0;
        for (const char *at = text; (at = strstr(at, words)); at++)
            found++;
        free(text);
        cr_assert_lt(clock_monotonic_ms(), deadline, "no %s", words);
    }
}

static bool runs_server(const json_t *records)
{
    const char *event = member(records, json_array_size(records) - 1, "event");
    return strcmp(event, "stop") != 0 && strcmp(event, "recovered") != 0;
}

Test(journal, of_two_generations_the_one_that_dies_is_told)
{
    struct journal journal = journal_start((struct child_settings){0});
    struct generation first = generation_begin(&journal, 1);
    generation_open(&first, 2);
    struct generation second = generation_begin(&journal, 2);
    generation_open(&second, 1);
    generation_open(&first, 1); /* it was on its way */
    generation_close(&first, 1);
    generation_die(&journal, &first);
    await_record("\"recovered\"", 1);
    generation_stop(&journal, &second, false);
    cr_assert_eq(journal_wait(&journal), 0);
    json_t *records = check_ends();
    check_events(records, "start decision decision start decision decision close decision recovered close stop");
    const char *detail = member(records, 8, "detail");
    cr_assert(strncmp(detail, "left without close: ", 20) == 0, "%s", detail);
    cr_assert_eq(journal_generation_read_end(detail, strlen(detail)), 1);
    json_decref(records);
    struct child child = child_start(&(struct child_settings){0}); /* finds that all is told */
    worker_of(&child, 0);
    cr_assert_eq(child_wait(&child), 0);
    json_decref(check_ends());
}

Test(journal, one_that_dies_alone_ends_all)
{
    struct journal journal = journal_start((struct child_settings){0});
    struct generation first = generation_begin(&journal, 1);
    generation_open(&first, 1);
    generation_die(&journal, &first);
    struct generation second = {.number = 2};
    journal_join(&journal, &second);
    worker_write(&second.worker, EVENT_START, NULL, NULL);
    generation_stop(&journal, &second, false);
    cr_assert_eq(journal_wait(&journal), 0);
    json_t *records = check_ends();
    check_events(records, "start decision decision recovered start stop");
    cr_assert_null(strstr(member(records, 3, "detail"), "others"));
    json_decref(records);
}

/* What becomes of the journal between what becomes of the servers. */
enum fate { STAYS = 0, YIELDS, DIES, FATES };

static void journal_meet(struct journal *journal, enum fate fate, struct generation *const generations[2])
{
    struct child_settings next = {.served = true, .continues = fate == YIELDS};
    int living = 0;
    if (fate == STAYS)
        return;
    if (fate == YIELDS)
        journal_yield(journal);
    else
        journal_kill(journal);
    for (int i = 0; i < 2; i++) {
        if (generations[i]->number > 0) {
            close(generations[i]->worker.fd);
            next.living[living++] = generations[i]->number;
        }
    }
    next.served = living > 0;
    *journal = journal_start(next);
    for (int i = 0; i < 2; i++) {
        if (generations[i]->number > 0)
            journal_join(journal, generations[i]);
    }
}

static void generation_end(const struct journal *journal, struct generation *generation, bool dies, bool others, unsigned *deaths)
{
    if (!dies) {
        generation_stop(journal, generation, others);
        return;
    }
    generation_die(journal, generation);
    await_record("left without close: ", ++*deaths);
}

Test(journal, generations_end_in_every_order)
{
    for (unsigned way = 0; way < 2 * 2 * 2 * FATES * FATES; way++) {
        const bool younger = way & 1, first_dies = way & 2, last_dies = way & 4;
        const enum fate between = way / 8 % FATES, meanwhile = way / 8 / FATES;
        unsigned deaths = 0;
        struct journal journal = journal_start((struct child_settings){0});
        struct generation a = generation_begin(&journal, 1), b = {0};
        struct generation *const both[] = {&a, &b};
        generation_open(&a, 3);
        journal_meet(&journal, between, both);
        b = generation_begin(&journal, 2);
        generation_open(&b, 3);
        generation_open(&a, 1);
        generation_close(&a, 1);
        generation_close(&b, 1);
        journal_meet(&journal, meanwhile, both);
        generation_end(&journal, both[younger], first_dies, true, &deaths);
        generation_open(both[!younger], 1);
        generation_end(&journal, both[!younger], last_dies, false, &deaths);
        cr_assert_eq(journal_wait(&journal), 0);
        json_t *records = check_ends();
        cr_assert_not(runs_server(records), "way %u", way);
        const size_t count = json_array_size(records);
        json_decref(records);
        struct child child = child_start(&(struct child_settings){0}); /* finds that all is told */
        worker_of(&child, 0);
        cr_assert_eq(child_wait(&child), 0);
        records = records_read();
        cr_assert_eq(json_array_size(records), count, "way %u", way);
        json_decref(records);
        unlink(path);
        unlink(head_path);
    }
}

Test(journal, of_a_server_that_dies_with_the_journal_the_next_one_tells)
{
    for (int first_dies = 0; first_dies < 2; first_dies++) {
        struct journal journal = journal_start((struct child_settings){0});
        struct generation a = generation_begin(&journal, 1);
        generation_open(&a, 2);
        struct generation b = generation_begin(&journal, 2);
        generation_open(&b, 2);
        generation_open(&a, 1);
        journal_kill(&journal);
        struct generation *dead = first_dies ? &a : &b, *lives = first_dies ? &b : &a;
        close(dead->worker.fd);
        close(lives->worker.fd);
        journal = journal_start((struct child_settings){.served = true, .bereaved = true, .living = {lives->number}});
        journal_join(&journal, lives);
        await_record("left without close: ", 1);
        generation_stop(&journal, lives, false);
        cr_assert_eq(journal_wait(&journal), 0);
        json_t *records = check_ends();
        const char *detail = member(records, 8, "detail");
        cr_assert_eq(journal_generation_read_end(detail, strlen(detail)), dead->number);
        json_decref(records);
        unlink(path);
        unlink(head_path);
    }
}

/* The last `stop` is of one beside which another one ran. */
Test(journal, who_dies_after_another_has_stopped_is_found)
{
    struct journal journal = journal_start((struct child_settings){0});
    struct generation a = generation_begin(&journal, 1), b = generation_begin(&journal, 2);
    generation_open(&a, 1);
    generation_open(&b, 2);
    generation_stop(&journal, &a, true);
    journal_kill(&journal);
    close(b.worker.fd);
    struct child child = child_start(&(struct child_settings){0});
    worker_of(&child, 0);
    cr_assert_eq(child_wait(&child), 0);
    json_decref(check_ends());
}

/* A journal that hands over. */

Test(journal, what_was_sent_when_it_yields_is_on_file_and_told)
{
    enum { SENT = 100 };
    struct journal_frame frame;
    uint64_t committed = 0;
    struct journal journal = journal_start((struct child_settings){0});
    struct generation server = generation_begin(&journal, 1);
    kill(journal.child.pid, SIGSTOP);
    journal_order(&journal, (struct journal_order){.kind = JOURNAL_YIELD, .ms = 1234}, -1);
    for (int i = 0; i < SENT; i++)
        record_send(server.worker.fd, ++server.worker.number, "a", 1, 0, NULL);
    kill(journal.child.pid, SIGCONT);
    cr_assert_eq(journal_wait(&journal), 0);
    while (frame_next(server.worker.fd, &frame, WAIT_MS) && frame.kind == FRAME_COMMITTED)
        committed = frame.first;
    cr_assert_eq(committed, server.worker.number);
    cr_assert(frame.kind == FRAME_HOLD && frame.count == 1234);
    cr_assert_not(frame_next(server.worker.fd, &frame, WAIT_MS));
    close(server.worker.fd);
    cr_assert_eq(head_read().seq, server.worker.number);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), server.worker.number);
    json_decref(records);
}

/* The supervisor takes a server for living until its process has ended. */
Test(journal, who_has_stopped_for_the_one_that_yields_has_not_died_for_the_next)
{
    struct journal journal = journal_start((struct child_settings){0});
    struct generation a = generation_begin(&journal, 1), b = generation_begin(&journal, 2);
    generation_open(&a, 1);
    generation_open(&b, 1);
    generation_leave(&a, true);
    journal_yield(&journal);
    close(b.worker.fd);
    journal = journal_start((struct child_settings){.served = true, .continues = true, .living = {a.number, b.number}});
    journal_join(&journal, &b);
    journal_order(&journal, (struct journal_order){.kind = JOURNAL_ENDED, .generation = a.number}, -1);
    generation_open(&b, 1);
    generation_stop(&journal, &b, false);
    cr_assert_eq(journal_wait(&journal), 0);
    json_t *records = check_ends();
    check_events(records, "start start decision decision close stop decision close close stop");
    json_decref(records);
}

Test(journal, one_that_cannot_write_does_not_hand_over)
{
    struct journal_frame frame;
    struct journal journal = journal_start((struct child_settings){0});
    struct generation server = generation_begin(&journal, 1);
    limit_size(journal.child.pid, 100);
    record_send(server.worker.fd, ++server.worker.number, "a", 1, 0, NULL);
    frame_expect(server.worker.fd, &frame, FRAME_DOWN);
    journal_order(&journal, (struct journal_order){.kind = JOURNAL_YIELD, .ms = 1234}, -1);
    cr_assert_eq(journal_wait(&journal), 1);
    cr_assert_not(frame_next(server.worker.fd, &frame, WAIT_MS));
    close(server.worker.fd);
    cr_assert_not(log_has("are lost"), "its worker has it still");
}

Test(journal, checkpoints_go_on_behind_one_that_yields)
{
    struct child_settings settings = {.checkpoint_records = 4};
    struct journal journal = journal_start(settings);
    struct generation server = generation_begin(&journal, 1);
    generation_open(&server, 1);
    journal_yield(&journal);
    close(server.worker.fd);
    settings = (struct child_settings){.checkpoint_records = 4, .served = true, .continues = true, .living = {1}};
    journal = journal_start(settings);
    journal_join(&journal, &server);
    generation_open(&server, 4);
    generation_stop(&journal, &server, false);
    cr_assert_eq(journal_wait(&journal), 0);
    json_t *records = check_ends();
    check_events(records, "start decision checkpoint decision decision decision decision checkpoint close close close close checkpoint close stop "
                          "checkpoint");
    json_decref(records);
}

static struct journal load_journal(struct load loads[LOAD_QUEUES], struct child_settings settings)
{
    struct journal journal = journal_start(settings);
    for (int i = 0; i < LOAD_QUEUES; i++) {
        int ours, theirs;
        pair_open(&ours, &theirs);
        journal_order(&journal, (struct journal_order){.kind = JOURNAL_WORKER, .generation = 1 + (uint32_t)i % 2}, theirs);
        journal_queue_attach(loads[i].queue, ours);
    }
    return journal;
}

/* No worker believes it down for a moment. */
static void load_turn(struct load loads[LOAD_QUEUES], unsigned max)
{
    for (int i = 0; i < LOAD_QUEUES; i++) {
        load_add(&loads[i], i, (unsigned)rand() % 100, max);
        cr_assert(journal_queue_is_up(loads[i].queue));
    }
    loop_turn();
}

Test(journal, yields_many_times_and_nobody_is_refused_or_told_wrong)
{
    enum { TIMES = 50, MAX = TIMES * 1000 };
    struct load loads[LOAD_QUEUES];
    srand(11);
    for (int i = 0; i < LOAD_QUEUES; i++)
        loads[i] = (struct load){.queue = queue_new(false, 1u << 30), .waiters = calloc(MAX, sizeof(struct waiter))};
    struct journal journal = load_journal(loads, (struct child_settings){0});
    for (int i = 0; i < LOAD_QUEUES; i++)
        cr_assert(loop_until(is_ready, loads[i].queue));
    for (int times = 0; times < TIMES; times++) {
        for (int turn = rand() % 6; turn >= 0; turn--)
            load_turn(loads, MAX);
        journal_order(&journal, (struct journal_order){.kind = JOURNAL_YIELD, .ms = WAIT_MS}, -1);
        for (int turn = rand() % 6; turn >= 0; turn--)
            load_turn(loads, MAX);
        cr_assert_eq(journal_wait(&journal), 0);
        if (rand() % 2)
            load_turn(loads, MAX); /* sometimes they see its end before the next one is there */
        journal = load_journal(loads, (struct child_settings){.served = true, .continues = true, .living = {1, 2}});
    }
    for (int i = 0; i < LOAD_QUEUES; i++) {
        cr_assert(loop_until(is_empty, loads[i].queue));
        loop_turn();
        for (unsigned number = 0; number < loads[i].added; number++)
            cr_assert(loads[i].waiters[number].committed, "%u", number);
    }
    load_check(loads);
    for (int i = 0; i < LOAD_QUEUES; i++) {
        journal_queue_free(loads[i].queue);
        free(loads[i].waiters);
    }
    cr_assert_eq(journal_wait(&journal), 0);
    json_t *records = records_read();
    cr_assert_eq(json_array_size(records), loads[0].added + loads[1].added, "the journal itself had nothing to say");
    json_decref(records);
}

/* Frames that the test sends itself: one journal goes, and another one comes. */
static struct journal_queue *queue_on_hold(int *peer, uint32_t ms)
{
    struct journal_queue *queue = queue_with_peer(peer, 0);
    frame_send(*peer, &(struct journal_frame){.kind = FRAME_HOLD, .count = ms});
    close(*peer);
    loop_turn();
    loop_turn();
    return queue;
}

Test(journal, while_one_journal_follows_another_nobody_is_refused)
{
    int peer, fd;
    uint64_t last = 0;
    struct waiter waiter = {0};
    struct journal_queue *queue = queue_on_hold(&peer, WAIT_MS);
    cr_assert(journal_queue_is_ready(queue) && journal_queue_is_up(queue));
    cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    loop_turn();
    pair_open(&fd, &peer);
    journal_queue_attach(queue, fd);
    loop_turn();
    cr_assert(journal_queue_is_ready(queue));
    cr_assert_eq(packets_take(peer, &last, 0), 0, "sent before it was up");
    frame_send(peer, &(struct journal_frame){.kind = FRAME_UP, .epoch = 1});
    cr_assert_eq(packets_await(peer, &last, 1), 1);
    cr_assert_eq(waiter.told, 0);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_COMMITTED, .first = 1});
    cr_assert(loop_until(is_told, &waiter));
    cr_assert(waiter.told == 1 && waiter.committed);
    close(peer); /* this one goes without a word */
    cr_assert(loop_until(is_down, queue));
    journal_queue_free(queue);
}

Test(journal, what_the_first_may_have_written_is_sent_to_the_second_as_such)
{
    int peer, fd;
    uint64_t last = 0;
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    struct waiter waiter = {0};
    cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    loop_turn();
    cr_assert_eq(packets_take(peer, &last, 0), 1);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_HOLD, .count = WAIT_MS});
    int next;
    pair_open(&fd, &next);
    journal_queue_attach(queue, fd); /* before the first has ended */
    frame_send(next, &(struct journal_frame){.kind = FRAME_UP, .epoch = 1});
    loop_turn();
    loop_turn();
    last = 0;
    cr_assert_eq(packets_take(next, &last, FRAME_FLAG_AGAIN), 1);
    cr_assert(journal_queue_is_up(queue));
    cr_assert_eq(waiter.told, 0);
    journal_wait_cancel(&waiter.wait);
    journal_queue_free(queue);
    close(peer);
    close(next);
}

Test(journal, a_journal_that_does_not_come_in_time_is_down)
{
    int peer, fd;
    struct waiter waiter = {0};
    struct journal_queue *queue = queue_on_hold(&peer, 30);
    cr_assert(add_decision(queue, "a"));
    waiter_start(&waiter, queue);
    pair_open(&fd, &peer);
    journal_queue_attach(queue, fd); /* it says nothing */
    cr_assert(loop_until(is_told, &waiter));
    cr_assert_not(waiter.committed);
    cr_assert_not(journal_queue_is_up(queue));
    cr_assert_not(add_decision(queue, "b"));
    frame_send(peer, &(struct journal_frame){.kind = FRAME_UP, .epoch = 1});
    cr_assert(loop_until(is_ready, queue), "it comes later");
    journal_queue_free(queue);
    close(peer);
}

Test(journal, a_journal_that_is_down_hands_nothing_over)
{
    int peer;
    struct journal_queue *queue = queue_with_peer(&peer, 0);
    frame_send(peer, &(struct journal_frame){.kind = FRAME_DOWN, .count = ENOSPC});
    frame_send(peer, &(struct journal_frame){.kind = FRAME_HOLD, .count = WAIT_MS});
    cr_assert(loop_until(is_down, queue));
    loop_turn();
    cr_assert_not(journal_queue_is_up(queue));
    journal_queue_free(queue);
    close(peer);
}
