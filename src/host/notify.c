/* Telling the service manager how far the service is: the protocol of sd_notify(3). */
#include "host/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"

#define MESSAGE_MAX 2048

/* A manager that does not read for so long misses a message: who watches over children must not wait for it. */
#define PATIENCE_MS 500

/* ---- whom to tell ---- */

static void notify_fail(struct notify *notify, const char *why)
{
    if (!notify->failed)
        log_warn("the service manager cannot be told how far this is ($NOTIFY_SOCKET): %s", why);
    notify->failed = true;
}

/* A path, or `@NAME` for an abstract name, which has a NUL in front and none behind. */
static bool notify_address(struct notify *notify, const char *where)
{
    const size_t len = strlen(where), head = offsetof(struct sockaddr_un, sun_path);
    const bool is_abstract = where[0] == '@';
    if ((where[0] != '/' && !is_abstract) || len < 2 || len >= sizeof(notify->to.sun_path))
        return false;
    notify->to.sun_family = AF_UNIX;
    memcpy(notify->to.sun_path, where, len + 1);
    if (is_abstract)
        notify->to.sun_path[0] = '\0';
    notify->to_len = (socklen_t)(head + len + !is_abstract);
    return true;
}

static void notify_find(struct notify *notify, const char *where)
{
    const struct timeval patience = {.tv_usec = PATIENCE_MS * 1000};
    if (!notify_address(notify, where)) {
        notify_fail(notify, "neither an absolute path nor @ and a name, or too long");
        return;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0) {
        notify_fail(notify, strerror(errno));
        notify->to_len = 0;
        return;
    }
    setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/* Zero where there is no number. */
static uint64_t notify_number(const char *name, uint64_t max)
{
    const char *value = getenv(name);
    uint64_t number = 0;
    return value != NULL && number_read(&number, value, strlen(value), max) ? number : 0;
}

/* Meant for another process, when a pid is named and it is not this one. */
static uint32_t notify_watchdog_ms(void)
{
    const uint64_t pid = notify_number("WATCHDOG_PID", INT32_MAX);
    return pid == 0 || pid == (uint64_t)getpid() ? (uint32_t)(notify_number("WATCHDOG_USEC", UINT64_C(1000) * INT32_MAX) / 1000) : 0;
}

void notify_keep(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

bool notify_pass_on(const struct notify *notify)
{
    char where[sizeof(notify->to.sun_path) + 1] = "", watchdog[32];
    if (notify->to_len == 0)
        return true;
    memcpy(where, notify->to.sun_path, notify->to_len - offsetof(struct sockaddr_un, sun_path));
    if (where[0] == '\0')
        where[0] = '@';
    snprintf(watchdog, sizeof(watchdog), "%" PRIu64, (uint64_t)notify->watchdog_ms * 1000);
    return setenv("NOTIFY_SOCKET", where, 1) == 0 && (notify->watchdog_ms == 0 || setenv("WATCHDOG_USEC", watchdog, 1) == 0);
}

void notify_open(struct notify *notify)
{
    const char *where = getenv("NOTIFY_SOCKET");
    *notify = (struct notify){0};
    if (where != NULL && where[0] != '\0')
        notify_find(notify, where);
    if (notify->to_len > 0)
        notify->watchdog_ms = notify_watchdog_ms();
    notify_keep();
}

void notify_close(struct notify *notify)
{
    if (notify->to_len > 0)
        close(notify->fd);
    *notify = (struct notify){0};
}

bool notify_is_open(const struct notify *notify)
{
    return notify->to_len > 0;
}

/* ---- telling it ---- */

static void notify_send(struct notify *notify, const char *message)
{
    if (notify->to_len > 0 && sendto(notify->fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&notify->to, notify->to_len) < 0)
        notify_fail(notify, strerror(errno));
}

/* A line would end at a newline, and what stands behind it be another message. */
static void notify_add_status(struct text *message, const char *status)
{
    text_add(message, "STATUS=");
    text_add_clean(message, status, strlen(status), MESSAGE_MAX / 2);
}

static void notify_send_status(struct notify *notify, const char *state, const char *status)
{
    char buf[MESSAGE_MAX];
    struct text message;
    text_init(&message, buf, sizeof(buf));
    text_add(&message, state);
    notify_add_status(&message, status);
    notify_send(notify, buf);
}

void notify_ready(struct notify *notify, const char *status)
{
    notify_send_status(notify, "READY=1\n", status);
}

/* Whoever asked by signal knows by the time that this reload is the one. */
void notify_reloading(struct notify *notify)
{
    char buf[MESSAGE_MAX];
    struct text message;
    text_init(&message, buf, sizeof(buf));
    text_format(&message, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading", clock_monotonic_us());
    notify_send(notify, buf);
}

void notify_stopping(struct notify *notify)
{
    notify_send_status(notify, "STOPPING=1\n", "stopping");
}

void notify_alive(struct notify *notify)
{
    if (notify->watchdog_ms > 0)
        notify_send(notify, "WATCHDOG=1");
}

void notify_status(struct notify *notify, const char *status)
{
    notify_send_status(notify, "", status);
}
