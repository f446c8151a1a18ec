/* Messages between the supervisor and the processes it starts: a few words and at most one descriptor each, over a SOCK_SEQPACKET pair. */
#include "host/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memo.h"
#include "base/text.h"

/* What goes over the wire before the text; the descriptor travels beside it. */
#define CHANNEL_HEAD offsetof(struct channel_message, fd)

/* Whoever reads nothing for so long hangs, and must not hang the other with it. */
#define CHANNEL_PATIENCE_S 2

union channel_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
};

bool channel_pair(int ends[2])
{
    const struct timeval patience = {.tv_sec = CHANNEL_PATIENCE_S};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return true;
}

static void channel_attach_fd(struct msghdr *header, union channel_control *control, int fd)
{
    memset(control, 0, sizeof(*control));
    header->msg_control = control->space;
    header->msg_controllen = sizeof(control->space);
    struct cmsghdr *item = CMSG_FIRSTHDR(header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(item), &fd, sizeof(int));
}

bool channel_send(int end, const struct channel_message *message)
{
    struct iovec parts[2] = {
        {(void *)(uintptr_t)message, CHANNEL_HEAD},
        {(void *)(uintptr_t)message->text, strnlen(message->text, CHANNEL_TEXT_MAX - 1)},
    };
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
    union channel_control control;
    if (message->fd >= 0)
        channel_attach_fd(&header, &control, message->fd);
    ssize_t sent;
    do
        sent = sendmsg(end, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

bool channel_say(int end, enum channel_kind kind, uint32_t a, uint32_t b, int fd, const char *text)
{
    struct channel_message message = {.kind = kind, .a = a, .b = b, .fd = fd};
    text_copy(message.text, sizeof(message.text), text, strlen(text));
    return channel_send(end, &message);
}

bool channel_tell(int end, enum channel_kind kind, uint32_t a, uint32_t b, int fd)
{
    struct channel_message message = {.kind = kind, .a = a, .b = b, .fd = fd};
    return channel_send(end, &message);
}

/* Without a file it still says which of both it was. */
bool channel_tell_outcome(int end, enum channel_kind kind, uint32_t a, bool done, const char *words)
{
    const int fd = memo_write("exeat-outcome", words, strlen(words));
    const bool told = channel_tell(end, kind, a, done, fd);
    if (fd >= 0)
        close(fd);
    return told;
}

static int channel_detach_fd(struct msghdr *header)
{
    int fd = -1;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item))
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(item), sizeof(int));
    return fd;
}

int channel_receive(int end, struct channel_message *message, bool wait)
{
    memset(message, 0, sizeof(*message));
    struct iovec parts[2] = {{message, CHANNEL_HEAD}, {message->text, CHANNEL_TEXT_MAX - 1}};
    union channel_control control;
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    ssize_t got;
    do
        got = recvmsg(end, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (got < 0 && errno == EINTR);
    message->fd = got > 0 ? channel_detach_fd(&header) : -1;
    if (got > 0 && (size_t)got < CHANNEL_HEAD) {
        errno = EPROTO;
        return -1;
    }
    return got < 0 ? -1 : got > 0;
}
