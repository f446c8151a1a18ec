/* What others are told of the service: people and scripts where it listens, the service manager how far it is. */
#ifndef EXEAT_HOST_HERALD_H
#define EXEAT_HOST_HERALD_H

#include <stdbool.h>
#include <stdint.h>

#include "host/doors.h"
#include "host/notify.h"
#include "host/serving.h"

/* `serving`, `doors` and `ports_file` (NULL: nobody asks for one) are the owner's; the rest is zeroed at first. */
struct herald {
    const struct serving *serving;
    const struct doors *doors;
    const char *ports_file;
    struct notify notify;
    bool ready;       /* it was said once */
    uint32_t reloads; /* private: of which the service manager has heard */
    bool reloading;   /* private: … and is to hear the end */
    bool refusing;    /* private: new tunnels, as the workers say */
};

/* For the first time, or because another configuration serves: the listeners that are new are said in the log, all of them in the ports file. */
void herald_listening(const struct herald *herald);

/* Connections are served. */
void herald_ready(struct herald *herald);

/* So many reloads have begun so far; `over`: none is under way. */
void herald_reloads(struct herald *herald, uint32_t begun, bool over);

/* All workers have answered; `refusing`: they cannot let new tunnels out. */
void herald_alive(struct herald *herald, bool refusing);

/* It is on its way out, and says no more than that. */
void herald_leaving(struct herald *herald);

#endif
