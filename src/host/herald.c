/* What others are told of the service: people and scripts where it listens, the service manager how far it is. */
#include "host/herald.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "host/ports_file.h"

#define STATUS_MAX 512

/* ---- where it listens ---- */

/* For scripts. */
static void herald_write_ports(const struct herald *herald)
{
    const struct bounds *bounds = &herald->serving->bounds;
    struct ports_file ports;
    ports_file_begin(&ports, herald->ports_file);
    for (size_t i = 0; i < bounds->count; i++)
        ports_file_add(&ports, bounds->all[i].name, &bounds->all[i].address);
    doors_add_ports(herald->doors, &herald->serving->candidate->config->admin, &ports);
    if (!ports_file_end(&ports))
        log_error("cannot write %s: %s", herald->ports_file, strerror(errno));
}

void herald_listening(const struct herald *herald)
{
    const struct bounds *bounds = &herald->serving->bounds;
    for (size_t i = 0; i < bounds->count; i++) {
        char text[ENDPOINT_TEXT_MAX];
        if (bounds->all[i].fresh)
            log_info("listening on %s (%s)%s", endpoint_text(&bounds->all[i].address, text), bounds->all[i].name,
                     bounds->all[i].inherited ? ", which the service manager passed" : "");
    }
    herald_write_ports(herald);
}

/* ---- the service manager ---- */

/* For people: one line. */
static const char *herald_status(const struct herald *herald, char buf[STATUS_MAX])
{
    const struct bounds *bounds = &herald->serving->bounds;
    struct text text;
    text_init(&text, buf, STATUS_MAX);
    if (herald->refusing)
        text_add(&text, "new tunnels are refused: the audit journal cannot be written; ");
    text_format(&text, "%u workers", bounds->workers);
    for (size_t i = 0; i < bounds->count; i++) {
        char address[ENDPOINT_TEXT_MAX];
        text_format(&text, "%s %s (%s)", i == 0 ? " on" : ",", endpoint_text(&bounds->all[i].address, address), bounds->all[i].name);
    }
    return buf;
}

void herald_ready(struct herald *herald)
{
    char status[STATUS_MAX];
    herald->ready = true;
    notify_ready(&herald->notify, herald_status(herald, status));
}

/* Not before the first readiness, which the end of a reload would be taken for. */
void herald_reloads(struct herald *herald, uint32_t begun, bool over)
{
    if (!herald->ready)
        return;
    if (herald->reloads != begun) {
        herald->reloads = begun;
        herald->reloading = true;
        notify_reloading(&herald->notify);
    }
    if (herald->reloading && over) {
        herald->reloading = false;
        herald_ready(herald);
    }
}

/* The watchdog is fed by the workers, through whoever stands between and nobody on his own: so it finds any of them that hangs. */
void herald_alive(struct herald *herald, bool refusing)
{
    char status[STATUS_MAX];
    notify_alive(&herald->notify);
    if (refusing == herald->refusing || !herald->ready)
        return;
    herald->refusing = refusing;
    notify_status(&herald->notify, herald_status(herald, status));
}

void herald_leaving(struct herald *herald)
{
    herald->ready = false;
    notify_stopping(&herald->notify);
}
