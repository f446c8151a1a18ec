/* The load generator's command line: `load origin`, `load floor --to ORIGIN …`, `load client --to PROXY …`. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "net.h"
#include "roles.h"

static _Noreturn void main_usage(void)
{
    fputs("usage: load origin\n"
          "       load floor --to IP:PORT [--sni] [--splice] [--reject] [--transparent]\n"
          "       load client --to IP:PORT [--connect HOST:PORT] --name SNI --load setup|reject|echo|down|up|idle [--count N] [--parallel N]\n"
          "                   [--rate N]\n",
          stderr);
    exit(2);
}

static void main_option(struct options *options, int which)
{
    switch (which) {
    case 't':
        if (!net_address(&options->to, optarg))
            main_usage();
        break;
    case 'c':
        options->connect = optarg;
        break;
    case 'n':
        options->name = optarg;
        break;
    case 'l':
        options->load = optarg;
        break;
    case 'k':
        options->count = strtoull(optarg, NULL, 10);
        break;
    case 'p':
        options->parallel = (unsigned)strtoul(optarg, NULL, 10);
        break;
    case 'a':
        options->rate = strtoull(optarg, NULL, 10);
        break;
    case 's':
        options->sni = true;
        break;
    case 'z':
        options->splice = true;
        break;
    case 'r':
        options->reject = true;
        break;
    case 'x':
        options->transparent = true;
        break;
    default:
        main_usage();
    }
}

int main(int argc, char **argv)
{
    static const struct option rows[] = {
        {"to", required_argument, NULL, 't'},
        {"connect", required_argument, NULL, 'c'},
        {"name", required_argument, NULL, 'n'},
        {"load", required_argument, NULL, 'l'},
        {"count", required_argument, NULL, 'k'},
        {"parallel", required_argument, NULL, 'p'},
        {"rate", required_argument, NULL, 'a'},
        {"sni", no_argument, NULL, 's'},
        {"splice", no_argument, NULL, 'z'},
        {"reject", no_argument, NULL, 'r'},
        {"transparent", no_argument, NULL, 'x'},
        {0},
    };
    struct options options = {.name = "origin.bench.test", .load = "setup", .count = 1000, .parallel = 32};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 2)
        main_usage();
    for (int which; (which = getopt_long(argc - 1, argv + 1, "", rows, NULL)) != -1;)
        main_option(&options, which);
    if (options.parallel == 0 || options.count == 0 || options.rate > 1000000)
        main_usage();
    if (strcmp(argv[1], "origin") == 0)
        origin_run();
    if (options.to.sin_port == 0)
        main_usage();
    if (strcmp(argv[1], "floor") == 0)
        floor_run(&options);
    if (strcmp(argv[1], "client") == 0)
        return client_run(&options);
    main_usage();
}
