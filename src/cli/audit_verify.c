/* `exeat audit verify`: is every record there as it was written? */
#include "cli/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit_verify.h"
#include "audit/journal_head.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/audit_files.h"
#include "cli/audit_keyring.h"
#include "cli/command.h"

#define LINE_MAX_CHARS 10240 /* two paths, and what is said of them */

static const char VERIFY_USAGE[] = "usage: exeat audit verify [--key PUB]... [--head FILE] FILE...\n"
                                   "\n"
                                   "Follows number and chain of the records over all FILEs together, rotated and gzip'd ones too,\n"
                                   "in the order of their records. Names the first that is wrong, as FILE:LINE seq N: what.\n"
                                   "The end is held against FILE.head of the newest FILE, when that is there.\n"
                                   "\n"
                                   "      --key PUB    a public key by which records may be signed (PEM), as 'exeat audit keygen' made it;\n"
                                   "                   every checkpoint must be signed by one of those given, and the end must be\n"
                                   "                   proven by the last one or by the head, else the answer is no\n"
                                   "      --head FILE  the head to hold the end against; without it, or when it does not tell the\n"
                                   "                   end, the answer is no\n"
                                   "  -h, --help       this text\n";

struct verification {
    struct audit_files files;
    struct audit_keyring keyring;
    const char *head_asked; /* NULL: by nobody */
    char *head_path;        /* where the head is, or would be */
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

/* A line in which files are named: whoever named them must not be able to end it, or to speak to the terminal. */
static void __attribute__((format(printf, 1, 2))) verify_say(const char *format, ...)
{
    char *line, clean[LINE_MAX_CHARS + 1];
    struct text text;
    va_list args;
    va_start(args, format);
    const int len = vasprintf(&line, format, args);
    va_end(args);
    if (len < 0)
        return;
    text_init(&text, clean, sizeof(clean));
    text_add_clean(&text, line, (size_t)len, LINE_MAX_CHARS);
    puts(clean);
    free(line);
}

/* FILE.head of the newest file, unless another one was given. */
static bool verify_find_head(struct verification *verification)
{
    const struct audit_files *files = &verification->files;
    const char *given = verification->head_asked != NULL ? verification->head_asked : files->head;
    verification->head_path = given != NULL ? strdup(given) : journal_head_path(files->paths[files->count - 1]);
    return verification->head_path != NULL || command_no_memory() == COMMAND_OK;
}

/* Nothing stands beside standard input. */
static bool verify_has_no_place(const struct verification *verification)
{
    const struct audit_files *files = &verification->files;
    return verification->head_asked == NULL && files->head == NULL && strcmp(files->paths[files->count - 1], "-") == 0;
}

/* COMMAND_OK: it was read, or is not there and need not be. */
static int verify_read_head(struct verification *verification)
{
    if (verify_has_no_place(verification))
        return COMMAND_OK;
    int fd = open(verification->head_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe is none, and not waited for */
    if (fd < 0 && errno == ENOENT && verification->head_asked == NULL)
        return COMMAND_OK;
    if (fd < 0) {
        log_error("%s: %s", verification->head_path, strerror(errno));
        return COMMAND_ERROR;
    }
    verification->has_head = journal_head_read(&verification->head, fd);
    close(fd);
    if (verification->has_head)
        return COMMAND_OK;
    verify_say("%s:1 seq 0: %s: it is no head of an audit file", verification->head_path, audit_damage_text(AUDIT_FOREIGN));
    return COMMAND_NO;
}

static int verify_say_bad(const struct verification *verification, const struct audit_finding *finding)
{
    const struct audit_files *files = &verification->files;
    const char *path = finding->at.file != NULL ? finding->at.file : files->paths[files->count - 1];
    verify_say("%s:%" PRIu64 " seq %" PRIu64 ": %s: %s", path, finding->at.line, finding->seq, audit_damage_text(finding->damage), finding->why);
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

/* How far signatures reach. True: they are right, and no record but those behind the last is without. */
static bool verify_say_signed(const struct verification *verification, const struct audit_facts *facts)
{
    const struct audit_signature *signature = &facts->signature;
    const bool is_asked = verification->keyring.count > 0;
    if (signature->seq > 0)
        printf("signed up to seq %" PRIu64 " at %s by key %s%s\n", signature->seq, signature->time, signature->key_id,
               is_asked ? "" : ": not checked, that needs --key");
    else if (is_asked)
        puts("nothing is signed: there is no checkpoint");
    if (is_asked && signature->seq > 0 && signature->seq < facts->last)
        printf("not signed: seq %" PRIu64 " to %" PRIu64 ", %" PRIu64 " records%s%s\n", signature->seq + 1, facts->last, facts->last - signature->seq,
               signature->since[0] ? ", since " : "", signature->since);
    if (is_asked && facts->bare > 0)
        puts("not signed: what is unchained, and what stands before that up to the checkpoint there");
    return is_asked && signature->seq > 0 && facts->bare == 0;
}

/* By what the end is proven: the last record, or a live file's as it was when the head was read. */
enum verify_proof { PROOF_NONE = 0, PROOF_HEAD = 1, PROOF_SIGNATURE = 2 };

static unsigned verify_find_proof(const struct verification *verification, const struct audit_facts *facts)
{
    const bool is_empty = facts->records == 0 && verification->has_head && verification->head.seq == 0;
    const bool is_signed = verification->keyring.count > 0 && facts->signature.seq > 0 && facts->signature.seq == facts->last;
    return (facts->meets_head || is_empty ? PROOF_HEAD : PROOF_NONE) | (is_signed ? PROOF_SIGNATURE : PROOF_NONE);
}

static void verify_say_unproven(const struct verification *verification, const struct audit_facts *facts)
{
    char from[40] = "";
    if (verification->keyring.count > 0 && facts->signature.seq > 0)
        snprintf(from, sizeof(from), " from seq %" PRIu64 " on", facts->signature.seq + 1);
    if (verify_has_no_place(verification))
        verify_say("end unproven%s: standard input has no head beside it, and no other was given", from);
    else if (!verification->has_head)
        verify_say("end unproven%s: there is no %s", from, verification->head_path);
    else
        verify_say("end unproven%s: %s says that seq %" PRIu64 " was the last", from, verification->head_path, verification->head.seq);
}

static void verify_say_end(const struct verification *verification, const struct audit_facts *facts, unsigned proof)
{
    const char *head = verification->head_path;
    const uint64_t told = verification->head.seq;
    if (proof == PROOF_NONE)
        verify_say_unproven(verification, facts);
    else if (proof == (PROOF_SIGNATURE | PROOF_HEAD) && told == facts->last)
        verify_say("end proven by the signature and by %s", head);
    else if (proof & PROOF_SIGNATURE)
        printf("end proven by the signature: had more come after %s, only a head would tell\n", facts->signature.time);
    else if (told < facts->last)
        verify_say("end proven up to seq %" PRIu64 " by %s: %" PRIu64 " more came since", told, head, facts->last - told);
    else
        verify_say("end proven by %s%s", head, verification->keyring.count > 0 ? " alone" : "");
}

static int verify_say_whole(const struct verification *verification, const struct audit_facts *facts)
{
    const unsigned proof = verify_find_proof(verification, facts);
    verify_say_records(facts);
    const bool is_signed = verify_say_signed(verification, facts);
    verify_say_end(verification, facts, proof);
    if ((verification->head_asked != NULL && !(proof & PROOF_HEAD)) || (verification->keyring.count > 0 && (!is_signed || proof == PROOF_NONE)))
        return COMMAND_NO;
    return COMMAND_OK;
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
static int verify_run(struct verification *verification, char **arguments)
{
    if (!audit_files_init(&verification->files, arguments))
        return verification->files.count == 0 ? command_misuse("audit verify") : COMMAND_ERROR;
    if (!audit_files_sort(&verification->files) || !verify_find_head(verification))
        return COMMAND_ERROR;
    int status = verify_read_head(verification);
    if (status != COMMAND_OK)
        return status;
    verification->verify = audit_verify_new(verification->has_head ? &verification->head : NULL, &verification->keyring);
    return verification->verify != NULL ? verify_read(verification) : command_no_memory();
}

enum { VERIFY_GO_ON = -1 };

/* What the command returns, or VERIFY_GO_ON. */
static int verify_take_options(struct verification *verification, int argc, char **argv)
{
    enum { OPTION_HEAD = 256, OPTION_KEY };
    static const struct option OPTIONS[] = {
        {"key", required_argument, NULL, OPTION_KEY},
        {"head", required_argument, NULL, OPTION_HEAD},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(VERIFY_USAGE);
        if (option == '?')
            return command_misuse("audit verify");
        if (option == OPTION_HEAD)
            verification->head_asked = optarg;
        else if (!audit_keyring_add(&verification->keyring, optarg))
            return COMMAND_ERROR;
    }
    return VERIFY_GO_ON;
}

int command_audit_verify(int argc, char **argv)
{
    struct verification verification = {.head_asked = NULL};
    int status = verify_take_options(&verification, argc, argv);
    if (status == VERIFY_GO_ON)
        status = verify_run(&verification, argv + optind);
    audit_verify_free(verification.verify);
    free(verification.head_path);
    audit_keyring_fini(&verification.keyring);
    audit_files_fini(&verification.files);
    return status;
}
