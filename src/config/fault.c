/* What is wrong with a configuration: every fault and warning, each with its FILE:LINE. */
#include "config/fault.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/number.h"
#include "base/text.h"
#include "config/array.h"

#define FAULT_TEXT_MAX 2048
#define FAULT_KEPT_MAX 1000 /* a list of a million names that is another thing altogether need not be told of a million times */

#define WARNING_MARK " (warning)"
#define MORE_FAULTS " more faults"
#define MORE_WARNINGS " more warnings"

struct fault {
    size_t file;
    uint64_t line;
    bool warning;
    char *text;
};

struct fault_list {
    char **files; /* in the order in which they are read */
    size_t file_count;
    struct fault *kept; /* sorted by file and line, in the order of their coming where equal */
    size_t kept_count;
    size_t faults, warnings; /* all of them, kept or not: running out of memory hides no fault */
};

struct fault_list *fault_list_new(void)
{
    return calloc(1, sizeof(struct fault_list));
}

void fault_list_free(struct fault_list *faults)
{
    if (faults == NULL)
        return;
    for (size_t i = 0; i < faults->file_count; i++)
        free(faults->files[i]);
    for (size_t i = 0; i < faults->kept_count; i++)
        free(faults->kept[i].text);
    free(faults->files);
    free(faults->kept);
    free(faults);
}

/* The number of a file, a new one where it is not known yet. */
static size_t fault_file(struct fault_list *faults, const char *path, size_t len)
{
    for (size_t i = 0; i < faults->file_count; i++) {
        if (strlen(faults->files[i]) == len && memcmp(faults->files[i], path, len) == 0)
            return i;
    }
    char **files = array_room(faults->files, faults->file_count, sizeof(*files));
    if (files == NULL)
        return SIZE_MAX;
    faults->files = files;
    files[faults->file_count] = strndup(path, len);
    return files[faults->file_count] ? faults->file_count++ : SIZE_MAX;
}

void fault_list_file(struct fault_list *faults, const char *path)
{
    fault_file(faults, path, strlen(path));
}

/* FILE:LINE taken apart; a FILE alone is its line 0. */
static void fault_place(struct fault_list *faults, struct fault *fault, const char *at)
{
    size_t len = strlen(at);
    const char *colon = strrchr(at, ':');
    if (colon != NULL && number_read(&fault->line, colon + 1, len - (size_t)(colon - at) - 1, UINT32_MAX))
        len = (size_t)(colon - at);
    fault->file = fault_file(faults, at, len);
}

static bool fault_is_after(const struct fault *a, const struct fault *b)
{
    return a->file != b->file ? a->file > b->file : a->line > b->line;
}

static void fault_keep(struct fault_list *faults, const struct fault *fault)
{
    struct fault *kept = faults->kept_count < FAULT_KEPT_MAX ? array_room(faults->kept, faults->kept_count, sizeof(*kept)) : NULL;
    if (kept == NULL) {
        free(fault->text);
        return;
    }
    size_t at = faults->kept_count++;
    faults->kept = kept;
    for (; at > 0 && fault_is_after(&kept[at - 1], fault); at--)
        kept[at] = kept[at - 1];
    kept[at] = *fault;
}

/* One line; what a file holds reaches a terminal only as printable ASCII. */
static char *fault_write(const char *at, const char *section, const char *key, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
static char *fault_write(const char *at, const char *section, const char *key, const char *format, va_list args)
{
    char what[FAULT_TEXT_MAX], line[2 * FAULT_TEXT_MAX], clean[2 * FAULT_TEXT_MAX];
    struct text text;
    vsnprintf(what, sizeof(what), format, args);
    text_init(&text, line, sizeof(line));
    text_format(&text, "%s: ", at);
    if (section != NULL)
        text_format(&text, "[%s]%s", section, key ? " " : ": ");
    if (key != NULL)
        text_format(&text, "%s: ", key);
    text_add(&text, what);
    text_init(&text, clean, sizeof(clean));
    text_add_clean(&text, line, strlen(line), sizeof(clean) - 1);
    return strdup(clean);
}

static void fault_put(struct fault_list *faults, bool warning, const char *at, const char *section, const char *key, const char *format, va_list args)
    __attribute__((format(printf, 6, 0)));
static void fault_put(struct fault_list *faults, bool warning, const char *at, const char *section, const char *key, const char *format, va_list args)
{
    struct fault fault = {.warning = warning};
    faults->faults += !warning;
    faults->warnings += warning;
    fault_place(faults, &fault, at);
    fault.text = fault_write(at, section, key, format, args);
    if (fault.text != NULL)
        fault_keep(faults, &fault);
}

void fault_add(struct fault_list *faults, const char *at, const char *section, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_put(faults, false, at, section, key, format, args);
    va_end(args);
}

void fault_warn(struct fault_list *faults, const char *at, const char *section, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault_put(faults, true, at, section, key, format, args);
    va_end(args);
}

size_t fault_count(const struct fault_list *faults)
{
    return faults->faults;
}

size_t fault_warnings(const struct fault_list *faults)
{
    return faults->warnings;
}

static void fault_print_rest(FILE *to, size_t count, size_t shown, const char *what)
{
    if (count > shown)
        fprintf(to, "and %zu%s\n", count - shown, what);
}

void fault_print(const struct fault_list *faults, FILE *to, bool faults_too, bool warnings_too)
{
    size_t shown = 0, warned = 0;
    for (size_t i = 0; i < faults->kept_count; i++) {
        const struct fault *fault = &faults->kept[i];
        *(fault->warning ? &warned : &shown) += 1;
        if (fault->warning ? warnings_too : faults_too)
            fprintf(to, "%s%s\n", fault->text, fault->warning ? WARNING_MARK : "");
    }
    if (faults_too)
        fault_print_rest(to, faults->faults, shown, MORE_FAULTS);
    if (warnings_too)
        fault_print_rest(to, faults->warnings, warned, MORE_WARNINGS);
}

static bool fault_line_ends(const char *line, size_t len, const char *end)
{
    const size_t end_len = strlen(end);
    return len >= end_len && memcmp(line + len - end_len, end, end_len) == 0;
}

bool fault_line_warns(const char *line, size_t len)
{
    return fault_line_ends(line, len, WARNING_MARK) || fault_line_ends(line, len, MORE_WARNINGS);
}

char *fault_lines(const struct fault_list *faults, bool faults_too, bool warnings_too)
{
    char *lines = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&lines, &len);
    if (memory == NULL)
        return NULL;
    fault_print(faults, memory, faults_too, warnings_too);
    if (fclose(memory) == 0)
        return lines;
    free(lines);
    return NULL;
}

void fault_log(const struct fault_list *faults, bool faults_too, bool warnings_too)
{
    char *lines = fault_lines(faults, faults_too, warnings_too);
    if (lines == NULL)
        log_error("there is no memory to say what is wrong with the configuration");
    for (char *rest = lines, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (line[0] != '\0')
            log_info("%s", line);
    free(lines);
}

const char *fault_text(const struct fault_list *faults, size_t index)
{
    for (size_t i = 0; i < faults->kept_count; i++) {
        if (!faults->kept[i].warning && index-- == 0)
            return faults->kept[i].text;
    }
    return NULL;
}
