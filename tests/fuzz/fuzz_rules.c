/* Fuzzes what a server believes of what a former one left: never more rules than lines, and what is read is written the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char *save(const struct rules *rules, size_t *len)
{
    char *text = NULL;
    struct tally *none = tally_new();
    FILE *to = open_memstream(&text, len);
    if (none == NULL || to == NULL)
        abort();
    rules_save(to, rules, none);
    fclose(to);
    tally_free(none);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct rules *rules = rules_new(), *again = rules_new();
    size_t len, len_again;
    if (rules == NULL || again == NULL)
        abort();
    rules_read(rules, (const char *)bytes, size);
    char *text = save(rules, &len);
    if (!rules_read(again, text, len))
        abort();
    char *text_again = save(again, &len_again);
    if (len != len_again || memcmp(text, text_again, len) != 0)
        abort();
    free(text);
    free(text_again);
    rules_free(rules);
    rules_free(again);
    return 0;
}
