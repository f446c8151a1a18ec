/* A thread that writes log lines to a descriptor that may block, so that nobody else has to wait for it. */
#include "base/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/thread.h"

#define RING_SIZE ((size_t)64 * 1024)
#define CHUNK_SIZE 4096
#define NOTE_MAX 96

struct log_writer {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below; never held over a write */
    pthread_cond_t work;
    pthread_cond_t done;
    size_t head, len; /* what waits in the ring: `len` bytes from `head` on */
    uint64_t dropped; /* lines, since the last note */
    bool stopping;
    bool ended;
    bool abandoned; /* nobody will join: the thread frees everything itself */
    char ring[RING_SIZE];
};

static bool log_writer_store(struct log_writer *writer, const char *line, size_t len)
{
    if (len > RING_SIZE - writer->len)
        return false;
    size_t tail = (writer->head + writer->len) % RING_SIZE;
    size_t first = len < RING_SIZE - tail ? len : RING_SIZE - tail;
    memcpy(writer->ring + tail, line, first);
    memcpy(writer->ring, line + first, len - first);
    writer->len += len;
    return true;
}

void log_writer_put(void *writer_arg, const char *line, size_t len)
{
    struct log_writer *writer = writer_arg;
    pthread_mutex_lock(&writer->lock);
    if (!log_writer_store(writer, line, len))
        writer->dropped++;
    pthread_cond_signal(&writer->work);
    pthread_mutex_unlock(&writer->lock);
}

/* Puts the count of what was lost where it was lost: called whenever room was made, before anybody else can take it. */
static void log_writer_note(struct log_writer *writer)
{
    char line[NOTE_MAX];
    struct text text;
    if (writer->dropped == 0)
        return;
    text_init(&text, line, sizeof(line));
    text_format(&text, "exeat: warning: %llu log lines were dropped\n", (unsigned long long)writer->dropped);
    if (log_writer_store(writer, line, text.len))
        writer->dropped = 0;
}

static size_t log_writer_take(struct log_writer *writer, char chunk[CHUNK_SIZE])
{
    size_t len = writer->len < CHUNK_SIZE ? writer->len : CHUNK_SIZE;
    size_t first = len < RING_SIZE - writer->head ? len : RING_SIZE - writer->head;
    memcpy(chunk, writer->ring + writer->head, first);
    memcpy(chunk + first, writer->ring, len - first);
    writer->head = (writer->head + len) % RING_SIZE;
    writer->len -= len;
    log_writer_note(writer);
    return len;
}

/* May block for as long as the reader likes. What a broken descriptor does not take is lost. */
static void log_writer_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done > 0) {
            bytes += done;
            len -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else if (done == 0 || errno != EINTR) {
            return;
        }
    }
}

static void log_writer_free(struct log_writer *writer)
{
    pthread_cond_destroy(&writer->done);
    pthread_cond_destroy(&writer->work);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

static void *log_writer_run(void *arg)
{
    struct log_writer *writer = arg;
    char chunk[CHUNK_SIZE];
    pthread_mutex_lock(&writer->lock);
    while (writer->len > 0 || !writer->stopping) {
        if (writer->len == 0) {
            pthread_cond_wait(&writer->work, &writer->lock);
            continue;
        }
        size_t len = log_writer_take(writer, chunk);
        pthread_mutex_unlock(&writer->lock);
        log_writer_write(writer->fd, chunk, len);
        pthread_mutex_lock(&writer->lock);
    }
    writer->ended = true;
    bool abandoned = writer->abandoned;
    pthread_cond_signal(&writer->done);
    pthread_mutex_unlock(&writer->lock);
    if (abandoned)
        log_writer_free(writer);
    return NULL;
}

struct log_writer *log_writer_start(int fd)
{
    struct log_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return NULL;
    writer->fd = fd;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->work, NULL);
    thread_condition_init(&writer->done);
    if (thread_start(&writer->thread, log_writer_run, writer))
        return writer;
    log_writer_free(writer);
    return NULL;
}

void log_writer_stop(struct log_writer *writer, unsigned wait_ms)
{
    if (!writer)
        return;
    const uint64_t until_ms = clock_monotonic_ms() + wait_ms;
    pthread_t thread = writer->thread;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_cond_signal(&writer->work);
    while (!writer->ended && thread_wait_until(&writer->done, &writer->lock, until_ms))
        continue;
    bool ended = writer->ended;
    writer->abandoned = !ended;
    pthread_mutex_unlock(&writer->lock);
    if (!ended) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    log_writer_free(writer);
}
