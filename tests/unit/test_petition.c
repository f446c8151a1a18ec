/* Asking for a reload or an upgrade through the server, and hearing what came of it: by number, with its words, or that nothing comes any more. */
#include "proxy/petition.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int ends[2];
static struct petitions petitions;

struct asker {
    int heard;
    bool taken;
    char words[64];
};

static void begin(void)
{
    cr_assert(channel_pair(ends));
    petitions = (struct petitions){.channel = ends[0]};
}

static void end(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(petition, .init = begin, .fini = end);

static void hear(void *arg, bool taken, const char *words, size_t len)
{
    struct asker *asker = arg;
    asker->heard++;
    asker->taken = taken;
    cr_assert_lt(len, sizeof(asker->words));
    memcpy(asker->words, words, len);
    asker->words[len] = '\0';
}

/* The number that the supervisor was asked by. */
static uint32_t asked(void)
{
    struct channel_message message;
    cr_assert_eq(channel_receive(ends[1], &message, false), 1);
    cr_assert_eq(message.kind, CHANNEL_RELOAD);
    return message.a;
}

static void answer(uint32_t number, bool taken, const char *words)
{
    struct channel_message message = {.kind = CHANNEL_OUTCOME, .a = number, .b = taken, .fd = -1};
    if (words != NULL) {
        message.fd = memfd_create("words", MFD_CLOEXEC);
        cr_assert(message.fd >= 0 && write(message.fd, words, strlen(words)) == (ssize_t)strlen(words));
    }
    petitions_answer(&petitions, &message);
}

Test(petition, who_asked_before_it_began_hears_of_it)
{
    struct asker first = {0}, second = {0}, late = {0};
    cr_assert_not_null(petition_start(&petitions, hear, &first));
    cr_assert_not_null(petition_start(&petitions, hear, &second));
    cr_assert_not_null(petition_start(&petitions, hear, &late));
    const uint32_t one = asked(), two = asked(), three = asked();
    cr_expect(one < two && two < three);
    cr_expect(first.heard + second.heard + late.heard == 0, "not before anything came of it");
    answer(two, false, "a.conf:1: wrong\na.conf:2: wrong, too\n");
    cr_expect(first.heard == 1 && second.heard == 1 && late.heard == 0);
    cr_expect(!first.taken && strcmp(first.words, "a.conf:1: wrong\na.conf:2: wrong, too\n") == 0, "%s", first.words);
    answer(two, true, "nobody waits for this one\n");
    answer(three, true, "reloaded: nothing changed\n");
    cr_expect(first.heard == 1 && late.heard == 1 && late.taken);
}

Test(petition, who_is_gone_is_not_told)
{
    struct asker gone = {0}, other = {0};
    struct petition *petition = petition_start(&petitions, hear, &gone);
    cr_assert(petition != NULL && petition_start(&petitions, hear, &other) != NULL);
    petition_cancel(petition);
    asked();
    answer(asked(), true, NULL);
    cr_expect(gone.heard == 0 && other.heard == 1 && other.taken && other.words[0] != '\0');
}

Test(petition, at_the_end_all_are_told)
{
    struct asker asker = {0};
    cr_assert_not_null(petition_start(&petitions, hear, &asker));
    petitions_fini(&petitions);
    cr_expect(asker.heard == 1 && !asker.taken);
}

Test(petition, each_kind_has_its_own_numbers_and_answers)
{
    struct petitions upgrades = {.channel = ends[0], .kind = PETITION_UPGRADE};
    struct asker reload = {0}, upgrade = {0};
    struct channel_message message;
    cr_expect_not(petitions_wait(&upgrades));
    cr_assert(petition_start(&petitions, hear, &reload) != NULL && petition_start(&upgrades, hear, &upgrade) != NULL);
    const uint32_t number = asked();
    cr_assert_eq(channel_receive(ends[1], &message, false), 1);
    cr_expect(message.kind == CHANNEL_UPGRADE && message.a == number);
    answer(number, true, "reloaded\n");
    cr_expect(reload.heard == 1 && upgrade.heard == 0 && petitions_wait(&upgrades) && !petitions_wait(&petitions));
    petitions_fini(&upgrades);
    cr_expect(upgrade.heard == 1 && !upgrade.taken && !petitions_wait(&upgrades));
}

Test(petition, without_a_supervisor_nobody_is_asked)
{
    struct asker asker = {0};
    close(ends[1]);
    cr_expect_null(petition_start(&petitions, hear, &asker));
    cr_assert(channel_pair(ends));
    petitions_fini(&petitions);
    cr_expect_eq(asker.heard, 0);
}
