/* `exeat status`: what a running exeat holds, from its admin socket. */
#include "cli/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/admin_page.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/table.h"

static const char STATUS_USAGE[] = "usage: exeat status [-c FILE] [--json] [--watch]\n"
                                   "\n"
                                   "Says how a running exeat stands: whether it is ready, what its server has given up, its open\n"
                                   "tunnels, what became of each rule. Asks the socket of [admin] listen.\n"
                                   "Exit status: 0 ready, 1 not ready, 2 not to be had.\n"
                                   "\n"
                                   "  -c, --config=FILE  the configuration that names the socket\n"
                                   "      --json         one JSON object\n"
                                   "      --watch        again every two seconds, until interrupted\n"
                                   "      --help         this text\n";

#define WATCH_EVERY_S 2

#define READY_PAGE "/readyz"
#define SERVER_PAGE "/server"
#define TUNNELS_PAGE "/tunnels"
#define RULES_PAGE "/rules"
#define AS_LINES "?format=lines"

#define COLUMNS_MAX 16

struct status_options {
    const char *path;
    bool json, watch;
};

struct status_pages {
    struct admin_page ready, server, tunnels, rules;
    bool whole; /* all that is not `ready` is there */
};

/* ---- asking ---- */

static bool status_fetch_good(struct admin_page *page, const char *socket, const char *path)
{
    if (!admin_page_get(page, socket, path))
        return false;
    if (page->status != 200)
        admin_page_complain(page, socket, path);
    return page->status == 200;
}

/* Who is not ready may have no more to say than that: a worker that hangs does not tell of its tunnels. */
static bool status_fetch_all(struct status_pages *pages, const char *socket, bool json)
{
    if (!admin_page_get(&pages->ready, socket, READY_PAGE))
        return false;
    pages->whole = status_fetch_good(&pages->tunnels, socket, json ? TUNNELS_PAGE : TUNNELS_PAGE AS_LINES) &&
                   status_fetch_good(&pages->rules, socket, json ? RULES_PAGE : RULES_PAGE AS_LINES) &&
                   status_fetch_good(&pages->server, socket, json ? SERVER_PAGE : SERVER_PAGE AS_LINES);
    return pages->whole || pages->ready.status != 200;
}

static void status_pages_fini(struct status_pages *pages)
{
    admin_page_fini(&pages->ready);
    admin_page_fini(&pages->server);
    admin_page_fini(&pages->tunnels);
    admin_page_fini(&pages->rules);
}

/* ---- telling ---- */

/* The first line of its body is a sentence. */
static char *status_words(const struct status_pages *pages)
{
    char *words = pages->ready.bytes + (pages->ready.body - pages->ready.bytes);
    words[strcspn(words, "\n")] = '\0';
    return words;
}

/* Each page is one object; here they are members of one, behind how it stands. */
static void status_print_members(const struct admin_page *page)
{
    const char *first = strchr(page->body, '{'), *end = strrchr(page->body, '}');
    if (first == NULL || end == NULL)
        return;
    putchar(',');
    fwrite(first + 1, 1, (size_t)(end - first - 1), stdout);
}

static void status_print_json(const struct status_pages *pages)
{
    printf("{\"ready\":%s", pages->ready.status == 200 ? "true" : "false");
    json_put_member(stdout, "state", status_words(pages));
    if (pages->whole) {
        status_print_members(&pages->server);
        status_print_members(&pages->tunnels);
        status_print_members(&pages->rules);
    }
    puts("}");
}

/* A line's fields, between tabs; what is not there is a dash. */
static void status_table_line(struct table *table, char *line)
{
    const char *cells[COLUMNS_MAX];
    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = line != NULL ? strsep(&line, "\t") : NULL;
        cells[i] = cell != NULL && *cell != '\0' ? cell : "-";
    }
    table_row(table, cells);
}

static bool status_print_table(const char *title, const char *const *heads, size_t columns, const struct admin_page *page)
{
    struct table table;
    char *rest = page->bytes + (page->body - page->bytes);
    table_init(&table, columns);
    table_row(&table, heads);
    const char *remark = NULL;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line == '#')
            remark = line;
        else if (*line != '\0')
            status_table_line(&table, line);
    printf("\n%s\n", title);
    bool printed = table_print(&table, stdout);
    if (remark != NULL)
        puts(remark);
    table_fini(&table);
    return printed;
}

static bool status_print_text(const struct status_pages *pages)
{
    static const char *const TUNNELS[] = {"ID",     "CLIENT",   "GROUP", "HOST", "PORT",  "RULE",      "ROUTE",
                                          "EGRESS", "UPSTREAM", "UP",    "DOWN", "SINCE", "GENERATION"};
    static const char *const RULES[] = {"RULE", "AT", "HITS", "LAST HIT", "CLIENTS", "UP", "DOWN", "SINCE"};
    table_colour(stdout, pages->ready.status == 200 ? COLOUR_GOOD : COLOUR_BAD, status_words(pages));
    putchar('\n');
    if (!pages->whole)
        return true;
    fputs(pages->server.body, stdout);
    return status_print_table("tunnels", TUNNELS, sizeof(TUNNELS) / sizeof(TUNNELS[0]), &pages->tunnels) &&
           status_print_table("rules", RULES, sizeof(RULES) / sizeof(RULES[0]), &pages->rules);
}

static int status_show(const struct status_options *options, const char *socket)
{
    struct status_pages pages = {0};
    int code = COMMAND_ERROR;
    if (status_fetch_all(&pages, socket, options->json)) {
        code = pages.ready.status == 200 ? COMMAND_OK : COMMAND_NO;
        if (options->watch && !options->json && isatty(STDOUT_FILENO))
            fputs("\033[H\033[J", stdout);
        if (options->json)
            status_print_json(&pages);
        else if (!status_print_text(&pages))
            code = command_no_memory();
    }
    status_pages_fini(&pages);
    return code;
}

/* ---- the command ---- */

static int status_run(const struct status_options *options, const char *socket)
{
    int code = status_show(options, socket);
    while (options->watch && code != COMMAND_ERROR && fflush(stdout) == 0 && !output_is_closed()) {
        sleep(WATCH_EVERY_S);
        code = status_show(options, socket);
    }
    return code;
}

static bool status_read_options(int argc, char **argv, struct status_options *options, bool *help)
{
    static const struct option KNOWN[] = {
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"watch", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:h", KNOWN, NULL)) != -1;) {
        switch (option) {
        case 'c':
            options->path = optarg;
            break;
        case 'j':
            options->json = true;
            break;
        case 'w':
            options->watch = true;
            break;
        case 'h':
            *help = true;
            break;
        default:
            return false;
        }
    }
    if (optind < argc)
        log_error("\"%s\" is more than `status` takes", argv[optind]);
    return optind == argc;
}

int command_status(int argc, char **argv)
{
    struct status_options options = {0};
    bool help = false;
    if (!status_read_options(argc, argv, &options, &help))
        return command_misuse("status");
    if (help)
        return command_help(STATUS_USAGE);
    char *socket = load_socket(options.path);
    int code = socket != NULL ? status_run(&options, socket) : COMMAND_ERROR;
    free(socket);
    return code;
}
