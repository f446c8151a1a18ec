/* Follows number and chain over the lines of audit files, as they come, and finds the first record that is wrong. */
#include "audit/audit_verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"

#define ROTATE ",\"event\":\"rotate\","

enum audit_verify_phase { PHASE_FOLLOW = 0, PHASE_DIAGNOSE, PHASE_SETTLED };

struct audit_verify {
    enum audit_verify_phase phase;
    struct audit_reckoner reckoner;
    bool has_head;
    struct journal_head head;
    const struct audit_keyring *keyring;
    struct audit_trail trail;
    struct audit_place end; /* the last line */
    char first[RECORD_MAX]; /* the first record, when it is past seq 1: its own chain can only be judged by what comes behind */
    struct audit_line first_read;
    struct audit_diagnosis diagnosis;
    struct audit_finding finding;
    struct audit_facts facts;
};

struct audit_verify *audit_verify_new(const struct journal_head *head, const struct audit_keyring *keyring)
{
    struct audit_verify *verify = calloc(1, sizeof(*verify));
    if (verify == NULL)
        return NULL;
    verify->reckoner.chain = chain_new();
    if (verify->reckoner.chain == NULL) {
        free(verify);
        return NULL;
    }
    verify->keyring = keyring;
    verify->has_head = head != NULL;
    if (head != NULL)
        verify->head = *head;
    return verify;
}

void audit_verify_free(struct audit_verify *verify)
{
    if (verify == NULL)
        return;
    chain_free(verify->reckoner.chain);
    free(verify);
}

static bool audit_verify_follows(struct audit_verify *verify, const struct audit_line *line)
{
    const struct audit_link *last = audit_trail_last(&verify->trail);
    if (last == NULL)
        return line->seq > 1 || line->chain == NULL || audit_line_follows(line, NULL, &verify->reckoner);
    if (line->seq != last->seq + 1)
        return false;
    if (line->chain == NULL)
        return true;
    return audit_line_follows(line, last->has_chain ? last->chain : NULL, &verify->reckoner); /* behind records without one it begins anew */
}

static void audit_verify_accept_first(struct audit_verify *verify, const struct audit_witness *witness)
{
    verify->facts.first = witness->read.seq;
    verify->facts.begins_file = memmem(witness->line, witness->len, ROTATE, strlen(ROTATE)) != NULL;
    memcpy(verify->first, witness->line, witness->len);
    verify->first_read = witness->read;
    verify->first_read.at = verify->first;
    if (witness->read.chain != NULL)
        verify->first_read.chain = verify->first + (witness->read.chain - witness->line);
}

static void audit_verify_accept_bare(struct audit_verify *verify, const struct audit_link *last, uint64_t seq)
{
    struct audit_facts *facts = &verify->facts;
    facts->bare++;
    if (last == NULL || last->has_chain) {
        facts->bare_ranges++;
        if (facts->bare_ranges == 1)
            facts->bare_from = seq;
    }
    if (facts->bare_ranges == 1)
        facts->bare_to = seq;
}

/* The head names this record: it must mean the same one. */
static void audit_verify_meet_head(struct audit_verify *verify, const struct audit_link *link)
{
    const struct journal_head *head = &verify->head;
    verify->facts.meets_head = (head->chain[0] != '\0') == link->has_chain && (!link->has_chain || memcmp(head->chain, link->chain, CHAIN_LEN) == 0);
    if (verify->facts.meets_head)
        return;
    verify->phase = PHASE_SETTLED;
    audit_finding_set(&verify->finding, AUDIT_CHANGED, &link->at, link->seq, "the head has another chain for it");
}

static void audit_verify_accept(struct audit_verify *verify, const struct audit_witness *witness)
{
    const struct audit_link *last = audit_trail_last(&verify->trail);
    struct audit_link link = {.at = witness->at, .seq = witness->read.seq, .has_chain = witness->read.chain != NULL};
    if (!audit_signature_add(&verify->facts.signature, verify->keyring, witness, last, &verify->finding)) {
        verify->phase = PHASE_SETTLED;
        return;
    }
    if (last == NULL)
        audit_verify_accept_first(verify, witness);
    if (link.has_chain) {
        memcpy(link.chain, witness->read.chain, CHAIN_LEN);
    } else {
        memcpy(link.chain, audit_line_reckon(&witness->read, last != NULL ? last->chain : NULL, &verify->reckoner), CHAIN_LEN);
        audit_verify_accept_bare(verify, last, link.seq);
    }
    audit_trail_add(&verify->trail, &link);
    verify->facts.records++;
    verify->facts.last = link.seq;
    if (verify->has_head && link.seq == verify->head.seq)
        audit_verify_meet_head(verify, &link);
}

static void audit_verify_follow(struct audit_verify *verify, const struct audit_witness *witness)
{
    verify->end = witness->at;
    if (witness->is_ours && !witness->is_torn && audit_verify_follows(verify, &witness->read)) {
        audit_verify_accept(verify, witness);
        return;
    }
    const bool is_unproved = verify->facts.records == 1 && verify->facts.first > 1;
    verify->phase = PHASE_DIAGNOSE;
    audit_diagnosis_begin(&verify->diagnosis, witness, &verify->trail, is_unproved ? &verify->first_read : NULL, &verify->reckoner);
}

void audit_verify_add(struct audit_verify *verify, const struct audit_place *at, const char *line, size_t len, bool is_torn)
{
    struct audit_witness witness = {.at = *at, .line = line, .len = len, .is_torn = is_torn};
    if (verify->phase == PHASE_SETTLED)
        return;
    witness.is_ours = audit_line_read(&witness.read, line, len);
    if (verify->phase == PHASE_FOLLOW)
        audit_verify_follow(verify, &witness);
    else
        audit_diagnosis_add(&verify->diagnosis, &witness);
}

/* The records are whole in themselves: does the head know of more? */
static bool audit_verify_ends_early(struct audit_verify *verify, struct audit_finding *out)
{
    const struct audit_facts *facts = &verify->facts;
    const uint64_t told = verify->has_head ? verify->head.seq : 0;
    if (told > facts->last) {
        audit_finding_set(out, AUDIT_CUT, &verify->end, facts->last, "the head says that seq %" PRIu64 " was the last", told);
        return true;
    }
    if (!verify->has_head || facts->meets_head || told + 1 >= facts->first)
        return false;
    audit_finding_set(out, AUDIT_FOREIGN, &verify->end, facts->last, "the head is of other records: it says that seq %" PRIu64 " was the last", told);
    return true;
}

enum audit_result audit_verify_end(struct audit_verify *verify, struct audit_finding *out)
{
    bool is_bad = true;
    if (verify->phase == PHASE_DIAGNOSE)
        audit_diagnosis_end(&verify->diagnosis, verify->has_head ? verify->head.seq : 0, out);
    else if (verify->phase == PHASE_SETTLED)
        *out = verify->finding;
    else
        is_bad = audit_verify_ends_early(verify, out);
    if (verify->reckoner.failed)
        return AUDIT_RESULT_FAILED;
    return is_bad ? AUDIT_RESULT_BAD : AUDIT_RESULT_WHOLE;
}

const struct audit_facts *audit_verify_facts(const struct audit_verify *verify)
{
    return &verify->facts;
}
