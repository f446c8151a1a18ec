/* Whether a sockmap can be a proxy's relay: experiments, each a word on the command line. README.md has what they saw. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "study.h"

enum { EXIT_SKIPPED = 77 };

static bool study_broken;
static int study_round_count = 5;
static double study_load_scale = 1;

static const struct experiment {
    const char *word, *question;
    void (*run)(void);
} EXPERIMENTS[] = {
    {"counts", "do three ways to count agree, also when a receiver resets?", study_counts},
    {"half-close", "does the end of one way arrive, after all bytes?", study_half_close},
    {"back-pressure", "where do bytes stay when nobody reads, and how many?", study_pressure},
    {"revoke", "does cutting a tunnel cut it?", study_revoke},
    {"hand-over", "what becomes of bytes that came before the relay?", study_hand_over},
    {"errors", "are resets, dead peers and wake-ups seen?", study_errors},
    {"privilege", "what may a process do that has given up its capabilities?", study_privilege},
    {"cost", "what does it cost, beside splice and copy?", study_cost},
};

enum { EXPERIMENT_COUNT = sizeof(EXPERIMENTS) / sizeof(*EXPERIMENTS) };

void study_say(const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  %-66s ", what);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void study_hold(const char *what, bool is_so)
{
    study_say(what, "%s", is_so ? "yes" : "NO");
    study_broken |= !is_so;
}

void study_fail(const char *what)
{
    fprintf(stderr, "study: %s: %s\n", what, strerror(errno));
    exit(2);
}

void study_unblock(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        study_fail("cannot make a socket non-blocking");
}

void study_open(struct sockmap *map, enum sockmap_mode mode)
{
    int failed = sockmap_open(map, mode);
    errno = -failed;
    if (failed)
        study_fail("no sockmap");
}

void study_join(const struct sockmap *map, int one, int other)
{
    int failed = sockmap_join(map, one, other);
    errno = -failed;
    if (failed || sockmap_kick(one) != 0 || sockmap_kick(other) != 0)
        study_fail("cannot join two sockets");
}

int study_rounds(void)
{
    return study_round_count;
}

double study_scale(void)
{
    return study_load_scale;
}

/* A loopback of its own. */
static bool study_enclose(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return up;
}

static bool study_is_possible(void)
{
    struct sockmap map;
    int failed = sockmap_open(&map, SOCKMAP_PARSER);
    errno = -failed;
    if (failed)
        return false;
    sockmap_close(&map);
    return study_enclose();
}

static const struct experiment *study_find(const char *word)
{
    for (int i = 0; i < EXPERIMENT_COUNT; i++) {
        if (strcmp(EXPERIMENTS[i].word, word) == 0)
            return &EXPERIMENTS[i];
    }
    return NULL;
}

static void study_run(const struct experiment *experiment)
{
    printf("%s: %s\n", experiment->word, experiment->question);
    fflush(stdout);
    experiment->run();
    fflush(stdout);
}

static int study_usage(void)
{
    fprintf(stderr, "usage: study [--rounds N] [--scale PART] EXPERIMENT...\n");
    for (int i = 0; i < EXPERIMENT_COUNT; i++)
        fprintf(stderr, "  %-14s %s\n", EXPERIMENTS[i].word, EXPERIMENTS[i].question);
    return 2;
}

/* False: not understood. */
static bool study_options(int argc, char **argv)
{
    static const struct option rows[] = {{"rounds", required_argument, NULL, 'r'}, {"scale", required_argument, NULL, 's'}, {0}};
    for (int which; (which = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (which == 'r')
            study_round_count = atoi(optarg);
        else if (which == 's')
            study_load_scale = atof(optarg);
        else
            return false;
    }
    for (int i = optind; i < argc; i++) {
        if (!study_find(argv[i]))
            return false;
    }
    return optind < argc && study_round_count > 0 && study_load_scale > 0;
}

int main(int argc, char **argv)
{
    if (!study_options(argc, argv))
        return study_usage();
    if (!study_is_possible()) {
        fprintf(stderr, "study: SKIPPED: no sockmap or no network namespace can be had here: %s\n", strerror(errno));
        return EXIT_SKIPPED;
    }
    for (int i = optind; i < argc; i++)
        study_run(study_find(argv[i]));
    return study_broken ? 1 : 0;
}
