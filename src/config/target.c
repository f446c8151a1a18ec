/* HOST[:PORT] as a test of the policy names it. */
#include "config/target.h"

#include <string.h>

#include "base/number.h"

bool target_read(const char *text, struct host *host, uint16_t *port)
{
    bool bracketed = text[0] == '[';
    const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
    const char *rest = end ? end + bracketed : text + strlen(text);
    uint64_t number = 443;
    *port = 0;
    *host = (struct host){0};
    if ((bracketed && end == NULL) || (*rest != '\0' && *rest != ':'))
        return false;
    if (*rest == ':' && (!number_read(&number, rest + 1, strlen(rest + 1), UINT16_MAX) || number == 0))
        return false;
    *port = (uint16_t)number;
    return host_read(host, text + bracketed, (size_t)((end ? end : rest) - text) - bracketed, bracketed) != HOST_BAD;
}
