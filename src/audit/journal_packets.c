/* The records that wait to be committed, kept in the very packets that carry them to the journal process. */
#include "audit/journal_packets.h"

#include <stdlib.h>
#include <string.h>

#include "audit/record.h"

#define RECORD_ROOM (sizeof(uint32_t) + RECORD_TEXT_MAX + 1)

void journal_packets_clear(struct journal_packets *packets)
{
    while (packets->head) {
        struct journal_packet *packet = packets->head;
        packets->head = packet->next;
        free(packet);
    }
    free(packets->open);
    *packets = (struct journal_packets){.last = packets->last};
}

/* Puts the open packet behind the others, and gives back what it did not use. */
static void journal_packets_seal(struct journal_packets *packets)
{
    struct journal_packet *packet = packets->open;
    struct journal_packet *shrunk = realloc(packet, sizeof(*packet) + packet->len);
    if (shrunk)
        packet = shrunk;
    *(packets->tail ? &packets->tail->next : &packets->head) = packet;
    packets->tail = packet;
    packets->open = NULL;
    if (!packets->unsent)
        packets->unsent = packet;
}

static bool journal_packets_open(struct journal_packets *packets)
{
    struct journal_packet *packet = malloc(sizeof(*packet) + JOURNAL_PACKET_MAX);
    if (!packet)
        return false;
    *packet = (struct journal_packet){.first = packets->last + 1, .len = sizeof(struct journal_frame)};
    packets->open = packet;
    return true;
}

char *journal_packets_reserve(struct journal_packets *packets)
{
    if (packets->open && packets->open->len + RECORD_ROOM > JOURNAL_PACKET_MAX)
        journal_packets_seal(packets);
    if (!packets->open && !journal_packets_open(packets))
        return NULL;
    return (char *)packets->open->wire + packets->open->len + sizeof(uint32_t);
}

uint64_t journal_packets_add(struct journal_packets *packets, size_t len)
{
    struct journal_packet *packet = packets->open;
    const uint32_t length = (uint32_t)len;
    memcpy(packet->wire + packet->len, &length, sizeof(length));
    packet->len += sizeof(length) + len;
    packet->count++;
    packets->bytes += sizeof(length) + len;
    return ++packets->last;
}

bool journal_packets_is_empty(const struct journal_packets *packets)
{
    return packets->bytes == 0;
}

struct journal_packet *journal_packets_next(struct journal_packets *packets, uint32_t epoch)
{
    if (!packets->unsent && packets->open && packets->open->count > 0)
        journal_packets_seal(packets);
    struct journal_packet *packet = packets->unsent;
    if (!packet)
        return NULL;
    const struct journal_frame frame = {
        .kind = FRAME_RECORDS,
        .count = packet->count,
        .first = packet->first,
        .epoch = epoch,
        .flags = packet->sent ? FRAME_FLAG_AGAIN : 0,
    };
    memcpy(packet->wire, &frame, sizeof(frame));
    return packet;
}

void journal_packets_sent(struct journal_packets *packets)
{
    packets->unsent->sent = true;
    packets->unsent = packets->unsent->next;
}

void journal_packets_rewind(struct journal_packets *packets)
{
    packets->unsent = packets->head;
}

void journal_packets_release(struct journal_packets *packets, uint64_t committed)
{
    struct journal_packet *packet;
    while ((packet = packets->head) && packet->first + packet->count - 1 <= committed) {
        packets->head = packet->next;
        packets->bytes -= packet->len - sizeof(struct journal_frame);
        if (packets->unsent == packet)
            packets->unsent = packet->next;
        free(packet);
    }
    if (!packets->head)
        packets->tail = NULL;
}
