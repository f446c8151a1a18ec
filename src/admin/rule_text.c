/* What was counted of one rule, as fields of a line: in the file that keeps it, and from one generation of the server to another. */
#include "admin/rule_text.h"

#include <inttypes.h>

#include "base/base64.h"
#include "base/number.h"

#define CLIENTS_LEN BASE64_LEN(DISTINCT_SIZE)

void rule_text_write(FILE *to, const struct tally_rule *rule, char separator)
{
    char clients[CLIENTS_LEN];
    base64_write(clients, rule->clients.registers, DISTINCT_SIZE);
    fprintf(to, "%" PRIu64 "%c%" PRIu64 "%c%" PRIu64 "%c%" PRIu64 "%c%.*s", rule->hits, separator, rule->last_hit_us, separator, rule->bytes_up,
            separator, rule->bytes_down, separator, (int)CLIENTS_LEN, clients);
}

static bool rule_text_clients(struct distinct *clients, const struct field *field)
{
    if (!base64_read(clients->registers, DISTINCT_SIZE, field->at, field->len))
        return false;
    for (unsigned i = 0; i < DISTINCT_SIZE; i++)
        if (clients->registers[i] > DISTINCT_RANK_MAX)
            return false;
    return true;
}

bool rule_text_read(struct tally_rule *rule, const struct field fields[RULE_TEXT_FIELDS])
{
    struct tally_rule read = {.row = rule->row};
    uint64_t *const numbers[RULE_TEXT_FIELDS - 1] = {&read.hits, &read.last_hit_us, &read.bytes_up, &read.bytes_down};
    for (size_t i = 0; i < RULE_TEXT_FIELDS - 1; i++)
        if (!number_read(numbers[i], fields[i].at, fields[i].len, UINT64_MAX))
            return false;
    if (!rule_text_clients(&read.clients, &fields[RULE_TEXT_FIELDS - 1]))
        return false;
    *rule = read;
    return true;
}
