/* What a server has counted and holds open, as text: for another generation of it, which may be another version. */
#ifndef EXEAT_ADMIN_SURVEY_TEXT_H
#define EXEAT_ADMIN_SURVEY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "proxy/survey.h"

/* Longer ones are not read. */
#define SURVEY_TEXT_MAX ((size_t)64 << 20)

/* Its counts and its tunnels, if they were asked for, and its records; not its workers, of whom only their own server may judge. A kind of lines may
 * be added in a later version, but none be changed. */
void survey_text_write(FILE *to, const struct survey *survey);

/* What another one wrote: a survey of no worker. Lines of a kind that this version does not know are left out; what it has no word for in one that it
 * knows is counted under the nearest that it has. NULL: it is no such text, or not whole, or memory ran out. */
struct survey *survey_text_read(const char *text, size_t len);

/* Either of them through a file that is nowhere (base/memo): its descriptor, which is the caller's, -1: it cannot be had; and what is read of one. */
int survey_text_leave(const struct survey *survey);
struct survey *survey_text_take(int fd);

/* What is asked for, enum survey_wish, in words; and what the words of another version ask for of what this one has. */
#define SURVEY_WORDS_MAX 32
const char *survey_words(int wishes, char buf[SURVEY_WORDS_MAX]);
int survey_words_read(const char *words);

#endif
