/* A ring buffer, or perf buffers, drained into the caller's memory. */
#include <stdlib.h>
#include <string.h>

#include "drain.h"

int skep_source_fd(const struct skep_source *source)
{
	return source->fd;
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
	struct batch batch = {
		.buffer = buffer, .capacity = capacity, .offsets = offsets, .limit = limit, .drained = drained,
	};

	memset(drained, 0, sizeof(*drained));
	offsets[0] = 0;
	return sources[0]->perf ? perf_drain(sources, count, until, &batch) : ring_drain(sources[0], &batch);
}
