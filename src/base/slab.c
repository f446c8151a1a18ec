/* Memory for many objects of one size, in blocks of their own that go back to the system when they are empty. */
#include "base/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Sanitizers see the ends of an object only where it is an allocation of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_IS_LOOSE 1
#elif defined(__has_feature)
#define SLAB_IS_LOOSE __has_feature(address_sanitizer)
#else
#define SLAB_IS_LOOSE 0
#endif

#define BLOCK_SIZE ((size_t)64 << 10) /* and what it is aligned to: an object's address tells its block */

struct slab {
    size_t size, block_max;   /* of an object; how many of them a block holds */
    struct slab_block *roomy; /* blocks with room */
    bool spare;               /* one of them is empty; a second one is not kept */
};

struct slab_block {
    struct slab *slab;
    struct slab_block *next, **link; /* among those with room */
    void **given;                    /* objects that were given back: in each stands the address of the next */
    size_t used, touched;            /* objects that are out; that ever were */
    uint64_t objects[];
};

struct slab *slab_new(size_t size)
{
    struct slab *slab = calloc(1, sizeof(*slab));
    if (!slab)
        return NULL;
    slab->size = (size + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
    slab->block_max = (BLOCK_SIZE - sizeof(struct slab_block)) / slab->size;
    return slab;
}

static void slab_link(struct slab *slab, struct slab_block *block)
{
    block->next = slab->roomy;
    block->link = &slab->roomy;
    if (block->next)
        block->next->link = &block->next;
    slab->roomy = block;
}

static void slab_unlink(struct slab_block *block)
{
    *block->link = block->next;
    if (block->next)
        block->next->link = block->link;
}

/* An aligned one is cut out of twice as much. */
static struct slab_block *slab_map(void)
{
    char *area = mmap(NULL, 2 * BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    const size_t before = -(uintptr_t)area % BLOCK_SIZE;
    if (before > 0)
        munmap(area, before);
    munmap(area + before + BLOCK_SIZE, BLOCK_SIZE - before);
    return (struct slab_block *)(void *)(area + before);
}

static bool slab_grow(struct slab *slab)
{
    struct slab_block *block = slab_map();
    if (!block)
        return false;
    block->slab = slab;
    slab_link(slab, block);
    slab->spare = true;
    return true;
}

static void slab_drop(struct slab_block *block)
{
    slab_unlink(block);
    munmap(block, BLOCK_SIZE);
}

void slab_free(struct slab *slab)
{
    while (slab && slab->roomy)
        slab_drop(slab->roomy);
    free(slab);
}

/* One that was given back, or the next that never was out. */
static void *slab_pick(struct slab_block *block)
{
    void **given = block->given;
    if (!given)
        return (char *)block->objects + block->touched++ * block->slab->size;
    block->given = *given;
    return given;
}

void *slab_take(struct slab *slab)
{
    if (SLAB_IS_LOOSE)
        return calloc(1, slab->size);
    if (!slab->roomy && !slab_grow(slab))
        return NULL;
    struct slab_block *block = slab->roomy;
    void *object = slab_pick(block);
    slab->spare = slab->spare && block->used > 0;
    if (++block->used == slab->block_max)
        slab_unlink(block);
    return memset(object, 0, slab->size);
}

static void slab_put(struct slab_block *block, void *object)
{
    void **given = object;
    *given = block->given;
    block->given = given;
    if (block->used-- == block->slab->block_max)
        slab_link(block->slab, block);
}

void slab_give(void *object)
{
    if (SLAB_IS_LOOSE || !object) {
        free(object);
        return;
    }
    struct slab_block *block = (struct slab_block *)((uintptr_t)object & ~(BLOCK_SIZE - 1));
    struct slab *slab = block->slab;
    slab_put(block, object);
    if (block->used > 0)
        return;
    if (slab->spare)
        slab_drop(block);
    slab->spare = true;
}
