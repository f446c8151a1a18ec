/* One value on its way from a file: its faults, its files, its part in the digest. */
#include "config/setting.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/array.h"
#include "config/lines.h"
#include "config/loader.h"
#include "config/path.h"

#define SETTING_TEXT_MAX 1024
#define SETTING_FACT_MAX 8192

void setting_fault(const struct setting *setting, const char *format, ...)
{
    char at[PLACE_TEXT_MAX], what[SETTING_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    fault_add(setting->loader->faults, place_text(setting->file, setting->line, at), setting->section->title, setting->row->key, "%s", what);
}

void setting_warn(const struct setting *setting, const char *format, ...)
{
    char at[PLACE_TEXT_MAX], what[SETTING_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    fault_warn(setting->loader->faults, place_text(setting->file, setting->line, at), setting->section->title, setting->row->key, "%s", what);
}

void setting_no_memory(const struct setting *setting)
{
    if (!setting->loader->no_memory)
        setting_fault(setting, "out of memory");
    setting->loader->no_memory = true;
}

static void setting_tell(const struct setting *setting, const char *key, const char *value)
{
    const struct fact_taker *taker = setting->loader->taker;
    const struct option_row *row = setting->row;
    const struct fact fact = {
        .title = setting->section->title,
        .key = key,
        .value = value,
        .many = row->list || setting->meaning != NULL,
        .restart = row->restart,
        .file = setting->file,
        .line = setting->line,
    };
    if (taker != NULL)
        taker->take(taker->arg, &fact);
}

static void setting_digest(const struct setting *setting, const char *key, const char *value)
{
    char fact[SETTING_FACT_MAX];
    struct text text;
    text_init(&text, fact, sizeof(fact));
    text_add(&text, setting->section->title);
    text_add_char(&text, ' ');
    text_add(&text, key);
    text_add_char(&text, ' ');
    text_add(&text, value);
    assert(!text.cut);
    digest_add(setting->loader->digest, fact, text.len);
}

void setting_fact(const struct setting *setting, const char *value)
{
    const char *key = setting->meaning ? setting->meaning : setting->row->key;
    if (setting->loader->digest != NULL)
        setting_digest(setting, key, value);
    setting_tell(setting, key, value);
}

void setting_network_fault(const struct setting *setting, const struct network *network, const char *why)
{
    char meant[NETWORK_TEXT_MAX];
    struct network masked = *network;
    network_mask(&masked);
    if (address_is_set(&masked.base))
        setting_fault(setting, "%.300s: %s; the network is %s", setting->text, why, network_cidr_text(&masked, meant));
    else
        setting_fault(setting, "%.300s: %s", setting->text, why);
}

bool setting_read_network(const struct setting *setting, struct network *network)
{
    const char *why;
    if (network_read(network, setting->text, setting->len, &why))
        return true;
    setting_network_fault(setting, network, why);
    return false;
}

void *setting_room(const struct setting *setting, void *array, size_t count, size_t size)
{
    void *grown = array_room(array, count, size);
    if (grown == NULL)
        setting_no_memory(setting);
    return grown;
}

void setting_read_lines(const struct setting *setting, const char *bytes, size_t len, void (*line)(const struct setting *line, void *arg), void *arg)
{
    struct lines lines;
    struct setting inner = *setting;
    lines_init(&lines, bytes, len);
    while (!setting->loader->no_memory && lines_next(&lines)) {
        inner.line = lines.line;
        inner.text = lines.text;
        inner.len = lines.len;
        if (lines.cut)
            setting_fault(&inner, "a line of more than %d bytes", LINES_TEXT_MAX);
        else
            line(&inner, arg);
    }
}

void setting_read_file(const struct setting *setting, void (*line)(const struct setting *line, void *arg), void *arg)
{
    char *path = path_beside(setting->file, setting->text);
    const struct bundle_file *file = path ? bundle_file(setting->loader->bundle, path) : NULL;
    struct setting inner = *setting;
    int error = file ? file->error : path ? ENOENT : ENOMEM;
    free(path);
    if (error != 0) {
        setting_fault(setting, "%.300s cannot be read: %s", setting->text, bundle_error_text(error));
        return;
    }
    fault_list_file(setting->loader->faults, file->path);
    inner.file = file->path;
    setting_read_lines(&inner, file->bytes, file->len, line, arg);
}
