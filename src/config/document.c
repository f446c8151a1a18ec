/* Every section of the configuration's files in the order in which they are read, before anything in it means something. */
#include "config/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/ini_reader.h"

/* One file on its way into the document. */
struct document_reader {
    struct document *document;
    struct bundle *bundle;
    struct fault_list *faults;
    const char *file;
};

const char *place_text(const char *file, unsigned line, char buf[PLACE_TEXT_MAX])
{
    snprintf(buf, PLACE_TEXT_MAX, "%.4096s:%u", file, line);
    return buf;
}

static void document_fault(void *arg, unsigned line, const char *what)
{
    struct document_reader *reader = arg;
    char at[PLACE_TEXT_MAX];
    fault_add(reader->faults, place_text(reader->file, line, at), NULL, NULL, "%s", what);
}

/* `rule  agents` is `rule agents`. */
static bool document_split_title(struct section *section, const char *title)
{
    size_t kind_len = strcspn(title, " \t");
    const char *name = title + kind_len + strspn(title + kind_len, " \t");
    section->kind = strndup(title, kind_len);
    section->name = strdup(name);
    if (asprintf(&section->title, "%.*s%s%s", (int)kind_len, title, *name ? " " : "", name) < 0)
        section->title = NULL;
    return section->kind && section->name && section->title;
}

static bool document_add_section(struct document_reader *reader, const struct ini_item *item)
{
    struct document *document = reader->document;
    struct section *sections = array_room(document->sections, document->count, sizeof(*sections));
    if (sections == NULL)
        return false;
    document->sections = sections;
    struct section *section = &sections[document->count++];
    section->file = reader->file;
    section->line = item->line;
    return document_split_title(section, item->section);
}

static bool document_add_entry(struct section *section, const struct ini_item *item)
{
    struct entry *entries = array_room(section->entries, section->count, sizeof(*entries));
    if (entries == NULL)
        return false;
    section->entries = entries;
    struct entry *entry = &entries[section->count++];
    *entry = (struct entry){.key = strdup(item->key), .value = strdup(item->value), .line = item->line, .continued = item->continued};
    return entry->key && entry->value;
}

static bool document_item(void *arg, const struct ini_item *item)
{
    struct document_reader *reader = arg;
    if (item->key == NULL)
        return document_add_section(reader, item);
    if (reader->document->count == 0)
        return false;
    return document_add_entry(&reader->document->sections[reader->document->count - 1], item);
}

static void document_read_file(struct document_reader *reader, const char *path)
{
    struct document *document = reader->document;
    fault_list_file(reader->faults, path);
    const struct bundle_file *file = bundle_file(reader->bundle, path);
    if (!path_list_add(&document->files, strdup(path))) {
        fault_add(reader->faults, path, NULL, NULL, "out of memory");
        return;
    }
    if (file == NULL || file->error != 0) {
        fault_add(reader->faults, path, NULL, NULL, "cannot be read: %s", bundle_error_text(file ? file->error : ENOENT));
        return;
    }
    reader->file = document->files.paths[document->files.count - 1];
    struct ini_events events = {.arg = reader, .item = document_item, .fault = document_fault};
    ini_read(file->bytes, file->len, &events);
}

static void document_include_fault(struct document_reader *reader, const struct entry *entry, const char *path, int error)
{
    char at[PLACE_TEXT_MAX];
    fault_add(reader->faults, place_text(reader->file, entry->line, at), "exeat", "include", "%s cannot be read: %s", path, bundle_error_text(error));
}

/* A plain path means that file: one that cannot be read is a fault of the line that names it. */
static bool document_include_path(struct document_reader *reader, const struct entry *entry, const char *path, struct path_list *includes)
{
    const struct bundle_file *file = bundle_file(reader->bundle, path);
    if (file != NULL && file->error == 0)
        return path_list_add(includes, strdup(path));
    document_include_fault(reader, entry, path, file ? file->error : ENOENT);
    return true;
}

/* A pattern may match nothing: a directory that is still empty. */
static bool document_include_glob(struct document_reader *reader, const struct entry *entry, const char *path, struct path_list *includes)
{
    size_t count = 0;
    bool fine = true;
    const char *const *found = bundle_glob(reader->bundle, path, &count);
    if (found == NULL && errno != 0)
        document_include_fault(reader, entry, path, errno);
    for (size_t i = 0; i < count; i++)
        fine = path_list_add(includes, strdup(found[i])) && fine;
    return fine;
}

static void document_include_word(struct document_reader *reader, const struct entry *entry, const char *word, struct path_list *includes)
{
    char *path = path_beside(reader->file, word);
    bool fine = path != NULL;
    if (fine && strpbrk(word, "*?[") == NULL)
        fine = document_include_path(reader, entry, path, includes);
    else if (fine)
        fine = document_include_glob(reader, entry, path, includes);
    if (!fine)
        document_include_fault(reader, entry, word, ENOMEM);
    free(path);
}

static void document_include_words(struct document_reader *reader, const struct entry *entry, struct path_list *includes)
{
    const char *at = entry->value;
    while (*(at += strspn(at, " \t")) != '\0') {
        size_t len = strcspn(at, " \t");
        char *word = strndup(at, len);
        if (word != NULL)
            document_include_word(reader, entry, word, includes);
        else
            document_include_fault(reader, entry, at, ENOMEM);
        free(word);
        at += len;
    }
}

static void document_find_includes(struct document_reader *reader, struct path_list *includes)
{
    struct document *document = reader->document;
    for (size_t i = 0; i < document->count; i++) {
        const struct section *section = &document->sections[i];
        for (size_t j = 0; j < section->count && strcmp(section->title, "exeat") == 0; j++) {
            if (strcmp(section->entries[j].key, "include") == 0)
                document_include_words(reader, &section->entries[j], includes);
        }
    }
    path_list_sort(includes);
}

/* What the includes named, after the file that includes them. */
static void document_check_included(struct document_reader *reader, size_t first)
{
    char at[PLACE_TEXT_MAX];
    for (size_t i = first; i < reader->document->count; i++) {
        const struct section *section = &reader->document->sections[i];
        if (section->kind && strcmp(section->kind, "exeat") == 0)
            fault_add(reader->faults, place_text(section->file, section->line, at), "exeat", NULL,
                      "an included file may not hold it; allowed: in the file that includes");
    }
}

/* A section that was cut short by want of memory would be half of what was meant; the fault for that is there already. */
static bool document_is_whole(const struct document *document)
{
    for (size_t i = 0; i < document->count; i++) {
        const struct section *section = &document->sections[i];
        if (!section->title || !section->kind || !section->name)
            return false;
        for (size_t j = 0; j < section->count; j++) {
            if (!section->entries[j].key || !section->entries[j].value)
                return false;
        }
    }
    return true;
}

void document_read(struct document *document, struct bundle *bundle, const char *path, struct fault_list *faults)
{
    struct document_reader reader = {.document = document, .bundle = bundle, .faults = faults, .file = path};
    struct path_list includes = {0};
    *document = (struct document){0};
    document_read_file(&reader, path);
    size_t included = document->count;
    if (document_is_whole(document))
        document_find_includes(&reader, &includes);
    for (size_t i = 0; i < includes.count; i++) {
        bool again = i > 0 && strcmp(includes.paths[i], includes.paths[i - 1]) == 0;
        if (!again && strcmp(includes.paths[i], path) != 0) /* `include = *.conf` names the including file too */
            document_read_file(&reader, includes.paths[i]);
    }
    document_check_included(&reader, included);
    path_list_fini(&includes);
    if (!document_is_whole(document))
        document_fini(document);
}

void document_fini(struct document *document)
{
    for (size_t i = 0; i < document->count; i++) {
        struct section *section = &document->sections[i];
        for (size_t j = 0; j < section->count; j++) {
            free(section->entries[j].key);
            free(section->entries[j].value);
        }
        free(section->entries);
        free(section->title);
        free(section->kind);
        free(section->name);
    }
    path_list_fini(&document->files);
    free(document->sections);
    *document = (struct document){0};
}
