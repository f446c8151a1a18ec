/* Cost: the floors by sockmap, splice and copy in turn, under the load of the bench. */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../net.h"
#include "proc.h"
#include "relay.h"
#include "study.h"
#include "tunnel.h"

enum { ROUNDS_MAX = 99, JOINED = 1000 };

/* What is compared; the first is what the others are held against. */
static const struct subject {
    const char *title;
    void (*run)(const struct options *options);
    bool splice, bulk_only;
} SUBJECTS[] = {
    {"floor", floor_run, true, false},
    {"copy", floor_run, false, true},
    {"sockmap", relay_run, false, false},
    {"with parser", relay_run_parser, false, false},
};

enum { SUBJECT_COUNT = sizeof(SUBJECTS) / sizeof(*SUBJECTS) };

/* Small enough that even a relay that never stops the sender fits into memory. */
static const struct load {
    const char *word, *title;
    uint64_t count;
    unsigned parallel;
    double unit; /* of the count */
    bool bulk;   /* the floor splices; messages it copies */
} LOADS[] = {
    {"down", "bulk down, eight tunnels, per GB", 512 * MIB, 8, 1e9, true},
    {"echo", "64-byte echo, eight on their way, per 100k", 40000, 8, 1e5, false},
    {"echo", "64-byte echo, one at a time, per 100k", 10000, 1, 1e5, false},
};

enum { LOAD_COUNT = sizeof(LOADS) / sizeof(*LOADS) };

enum measure { RELAY, WORKERS, LOAD, ALL, MACHINE, WALL, LATENCY, MEASURES };

/* Which processors the relay may have: the last alone, as in the bench, and the load the others; any; the load's. The kernel's workers run where
 * bytes come in. */
enum place { PLACE_APART, PLACE_FREE, PLACE_TOGETHER, PLACES };

static const char *const PLACE_TEXT[PLACES] = {"relay apart", "as the kernel likes", "all on one processor"};

/* ---- processes ---- */

struct child {
    pid_t pid;
    FILE *in, *out;
};

static void cost_pin(bool is_subject, enum place place)
{
    cpu_set_t cpus, own;
    int last = 0;
    if (place == PLACE_FREE || sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || CPU_COUNT(&cpus) < 2)
        return;
    for (int i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, &cpus) ? i : last;
    CPU_ZERO(&own);
    CPU_SET(last, &own);
    CPU_CLR(last, &cpus);
    (void)sched_setaffinity(0, sizeof(cpus), is_subject || place == PLACE_TOGETHER ? &own : &cpus);
}

/* A role in a process of its own, with pipes for its standard input and output. */
static struct child cost_start(void (*role)(const struct options *options), const struct options *options, bool is_subject, enum place place)
{
    int in[2], out[2];
    fflush(stdout);
    if (pipe(in) != 0 || pipe(out) != 0)
        study_fail("no pipe");
    pid_t pid = fork();
    if (pid < 0)
        study_fail("no process");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
            study_fail("no pipe");
        for (int i = 0; i < 2; i++) {
            close(in[i]);
            close(out[i]);
        }
        cost_pin(is_subject, place);
        role(options);
        exit(0);
    }
    close(in[0]);
    close(out[1]);
    return (struct child){pid, fdopen(in[1], "w"), fdopen(out[0], "r")};
}

static void cost_stop(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    fclose(child->in);
    fclose(child->out);
}

static void cost_read(struct child *child, char *line, int size)
{
    if (!fgets(line, size, child->out))
        study_fail("a process ended early");
}

static double cost_cpu_s(const struct child *child)
{
    clockid_t clock;
    struct timespec now = {0, 0};
    if (clock_getcpuclockid(child->pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
        study_fail("no CPU clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits for its port. */
static void cost_await_port(struct child *child, struct sockaddr_in *address)
{
    char line[64], text[80];
    cost_read(child, line, sizeof(line));
    snprintf(text, sizeof(text), "127.0.0.1:%s", line);
    if (!net_address(address, text))
        study_fail("no address");
}

/* ---- one measurement ---- */

static void cost_origin(const struct options *options)
{
    (void)options;
    origin_run();
}

static void cost_client(const struct options *options)
{
    exit(client_run(options));
}

static void cost_look(double *values, const struct child *relay, const struct child *origin, const struct child *client)
{
    values[RELAY] = cost_cpu_s(relay);
    values[WORKERS] = proc_workers_s();
    values[LOAD] = cost_cpu_s(origin) + cost_cpu_s(client);
    values[ALL] = values[RELAY] + values[WORKERS] + values[LOAD];
    values[MACHINE] = proc_machine_s();
}

/* The number behind a word of what the client printed. */
static double cost_word(const char *line, const char *word)
{
    const char *at = strstr(line, word);
    return at ? strtod(at + strlen(word), NULL) : 0;
}

static void cost_measure(const struct subject *subject, const struct load *load, enum place place, double *values)
{
    uint64_t count = (uint64_t)((double)load->count * study_scale() / load->parallel) * load->parallel;
    struct options options = {.name = "origin.bench.test",
                              .connect = "origin.bench.test:443",
                              .load = load->word,
                              .count = count,
                              .parallel = load->parallel,
                              .splice = subject->splice && load->bulk};
    char line[256];
    double before[MEASURES] = {0};
    struct child origin = cost_start(cost_origin, &options, false, place);
    cost_await_port(&origin, &options.to);
    struct child relay = cost_start(subject->run, &options, true, place);
    cost_await_port(&relay, &options.to);
    struct child client = cost_start(cost_client, &options, false, place);
    cost_read(&client, line, sizeof(line)); /* ready */
    cost_look(before, &relay, &origin, &client);
    fputc('\n', client.in);
    fflush(client.in);
    cost_read(&client, line, sizeof(line));
    cost_look(values, &relay, &origin, &client);
    values[WALL] = cost_word(line, "\"wall_s\": ");
    for (int i = RELAY; i <= WALL; i++)
        values[i] = (values[i] - before[i]) * load->unit / (double)count;
    values[LATENCY] = cost_word(line, "\"p50_us\": ");
    if (cost_word(line, "\"failed\": ") != 0 || (uint64_t)cost_word(line, "\"done\": ") < count)
        study_fail(line);
    cost_stop(&client);
    cost_stop(&relay);
    cost_stop(&origin);
}

/* ---- the rounds ---- */

static int cost_compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double cost_median(const double *values, int rounds)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, (size_t)rounds * sizeof(*sorted));
    qsort(sorted, (size_t)rounds, sizeof(*sorted), cost_compare);
    return sorted[rounds / 2];
}

static double cost_ratio(const double *values, const double *floors, int rounds)
{
    double ratios[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++)
        ratios[i] = floors[i] > 0 ? values[i] / floors[i] : 0;
    return cost_median(ratios, rounds);
}

/* Medians, and medians of the ratios to the floor within each round. */
static void cost_report(const char *title, double values[MEASURES][ROUNDS_MAX], double floors[MEASURES][ROUNDS_MAX], int rounds)
{
    printf("    %-12s", title);
    for (int m = RELAY; m <= LOAD; m++)
        printf(" %8.3f", cost_median(values[m], rounds));
    for (int m = ALL; m < (values[LATENCY][0] > 0 ? MEASURES : LATENCY); m++)
        printf(" %8.3f x%5.2f", cost_median(values[m], rounds), cost_ratio(values[m], floors[m], rounds));
    putchar('\n');
}

static void cost_load(const struct load *load, enum place place, int rounds)
{
    static double values[SUBJECT_COUNT][MEASURES][ROUNDS_MAX];
    double round[MEASURES];
    for (int i = 0; i < rounds; i++) {
        for (int s = 0; s < SUBJECT_COUNT; s++) {
            if (SUBJECTS[s].bulk_only && !load->bulk)
                continue;
            cost_measure(&SUBJECTS[s], load, place, round);
            for (int m = 0; m < MEASURES; m++)
                values[s][m][i] = round[m];
        }
    }
    printf("  %s; %s\n    %-12s %8s %8s %8s %15s %15s %15s %15s\n", load->title, PLACE_TEXT[place], "CPU s", "relay", "kworkers", "load",
           "all of these", "machine", "on the wall, s", load->bulk ? "" : "latency, us");
    for (int s = 0; s < SUBJECT_COUNT; s++) {
        if (load->bulk || !SUBJECTS[s].bulk_only)
            cost_report(SUBJECTS[s].title, values[s], values[0], rounds);
    }
}

/* ---- tunnels that stand ---- */

static double cost_own_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* What joining costs by itself, and what the kernel keeps for it. */
static void cost_standing(void)
{
    static struct tunnel tunnels[JOINED];
    struct sockmap map;
    study_open(&map, SOCKMAP_VERDICT);
    for (int i = 0; i < JOINED; i++)
        tunnel_open(&tunnels[i]);
    uint64_t slab = proc_number("/proc/meminfo", "SUnreclaim:");
    double start_us = cost_own_us();
    for (int i = 0; i < JOINED; i++)
        study_join(&map, tunnels[i].near, tunnels[i].far);
    double joined_us = cost_own_us();
    uint64_t kept = proc_number("/proc/meminfo", "SUnreclaim:") - slab;
    study_say("to join and kick one tunnel: CPU us; bytes of kernel memory", "%.1f %" PRId64, (joined_us - start_us) / JOINED,
              (int64_t)kept * KIB / JOINED);
    for (int i = 0; i < JOINED; i++)
        tunnel_close(&tunnels[i]);
    sockmap_close(&map);
}

void study_cost(void)
{
    int rounds = study_rounds() < ROUNDS_MAX ? study_rounds() : ROUNDS_MAX;
    study_say("median of so many rounds, ratios within each", "%d", rounds);
    for (int i = 0; i < LOAD_COUNT * PLACES; i++)
        cost_load(&LOADS[i / PLACES], (enum place)(i % PLACES), rounds);
    cost_standing();
}
