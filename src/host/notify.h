/* Telling the service manager how far the service is: the protocol of sd_notify(3). */
#ifndef EXEAT_HOST_NOTIFY_H
#define EXEAT_HOST_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Zeroed: nobody is to be told, and every call below does nothing. */
struct notify {
    struct sockaddr_un to;
    socklen_t to_len; /* 0: nobody */
    int fd;
    bool failed;          /* and it was said */
    uint32_t watchdog_ms; /* it wants to hear notify_alive() at least so often; 0: it does not */
};

/* Finds in the environment whom to tell, and takes it out of there, so that no program that is executed speaks for the service. Before the first
 * thread. What goes wrong, here or later, is said once in the log and is no reason not to serve. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);
/* Puts it back, for the program that is executed in this one's place to speak for the service; or takes it out again. */
bool notify_pass_on(const struct notify *notify);
void notify_keep(void);
bool notify_is_open(const struct notify *notify); /* there is somebody to tell */

/* `status` is for people. */
void notify_ready(struct notify *notify, const char *status);
void notify_reloading(struct notify *notify); /* until the next notify_ready() */
void notify_stopping(struct notify *notify);
void notify_alive(struct notify *notify); /* where it has a watchdog */
void notify_status(struct notify *notify, const char *status);

#endif
