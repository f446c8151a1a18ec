/* The connections that exeat dialled a moment ago, so that one which comes back to its own listener is known. */
#include "proxy/own_dial.h"

#include <stdatomic.h>
#include <string.h>

#include "base/hash.h"

/* A place for each hash: the last one that fell there. */
enum { OWN_DIAL_PLACES = 16384 };

static struct {
    _Atomic uint64_t key; /* 0: none */
    _Atomic uint64_t until_ms;
} own_dials[OWN_DIAL_PLACES];

/* Both ends: what a process of this host dials from the same address and port goes elsewhere. */
static uint64_t own_dial_key(const struct endpoint *from, const struct endpoint *to)
{
    uint8_t bytes[2 * (sizeof(from->ip.bytes) + 2)];
    const size_t half = sizeof(from->ip.bytes) + 2;
    const struct endpoint *ends[2] = {from, to};
    for (size_t i = 0; i < 2; i++) {
        memcpy(bytes + i * half, ends[i]->ip.bytes, sizeof(ends[i]->ip.bytes));
        bytes[i * half + half - 2] = (uint8_t)(ends[i]->port >> 8);
        bytes[i * half + half - 1] = (uint8_t)ends[i]->port;
    }
    uint64_t key = hash_bytes(bytes, sizeof(bytes), 0);
    return key ? key : 1;
}

/* The time goes first: who reads between the two finds a note that lasts too long, never a wrong one. */
void own_dial_note(const struct endpoint *from, const struct endpoint *to, uint64_t now_ms)
{
    const uint64_t key = own_dial_key(from, to);
    atomic_store(&own_dials[key % OWN_DIAL_PLACES].until_ms, now_ms + OWN_DIAL_MS);
    atomic_store(&own_dials[key % OWN_DIAL_PLACES].key, key);
}

bool own_dial_was(const struct endpoint *from, const struct endpoint *to, uint64_t now_ms)
{
    const uint64_t key = own_dial_key(from, to);
    return atomic_load(&own_dials[key % OWN_DIAL_PLACES].key) == key && now_ms < atomic_load(&own_dials[key % OWN_DIAL_PLACES].until_ms);
}
