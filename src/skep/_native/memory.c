/*
 * The memory of batches. malloc gives large blocks back to the kernel, and the pages that it then gets anew cost as much as
 * the records that they hold: so the last block that was let go is kept for the next batch.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "native.h"

/* What is smaller malloc keeps by itself. */
#define LARGE (64 * 1024)

struct block {
	size_t size;
	_Alignas(16) char memory[];
};

static struct block *spare;

void *skep_memory_take(size_t size)
{
	struct block *block = NULL;

	if (size >= LARGE) {
		/* Of few sizes, so that the last block mostly fits. */
		size = (size_t)1 << (64 - __builtin_clzl(size - 1));
		block = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQUIRE);
		if (block && block->size < size) {
			free(block);
			block = NULL;
		}
	}
	if (!block) {
		block = malloc(sizeof(*block) + size);
		if (!block)
			return NULL;
		block->size = size;
	}
	return block->memory;
}

void skep_memory_give(void *memory)
{
	struct block *block = (struct block *)((char *)memory - sizeof(*block));

	if (block->size >= LARGE)
		block = __atomic_exchange_n(&spare, block, __ATOMIC_ACQ_REL);
	free(block);
}
