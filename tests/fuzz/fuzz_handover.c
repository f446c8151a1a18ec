/* Fuzzes what a supervisor believes of what the program before it left: whatever is read is written the same, and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char text[HANDOVER_MAX];

static size_t store(const struct handover *handover)
{
    const int fd = handover_store(handover);
    const ssize_t len = fd >= 0 ? pread(fd, text, sizeof(text), 0) : -1;
    if (fd >= 0)
        close(fd);
    return len > 0 ? (size_t)len : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char before[HANDOVER_MAX];
    struct handover handover, again;
    if (!handover_read(&handover, (const char *)bytes, size))
        return 0;
    const size_t len = store(&handover);
    handover_free(&handover);
    if (len == 0) /* longer than it may be when it is written out */
        return 0;
    memcpy(before, text, len);
    if (!handover_read(&again, before, len))
        abort();
    if (store(&again) != len || memcmp(before, text, len) != 0)
        abort();
    handover_free(&again);
    return 0;
}
