/* Fuzzes patterns: what is accepted reads as itself, and the host table covers the same hosts as the pattern does. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/host_table.h"
#include "policy/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pattern in its normal form, as it would be written. */
static size_t write_pattern(char out[HOSTNAME_SIZE + 2], const struct pattern *pattern)
{
    char network[NETWORK_TEXT_MAX];
    strcpy(out, pattern->kind == PATTERN_BELOW ? "*." : "");
    strcat(out, pattern->kind == PATTERN_NETWORK ? network_text(&pattern->network, network) : pattern->name);
    return strlen(out);
}

static bool say_found(void *arg, uint32_t list)
{
    assert(list == 7);
    *(bool *)arg = true;
    return true;
}

static void check_covers(const struct host_table *table, const struct pattern *pattern, const char *name)
{
    struct host host;
    bool found = false;
    if (host_read(&host, name, strlen(name), false) != HOST_NAME)
        return;
    host_table_find(table, host.name, say_found, &found);
    assert(found == pattern_matches(pattern, &host));
}

/* The name itself, names around it, and whatever else the input holds. */
static void check_table(const struct pattern *pattern, const char *rest)
{
    char below[HOSTNAME_SIZE + 2] = "a.", beside[HOSTNAME_SIZE + 2] = "a";
    struct host_table *table = host_table_new();
    if (table != NULL && host_table_add(table, pattern, 7) && host_table_seal(table)) {
        assert(host_table_count(table) == 1);
        check_covers(table, pattern, pattern->name);
        check_covers(table, pattern, strcat(below, pattern->name));
        check_covers(table, pattern, strcat(beside, pattern->name));
        check_covers(table, pattern, rest);
    }
    host_table_free(table);
}

static void check_pattern(const char *text, size_t len, const char *rest)
{
    struct pattern pattern, again;
    const char *why = NULL;
    char written[HOSTNAME_SIZE + 2];
    if (!pattern_read(&pattern, text, len, &why)) {
        assert(why != NULL && pattern.kind == PATTERN_BAD);
        return;
    }
    assert(pattern.kind != PATTERN_BAD && why == NULL);
    size_t written_len = write_pattern(written, &pattern);
    assert(pattern_read(&again, written, written_len, &why));
    assert(again.kind == pattern.kind && strcmp(again.name, pattern.name) == 0);
    assert(memcmp(&again.network, &pattern.network, sizeof(again.network)) == 0);
    if (pattern.kind != PATTERN_NETWORK)
        check_table(&pattern, rest);
}

/* The first line is the pattern, the second a host. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    char *text = malloc(len + 1), *rest = calloc(1, size - len + 1);
    if (text != NULL && rest != NULL) {
        memcpy(text, data, len);
        if (end != NULL)
            memcpy(rest, end + 1, size - len - 1);
        check_pattern(text, len, rest);
    }
    free(text);
    free(rest);
    return 0;
}
