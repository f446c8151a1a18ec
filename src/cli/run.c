/* exeat run: judge the configuration, then serve in the foreground. */
#include "cli/command.h"

#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/load.h"
#include "config/candidate.h"
#include "config/sign_key.h"
#include "host/supervisor.h"

static const char RUN_USAGE[] =
    "usage: exeat run [OPTION]...\n"
    "\n"
    "Serve in the foreground; log to standard error.\n"
    "\n"
    "  -c, --config=FILE      the configuration; without it the embedded default\n"
    "      --listen=ADDRESS   listen on this ADDRESS:PORT, in place of the configured listeners\n"
    "      --ports-file=FILE  when ready, write a line 'NAME ADDRESS' there for each listener\n"
    "      --help             print this and exit\n"
    "\n"
    "SIGTERM drains: nothing new is let in, open tunnels go on until they end, for drain_timeout at most; a second one is as\n"
    "SIGINT: it ends every tunnel with its record and stops; one more stops at once.\n"
    "SIGHUP reads the configuration anew and goes on by it, or stays as it is when it has a fault.\n"
    "SIGUSR1 goes on in a new audit file, after the old one was renamed.\n"
    "SIGUSR2 upgrades: the program that stands in this one's place by then goes on, and no connection is lost.\n";

struct run_options {
    const char *path, *listen, *ports_file;
    char **words; /* of the command line, from the command on */
    bool help;
};

static bool run_read_options(int argc, char **argv, struct run_options *options)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"listen", required_argument, NULL, 'l'},
        {"ports-file", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:h", known, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->path = optarg;
            break;
        case 'l':
            options->listen = optarg;
            break;
        case 'p':
            options->ports_file = optarg;
            break;
        case 'h':
            options->help = true;
            break;
        default:
            return false;
        }
    }
    if (optind < argc)
        log_error("\"%s\" is more than `run` takes", argv[optind]);
    return optind == argc;
}

static const char *run_path(const struct run_options *options)
{
    return options->path != NULL ? options->path : CONFIG_EMBEDDED;
}

static unsigned run_workers(const struct config *config)
{
    cpu_set_t cpus;
    if (config->workers != 0)
        return config->workers;
    unsigned count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static void run_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Lints only warn here; an expectation that fails keeps the proxy from starting. */
static struct config *run_load(const struct run_options *options, struct bundle *bundle, struct fault_list *faults, int *sign_key_fd)
{
    struct config *config = config_load(bundle, run_path(options), faults);
    if (config != NULL) {
        uint32_t today = clock_day(clock_wall_us());
        config_lint(config, today, faults);
        config_expect(config, today, faults);
        *sign_key_fd = sign_key_open(&config->audit, true, faults);
    }
    if (fault_count(faults) == 0)
        return config;
    load_print(faults);
    run_close(*sign_key_fd);
    config_unref(config);
    return NULL;
}

static bool run_replace_listeners(struct config *config, const char *text)
{
    struct endpoint address;
    if (text == NULL)
        return true;
    if (endpoint_read(&address, text, strlen(text)))
        return config_set_listen(config, &address);
    log_error("--listen: \"%s\" is not ADDRESS:PORT, as 127.0.0.1:3128 or [::1]:3128", text);
    return false;
}

static int run_supervise(const struct run_options *options, struct candidate *candidate, struct fault_list *faults, int sign_key_fd,
                         struct handover *left)
{
    const struct successor successor = {.program = successor_program(), .words = options->words};
    const struct supervisor_settings settings = {
        .candidate = candidate,
        .config_path = run_path(options),
        .listen = options->listen,
        .ports_file = options->ports_file,
        .warnings = faults,
        .workers = left != NULL ? left->workers : run_workers(candidate->config),
        .successor = &successor,
        .left = left,
        .sign_key_fd = sign_key_fd,
    };
    const int code = supervisor_run(&settings);
    free(successor.program);
    return code;
}

/* The bundle is gone when this returns. */
static int run_serve(const struct run_options *options, struct bundle *bundle, struct fault_list *faults)
{
    int sign_key_fd = -1, code = COMMAND_ERROR;
    struct config *config = run_load(options, bundle, faults, &sign_key_fd);
    struct candidate *candidate = config != NULL && run_replace_listeners(config, options->listen) ? candidate_serving(bundle, config) : NULL;
    if (candidate != NULL) {
        code = run_supervise(options, candidate, faults, sign_key_fd, NULL);
    } else {
        config_unref(config);
        bundle_free(bundle);
    }
    run_close(sign_key_fd);
    return code;
}

/* Goes by the configuration that serves; when it is only tried, no further than to read it. */
static int run_adopt(const struct run_options *options, struct handover *left, bool trial, struct fault_list *faults)
{
    struct candidate *candidate = candidate_adopt(left->configuration, left->origin, run_path(options), options->listen, faults);
    if (candidate != NULL && !trial)
        return run_supervise(options, candidate, faults, left->sign_key, left);
    if (candidate == NULL)
        load_print(faults);
    handover_free(left);
    const int code = candidate != NULL ? COMMAND_OK : COMMAND_ERROR;
    candidate_free(candidate);
    return code;
}

/* In place of the program before this one; or only aside, to see whether that would do. */
static int run_go_on(const struct run_options *options, int left_fd, bool trial)
{
    struct handover left;
    const bool read = handover_load(&left, left_fd);
    close(left_fd);
    if (!read || (!trial && !handover_set_cloexec(&left, true))) {
        log_error("this program cannot go on in place of the one that runs: it takes a restart");
        return COMMAND_ERROR;
    }
    struct fault_list *faults = fault_list_new();
    const int code = faults != NULL ? run_adopt(options, &left, trial, faults) : command_no_memory();
    if (!trial)
        run_close(left.sign_key);
    fault_list_free(faults);
    return code;
}

static int run_begin(const struct run_options *options)
{
    struct bundle *bundle = bundle_new();
    struct fault_list *faults = fault_list_new();
    int code;
    if (bundle != NULL && faults != NULL) {
        code = run_serve(options, bundle, faults);
    } else {
        code = command_no_memory();
        bundle_free(bundle);
    }
    fault_list_free(faults);
    return code;
}

int command_run(int argc, char **argv)
{
    static char name[] = "run";
    struct run_options options = {.words = argv};
    if (!run_read_options(argc, argv, &options))
        return command_misuse("run");
    if (options.help)
        return command_help(RUN_USAGE);
    argv[0] = name;
    bool trial;
    const int left = successor_left(&trial);
    return left >= 0 ? run_go_on(&options, left, trial) : run_begin(&options);
}
