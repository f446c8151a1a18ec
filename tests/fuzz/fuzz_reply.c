/* Any host, port and cause in a refusal: one bounded, printable phrase with its ending whole, one head, a body that parses. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/reason.h"
#include "wire/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static bool ends_in(const char *text, const char *ending)
{
    size_t len = strlen(text), ending_len = strlen(ending);
    return len >= ending_len && strcmp(text + len - ending_len, ending) == 0;
}

static void check_phrase(const char *phrase, const struct refusal *refusal)
{
    check(strlen(phrase) <= REPLY_PHRASE_MAX && strncmp(phrase, "exeat: ", 7) == 0 && ends_in(phrase, refusal->ending));
    for (const char *at = phrase; *at; at++)
        check(*at >= 0x20 && *at <= 0x7e);
    check(strstr(phrase, refusal->id) && strstr(phrase, refusal->code));
}

static void check_head(const char *reply, const char *body)
{
    unsigned lines = 0;
    for (const char *at = reply; at < body; at++) {
        check(*at == '\r' || *at == '\n' || (*at >= 0x20 && *at <= 0x7e));
        check((*at == '\r') == (at[1] == '\n'));
        lines += *at == '\n';
    }
    check(lines >= 6 && lines <= 7 && !strstr(body, "\r\n\r\n"));
}

static void check_body(const char *body, const char *phrase)
{
    json_t *json = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    check(json && json_object_size(json) == 3);
    check(strcmp(json_string_value(json_object_get(json, "error")), phrase) == 0);
    json_decref(json);
}

/* One byte each for the reason and the length of the cause, two for the port, then the cause and the host. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char phrase[REPLY_MAX], reply[REPLY_MAX], cause[256], expected[32];
    struct text text;
    if (size < 4)
        return 0;
    const struct reason_row *row = reason_row((enum reason)(data[0] % REASON_COUNT));
    size_t cause_len = data[1] < size - 4 ? data[1] : size - 4;
    memcpy(cause, data + 4, cause_len);
    cause[cause_len] = '\0';
    struct refusal refusal = {.status = row->status ? row->status : 403,
                              .code = row->code,
                              .proxy_error = row->proxy_error,
                              .id = "01KAMBD6V8V4JZ5F6J3F2Q9X7T",
                              .host = (const char *)data + 4 + cause_len,
                              .host_len = size - 4 - cause_len,
                              .port = (unsigned)data[2] << 8 | data[3],
                              .sentence = row->sentence,
                              .cause = cause_len > 0 ? cause : NULL,
                              .ending = reason_ending_text(row->ending)};
    text_init(&text, phrase, sizeof(phrase));
    reply_phrase(&text, &refusal);
    check_phrase(phrase, &refusal);
    text_init(&text, reply, sizeof(reply));
    reply_refusal(&text, &refusal);
    char *body = strstr(reply, "\r\n\r\n");
    check(!text.cut && body != NULL);
    check_head(reply, body + 4);
    check_body(body + 4, phrase);
    snprintf(expected, sizeof(expected), "HTTP/1.1 %u exeat: ", refusal.status);
    check(strncmp(reply, expected, strlen(expected)) == 0);
    return 0;
}
