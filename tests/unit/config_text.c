/* Configurations out of the text of a test: no disk is asked. */
#include "config_text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 8

static struct {
    const char *path, *text;
} files[FILES_MAX];
static size_t file_count;

void config_text_file(const char *path, const char *text)
{
    cr_assert(file_count < FILES_MAX);
    files[file_count].path = path;
    files[file_count].text = text;
    file_count++;
}

char *config_text_print(const struct fault_list *faults, bool faults_too, bool warnings_too)
{
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    cr_assert(memory != NULL);
    fault_print(faults, memory, faults_too, warnings_too);
    fclose(memory);
    return text;
}

static struct config *config_text_read(const char *text, struct fault_list *faults)
{
    struct bundle *bundle = bundle_new();
    cr_assert(bundle != NULL && bundle_put(bundle, "test.conf", text, strlen(text)));
    for (size_t i = 0; i < file_count; i++)
        cr_assert(bundle_put(bundle, files[i].path, files[i].text, strlen(files[i].text)));
    file_count = 0;
    bundle_seal(bundle);
    struct config *config = config_load(bundle, "test.conf", faults);
    bundle_free(bundle);
    return config;
}

struct config *config_text_load(const char *text, struct fault_list *faults)
{
    if (faults != NULL)
        return config_text_read(text, faults);
    struct fault_list *own = fault_list_new();
    struct config *config = config_text_read(text, own);
    char *said = config_text_print(own, true, false);
    cr_assert(config != NULL, "%s", said);
    free(said);
    fault_list_free(own);
    return config;
}

void config_text_faults(const char *text, const char *faults)
{
    struct fault_list *list = fault_list_new();
    struct config *config = config_text_read(text, list);
    char *said = config_text_print(list, true, false);
    cr_expect_str_eq(said, faults);
    cr_expect_eq(config == NULL, *faults != '\0', "a configuration with faults must not load, one without must");
    config_unref(config);
    free(said);
    fault_list_free(list);
}
