/* Fuzzes what a server believes of what another generation says of itself: what is read is written the same, and can be added up and taken away. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/survey_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char *save(const struct survey *survey, size_t *len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, len);
    if (to == NULL)
        abort();
    survey_text_write(to, survey);
    fclose(to);
    return text;
}

/* What was left out in writing, a rule without a count say, is left out for good. */
static void expect_the_same(const struct survey *survey)
{
    size_t len, len_again;
    char *text = save(survey, &len);
    struct survey *again = survey_text_read(text, len);
    if (again == NULL)
        abort();
    char *text_again = save(again, &len_again);
    if (len != len_again || memcmp(text, text_again, len) != 0)
        abort();
    free(text);
    free(text_again);
    survey_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct survey *read = survey_text_read((const char *)bytes, size);
    if (read == NULL)
        return 0;
    expect_the_same(read);
    struct survey *sum = survey_copy(read);
    if (sum == NULL || !survey_add(sum, read))
        abort();
    survey_subtract(sum, read);
    survey_settle(sum);
    survey_free(sum);
    survey_free(read);
    return 0;
}
