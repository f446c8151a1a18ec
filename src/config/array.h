/* Arrays that grow by one, for structs that keep no more than a pointer and a count. */
#ifndef EXEAT_CONFIG_ARRAY_H
#define EXEAT_CONFIG_ARRAY_H

#include <stddef.h>

/* Room for one item more, zeroed, at array[count]. The capacity follows from the count (the next power of two), so an array is grown by this from its
 * first item on, or not at all. NULL: out of memory, and `array` is as it was. */
void *array_room(void *array, size_t count, size_t size);

#endif
