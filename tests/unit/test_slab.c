/* The slab: objects that are apart, zeroed and kept; and memory that goes back. */
#include "base/slab.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 552, COUNT = 5000 };

/* Pages of our own that are in memory. */
static size_t resident(void)
{
    size_t all, resident, shared;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%zu %zu %zu", &all, &resident, &shared) == 3);
    fclose(file);
    return (resident - shared) * 4096;
}

static bool holds(const uint8_t *object, uint8_t byte)
{
    return object[0] == byte && memcmp(object, object + 1, SIZE - 1) == 0;
}

static uint8_t *take(struct slab *slab, uint8_t byte)
{
    uint8_t *object = slab_take(slab);
    cr_assert(object && (uintptr_t)object % sizeof(uint64_t) == 0);
    cr_assert(holds(object, 0), "not zeroed");
    memset(object, byte, SIZE);
    return object;
}

Test(slab, objects_come_and_go_in_any_order)
{
    static uint8_t *objects[COUNT];
    struct slab *slab = slab_new(SIZE), *other = slab_new(1);
    srand(11);
    for (unsigned turn = 0; turn < 20 * COUNT; turn++) {
        const int i = rand() % COUNT;
        if (objects[i]) {
            cr_assert(holds(objects[i], (uint8_t)i), "another one wrote into it");
            slab_give(objects[i]);
            objects[i] = NULL;
        } else {
            objects[i] = take(slab, (uint8_t)i);
            slab_give(slab_take(other));
        }
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert(!objects[i] || holds(objects[i], (uint8_t)i));
        slab_give(objects[i]);
    }
    slab_free(slab);
    slab_free(other);
    slab_free(NULL);
}

/* Also when one that was taken in the midst of them stays. */
Test(slab, what_a_rush_took_goes_back)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer keeps what is freed for a while");
#endif
    static uint8_t *objects[COUNT];
    struct slab *slab = slab_new(SIZE);
    const size_t before = resident();
    for (int i = 0; i < COUNT; i++)
        objects[i] = take(slab, 1);
    const size_t during = resident() - before;
    cr_expect_lt(during, (size_t)COUNT * SIZE * 106 / 100, "%zu bytes each", during / COUNT);
    for (int i = 0; i < COUNT; i++)
        if (i != COUNT / 2)
            slab_give(objects[i]);
    cr_expect_lt(resident() - before, during / 10);
    cr_expect(holds(objects[COUNT / 2], 1));
    slab_give(objects[COUNT / 2]);
    slab_free(slab);
}
