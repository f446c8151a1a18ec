/* Pipes on loan: their sizes, what all pools may hold together, and that nobody keeps what nobody needs. */
#include "proxy/pipe_pool.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>

#include "net.h"
#include "proxy/loop.h"

struct test {
    struct loop *loop;
    struct pipe_budget budget;
    struct pipe_pool *pool;
};

static void setup(struct test *test, size_t pipes_max)
{
    *test = (struct test){.loop = loop_new(), .budget = {.pipes = {pipes_max, 0}, .bytes = {PIPE_POOL_MAX, 0}}};
    cr_assert(test->loop);
    test->pool = pipe_pool_new(test->loop, &test->budget);
    cr_assert(test->pool);
}

static void teardown(struct test *test)
{
    pipe_pool_free(test->pool);
    cr_expect_eq(test->budget.pipes.taken, 0);
    cr_expect_eq(test->budget.bytes.taken, 0);
    loop_free(test->loop);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(pipe_pool, a_pipe_grows_when_more_is_wanted_and_stays_large)
{
    struct test test;
    setup(&test, 4);
    struct pipe *pipe = pipe_pool_take(test.pool, PIPE_SIZE_FIRST);
    cr_assert(pipe);
    cr_expect_eq(fcntl(pipe->in, F_GETPIPE_SZ), (int)PIPE_SIZE_FIRST);
    pipe_pool_give(test.pool, pipe);
    pipe = pipe_pool_take(test.pool, PIPE_SIZE_GROWN);
    cr_expect_eq(fcntl(pipe->in, F_GETPIPE_SZ), (int)PIPE_SIZE_GROWN);
    cr_expect_eq(test.budget.bytes.taken, PIPE_SIZE_GROWN);
    pipe_pool_give(test.pool, pipe);
    pipe = pipe_pool_take(test.pool, PIPE_SIZE_FIRST);
    cr_expect_eq(pipe->size, PIPE_SIZE_GROWN);
    cr_expect_eq(test.budget.pipes.taken, 1, "it is the same one");
    pipe_pool_give(test.pool, pipe);
    teardown(&test);
}

Test(pipe_pool, all_pools_together_hold_no_more_than_they_may)
{
    struct test test;
    struct pipe *pipes[64];
    size_t count = 0;
    setup(&test, 64);
    struct pipe_pool *other = pipe_pool_new(test.loop, &test.budget);
    while (count < 64 && (pipes[count] = pipe_pool_take(count % 2 ? other : test.pool, PIPE_SIZE_MAX)))
        count++;
    cr_expect_eq(count, PIPE_POOL_MAX / PIPE_SIZE_MAX);
    cr_expect_eq(test.budget.bytes.taken, PIPE_POOL_MAX);
    pipe_pool_drop(test.pool, pipes[0]);
    pipe_pool_drop(test.pool, pipes[2]);
    pipes[0] = pipe_pool_take(other, PIPE_SIZE_GROWN);
    pipes[2] = pipe_pool_take(other, PIPE_SIZE_MAX);
    cr_expect_eq(pipes[0]->size, PIPE_SIZE_GROWN);
    cr_expect_eq(pipes[2]->size, PIPE_SIZE_MAX);
    struct pipe *last = pipe_pool_take(other, PIPE_SIZE_MAX);
    cr_expect_eq(last->size, PIPE_SIZE_FIRST, "a smaller one where a large one would be too much");
    pipe_pool_drop(other, last);
    for (size_t i = 0; i < count; i++)
        pipe_pool_drop(i % 2 || i == 0 || i == 2 ? other : test.pool, pipes[i]);
    pipe_pool_free(other);
    teardown(&test);
}

Test(pipe_pool, there_are_no_more_than_may_be)
{
    struct test test;
    const unsigned before = descriptors();
    setup(&test, 2);
    const unsigned without = descriptors();
    struct pipe *a = pipe_pool_take(test.pool, PIPE_SIZE_FIRST), *b = pipe_pool_take(test.pool, PIPE_SIZE_FIRST);
    cr_assert(a && b);
    cr_expect_null(pipe_pool_take(test.pool, PIPE_SIZE_FIRST));
    cr_expect_eq(descriptors(), without + 4);
    pipe_pool_drop(test.pool, a);
    pipe_pool_give(test.pool, b);
    teardown(&test);
    cr_expect_eq(descriptors(), before);
}

Test(pipe_pool, what_nobody_needs_is_closed)
{
    struct test test;
    setup(&test, 2);
    pipe_pool_trim_every(test.pool, 10);
    struct pipe *busy = pipe_pool_take(test.pool, PIPE_SIZE_FIRST), *idle = pipe_pool_take(test.pool, PIPE_SIZE_FIRST);
    pipe_pool_give(test.pool, idle);
    while (test.budget.pipes.taken == 2)
        net_run(test.loop, NULL, 5);
    cr_expect_eq(test.budget.pipes.taken, 1);
    pipe_pool_give(test.pool, busy);
    while (test.budget.pipes.taken > 0)
        net_run(test.loop, NULL, 5);
    teardown(&test);
}
