/* Arrays that grow by one, for structs that keep no more than a pointer and a count. */
#include "config/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *array_room(void *array, size_t count, size_t size)
{
    char *grown = array;
    if ((count & (count - 1)) == 0) {
        size_t room = count ? 2 * count : 1;
        if (room > SIZE_MAX / 2 / size)
            return NULL;
        grown = realloc(array, room * size);
    }
    if (grown != NULL)
        memset(grown + count * size, 0, size);
    return grown;
}
