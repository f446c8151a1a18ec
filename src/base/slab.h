/* Memory for many objects of one size, in blocks of their own that go back to the system when they are empty. */
#ifndef EXEAT_BASE_SLAB_H
#define EXEAT_BASE_SLAB_H

#include <stddef.h>

/* Not to be shared between threads. */
struct slab;

/* NULL when out of memory. */
struct slab *slab_new(size_t size);
/* Every object must be back. Safe on NULL. */
void slab_free(struct slab *slab);

/* Zeroed; aligned for pointers and 64-bit numbers. NULL when out of memory. */
void *slab_take(struct slab *slab);
/* To the slab that it is from. Safe on NULL. */
void slab_give(void *object);

#endif
