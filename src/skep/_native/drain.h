/* What ring.c and perf.c share with drain.c. */
#ifndef SKEP_DRAIN_H
#define SKEP_DRAIN_H

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#include "native.h"

struct skep_source {
	int fd;
	int perf;
	size_t size; /* of the data area, a power of two */
	uint8_t *data;
	uint64_t position; /* where this reader is */
	const struct skep_texts *texts; /* of a record; the caller's */
	uint32_t text_count;
	/* ring buffer: two mappings, the first writable */
	unsigned long *consumer;
	unsigned long *producer;
	/* perf buffer: one mapping */
	struct perf_event_mmap_page *page;
	int counts_losses;
	int timed; /* each sample begins with its time */
	/* while it is drained: where it ends, and the next sample */
	uint64_t end;
	int found;
	uint64_t time, start, next;
	uint32_t sample; /* bytes */
};

struct batch {
	uint8_t *buffer;
	size_t capacity;
	uint32_t *offsets;
	uint32_t limit;
	struct skep_drained drained;
};

/* Makes room for one record of that size. NULL: the batch is full, and drained says so. */
static inline uint8_t *reserve(struct batch *batch, uint32_t size)
{
	struct skep_drained *drained = &batch->drained;
	uint8_t *place = batch->buffer + drained->bytes;

	if (drained->count == batch->limit || size > batch->capacity - drained->bytes) {
		drained->more = 1;
		if (!drained->count && size > batch->capacity)
			drained->needed = size;
		return NULL;
	}
	if (!drained->count)
		drained->stride = size;
	else if (drained->stride != size)
		drained->stride = 0;
	drained->bytes += size;
	drained->count++;
	batch->offsets[drained->count] = drained->bytes;
	return place;
}

int ring_drain(struct skep_source *source, struct batch *batch);
void ring_close(struct skep_source *source);
int perf_drain(struct skep_source *const *sources, size_t count, uint64_t until, struct batch *batch);
void perf_close(struct skep_source *source);

#endif
