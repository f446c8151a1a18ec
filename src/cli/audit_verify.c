/* `exeat audit verify`: is every record there as it was written? */
#include "cli/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit_verify.h"
#include "base/log.h"
#include "cli/audit_files.h"
#include "cli/command.h"

static const char VERIFY_USAGE[] = "usage: exeat audit verify [--head FILE] FILE...\n"
                                   "\n"
                                   "Follows number and chain of the records over all FILEs together, rotated and gzip'd ones too,\n"
                                   "in the order of their records. Names the first that is wrong, as FILE:LINE seq N: what.\n"
                                   "The end is held against FILE.head of the newest FILE, when that is there.\n"
                                   "\n"
                                   "      --head FILE  the head to hold the end against; without it, or when it does not tell the\n"
                                   "                   end, the answer is no\n"
                                   "  -h, --help       this text\n";

struct verification {
    struct audit_files files;
    char *head_path; /* where the head is, or would be */
    bool is_head_asked;
    bool has_head;
    struct journal_head head;
    struct audit_verify *verify;
};

static bool verify_on_line(void *arg, const char *path, const struct audit_input_line *line)
{
    const struct audit_place at = {path, line->number};
    audit_verify_add(arg, &at, line->at, line->len, line->is_torn);
    return true;
}

/* FILE.head of the newest file, unless another one was given. */
static bool verify_find_head(struct verification *verification, const char *asked)
{
    const struct audit_files *files = &verification->files;
    const char *given = asked != NULL ? asked : files->head;
    verification->is_head_asked = asked != NULL;
    int made = given != NULL ? asprintf(&verification->head_path, "%s", given)
                             : asprintf(&verification->head_path, "%s.head", files->paths[files->count - 1]);
    if (made >= 0)
        return true;
    verification->head_path = NULL;
    return command_no_memory() == COMMAND_OK;
}

/* COMMAND_OK: it was read, or is not there and need not be. */
static int verify_read_head(struct verification *verification)
{
    int fd = open(verification->head_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && !verification->is_head_asked)
        return COMMAND_OK;
    if (fd < 0) {
        log_error("%s: %s", verification->head_path, strerror(errno));
        return COMMAND_ERROR;
    }
    verification->has_head = journal_head_read(&verification->head, fd);
    close(fd);
    if (verification->has_head)
        return COMMAND_OK;
    printf("%s:1 seq 0: %s: it is no head of an audit file\n", verification->head_path, audit_damage_text(AUDIT_FOREIGN));
    return COMMAND_NO;
}

static int verify_say_bad(const struct verification *verification, const struct audit_finding *finding)
{
    const struct audit_files *files = &verification->files;
    const char *path = finding->at.file != NULL ? finding->at.file : files->paths[files->count - 1];
    printf("%s:%" PRIu64 " seq %" PRIu64 ": %s: %s\n", path, finding->at.line, finding->seq, audit_damage_text(finding->damage), finding->why);
    return COMMAND_NO;
}

static void verify_say_records(const struct audit_facts *facts)
{
    if (facts->records == 0)
        puts("whole: there are no records");
    else
        printf("whole: seq %" PRIu64 " to %" PRIu64 ", %" PRIu64 " records\n", facts->first, facts->last, facts->records);
    if (facts->first > 1)
        printf("unanchored: what came before seq %" PRIu64 " is not here%s\n", facts->first,
               facts->begins_file ? "" : ", and that is not the first record of a file");
    if (facts->bare > 0)
        printf("unchained: seq %" PRIu64 " to %" PRIu64, facts->bare_from, facts->bare_to);
    if (facts->bare_ranges > 1)
        printf(" and in %" PRIu64 " more places, %" PRIu64 " records in all", facts->bare_ranges - 1, facts->bare);
    if (facts->bare > 0)
        putchar('\n');
}

static int verify_say_whole(const struct verification *verification, const struct audit_facts *facts)
{
    const uint64_t told = verification->head.seq;
    const bool is_proven = facts->meets_head || (verification->has_head && told == facts->last); /* the latter when there is no record at all */
    verify_say_records(facts);
    if (!verification->has_head)
        printf("end unproven: there is no %s\n", verification->head_path);
    else if (!is_proven)
        printf("end unproven: %s says that seq %" PRIu64 " was the last\n", verification->head_path, told);
    else if (told < facts->last)
        printf("end proven up to seq %" PRIu64 " by %s: %" PRIu64 " more came since\n", told, verification->head_path, facts->last - told);
    else
        printf("end proven by %s\n", verification->head_path);
    return is_proven || !verification->is_head_asked ? COMMAND_OK : COMMAND_NO;
}

static int verify_read(struct verification *verification)
{
    struct audit_finding finding;
    if (!audit_files_read(&verification->files, verify_on_line, verification->verify))
        return COMMAND_ERROR;
    switch (audit_verify_end(verification->verify, &finding)) {
    case AUDIT_RESULT_WHOLE:
        return verify_say_whole(verification, audit_verify_facts(verification->verify));
    case AUDIT_RESULT_BAD:
        return verify_say_bad(verification, &finding);
    case AUDIT_RESULT_FAILED:
        break;
    }
    log_error("OpenSSL failed to compute a hash");
    return COMMAND_ERROR;
}

/* The head is read before the files: what is appended meanwhile is behind it, and nothing that it names is missing. */
static int verify_run(struct verification *verification, char **arguments, const char *head)
{
    if (!audit_files_init(&verification->files, arguments))
        return verification->files.count == 0 ? command_misuse("audit verify") : COMMAND_ERROR;
    if (!audit_files_sort(&verification->files) || !verify_find_head(verification, head))
        return COMMAND_ERROR;
    int status = verify_read_head(verification);
    if (status != COMMAND_OK)
        return status;
    verification->verify = audit_verify_new(verification->has_head ? &verification->head : NULL);
    return verification->verify != NULL ? verify_read(verification) : command_no_memory();
}

int command_audit_verify(int argc, char **argv)
{
    enum { OPTION_HEAD = 256 };
    static const struct option OPTIONS[] = {
        {"head", required_argument, NULL, OPTION_HEAD},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct verification verification = {.is_head_asked = false};
    const char *head = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(VERIFY_USAGE);
        if (option == '?')
            return command_misuse("audit verify");
        head = optarg;
    }
    int status = verify_run(&verification, argv + optind, head);
    audit_verify_free(verification.verify);
    free(verification.head_path);
    audit_files_fini(&verification.files);
    return status;
}
