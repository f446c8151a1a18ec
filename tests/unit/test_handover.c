/* Tests of host/handover and host/generations: what is written is read, word by word, and nothing else is; and who there is when one follows
 * another. */
#include "host/handover.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

#define WORKERS 2

static char stored[HANDOVER_MAX];
static size_t stored_len;
static struct handover left;

static struct endpoint endpoint(const char *text)
{
    struct endpoint found;
    cr_assert(endpoint_read(&found, text, strlen(text)), "%s", text);
    return found;
}

/* Two listeners, one that serves and one that has retired. */
static void begin(void)
{
    static int fds[2][WORKERS] = {{10, 11}, {12, 13}};
    static struct bound bounds[2] = {{.number = 3, .listener = 1, .inherited = true, .name = "explicit", .fds = fds[0]},
                                     {.number = 7, .name = "a.b-c_D", .fds = fds[1]}};
    bounds[0].asked = endpoint("0.0.0.0:0");
    bounds[0].address = endpoint("0.0.0.0:4000");
    bounds[1].asked = bounds[1].address = endpoint("[2001:db8::1]:3128");
    left = (struct handover){.workers = WORKERS,
                             .capabilities = {1, UINT64_MAX},
                             .may_mark = true,
                             .configuration = 20,
                             .origin = -1,
                             .edition = 5,
                             .sign_key = 21,
                             .bounds = {.all = bounds, .count = 2, .workers = WORKERS, .last_number = 9},
                             .doors = {.fds = {22, -1}, .socket = 1234},
                             .state = {.fd = 23, .waits = true, .writer = 77},
                             .journal = {.pid = 78, .channel = 24},
                             .reopen = true,
                             .bereaved = true,
                             .reloads = {1, 4},
                             .wants_upgrade = true};
    cr_assert(generations_init(&left.generations, WORKERS) && generations_raise(&left.generations) != NULL);
    generations_promote(&left.generations);
    left.generations.last_number = 6;
    *generations_serving(&left.generations) = (struct generation){
        .child = {.pid = 79, .channel = 25}, .number = 6, .ready = true, .linked = generations_serving(&left.generations)->linked, .reload = {3, 2}};
    const int fd = handover_store(&left);
    cr_assert(fd >= 0);
    stored_len = (size_t)pread(fd, stored, sizeof(stored), 0);
    close(fd);
}

static void end(void)
{
    for (size_t i = 0; i < left.generations.count; i++)
        left.generations.all[i]->child.channel = -1;
    generations_fini(&left.generations);
}

TestSuite(handover, .init = begin, .fini = end);

static void expect_fds(const struct handover *found)
{
    cr_expect(found->configuration == 20 && found->origin == -1 && found->sign_key == 21 && found->doors.fds[DOOR_ADMIN] == 22 &&
              found->doors.fds[DOOR_METRICS] == -1 && found->state.fd == 23 && found->journal.channel == 24);
    cr_expect(found->bounds.all[0].fds[1] == 11 && found->bounds.all[1].fds[0] == 12);
}

Test(handover, what_is_written_is_read)
{
    struct handover found;
    cr_assert(handover_read(&found, stored, stored_len));
    expect_fds(&found);
    cr_expect(found.workers == WORKERS && found.capabilities[0] == 1 && found.capabilities[1] == UINT64_MAX && found.may_mark);
    cr_expect(found.edition == 5 && found.reloads[0] == 1 && found.reloads[1] == 4 && found.reopen && found.bereaved);
    cr_expect(!found.wants_reload && found.wants_upgrade);
    cr_expect(found.doors.socket == 1234 && found.state.waits && found.state.writer == 77 && found.journal.pid == 78);
    cr_expect_str_eq(found.bounds.all[1].name, "a.b-c_D");
    cr_expect(found.bounds.count == 2 && found.bounds.last_number == 9 && found.bounds.workers == WORKERS && found.bounds.all[0].listener == 1 &&
              found.bounds.all[0].inherited && !found.bounds.all[1].inherited);
    cr_expect(endpoint_equal(&found.bounds.all[0].asked, &left.bounds.all[0].asked) && !found.bounds.all[0].fresh);
    const struct generation *serving = generations_serving(&found.generations);
    cr_expect(found.generations.count == 2 && found.generations.last_number == 6 && serving->child.pid == 79 && serving->child.channel == 25);
    cr_expect(serving->linked[0] && serving->linked[1], "they are not linked to a journal that is to yield once more");
    cr_expect(serving->number == 6 && serving->ready && serving->reload.asked == 3 && serving->reload.began == 2);
    cr_expect(found.generations.all[1]->state == GENERATION_RETIRED && found.generations.all[1]->child.channel == -1);
    handover_free(&found);
}

Test(handover, nothing_that_is_cut_off_is_read)
{
    struct handover found;
    const size_t whole = stored_len - strlen("\n");
    for (size_t len = 0; len < whole; len++)
        cr_expect_not(handover_read(&found, stored, len), "%zu of %zu", len, stored_len);
}

/* A word in place of each that is there. The names of listeners may be anything. */
Test(handover, no_word_that_is_wrong_is_read)
{
    static const char *const wrong[] = {"x", "-1", "18446744073709551616"};
    char bytes[sizeof(stored) + 32];
    for (size_t at = strlen("exeat-handover 1\n"); at < stored_len;) {
        const size_t len = strcspn(stored + at, " \n");
        const bool free_text = strncmp(stored + at, "explicit", len) == 0 || strncmp(stored + at, "a.b-c_D", len) == 0;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]) && !free_text; i++) {
            struct handover found;
            const size_t put =
                (size_t)snprintf(bytes, sizeof(bytes), "%.*s%s%.*s", (int)at, stored, wrong[i], (int)(stored_len - at - len), stored + at + len);
            cr_expect_not(handover_read(&found, bytes, put), "%s in place of %.*s at %zu", wrong[i], (int)len, stored + at, at);
        }
        at += len + 1;
    }
}

Test(handover, a_name_that_is_none_is_not_read)
{
    struct handover found;
    char *name = strstr(stored, "explicit");
    cr_assert_not_null(name);
    name[0] = '\0';
    cr_expect_not(handover_read(&found, stored, stored_len));
}

Test(handover, another_form_is_not_read)
{
    struct handover found;
    stored[strlen("exeat-handover ")] = '2';
    cr_expect_not(handover_read(&found, stored, stored_len));
}

Test(handover, descriptors_are_kept_over_an_exec_or_not)
{
    const int fd = memfd_create("test", MFD_CLOEXEC);
    const struct handover only = {
        .configuration = fd, .origin = -1, .sign_key = -1, .doors = {.fds = {-1, -1}}, .state = {.fd = -1}, .journal = {.channel = -1}};
    cr_expect(handover_set_cloexec(&only, false) && fcntl(fd, F_GETFD) == 0);
    cr_expect(handover_set_cloexec(&only, true) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    close(fd);
    cr_expect_not(handover_set_cloexec(&only, true), "it is closed");
}

Test(generations, who_there_is_when_one_follows_another)
{
    struct generations all;
    cr_assert(generations_init(&all, WORKERS));
    struct generation *first = generations_serving(&all), *second = generations_raise(&all);
    cr_expect(second != NULL && generations_rising(&all) == second && generations_others(&all) == 0);
    cr_expect_null(generations_raise(&all), "one at a time");
    generations_promote(&all);
    cr_expect(generations_serving(&all) == second && generations_rising(&all) == NULL && generations_others(&all) == 1);
    cr_expect(first->state == GENERATION_RETIRED);
    struct generation *third = generations_raise(&all);
    generations_forget(&all, first);
    cr_expect(all.count == 2 && generations_rising(&all) == third && generations_others(&all) == 0);
    generations_forget(&all, third);
    cr_expect(generations_serving(&all) == second && all.count == 1);
    generations_fini(&all);
}

Test(generations, there_are_only_so_many)
{
    struct generations all;
    cr_assert(generations_init(&all, WORKERS));
    while (generations_raise(&all) != NULL)
        generations_promote(&all);
    cr_expect_eq(all.count, GENERATIONS_MAX);
    generations_fini(&all);
}

Test(generations, one_that_rises_holds_no_drain_up)
{
    struct generations all;
    cr_assert(generations_init(&all, WORKERS));
    struct generation *serving = generations_serving(&all), *rising = generations_raise(&all);
    serving->child.pid = 79;
    rising->child.pid = 80;
    cr_expect_not(generations_are_drained(&all));
    serving->drained = true;
    cr_expect(generations_are_drained(&all), "it is not asked, and may hang");
    generations_promote(&all);
    cr_expect_not(generations_are_drained(&all));
    generations_fini(&all);
}
