/* `exeat audit export`: the records by another schema, of whole files or while they are written. */
#include "cli/audit.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_export.h"
#include "audit/audit_follow.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "cli/audit_files.h"
#include "cli/command.h"
#include "cli/output.h"

#define FOLLOW_PAUSE_MS 100
#define COMPLAINTS_MAX 100 /* lines that are no records, one message each; then they are counted */

static_assert(AUDIT_EXPORT_MAX <= OUTPUT_LINE_MAX, "a line has room");

static const char EXPORT_USAGE[] = "usage: exeat audit export --format ecs|ocsf [--after SEQ] [--follow] FILE...\n"
                                   "\n"
                                   "Writes every record of all FILEs to standard output, one JSON object a line, by another schema:\n"
                                   "the Elastic Common Schema or OCSF. exeat-audit(5) says what becomes of each key.\n"
                                   "\n"
                                   "      --format F   ecs or ocsf\n"
                                   "      --after SEQ  only what comes behind this record, as that of an earlier run\n"
                                   "  -f, --follow     goes on with the newest FILE as it grows, over rotations, until SIGINT or SIGTERM\n"
                                   "  -h, --help       this text\n";

struct exporting {
    enum audit_export_format format;
    bool is_following;
    bool is_continuous; /* seq goes on from record to record, or it is said */
    bool is_eager;      /* nothing tells when more can be read: each line is written at once */
    uint64_t skipped;   /* up to this record, until the first behind it; 0: none any more */
    uint64_t last;      /* seq of the last record; 0: none yet */
    uint64_t unread;    /* lines that are no records */
    bool is_missing;    /* a seq was never seen */
    struct output output;
};

/* The first signal ends in order, a second one at once. */
static volatile sig_atomic_t export_is_stopped;

static void export_on_signal(int signal)
{
    (void)signal;
    export_is_stopped = 1;
}

static void export_catch_signals(bool is_following)
{
    const struct sigaction stop = {.sa_handler = export_on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    signal(SIGPIPE, SIG_IGN); /* a write that fails is told as any other */
    if (!is_following)
        return;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

static void export_complain(struct exporting *exporting, const char *path, uint64_t number)
{
    if (exporting->unread++ < COMPLAINTS_MAX)
        log_warn("%s:%" PRIu64 ": this is no audit record", path, number);
}

/* True: the record is wanted. */
static bool export_count(struct exporting *exporting, uint64_t seq, const char *path)
{
    if (exporting->is_continuous && exporting->last != 0 && seq > exporting->last + 1) {
        log_warn("%s: seq %" PRIu64 " to %" PRIu64 " are not in these files", path, exporting->last + 1, seq - 1);
        exporting->is_missing = true;
    }
    if (seq > exporting->skipped)
        exporting->skipped = 0;
    if (exporting->skipped == 0)
        exporting->last = seq;
    return exporting->skipped == 0;
}

/* False: it cannot be written, or is to stop. */
static bool export_on_line(void *arg, const char *path, const struct audit_input_line *line)
{
    struct exporting *exporting = arg;
    struct audit_record record;
    struct text *text = &exporting->output.text;
    const size_t before = text->len;
    if (line->is_torn || !audit_record_read(&record, line->at, line->len)) {
        export_complain(exporting, path, line->number);
        return !export_is_stopped;
    }
    if (!export_count(exporting, record.values[AUDIT_KEY_SEQ].number, path))
        return !export_is_stopped;
    if (!audit_export_write(text, &record, exporting->format)) {
        text->len = before;
        export_complain(exporting, path, line->number);
        return !export_is_stopped;
    }
    return output_end_line(&exporting->output) && (!exporting->is_eager || output_flush(&exporting->output)) && !export_is_stopped;
}

/* What is there was written: waits for more. False: nobody is there any more who would read it. */
static bool export_wait(struct exporting *exporting)
{
    if (!output_flush(&exporting->output) || output_is_closed())
        return false;
    if (!export_is_stopped)
        clock_pause_ms(FOLLOW_PAUSE_MS);
    return true;
}

static bool export_follow(struct exporting *exporting, const char *path)
{
    struct audit_input_line line;
    enum audit_input_result result = AUDIT_INPUT_END;
    bool goes_on = exporting->output.error == 0;
    struct audit_follow *follow = audit_follow_new(path, exporting->last);
    if (follow == NULL)
        return command_no_memory() == COMMAND_OK;
    while (goes_on && !export_is_stopped && (result = audit_follow_next(follow, &line)) != AUDIT_INPUT_FAILED) {
        if (result == AUDIT_INPUT_LINE) {
            goes_on = export_on_line(exporting, audit_follow_path(follow), &line);
            audit_follow_set_seq(follow, exporting->last);
        } else {
            goes_on = export_wait(exporting);
        }
    }
    if (result == AUDIT_INPUT_FAILED)
        log_error("%s: %s", audit_follow_path(follow), audit_follow_fault(follow));
    audit_follow_free(follow);
    return result != AUDIT_INPUT_FAILED;
}

/* What is not there yet can become one. */
static bool export_can_follow(const char *path)
{
    struct stat status;
    return strcmp(path, "-") != 0 && (stat(path, &status) != 0 || S_ISREG(status.st_mode));
}

/* The newest file is followed; a pipe is read to its end, which comes when its writer ends. */
static bool export_read(struct exporting *exporting, struct audit_files *files)
{
    const char *newest = exporting->is_following ? files->paths[files->count - 1] : NULL;
    files->is_quiet = isatty(STDOUT_FILENO);
    if (newest == NULL || !export_can_follow(newest)) {
        exporting->is_eager = newest != NULL;
        return audit_files_read(files, export_on_line, exporting);
    }
    files->count--;
    return audit_files_read(files, export_on_line, exporting) && export_follow(exporting, newest);
}

static int export_finish(struct exporting *exporting, bool read)
{
    struct output *output = &exporting->output;
    output_flush(output);
    if (output->error != 0 && !(exporting->is_following && output->error == EPIPE)) {
        log_error("standard output: %s", strerror(output->error));
        return COMMAND_ERROR;
    }
    if (exporting->unread > 0)
        log_warn("%" PRIu64 " lines were no audit records and were not exported", exporting->unread);
    if (!read)
        return COMMAND_ERROR;
    return exporting->unread > 0 || exporting->is_missing ? COMMAND_NO : COMMAND_OK;
}

static int export_run(struct exporting *exporting, char **arguments)
{
    struct audit_files files;
    const bool found = audit_files_init(&files, arguments);
    int status = files.count == 0 ? command_misuse("audit export") : COMMAND_ERROR;
    export_catch_signals(exporting->is_following);
    output_init(&exporting->output);
    if (found && audit_files_sort(&files))
        status = export_finish(exporting, export_read(exporting, &files));
    audit_files_fini(&files);
    return status;
}

enum { OPTION_FORMAT = 256, OPTION_AFTER };

static bool export_take_option(struct exporting *exporting, int option)
{
    switch (option) {
    case OPTION_FORMAT:
        exporting->format = audit_export_format_read(optarg);
        if (exporting->format == AUDIT_EXPORT_NONE)
            log_error("--format: there is no \"%s\"; it is ecs or ocsf", optarg);
        return exporting->format != AUDIT_EXPORT_NONE;
    case OPTION_AFTER:
        if (number_read(&exporting->skipped, optarg, strlen(optarg), UINT64_MAX - 1))
            return true;
        log_error("--after: \"%s\" is no number", optarg);
        return false;
    default:
        exporting->is_following = true;
        return true;
    }
}

static bool export_take_options(struct exporting *exporting, int argc, char **argv, bool *is_help)
{
    static const struct option OPTIONS[] = {
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"after", required_argument, NULL, OPTION_AFTER},
        {"follow", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "fh", OPTIONS, NULL)) != -1) {
        *is_help = option == 'h';
        if (*is_help || option == '?' || !export_take_option(exporting, option))
            return false;
    }
    if (exporting->format == AUDIT_EXPORT_NONE)
        log_error("which --format, ecs or ocsf?");
    return exporting->format != AUDIT_EXPORT_NONE;
}

int command_audit_export(int argc, char **argv)
{
    bool is_help = false;
    struct exporting *exporting = calloc(1, sizeof(*exporting));
    if (exporting == NULL)
        return command_no_memory();
    int status;
    if (export_take_options(exporting, argc, argv, &is_help)) {
        exporting->last = exporting->skipped;
        exporting->is_continuous = exporting->is_following || exporting->skipped > 0;
        status = export_run(exporting, argv + optind);
    } else {
        status = is_help ? command_help(EXPORT_USAGE) : command_misuse("audit export");
    }
    free(exporting);
    return status;
}
