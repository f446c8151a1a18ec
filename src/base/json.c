/* JSON strings on a stream. */
#include "base/json.h"

#include <string.h>

void json_put(FILE *to, const char *string)
{
    char buffer[JSON_STRING_MAX + sizeof("\"...\"")];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    text_add_json(&text, string, string != NULL ? strlen(string) : 0, JSON_STRING_MAX);
    fputs(buffer, to);
}

void json_put_member(FILE *to, const char *key, const char *string)
{
    fprintf(to, ",\"%s\":", key);
    json_put(to, string);
}
