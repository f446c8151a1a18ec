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

/* A further socket for the journal: one comes for each worker of each generation of the server. */
static int internal_receive_worker(int channel)
{
    struct channel_message message;
    int got = channel_receive(channel, &message, false);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        return -2;
    if (got > 0 && message.kind != CHANNEL_WORKER && message.fd >= 0) {
        close(message.fd);
        return -1;
    }
    return got > 0 ? message.fd : -1;
}

int command_internal_journal(int argc, char **argv)
{
    (void)argc, (void)argv;
    process_settle();
    struct channel_message message;
    if (channel_receive(CHANNEL_CHILD_FD, &message, true) <= 0 || message.kind != CHANNEL_FILE) {
        log_error("the journal is started by the supervisor, not by hand");
        return COMMAND_ERROR;
    }
    const struct journal_writer_settings settings = {
        .file = message.text,
        .unchained = message.a & CHANNEL_FILE_UNCHAINED,
        .control = CHANNEL_CHILD_FD,
        .receive = internal_receive_worker,
    };
    return journal_writer_run(&settings);
}
