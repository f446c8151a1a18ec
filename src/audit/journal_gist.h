/* What of a record matters to the process that writes it: does it open a session, close one, begin or end a server? */
#ifndef EXEAT_AUDIT_JOURNAL_GIST_H
#define EXEAT_AUDIT_JOURNAL_GIST_H

#include <stddef.h>

#define SESSION_ID_LEN 26

enum journal_gist_kind {
    GIST_OTHER = 0,
    GIST_START,
    GIST_STOP,
    GIST_OPENS,  /* a decision that lets somebody out */
    GIST_CLOSES, /* … its end */
    GIST_ROTATE, /* these three only the journal itself writes */
    GIST_RECOVERED,
    GIST_CHECKPOINT,
};

struct journal_gist {
    enum journal_gist_kind kind;
    const char *id;     /* SESSION_ID_LEN characters of GIST_OPENS and GIST_CLOSES, in the text */
    const char *detail; /* of GIST_STOP, GIST_ROTATE and GIST_RECOVERED: what stands between the quotes, in the text; NULL: null */
    size_t detail_len;
};

/* Of a record's text, as record_write() made it. One whose id is no session's is GIST_OTHER. */
struct journal_gist journal_gist_read(const char *text, size_t len);

#endif
