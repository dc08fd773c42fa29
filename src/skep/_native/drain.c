/* A ring buffer, or perf buffers, drained into the caller's memory. */
#include <stdlib.h>

#include "drain.h"

int skep_source_fd(const struct skep_source *source)
{
	return source->fd;
}

void skep_source_texts(struct skep_source *source, const uint32_t *texts, uint32_t count)
{
	source->texts = texts;
	source->text_count = count;
}

size_t skep_waiting(struct skep_source **sources, size_t count)
{
	size_t waiting = 0;

	for (size_t i = 0; i < count; i++) {
		const struct skep_source *source = sources[i];
		uint64_t end = source->perf ? source->page->data_head : *source->producer;
		uint64_t left = end - source->position;

		/* What makes no sense, the drain finds. */
		waiting += left < source->size ? left : source->size;
	}
	return waiting;
}

void skep_source_close(struct skep_source *source)
{
	if (source->perf)
		perf_close(source);
	else
		ring_close(source);
	free(source);
}

int skep_drain(struct skep_source **sources, size_t count, uint64_t until, void *buffer, size_t capacity,
	       uint32_t *offsets, uint32_t limit, struct skep_drained *drained)
{
	struct batch batch = { .buffer = buffer, .capacity = capacity, .offsets = offsets, .limit = limit };
	int error;

	offsets[0] = 0;
	error = sources[0]->perf ? perf_drain(sources, count, until, &batch) : ring_drain(sources[0], &batch);
	*drained = batch.drained;
	return error;
}
