/* Checkpoints against signatures that OpenSSL's command made over bytes put together elsewhere. */
#include "audit/checkpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/journal_line.h"
#include "audit/record.h"
#include "rfc_key.h"

#define TIME_US UINT64_C(1795304957123456)
#define CHAIN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

/* openssl pkeyutl -sign -inkey KEY -rawin -in BYTES | base64 */
#define FIRST "OvexA5RQlPbH9Ap7TwjENqnt0uIGQzdejaozYvU/Sy13gNlTDfDPwOz/0L/GSPfLnOe55UqsbHqoZl0HrcIPDA=="
#define LATER "tQX/Bav0JByYJHOdsEPWOQECfmY0OKABI9o/TMJTmW+mim5QopSLQk9LGpTRrnwOFcxgAV6ruYOkc4HnBM8TCg=="

#define DETAIL(signature) ",\"detail\":\"signed by key " RFC_KEY_ID ": " signature "\""

struct made {
    char buffer[RECORD_MAX];
    struct text line; /* before its `,"chain":` */
};

static void make(struct made *made, uint64_t seq, const char *chain)
{
    struct ed25519_key *key = rfc_key_private();
    text_init(&made->line, made->buffer, sizeof(made->buffer));
    journal_line_open(&made->line, seq);
    cr_assert(checkpoint_write(&made->line, seq, chain, TIME_US, "egress-a", key));
    ed25519_free(key);
}

static bool is_signed(const struct made *made, const char *chain)
{
    struct checkpoint checkpoint;
    struct ed25519_key *key = rfc_key_public();
    bool is = checkpoint_read(&checkpoint, made->line.at, made->line.len) && checkpoint_verify(&checkpoint, chain, key);
    ed25519_free(key);
    return is;
}

static bool ends_in(const struct text *text, const char *end)
{
    return text->len > strlen(end) && strcmp(text->at + text->len - strlen(end), end) == 0;
}

Test(checkpoint, is_a_record_signed_as_the_vectors_say)
{
    static const char front[] =
        "{\"v\":1,\"seq\":1001,\"time\":\"2026-11-21T23:49:17.123456Z\",\"instance\":\"egress-a\",\"event\":\"checkpoint\",\"id\":null,";
    struct made first, later;
    make(&first, 1, NULL);
    make(&later, 1001, CHAIN);
    cr_expect(strncmp(later.line.at, front, strlen(front)) == 0, "%s", later.line.at);
    cr_expect(ends_in(&first.line, ",\"end\":null" DETAIL(FIRST)), "%s", first.line.at);
    cr_expect(ends_in(&later.line, ",\"end\":null" DETAIL(LATER)), "%s", later.line.at);
    cr_expect(is_signed(&first, NULL));
    cr_expect(is_signed(&later, CHAIN));
}

Test(checkpoint, goes_into_a_line_of_the_journal)
{
    char text_buffer[RECORD_TEXT_MAX + 1], line_buffer[RECORD_MAX];
    struct text text, line;
    struct journal_line read;
    struct checkpoint checkpoint;
    struct chain *chain = chain_new();
    struct ed25519_key *key = rfc_key_private();
    text_init(&text, text_buffer, sizeof(text_buffer));
    text_init(&line, line_buffer, sizeof(line_buffer));
    chain_set(chain, CHAIN);
    cr_assert(checkpoint_write(&text, 7, CHAIN, TIME_US, "egress-a", key));
    cr_assert(journal_line_takes(text.at, text.len));
    cr_assert(journal_line_write(&line, 7, text.at, text.len, chain));
    cr_assert(journal_line_read(&read, line.at, line.len - 1));
    cr_assert(checkpoint_read(&checkpoint, line.at, (size_t)(read.text + read.len - line.at)));
    cr_expect(checkpoint_verify(&checkpoint, CHAIN, key));
    ed25519_free(key);
    chain_free(chain);
}

Test(checkpoint, any_other_bit_is_not_what_was_signed)
{
    struct made made;
    make(&made, 1001, CHAIN);
    for (size_t bit = 0; bit < 8 * made.line.len; bit++) {
        made.line.at[bit / 8] ^= (char)(1 << bit % 8);
        cr_expect_not(is_signed(&made, CHAIN), "bit %zu", bit);
        made.line.at[bit / 8] ^= (char)(1 << bit % 8);
    }
    cr_expect(is_signed(&made, CHAIN));
    cr_expect_not(is_signed(&made, NULL), "it stands behind another line");
}

Test(checkpoint, another_key_did_not_sign_it)
{
    struct made made;
    struct checkpoint checkpoint;
    struct ed25519_key *other = ed25519_generate();
    make(&made, 1001, CHAIN);
    cr_assert(checkpoint_read(&checkpoint, made.line.at, made.line.len));
    cr_expect_not(checkpoint_verify(&checkpoint, CHAIN, other));
    text_copy(checkpoint.key_id, sizeof(checkpoint.key_id), ed25519_id(other), ED25519_ID_LEN);
    cr_expect_not(checkpoint_verify(&checkpoint, CHAIN, other));
    ed25519_free(other);
}

Test(checkpoint, what_is_no_checkpoint_is_not_read)
{
    struct checkpoint checkpoint;
    struct made made;
    make(&made, 1001, CHAIN);
    char *event = strstr(made.line.at, "checkpoint");
    cr_expect(checkpoint_is(made.line.at, made.line.len));
    for (size_t len = 0; len < made.line.len; len++)
        cr_expect_not(checkpoint_read(&checkpoint, made.line.at, len), "%zu", len);
    memcpy(event, "recovered_", strlen("recovered_"));
    cr_expect_not(checkpoint_is(made.line.at, made.line.len));
    cr_expect_not(checkpoint_read(&checkpoint, made.line.at, made.line.len), "a like detail in another record");
}

Test(checkpoint, one_that_says_nothing_is_known_for_one_all_the_same)
{
    static const char line[] = "{\"v\":1,\"seq\":3,\"time\":\"\",\"event\":\"checkpoint\",\"detail\":null";
    struct checkpoint checkpoint;
    cr_expect(checkpoint_is(line, strlen(line)));
    cr_expect_not(checkpoint_read(&checkpoint, line, strlen(line)));
    cr_expect_not(checkpoint_is(line, strlen(line) - strlen("\",\"detail\":null")), "cut within the word");
}

Test(checkpoint, has_room_whatever_the_instance_is_called)
{
    char instance[256], buffer[CHECKPOINT_TEXT_MAX + 1];
    struct text text;
    struct ed25519_key *key = rfc_key_private();
    memset(instance, '\x01', sizeof(instance) - 1);
    instance[sizeof(instance) - 1] = '\0';
    for (size_t plain = 0; plain < sizeof(instance) - 1; plain++) {
        text_init(&text, buffer, sizeof(buffer));
        cr_expect(checkpoint_write(&text, UINT64_MAX, NULL, TIME_US, instance, key));
        instance[plain] = 'a';
    }
    ed25519_free(key);
}

Test(checkpoint, where_there_is_no_room_nothing_is_left)
{
    char buffer[64] = "before";
    struct text text;
    struct ed25519_key *key = rfc_key_private();
    text_init(&text, buffer, sizeof(buffer));
    text_add(&text, "before");
    cr_expect_not(checkpoint_write(&text, 1, NULL, TIME_US, "egress-a", key));
    cr_expect_str_eq(text.at, "before");
    ed25519_free(key);
}
