/* Letters from any thread to a loop: each arrives once, in order, on the loop's own thread. */
#include "proxy/mailbox.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/resource.h>

#include "net.h"

enum { THREADS = 8, LETTERS = 5000, PATIENCE_MS = 20000 };

struct reader {
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t thread;
    int next[THREADS]; /* the value that comes next from each */
    int taken, wanted;
    bool disorder, elsewhere, done;
};

static void reader_take(void *arg, int what, intptr_t value)
{
    struct reader *reader = arg;
    reader->disorder = reader->disorder || what < 0 || what >= THREADS || value != reader->next[what];
    reader->elsewhere = reader->elsewhere || !pthread_equal(reader->thread, pthread_self());
    if (what >= 0 && what < THREADS)
        reader->next[what] = value + 1;
    reader->done = ++reader->taken >= reader->wanted;
}

static void reader_init(struct reader *reader, int wanted)
{
    *reader = (struct reader){.loop = loop_new(), .thread = pthread_self(), .wanted = wanted};
    cr_assert(reader->loop != NULL);
    reader->mailbox = mailbox_new(reader->loop->base, reader_take, reader);
    cr_assert(reader->mailbox != NULL);
}

static void reader_fini(struct reader *reader)
{
    mailbox_free(reader->mailbox);
    loop_free(reader->loop);
}

Test(mailbox, letters_wait_for_the_loop_and_keep_their_order)
{
    struct reader reader;
    reader_init(&reader, 200);
    for (int value = 0; value < 100; value++)
        cr_assert(mailbox_put(reader.mailbox, 3, value) && mailbox_put(reader.mailbox, 4, value));
    cr_expect_eq(reader.taken, 0, "taken before the loop turned");
    cr_expect(net_run(reader.loop, &reader.done, PATIENCE_MS), "%d of 200 arrived", reader.taken);
    cr_expect_not(reader.disorder);
    cr_expect(reader.next[3] == 100 && reader.next[4] == 100);
    net_run(reader.loop, NULL, 20);
    cr_expect_eq(reader.taken, 200, "a letter came twice");
    reader_fini(&reader);
}

Test(mailbox, it_is_used_again_after_it_was_emptied)
{
    struct reader reader;
    reader_init(&reader, 0);
    for (int value = 0; value < 10; value++) {
        reader.done = false;
        cr_assert(mailbox_put(reader.mailbox, 0, value));
        cr_assert(net_run(reader.loop, &reader.done, PATIENCE_MS), "letter %d did not arrive", value);
    }
    cr_expect(reader.taken == 10 && !reader.disorder);
    reader_fini(&reader);
}

struct writer {
    struct mailbox *mailbox;
    int number;
    bool failed;
};

static void *writer_run(void *arg)
{
    struct writer *writer = arg;
    for (int value = 0; value < LETTERS; value++)
        writer->failed = !mailbox_put(writer->mailbox, writer->number, value) || writer->failed;
    return NULL;
}

/* The threads write while the loop reads, so that the list is emptied under their hands. */
Test(mailbox, many_threads_lose_nothing)
{
    struct reader reader;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    reader_init(&reader, THREADS * LETTERS);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.mailbox = reader.mailbox, .number = i};
        cr_assert(pthread_create(&threads[i], NULL, writer_run, &writers[i]) == 0);
    }
    bool done = net_run(reader.loop, &reader.done, PATIENCE_MS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_not(writers[i].failed);
    }
    cr_expect(done, "%d of %d arrived", reader.taken, THREADS * LETTERS);
    cr_expect_not(reader.disorder, "a thread's letters came out of order");
    cr_expect_not(reader.elsewhere, "taken on another thread");
    reader_fini(&reader);
}

struct echo {
    struct mailbox *mailbox;
    int last;
    bool done;
};

static void echo_take(void *arg, int what, intptr_t value)
{
    struct echo *echo = arg;
    echo->done = value != echo->last + 1 || value == 50;
    echo->last = value;
    if (!echo->done)
        mailbox_put(echo->mailbox, what, value + 1);
}

Test(mailbox, who_takes_a_letter_may_put_the_next)
{
    struct loop *loop = loop_new();
    struct echo echo = {.mailbox = NULL};
    cr_assert(loop != NULL);
    echo.mailbox = mailbox_new(loop->base, echo_take, &echo);
    cr_assert(mailbox_put(echo.mailbox, 0, 1));
    cr_expect(net_run(loop, &echo.done, PATIENCE_MS));
    cr_expect_eq(echo.last, 50);
    mailbox_free(echo.mailbox);
    loop_free(loop);
}

/* LeakSanitizer looks whether they are freed. */
Test(mailbox, what_was_not_taken_is_dropped)
{
    struct reader reader;
    reader_init(&reader, 1);
    size_t held = net_descriptors();
    for (int value = 0; value < 10; value++)
        cr_assert(mailbox_put(reader.mailbox, 0, value));
    mailbox_free(reader.mailbox);
    cr_expect_eq(net_descriptors(), held - 1);
    net_run(reader.loop, NULL, 20);
    cr_expect_eq(reader.taken, 0);
    loop_free(reader.loop);
    mailbox_free(NULL);
}

Test(mailbox, there_is_none_without_descriptors)
{
    struct rlimit limit, none;
    struct loop *loop = loop_new();
    cr_assert(loop != NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    struct mailbox *mailbox = mailbox_new(loop->base, reader_take, NULL);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect_null(mailbox);
    loop_free(loop);
}
