/* The generations of the server, as the journal tells them apart: by a mark that their sessions' ids carry, and by what says that one has ended. */
#include "audit/journal_generations.h"

#include <string.h>

#include "base/number.h"

#define GENERATION "generation "
#define ENDED " ended, others go on"

unsigned journal_generation_mark(uint32_t generation)
{
    return generation > 0 ? 1 + (generation - 1) % (ULID_MARKS - 1) : 0;
}

void journal_generation_say_end(struct text *detail, unsigned mark)
{
    text_format(detail, "%s" GENERATION "%u" ENDED, detail->len > 0 ? "; " : "", mark);
}

unsigned journal_generation_read_end(const char *detail, size_t len)
{
    const size_t words = strlen(GENERATION), ended = strlen(ENDED);
    uint64_t mark = 0;
    if (len < ended || memcmp(detail + len - ended, ENDED, ended) != 0)
        return 0;
    const char *end = detail + len - ended, *number = end;
    while (number > detail && number[-1] >= '0' && number[-1] <= '9')
        number--;
    if ((size_t)(number - detail) < words || memcmp(number - words, GENERATION, words) != 0)
        return 0;
    return number_read(&mark, number, (size_t)(end - number), ULID_MARKS - 1) ? (unsigned)mark : 0;
}

bool journal_generations_has(const struct journal_generations *generations, unsigned mark)
{
    return generations->bits[mark / 64] >> mark % 64 & 1;
}

void journal_generations_add(struct journal_generations *generations, unsigned mark)
{
    generations->count += !journal_generations_has(generations, mark);
    generations->bits[mark / 64] |= UINT64_C(1) << mark % 64;
}

void journal_generations_remove(struct journal_generations *generations, unsigned mark)
{
    generations->count -= journal_generations_has(generations, mark);
    generations->bits[mark / 64] &= ~(UINT64_C(1) << mark % 64);
}

unsigned journal_generations_first(const struct journal_generations *generations)
{
    for (unsigned mark = 0; generations->count > 0 && mark < ULID_MARKS; mark++) {
        if (journal_generations_has(generations, mark))
            return mark;
    }
    return 0;
}
