/* JSON strings on a stream. */
#ifndef EXEAT_BASE_JSON_H
#define EXEAT_BASE_JSON_H

#include <stdio.h>

#include "base/text.h"

#define JSON_STRING_MAX (TEXT_ESCAPE_MAX * 4096) /* 4096 bytes are whole, whatever they are */

/* Writes the string escaped and in quotes, cut where it is longer than JSON_STRING_MAX; NULL as null. */
void json_put(FILE *to, const char *string);

/* Writes `,"key":` and the string: a member that is not the first. */
void json_put_member(FILE *to, const char *key, const char *string);

#endif
