/* One option of the configuration: how a value in a file becomes a value in a struct. */
#include "config/option.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"
#include "config/suggestion.h"

#define OPTION_WORD_MAX 32
#define OPTION_WORDS_MAX 8

/* Word number `index` of a blank-separated list, "" past its end. */
static const char *option_word(const char *words, size_t index, char buf[OPTION_WORD_MAX])
{
    for (; words != NULL && index > 0; index--) {
        const char *blank = strchr(words, ' ');
        words = blank ? blank + 1 : NULL;
    }
    text_copy(buf, OPTION_WORD_MAX, words ? words : "", words ? strcspn(words, " ") : 0);
    return buf;
}

static bool option_find_word(const char *words, const char *text, uint64_t *index)
{
    char word[OPTION_WORD_MAX];
    for (size_t i = 0; *option_word(words, i, word) != '\0'; i++) {
        if (strcmp(word, text) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

void option_suggest(const struct option_row *row, const char *text, char buf[SUGGESTION_TEXT_MAX])
{
    char words[OPTION_WORDS_MAX][OPTION_WORD_MAX];
    struct suggestion suggestion = {.asked = text};
    for (size_t i = 0; i < OPTION_WORDS_MAX && *option_word(row->words, i, words[i]) != '\0'; i++)
        suggestion_offer(&suggestion, words[i]);
    suggestion_text(&suggestion, buf);
}

static void option_size_text(struct text *text, uint64_t bytes)
{
    char buf[NUMBER_SIZE_TEXT_MAX];
    text_add(text, number_size_text(bytes, buf));
}

static void option_duration_text(struct text *text, uint64_t ms)
{
    static const struct {
        uint64_t worth;
        const char *name;
    } UNITS[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t unit = 0;
    while (ms % UNITS[unit].worth != 0)
        unit++;
    text_format(text, "%" PRIu64 "%s", ms / UNITS[unit].worth, ms ? UNITS[unit].name : "");
}

static void option_number_text(struct text *text, uint64_t number)
{
    text_format(text, "%" PRIu64, number);
}

static void option_bounds_text(struct text *text, const struct option_row *row, const char *what, void (*number)(struct text *, uint64_t))
{
    if (row->words != NULL)
        text_format(text, "%s or ", row->words);
    text_format(text, "%s from ", what);
    number(text, row->min);
    text_add(text, " to ");
    number(text, row->max);
}

const char *option_value_text(const struct option_row *row, char buf[OPTION_VALUE_TEXT_MAX])
{
    struct text text;
    text_init(&text, buf, OPTION_VALUE_TEXT_MAX);
    switch (row->type) {
    case OPTION_TEXT:
        text_format(&text, "a text of up to %" PRIu64 " bytes", row->max);
        break;
    case OPTION_WORD:
        text_add(&text, row->words);
        break;
    case OPTION_NUMBER:
        option_bounds_text(&text, row, "a number", option_number_text);
        break;
    case OPTION_SIZE:
        option_bounds_text(&text, row, "a size", option_size_text);
        text_add(&text, " (bytes, or with K M G)");
        break;
    case OPTION_DURATION:
        option_bounds_text(&text, row, "a time", option_duration_text);
        text_add(&text, " (with a unit: ms s m h d)");
        break;
    case OPTION_DAY:
        text_add(&text, "a day as YYYY-MM-DD");
        break;
    case OPTION_OWN:
        text_add(&text, row->value);
        break;
    }
    return buf;
}

bool option_read(const struct option_row *row, const char *text, uint64_t *number)
{
    size_t len = strlen(text);
    uint32_t day;
    switch (row->type) {
    case OPTION_WORD:
        return option_find_word(row->words, text, number);
    case OPTION_NUMBER:
        return option_find_word(row->words, text, number) || (number_read(number, text, len, row->max) && *number >= row->min);
    case OPTION_SIZE:
        return number_read_size(number, text, len) && *number >= row->min && *number <= row->max;
    case OPTION_DURATION:
        return number_read_duration_ms(number, text, len) && *number >= row->min && *number <= row->max;
    case OPTION_DAY:
        if (!number_read_day(&day, text, len))
            return false;
        *number = day;
        return true;
    default:
        return false;
    }
}

void option_store(const struct option_row *row, void *target, uint64_t number)
{
    char *at = (char *)target + row->offset;
    switch (row->size) {
    case sizeof(bool):
        *(bool *)at = number != 0;
        break;
    case sizeof(uint32_t): /* enums, too: gcc and clang give those without negative values an unsigned int */
        memcpy(at, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        break;
    default:
        assert(row->size == sizeof(uint64_t));
        memcpy(at, &number, sizeof(number));
    }
}

static uint64_t option_load_number(const struct option_row *row, const void *target)
{
    const char *at = (const char *)target + row->offset;
    uint32_t small;
    uint64_t large;
    switch (row->size) {
    case sizeof(bool):
        return *(const bool *)at;
    case sizeof(uint32_t):
        memcpy(&small, at, sizeof(small));
        return small;
    default:
        assert(row->size == sizeof(uint64_t));
        memcpy(&large, at, sizeof(large));
        return large;
    }
}

bool option_stored_text(const struct option_row *row, const void *target, char *buf, size_t size)
{
    if (row->size == 0)
        return false;
    if (row->type == OPTION_TEXT) {
        const char *stored = *(char *const *)(const void *)((const char *)target + row->offset);
        return stored != NULL && text_copy(buf, size, stored, strlen(stored));
    }
    snprintf(buf, size, "%" PRIu64, option_load_number(row, target));
    return true;
}
