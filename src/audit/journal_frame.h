/* What workers and the journal process say to each other, over one SOCK_SEQPACKET socket a worker. */
#ifndef EXEAT_AUDIT_JOURNAL_FRAME_H
#define EXEAT_AUDIT_JOURNAL_FRAME_H

#include <stdint.h>

/* One packet holds one frame header and its payload; a packet is whole or not there, so nothing is ever torn. */
#define JOURNAL_PACKET_MAX 65536

/* A journal that has said nothing for so long, while records wait, is as good as none: less than a session waits for its decision. */
#define JOURNAL_STALL_MS 4000

enum journal_frame_kind {
    FRAME_RECORDS = 1, /* worker → journal: `count` records from number `first` on, as journal_records has them */
    FRAME_LOG,         /* worker → journal: one operator line */
    FRAME_COMMITTED,   /* journal → worker: every record up to number `first` is on file */
    FRAME_DOWN,        /* journal → worker: the file cannot be written; what is not committed must be sent again after FRAME_UP */
    FRAME_SPACE,       /* journal → worker: `count` 1: space is scarce, denials are only to be counted; 0: there is enough again */
    FRAME_UP,          /* journal → worker: (again) ready; the first good news on a new socket. Records are sent from the first uncommitted on */
    FRAME_HOLD,        /* journal → worker: the last word of one that hands over to another: for `count` ms it is no failure that nobody is there */
};

/* FRAME_RECORDS: these were sent before. The journal process that took them may have died after writing them: they are looked up in the file's
 * tail. */
#define FRAME_FLAG_AGAIN 1u

struct journal_frame {
    uint32_t kind;
    uint32_t count; /* FRAME_RECORDS: how many. FRAME_DOWN: errno. FRAME_SPACE: 1 or 0. FRAME_HOLD: ms */
    uint64_t first;
    uint32_t epoch; /* FRAME_UP: its number. FRAME_RECORDS: that of the FRAME_UP they answer; older ones are dropped, since they come again */
    uint32_t flags;
};

#endif
