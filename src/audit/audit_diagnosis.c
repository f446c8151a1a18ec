/* What is wrong with the first record that does not follow the one before: found out from itself, from those before, and from the rest. */
#include "audit/audit_diagnosis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "base/text.h"

/* clang-format off */
static const char *const DAMAGES[] = {
    [AUDIT_FOREIGN] = "foreign", [AUDIT_CHANGED] = "changed", [AUDIT_MISSING] = "missing", [AUDIT_INSERTED] = "inserted",
    [AUDIT_REORDERED] = "reordered", [AUDIT_REPEATED] = "repeated", [AUDIT_CUT] = "cut",
};
/* clang-format on */

const char *audit_damage_text(enum audit_damage damage)
{
    return DAMAGES[damage];
}

void audit_finding_set(struct audit_finding *out, enum audit_damage damage, const struct audit_place *at, uint64_t seq, const char *why, ...)
{
    va_list args;
    *out = (struct audit_finding){.damage = damage, .at = *at, .seq = seq};
    va_start(args, why);
    vsnprintf(out->why, sizeof(out->why), why, args);
    va_end(args);
}

/* True when it follows a record behind which another one stands. */
static bool audit_diagnosis_forks(const struct audit_diagnosis *diagnosis, const struct audit_line *bad)
{
    const struct audit_link *before = audit_trail_find(diagnosis->trail, bad->seq - 1);
    if (bad->seq >= diagnosis->expected)
        return false;
    return diagnosis->begins || (before != NULL && audit_line_follows(bad, before->chain, diagnosis->reckoner));
}

/* True when it would follow, had it the number that is expected here. */
static bool audit_diagnosis_is_renumbered(const struct audit_diagnosis *diagnosis, const struct audit_line *bad, const char *before)
{
    char bytes[RECORD_MAX];
    struct text text;
    const char *rest = memchr(bad->at + 1, ',', bad->hashed - 1); /* behind `{"v":1`, and then behind the number */
    if (rest != NULL)
        rest = memchr(rest + 1, ',', bad->hashed - (size_t)(rest + 1 - bad->at));
    if (rest == NULL)
        return false;
    text_init(&text, bytes, sizeof(bytes));
    text_format(&text, "{\"v\":1,\"seq\":%" PRIu64, diagnosis->expected);
    text_add_bytes(&text, rest, bad->hashed - (size_t)(rest - bad->at));
    const struct audit_line line = {.at = bytes, .hashed = text.len, .chain = bad->chain};
    return !text.cut && audit_line_follows(&line, before, diagnosis->reckoner);
}

/* What the bad record is to those before it. */
static void audit_diagnosis_look_back(struct audit_diagnosis *diagnosis, const struct audit_line *bad, const struct audit_line *first)
{
    const struct audit_link *last = audit_trail_last(diagnosis->trail);
    diagnosis->bad.seq = bad->seq;
    diagnosis->bad.has_chain = bad->chain != NULL;
    if (bad->chain == NULL)
        return;
    memcpy(diagnosis->bad.chain, bad->chain, CHAIN_LEN);
    diagnosis->is_renumbered = audit_diagnosis_is_renumbered(diagnosis, bad, last != NULL && last->has_chain ? last->chain : NULL);
    diagnosis->fits = last != NULL && audit_line_follows(bad, last->chain, diagnosis->reckoner);
    diagnosis->begins = bad->seq == 1 && audit_line_follows(bad, NULL, diagnosis->reckoner);
    diagnosis->forks = audit_diagnosis_forks(diagnosis, bad);
    diagnosis->precedes = first != NULL && first->seq == bad->seq + 1 && audit_line_follows(first, bad->chain, diagnosis->reckoner);
}

void audit_diagnosis_begin(struct audit_diagnosis *diagnosis, const struct audit_witness *bad, const struct audit_trail *trail,
                           const struct audit_line *first, struct audit_reckoner *reckoner)
{
    const struct audit_link *last = audit_trail_last(trail);
    *diagnosis = (struct audit_diagnosis){
        .reckoner = reckoner,
        .trail = trail,
        .expected = last != NULL ? last->seq + 1 : 1,
        .bad.at = bad->at,
        .is_ours = bad->is_ours,
        .is_torn = bad->is_torn,
        .resembles = bad->is_ours || audit_line_resembles(bad->line, bad->len),
    };
    if (bad->is_ours)
        audit_diagnosis_look_back(diagnosis, &bad->read, first);
}

static void audit_diagnosis_add_next(struct audit_diagnosis *diagnosis, const struct audit_witness *witness)
{
    diagnosis->has_next = true;
    diagnosis->next_is_ours = witness->is_ours;
    if (!witness->is_ours)
        return;
    diagnosis->next_seq = witness->read.seq;
    diagnosis->next_goes_on =
        diagnosis->bad.has_chain ? audit_line_follows(&witness->read, diagnosis->bad.chain, diagnosis->reckoner) : witness->read.chain == NULL;
}

static bool audit_diagnosis_is_heir(const struct audit_diagnosis *diagnosis, const struct audit_line *line)
{
    const struct audit_link *last = audit_trail_last(diagnosis->trail);
    if (line->seq != diagnosis->expected)
        return false;
    if (line->chain == NULL)
        return last == NULL || !last->has_chain;
    return audit_line_follows(line, last != NULL && last->has_chain ? last->chain : NULL, diagnosis->reckoner);
}

static void audit_diagnosis_meet(struct audit_again *again, const struct audit_link *link, const struct audit_witness *witness)
{
    if (again->is_seen || link == NULL || link->seq != witness->read.seq)
        return;
    const char *chain = witness->read.chain;
    *again = (struct audit_again){.is_seen = true, .at = witness->at};
    again->is_same = link->has_chain == (chain != NULL) && (chain == NULL || memcmp(link->chain, chain, CHAIN_LEN) == 0);
}

void audit_diagnosis_add(struct audit_diagnosis *diagnosis, const struct audit_witness *witness)
{
    const bool is_next = !diagnosis->has_next;
    if (is_next)
        audit_diagnosis_add_next(diagnosis, witness);
    if (!witness->is_ours)
        return;
    if (!diagnosis->has_heir && audit_diagnosis_is_heir(diagnosis, &witness->read)) {
        diagnosis->has_heir = true;
        diagnosis->heir_is_next = is_next;
        diagnosis->heir = witness->at;
    }
    if (diagnosis->is_ours)
        audit_diagnosis_meet(&diagnosis->bad_again, &diagnosis->bad, witness);
    audit_diagnosis_meet(&diagnosis->last_again, audit_trail_last(diagnosis->trail), witness);
}

/* No record can be read where one should be. Its seq is told by its neighbours. */
static void audit_diagnosis_of_unreadable(const struct audit_diagnosis *diagnosis, struct audit_finding *out)
{
    const struct audit_link *last = audit_trail_last(diagnosis->trail);
    uint64_t seq = diagnosis->expected;
    if (last == NULL && diagnosis->next_is_ours && diagnosis->next_seq > 1 && !diagnosis->has_heir)
        seq = diagnosis->next_seq - 1;
    const bool stands_for_one = diagnosis->resembles || (last != NULL && diagnosis->next_is_ours && diagnosis->next_seq == seq + 1);
    if (diagnosis->is_torn && diagnosis->resembles)
        audit_finding_set(out, AUDIT_CUT, &diagnosis->bad.at, seq, "the file ends in the middle of it");
    else if (!diagnosis->is_torn && !diagnosis->has_heir && stands_for_one)
        audit_finding_set(out, AUDIT_CHANGED, &diagnosis->bad.at, seq, "it can no longer be read");
    else
        audit_finding_set(out, AUDIT_FOREIGN, &diagnosis->bad.at, seq, "it is no audit record");
}

/* The first record of all may itself be what is wrong, when nothing came before that could prove it. */
static bool audit_diagnosis_blames_first(const struct audit_diagnosis *diagnosis)
{
    const struct audit_link *last = audit_trail_last(diagnosis->trail);
    if (diagnosis->trail->count != 1 || last->seq == 1)
        return false;
    if (diagnosis->begins || diagnosis->precedes || (diagnosis->fits && diagnosis->bad.seq != diagnosis->expected))
        return true;
    return diagnosis->bad.seq < diagnosis->expected && diagnosis->next_goes_on && diagnosis->next_seq == diagnosis->bad.seq + 1 &&
           !diagnosis->heir_is_next;
}

static void audit_diagnosis_of_first(const struct audit_diagnosis *diagnosis, struct audit_finding *out)
{
    const struct audit_link *first = audit_trail_last(diagnosis->trail);
    const struct audit_again *again = &diagnosis->last_again;
    if (diagnosis->fits)
        audit_finding_set(out, AUDIT_CHANGED, &first->at, diagnosis->bad.seq - 1, "it says seq %" PRIu64, first->seq);
    else if (again->is_seen && again->is_same)
        audit_finding_set(out, AUDIT_REPEATED, &first->at, first->seq, "it stands in %s:%" PRIu64 " too", again->at.file, again->at.line);
    else if (again->is_seen)
        audit_finding_set(out, AUDIT_INSERTED, &first->at, first->seq, "the true one stands in %s:%" PRIu64, again->at.file, again->at.line);
    else
        audit_finding_set(out, AUDIT_REORDERED, &first->at, first->seq, "seq %" PRIu64 " comes behind it", diagnosis->bad.seq);
}

/* A number that was there before. False: it was not, as far as can be told. */
static bool audit_diagnosis_of_old(const struct audit_diagnosis *diagnosis, struct audit_finding *out)
{
    const struct audit_link *bad = &diagnosis->bad;
    const struct audit_link *old = audit_trail_find(diagnosis->trail, bad->seq);
    const bool was_there = bad->seq >= diagnosis->trail->first && bad->seq < diagnosis->expected;
    if (!was_there || diagnosis->is_renumbered)
        return false;
    if (old == NULL && (diagnosis->has_heir || !diagnosis->next_is_ours || diagnosis->next_seq != diagnosis->expected + 1))
        audit_finding_set(out, AUDIT_REPEATED, &bad->at, bad->seq, "there was a record of this number long before");
    else if (old == NULL)
        return false;
    else if (old->has_chain == bad->has_chain && (!old->has_chain || memcmp(old->chain, bad->chain, CHAIN_LEN) == 0))
        audit_finding_set(out, AUDIT_REPEATED, &bad->at, bad->seq, "it stands in %s:%" PRIu64 " too", old->at.file, old->at.line);
    else if (diagnosis->forks && diagnosis->next_goes_on)
        audit_finding_set(out, AUDIT_INSERTED, &old->at, old->seq, "another one, in %s:%" PRIu64 ", goes on from the same record", bad->at.file,
                          bad->at.line);
    else
        return false;
    return true;
}

/* What should have been there is there, later on. */
static void audit_diagnosis_of_delayed(const struct audit_diagnosis *diagnosis, struct audit_finding *out)
{
    const struct audit_link *bad = &diagnosis->bad;
    const struct audit_again *again = &diagnosis->bad_again;
    const struct audit_place *heir = &diagnosis->heir;
    if (bad->seq > diagnosis->expected && again->is_seen && again->is_same)
        audit_finding_set(out, AUDIT_REPEATED, &bad->at, bad->seq, "it stands in %s:%" PRIu64 " too", again->at.file, again->at.line);
    else if (bad->seq > diagnosis->expected && !again->is_seen)
        audit_finding_set(out, AUDIT_REORDERED, &bad->at, bad->seq, "seq %" PRIu64 " stands in %s:%" PRIu64, diagnosis->expected, heir->file,
                          heir->line);
    else
        audit_finding_set(out, AUDIT_INSERTED, &bad->at, bad->seq, "the true seq %" PRIu64 " stands in %s:%" PRIu64, diagnosis->expected, heir->file,
                          heir->line);
}

/* Where one number should be there is another, and the right one is nowhere. */
static void audit_diagnosis_of_lost(const struct audit_diagnosis *diagnosis, struct audit_finding *out)
{
    const struct audit_link *bad = &diagnosis->bad;
    const uint64_t expected = diagnosis->expected;
    if (diagnosis->is_renumbered)
        audit_finding_set(out, AUDIT_CHANGED, &bad->at, expected, "it says seq %" PRIu64, bad->seq);
    else if (diagnosis->next_is_ours && diagnosis->next_seq == expected + 1)
        audit_finding_set(out, AUDIT_CHANGED, &bad->at, expected, "seq %" PRIu64 " stands in its place", bad->seq);
    else if (bad->seq < expected && bad->seq >= diagnosis->trail->first)
        audit_finding_set(out, AUDIT_INSERTED, &bad->at, bad->seq, "there was another record of this number before");
    else if (bad->seq < expected)
        audit_finding_set(out, AUDIT_REORDERED, &bad->at, bad->seq, "it stands behind seq %" PRIu64, expected - 1);
    else if (bad->seq == expected + 1)
        audit_finding_set(out, AUDIT_MISSING, &bad->at, expected, "seq %" PRIu64 " stands here", bad->seq);
    else
        audit_finding_set(out, AUDIT_MISSING, &bad->at, expected, "and all up to seq %" PRIu64 ", which stands here", bad->seq);
}

/* The first of the records without a chain that the trail ends in. */
static const struct audit_link *audit_diagnosis_bare(const struct audit_trail *trail)
{
    const struct audit_link *bare = audit_trail_last(trail);
    for (const struct audit_link *link = bare; link != NULL && !link->has_chain; link = audit_trail_find(trail, link->seq - 1))
        bare = link;
    return bare;
}

/* The right number, and the wrong record. */
static void audit_diagnosis_of_unfit(const struct audit_diagnosis *diagnosis, uint64_t end, struct audit_finding *out)
{
    const struct audit_link *bad = &diagnosis->bad;
    if (diagnosis->fits) {
        const struct audit_link *bare = audit_diagnosis_bare(diagnosis->trail);
        audit_finding_set(out, AUDIT_CHANGED, &bare->at, bare->seq, "its chain was taken away");
    } else if (bad->seq == end + 1 && end > 0 && !diagnosis->has_next) {
        audit_finding_set(out, AUDIT_INSERTED, &bad->at, bad->seq, "the head says that seq %" PRIu64 " was the last", end);
    } else {
        audit_finding_set(out, AUDIT_CHANGED, &bad->at, bad->seq, "its bytes and its chain do not belong together");
    }
}

void audit_diagnosis_end(const struct audit_diagnosis *diagnosis, uint64_t end, struct audit_finding *out)
{
    if (!diagnosis->is_ours)
        audit_diagnosis_of_unreadable(diagnosis, out);
    else if (diagnosis->is_torn)
        audit_finding_set(out, AUDIT_CUT, &diagnosis->bad.at, diagnosis->bad.seq, "the file ends without the end of its line");
    else if (audit_diagnosis_blames_first(diagnosis))
        audit_diagnosis_of_first(diagnosis, out);
    else if (audit_diagnosis_of_old(diagnosis, out))
        return;
    else if (diagnosis->has_heir)
        audit_diagnosis_of_delayed(diagnosis, out);
    else if (diagnosis->bad.seq == diagnosis->expected)
        audit_diagnosis_of_unfit(diagnosis, end, out);
    else
        audit_diagnosis_of_lost(diagnosis, out);
}
