/* The records that wait to be committed, kept in the very packets that carry them to the journal process. */
#ifndef EXEAT_AUDIT_JOURNAL_PACKETS_H
#define EXEAT_AUDIT_JOURNAL_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_frame.h"

struct journal_packet {
    struct journal_packet *next;
    uint64_t first; /* numbers of the records within: first to first + count - 1 */
    uint32_t count;
    bool sent;      /* at least once */
    size_t len;     /* of wire */
    uint8_t wire[]; /* the frame header, then the records */
};

/* Zeroed, it is empty and its first record will be number 1. */
struct journal_packets {
    struct journal_packet *head, *tail; /* sealed: they take no more records */
    struct journal_packet *unsent;      /* the first of these that is to be sent; NULL: none */
    struct journal_packet *open;        /* takes the next record; comes behind all others */
    size_t bytes;                       /* of all records */
    uint64_t last;                      /* number of the last record; 0: none yet */
};

void journal_packets_clear(struct journal_packets *packets);

/* Where the text of the next record may be written: RECORD_TEXT_MAX bytes and a NUL. NULL: out of memory. */
char *journal_packets_reserve(struct journal_packets *packets);

/* Takes what was written there as the next record and returns its number. */
uint64_t journal_packets_add(struct journal_packets *packets, size_t len);

bool journal_packets_is_empty(const struct journal_packets *packets);

/* The next packet to send, its header filled in; NULL: all were sent. It takes no more records, and stays the next until journal_packets_sent(). */
struct journal_packet *journal_packets_next(struct journal_packets *packets, uint32_t epoch);
void journal_packets_sent(struct journal_packets *packets);

/* All are to be sent once more. */
void journal_packets_rewind(struct journal_packets *packets);

/* Frees every packet whose records all have numbers up to `committed`. */
void journal_packets_release(struct journal_packets *packets, uint64_t committed);

#endif
