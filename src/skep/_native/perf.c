/*
 * Perf buffers, one a CPU, read in batches. Source: kernel/events/ring_buffer.c for the layout and the order of memory
 * accesses, which are those of ring.c.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "drain.h"
#include "texts.h"

struct skep_source *skep_perf_open(int map_fd, int cpu, size_t size, int timed)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW | (timed ? PERF_SAMPLE_TIME : 0),
		.sample_period = 1,
		.wakeup_events = 1,
		.read_format = PERF_FORMAT_LOST,
		.use_clockid = timed != 0,
		.clockid = CLOCK_MONOTONIC,
	};
	size_t page = sysconf(_SC_PAGESIZE);
	struct skep_source *source = calloc(1, sizeof(*source));
	uint8_t *memory;
	int error;

	if (!source)
		return NULL;
	source->perf = 1;
	source->timed = timed;
	source->size = size;
	source->fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (source->fd < 0 && errno == EINVAL) {
		/* Before Linux 6.0 the kernel counts losses only in the records that follow them. */
		attr.read_format = 0;
		source->fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	}
	if (source->fd < 0)
		goto free;
	source->counts_losses = attr.read_format != 0;
	memory = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_SHARED, source->fd, 0);
	if (memory == MAP_FAILED)
		goto close;
	source->page = (struct perf_event_mmap_page *)memory;
	source->data = memory + page;
	if (ioctl(source->fd, PERF_EVENT_IOC_ENABLE, 0) || bpf_map_update_elem(map_fd, &cpu, &source->fd, BPF_ANY))
		goto unmap;
	return source;
unmap:
	error = errno;
	munmap(memory, page + size);
	errno = error;
close:
	error = errno;
	close(source->fd);
	errno = error;
free:
	free(source);
	return NULL;
}

/* A perf buffer is mapped once: what wraps comes in two pieces. room: bytes that may be written. */
static void perf_copy(const struct skep_source *source, uint8_t *target, size_t room)
{
	size_t start = source->start & (source->size - 1), size = source->sample, first = source->size - start;

	if (size <= first) {
		copy_record(target, source->data + start, size, room < first ? room : first, source->texts,
			    source->text_count);
		return;
	}
	memcpy(target, source->data + start, first);
	memcpy(target + first, source->data, size - first);
	end_texts(target, size, source->texts, source->text_count);
}

/* The eight bytes at a multiple of eight, which never wrap. */
static uint64_t word_at(const struct skep_source *source, uint64_t position)
{
	uint64_t word;

	memcpy(&word, source->data + (position & (source->size - 1)), sizeof(word));
	return word;
}

/*
 * Finds the next sample: 1, or 0 if there is none. Anything else is passed over, and losses are counted. Records stand at
 * multiples of 8 bytes, so that the first 8 never wrap.
 */
static int perf_next(struct skep_source *source, struct batch *batch)
{
	while (source->position < source->end) {
		size_t left = source->end - source->position;
		struct perf_event_header header;
		uint64_t word = word_at(source, source->position);

		memcpy(&header, &word, sizeof(header));
		/* What is no multiple of eight would lead beyond the end. */
		if (header.size < sizeof(header) || header.size > left || header.size % 8)
			return -EIO;
		if (header.type == PERF_RECORD_SAMPLE) {
			size_t before = sizeof(header) + (source->timed ? sizeof(source->time) : 0);

			if (header.size < before + sizeof(source->sample))
				return -EIO;
			if (source->timed)
				source->time = word_at(source, source->position + sizeof(header));
			word = word_at(source, source->position + before);
			memcpy(&source->sample, &word, sizeof(source->sample));
			before += sizeof(source->sample);
			if (source->sample > header.size - before)
				return -EIO;
			source->start = source->position + before;
			source->next = source->position + header.size;
			return 1;
		}
		if (header.type == PERF_RECORD_LOST && header.size >= sizeof(header) + 2 * sizeof(word)) {
			batch->drained.lost += word_at(source, source->position + sizeof(header) + sizeof(word));
		}
		source->position += header.size;
	}
	return 0;
}

/* The samples of several buffers by their times, those of one buffer in its order; not those after `until`. */
static int perf_merge(struct skep_source *const *sources, size_t count, uint64_t until, struct batch *batch)
{
	for (;;) {
		struct skep_source *first = NULL;
		uint8_t *place;

		for (size_t i = 0; i < count; i++) {
			struct skep_source *source = sources[i];

			if (!source->found) {
				source->found = perf_next(source, batch);
				if (source->found < 0)
					return source->found;
			}
			if (source->found && (!first || source->time < first->time))
				first = source;
		}
		if (!first)
			return 0;
		if (first->time > until) {
			batch->drained.held = 1;
			return 0;
		}
		place = reserve(batch, first->sample);
		if (!place)
			return 0;
		perf_copy(first, place, batch->buffer + batch->capacity - place);
		first->position = first->next;
		first->found = 0;
	}
}

int perf_drain(struct skep_source *const *sources, size_t count, uint64_t until, struct batch *batch)
{
	int error;

	for (size_t i = 0; i < count; i++) {
		struct skep_source *source = sources[i];

		source->position = source->page->data_tail;
		source->end = __atomic_load_n(&source->page->data_head, __ATOMIC_ACQUIRE);
		source->found = 0;
		if (source->end - source->position > source->size || source->position % 8)
			return -EIO;
	}
	error = perf_merge(sources, count, until, batch);
	for (size_t i = 0; i < count; i++)
		__atomic_store_n(&sources[i]->page->data_tail, sources[i]->position, __ATOMIC_RELEASE);
	return error;
}

int64_t skep_source_lost(const struct skep_source *source)
{
	uint64_t counts[2]; /* value, lost */

	if (!source->counts_losses || read(source->fd, counts, sizeof(counts)) != sizeof(counts))
		return -1;
	return counts[1];
}

void perf_close(struct skep_source *source)
{
	munmap(source->page, sysconf(_SC_PAGESIZE) + source->size);
	close(source->fd);
}
