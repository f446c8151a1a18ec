/* The two processes that the supervisor starts: what each does before it begins, and its work. */
#include "cli/command.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit/journal_writer.h"
#include "base/log.h"
#include "host/channel.h"
#include "host/process.h"
#include "proxy/server.h"

int command_internal_server(int argc, char **argv)
{
    (void)argc, (void)argv;
    process_settle();
    return server_run(CHANNEL_CHILD_FD);
}

/* One socket comes for each worker of each generation of the server. */
static struct journal_order internal_receive_order(int channel)
{
    struct channel_message message;
    int got = channel_receive(channel, &message, false);
    if (got < 0 && errno == EAGAIN)
        return (struct journal_order){.kind = JOURNAL_NOTHING};
    if (got > 0 && message.kind == CHANNEL_WORKER)
        return (struct journal_order){.kind = JOURNAL_WORKER, .fd = message.fd, .generation = message.a};
    if (got > 0 && message.fd >= 0)
        close(message.fd);
    if (got > 0 && message.kind == CHANNEL_REOPEN)
        return (struct journal_order){.kind = JOURNAL_REOPEN};
    return (struct journal_order){.kind = got > 0 ? JOURNAL_NOTHING : JOURNAL_END};
}

static bool internal_expect(struct channel_message *message, enum channel_kind kind)
{
    return channel_receive(CHANNEL_CHILD_FD, message, true) > 0 && message->kind == kind;
}

int command_internal_journal(int argc, char **argv)
{
    (void)argc, (void)argv;
    process_settle();
    struct channel_message name, reserve, file;
    if (!internal_expect(&name, CHANNEL_NAME) || !internal_expect(&reserve, CHANNEL_RESERVE) || !internal_expect(&file, CHANNEL_FILE)) {
        log_error("the journal is started by the supervisor, not by hand");
        return COMMAND_ERROR;
    }
    const struct journal_writer_settings settings = {
        .file = file.text,
        .instance = name.text,
        .unchained = file.a & CHANNEL_FILE_UNCHAINED,
        .sync = file.a & CHANNEL_FILE_SYNC,
        .reserve = (uint64_t)reserve.a << 32 | reserve.b,
        .served = file.a & CHANNEL_FILE_SERVED,
        .control = CHANNEL_CHILD_FD,
        .receive = internal_receive_order,
    };
    return journal_writer_run(&settings);
}
