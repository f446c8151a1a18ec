/* The audit files that a command was given, and reading them line by line. */
#include "cli/audit_files.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/audit_peek.h"
#include "audit/journal_head.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/progress.h"

#define LINES_A_LOOK 1024 /* between two looks at the clock */

static bool audit_files_fail(const char *path, const char *why)
{
    log_error("%s: %s", path, why);
    return false;
}

bool audit_files_init(struct audit_files *files, char **arguments)
{
    size_t room = 1;
    while (arguments[room - 1] != NULL)
        room++;
    *files = (struct audit_files){.paths = calloc(room, sizeof(char *))};
    if (files->paths == NULL)
        return command_no_memory() == COMMAND_OK;
    for (; *arguments != NULL; arguments++) {
        if (!journal_head_is_path(*arguments))
            files->paths[files->count++] = *arguments;
        else if (files->head == NULL)
            files->head = *arguments;
        else
            return audit_files_fail(*arguments, "one head is enough: these are files of several journals");
    }
    if (files->count == 0)
        log_error("which FILE?");
    return files->count > 0;
}

void audit_files_fini(struct audit_files *files)
{
    free(files->paths);
}

/* By insertion, so that files of which nothing is known stay in the order given. True: something was moved. */
static bool audit_files_order(struct audit_files *files, uint64_t *seqs)
{
    bool moved = false;
    for (size_t i = 1; i < files->count; i++) {
        char *path = files->paths[i];
        const uint64_t seq = seqs[i];
        size_t at = i;
        for (; at > 0 && seqs[at - 1] > seq; at--) {
            seqs[at] = seqs[at - 1];
            files->paths[at] = files->paths[at - 1];
            moved = true;
        }
        seqs[at] = seq;
        files->paths[at] = path;
    }
    return moved;
}

/* What cannot be read twice cannot be sorted. */
static bool audit_files_are_regular(const struct audit_files *files)
{
    struct stat status;
    for (size_t i = 0; i < files->count; i++)
        if (stat(files->paths[i], &status) != 0 || !S_ISREG(status.st_mode))
            return false;
    return true;
}

bool audit_files_sort(struct audit_files *files)
{
    if (files->count < 2 || !audit_files_are_regular(files))
        return true;
    const char *why = "";
    uint64_t *seqs = calloc(files->count, sizeof(*seqs));
    if (seqs == NULL)
        return command_no_memory() == COMMAND_OK;
    bool good = true;
    for (size_t i = 0; i < files->count && good; i++)
        good = audit_peek(&seqs[i], files->paths[i], &why) || audit_files_fail(files->paths[i], why);
    if (good && audit_files_order(files, seqs))
        log_info("the files are read in the order of their records, from %s to %s", files->paths[0], files->paths[files->count - 1]);
    free(seqs);
    return good;
}

static uint64_t audit_files_total(const struct audit_files *files)
{
    uint64_t total = 0;
    struct stat status;
    for (size_t i = 0; i < files->count; i++)
        if (stat(files->paths[i], &status) == 0 && S_ISREG(status.st_mode))
            total += (uint64_t)status.st_size;
    return total;
}

/* How all files are read, one after the other. */
struct audit_reading {
    struct progress progress;
    uint64_t done; /* bytes of the files before */
    bool (*on_line)(void *arg, const char *path, const struct audit_input_line *line);
    void *arg;
    bool is_over; /* on_line wants no more */
};

static bool audit_files_read_one(struct audit_reading *reading, const char *path)
{
    struct audit_input_line line;
    enum audit_input_result result = AUDIT_INPUT_END;
    struct audit_input *input = audit_input_open(path);
    if (input == NULL)
        return audit_files_fail(path, strerror(errno));
    while (!reading->is_over && (result = audit_input_next(input, &line)) == AUDIT_INPUT_LINE) {
        if (line.number % LINES_A_LOOK == 1)
            progress_set(&reading->progress, reading->done + audit_input_position(input));
        reading->is_over = !reading->on_line(reading->arg, path, &line);
    }
    progress_set(&reading->progress, reading->done += audit_input_position(input));
    if (result == AUDIT_INPUT_FAILED) {
        progress_fini(&reading->progress);
        audit_files_fail(path, audit_input_fault(input));
    }
    audit_input_close(input);
    return result != AUDIT_INPUT_FAILED;
}

bool audit_files_read(const struct audit_files *files, bool (*on_line)(void *arg, const char *path, const struct audit_input_line *line), void *arg)
{
    struct audit_reading reading = {.on_line = on_line, .arg = arg};
    bool good = true;
    progress_init(&reading.progress, files->is_quiet ? 0 : audit_files_total(files));
    for (size_t i = 0; i < files->count && good && !reading.is_over; i++)
        good = audit_files_read_one(&reading, files->paths[i]);
    progress_fini(&reading.progress);
    return good;
}
