/* A ring buffer, or perf buffers, drained into the caller's memory. */
#include <stdlib.h>

#include "drain.h"
#include "texts.h"

int skep_source_fd(const struct skep_source *source)
{
	return source->fd;
}

void skep_mark_texts(const uint32_t *places, uint32_t count, struct skep_texts *texts, uint32_t pieces)
{
	for (uint32_t i = 0; i < pieces; i++)
		texts[i].others = ~(uint64_t)0;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t start = places[2 * i], last = start + places[2 * i + 1] - 1;

		texts[start / PIECE].starts |= (uint64_t)1 << start % PIECE;
		for (uint32_t byte = start; byte <= last; byte++) {
			texts[byte / PIECE].within |= (uint64_t)(byte != last) << byte % PIECE;
			texts[byte / PIECE].others &= ~((uint64_t)1 << byte % PIECE);
		}
	}
}

void skep_source_texts(struct skep_source *source, const struct skep_texts *texts, uint32_t count)
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
