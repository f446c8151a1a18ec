/* What changed from one configuration to the next, in words for a record and for people. */
#include "config/difference.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Of many values so many are named. */
#define VALUES_NAMED 3
#define VALUE_SHOWN 100

/* Rules are told their place in the file, which moves with every rule before them. */
#define KEY_ORDER "number"

struct place {
    char *title;
    char *key; /* NULL: the whole section */
    bool many, restart;
    size_t count[DIFFERENCE_WAYS];
    char *values[DIFFERENCE_WAYS][VALUES_NAMED];
};

struct difference {
    struct place places[DIFFERENCE_PLACES_MAX];
    size_t count, beyond;
    uint64_t last_beyond; /* the last that was counted there: its facts come one after the other */
    bool reordered, rules_came_or_went;
};

struct difference *difference_new(void)
{
    return calloc(1, sizeof(struct difference));
}

static void place_fini(struct place *place)
{
    free(place->title);
    free(place->key);
    for (int way = 0; way < DIFFERENCE_WAYS; way++)
        for (size_t i = 0; i < VALUES_NAMED; i++)
            free(place->values[way][i]);
}

void difference_free(struct difference *difference)
{
    if (difference == NULL)
        return;
    for (size_t i = 0; i < difference->count; i++)
        place_fini(&difference->places[i]);
    free(difference);
}

/* ---- noting ---- */

static bool place_is(const struct place *place, const char *title, const char *key)
{
    return strcmp(place->title, title) == 0 && (place->key == NULL || key == NULL ? place->key == key : strcmp(place->key, key) == 0);
}

/* Facts come section by section, so it is nearly always the last. */
static struct place *difference_find(struct difference *difference, const char *title, const char *key)
{
    for (size_t i = difference->count; i > 0; i--)
        if (place_is(&difference->places[i - 1], title, key))
            return &difference->places[i - 1];
    return NULL;
}

static struct place *difference_add_place(struct difference *difference, const char *title, const char *key)
{
    if (difference->count == DIFFERENCE_PLACES_MAX)
        return NULL;
    struct place place = {.title = strdup(title), .key = key ? strdup(key) : NULL};
    if (place.title == NULL || (key != NULL && place.key == NULL)) {
        place_fini(&place);
        return NULL;
    }
    difference->places[difference->count] = place;
    return &difference->places[difference->count++];
}

static struct place *difference_place(struct difference *difference, const char *title, const char *key)
{
    struct place *place = difference_find(difference, title, key);
    return place != NULL ? place : difference_add_place(difference, title, key);
}

static void difference_count_beyond(struct difference *difference, const char *title, const char *key)
{
    const uint64_t title_hash = hash_bytes(title, strlen(title), 1);
    const uint64_t hash = key != NULL ? hash_bytes(key, strlen(key), title_hash) : title_hash;
    difference->beyond += hash != difference->last_beyond;
    difference->last_beyond = hash;
}

static bool difference_is_order(const struct fact *fact)
{
    return strncmp(fact->title, "rule ", 5) == 0 && strcmp(fact->key, KEY_ORDER) == 0;
}

bool difference_note(struct difference *difference, const struct fact *fact, enum difference_way way, bool whole)
{
    if (difference_is_order(fact)) {
        difference->reordered = true;
        difference->rules_came_or_went = difference->rules_came_or_went || whole;
        return false;
    }
    const char *key = whole ? NULL : fact->key;
    const bool first = difference_find(difference, fact->title, key) == NULL;
    struct place *place = difference_place(difference, fact->title, key);
    if (place == NULL) {
        difference_count_beyond(difference, fact->title, key);
        return false;
    }
    place->many = fact->many;
    place->restart = fact->restart;
    if (!whole && fact->many && place->count[way] < VALUES_NAMED)
        place->values[way][place->count[way]] = strndup(fact->value, VALUE_SHOWN); /* one that is missing is among those that are not named */
    place->count[way]++;
    return first;
}

/* ---- saying ---- */

static void place_say_values(const struct place *place, enum difference_way way, struct text *out)
{
    static const char *const WORDS[DIFFERENCE_WAYS] = {" added", " removed"};
    size_t named = 0;
    if (place->count[way] == 0)
        return;
    text_add(out, out->at[out->len - 1] == ':' ? "" : ",");
    text_add(out, WORDS[way]);
    for (size_t i = 0; i < VALUES_NAMED; i++) {
        if (place->values[way][i] == NULL)
            continue;
        text_format(out, " %s", place->values[way][i]);
        named++;
    }
    if (place->count[way] > named)
        text_format(out, " (and %zu more)", place->count[way] - named);
}

static void place_say(const struct place *place, struct text *out)
{
    text_add(out, place->title);
    if (place->key == NULL) {
        text_add(out, place->count[DIFFERENCE_ADDED] > 0 ? " added" : " removed");
        return;
    }
    text_format(out, " %s", place->key);
    if (place->many) {
        text_add_char(out, ':');
        place_say_values(place, DIFFERENCE_ADDED, out);
        place_say_values(place, DIFFERENCE_REMOVED, out);
    } else {
        text_add(out, place->restart ? " changed, which takes a restart" : " changed");
    }
}

static bool difference_say_part(const char *part, struct text *out)
{
    static const char MORE[] = "; and 18446744073709551615 more";
    if (out->len + strlen(part) + 2 * sizeof(MORE) > out->size)
        return false;
    if (out->len > 0)
        text_add(out, "; ");
    text_add(out, part);
    return true;
}

static size_t difference_say_places(const struct difference *difference, struct text *out)
{
    size_t said = 0;
    for (; said < difference->count; said++) {
        char bytes[1024];
        struct text part;
        text_init(&part, bytes, sizeof(bytes));
        place_say(&difference->places[said], &part);
        if (!difference_say_part(part.at, out))
            break;
    }
    return said;
}

void difference_say(const struct difference *difference, struct text *out)
{
    char bytes[2048];
    struct text words;
    text_init(&words, bytes, out->size - out->len < sizeof(bytes) ? out->size - out->len : sizeof(bytes));
    const size_t said = difference_say_places(difference, &words);
    const size_t more = difference->count - said + difference->beyond;
    if (difference->reordered && !difference->rules_came_or_went)
        difference_say_part("rules in another order", &words);
    if (more > 0)
        text_format(&words, "; and %zu more", more);
    text_add(out, words.len > 0 ? words.at : "nothing changed");
}
