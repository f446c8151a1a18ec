/* The two processes that the supervisor starts: what each does before it begins, and its work. */
#include "cli/command.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "audit/journal_writer.h"
#include "base/ed25519.h"
#include "base/log.h"
#include "base/text.h"
#include "config/sign_key.h"
#include "host/channel.h"
#include "host/process.h"
#include "host/sandbox.h"
#include "proxy/server.h"

int command_internal_server(int argc, char **argv)
{
    (void)argc, (void)argv;
    process_settle();
    return server_run(CHANNEL_CHILD_FD, &ADMIN_GUEST);
}

/* One socket comes for each worker of each generation of the server. */
static struct journal_order internal_read_order(const struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_WORKER:
        return (struct journal_order){.kind = JOURNAL_WORKER, .fd = message->fd, .generation = message->a};
    case CHANNEL_ENDED:
        return (struct journal_order){.kind = JOURNAL_ENDED, .generation = message->a};
    case CHANNEL_REOPEN:
        return (struct journal_order){.kind = JOURNAL_REOPEN};
    case CHANNEL_YIELD:
        return (struct journal_order){.kind = JOURNAL_YIELD, .ms = message->a};
    default:
        return (struct journal_order){.kind = JOURNAL_NOTHING};
    }
}

static struct journal_order internal_receive_order(int channel)
{
    struct channel_message message;
    int got = channel_receive(channel, &message, false);
    if (got <= 0)
        return (struct journal_order){.kind = got < 0 && errno == EAGAIN ? JOURNAL_NOTHING : JOURNAL_END};
    if (message.kind != CHANNEL_WORKER && message.fd >= 0)
        close(message.fd);
    return internal_read_order(&message);
}

struct internal_journal {
    char name[CHANNEL_TEXT_MAX], file[CHANNEL_TEXT_MAX];
    struct ed25519_key *key;
    struct journal_generations living;
    struct journal_writer_settings settings;
    struct sandbox_settings sandbox;
    char holds[SANDBOX_TEXT_MAX];
};

static void internal_take_file(struct internal_journal *journal, const struct channel_message *message)
{
    text_copy(journal->file, sizeof(journal->file), message->text, strlen(message->text));
    journal->settings.file = journal->sandbox.audit_file = journal->file;
    journal->settings.unchained = message->a & CHANNEL_FILE_UNCHAINED;
    journal->settings.sync = message->a & CHANNEL_FILE_SYNC;
    journal->settings.served = message->a & CHANNEL_FILE_SERVED;
    journal->settings.continues = message->a & CHANNEL_FILE_CONTINUES;
    journal->settings.bereaved = message->a & CHANNEL_FILE_BEREAVED;
    journal->settings.living = &journal->living;
}

static void internal_take_name(struct internal_journal *journal, const struct channel_message *message)
{
    text_copy(journal->name, sizeof(journal->name), message->text, strlen(message->text));
    journal->settings.instance = journal->name;
}

/* While the key is in its memory nobody of the same user may look at that, and no core holds it. A key that was changed since the start and is none
 * any more must not keep anything from being recorded. */
static void internal_take_key(struct internal_journal *journal, const struct channel_message *message)
{
    prctl(PR_SET_DUMPABLE, 0);
    ed25519_free(journal->key);
    journal->key = sign_key_read(message->fd);
    if (journal->key == NULL)
        log_error("the file of sign_key holds no key any more: records go unsigned until exeat is started with one");
    journal->settings.key = journal->key;
    journal->settings.checkpoint_records = message->a;
    journal->settings.checkpoint_ms = message->b;
}

/* What the supervisor says before the journal begins. False: it is somebody else. */
static bool internal_take_settings(struct internal_journal *journal)
{
    struct channel_message message;
    while (journal->settings.file == NULL) {
        if (channel_receive(CHANNEL_CHILD_FD, &message, true) <= 0)
            return false;
        if (message.kind == CHANNEL_NAME)
            internal_take_name(journal, &message);
        else if (message.kind == CHANNEL_SANDBOX)
            journal->sandbox.mode = (enum sandbox_mode)message.a;
        else if (message.kind == CHANNEL_RESERVE)
            journal->settings.reserve = (uint64_t)message.a << 32 | message.b;
        else if (message.kind == CHANNEL_KEY)
            internal_take_key(journal, &message);
        else if (message.kind == CHANNEL_LIVING)
            journal_generations_add(&journal->living, journal_generation_mark(message.a));
        else if (message.kind == CHANNEL_FILE)
            internal_take_file(journal, &message);
        if (message.fd >= 0)
            close(message.fd);
    }
    return journal->settings.instance != NULL;
}

int command_internal_journal(int argc, char **argv)
{
    (void)argc, (void)argv;
    process_settle();
    struct internal_journal journal = {.settings = {.control = CHANNEL_CHILD_FD, .receive = internal_receive_order, .holds = journal.holds}};
    int code = COMMAND_ERROR;
    if (internal_take_settings(&journal))
        code = sandbox_enter(SANDBOX_JOURNAL, &journal.sandbox, journal.holds) ? journal_writer_run(&journal.settings) : COMMAND_ERROR;
    else
        log_error("the journal is started by the supervisor, not by hand");
    ed25519_free(journal.key);
    prctl(PR_SET_DUMPABLE, 1); /* it has nothing to hide any more */
    return code;
}
