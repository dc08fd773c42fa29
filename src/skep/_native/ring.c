/*
 * Ring buffers, read in batches. Source: kernel/bpf/ringbuf.c for the layout and the order of memory accesses.
 *
 * The other side of each position is the kernel, on another CPU: positions are read with acquire and published with
 * release, which the compiler turns into plain moves on x86-64 and into ldar and stlr on arm64. The producer's position
 * is read once a batch: a producer that keeps up would otherwise never let the reader return.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drain.h"
#include "texts.h"

struct skep_source *skep_ring_open(int map_fd, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct skep_source *source = calloc(1, sizeof(*source));
	uint8_t *memory;

	if (!source)
		return NULL;
	source->fd = map_fd;
	source->size = size;
	/* The consumer's page is the only one that may be mapped for writing, and only by itself. */
	memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (memory == MAP_FAILED)
		goto fail;
	source->consumer = (unsigned long *)memory;
	/* The data is mapped twice, end to start: a record that wraps lies in one piece. */
	memory = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, page);
	if (memory == MAP_FAILED) {
		munmap(source->consumer, page);
		goto fail;
	}
	source->producer = (unsigned long *)memory;
	source->data = memory + page;
	source->position = __atomic_load_n(source->consumer, __ATOMIC_RELAXED);
	return source;
fail:
	free(source);
	return NULL;
}

int ring_drain(struct skep_source *source, struct batch *whole)
{
	/* A copy that nobody points to stays in registers, whatever is written to the buffer. */
	struct batch batch = *whole;
	const uint32_t *texts = source->texts, text_count = source->text_count;
	const uint8_t *data = source->data;
	size_t mask = source->size - 1;
	unsigned long start = __atomic_load_n(source->consumer, __ATOMIC_RELAXED);
	unsigned long end = __atomic_load_n(source->producer, __ATOMIC_ACQUIRE);
	unsigned long position = start;
	int error = 0;

	if (start != source->position)
		return -ESTALE;
	/* Each record begins at a multiple of 8. */
	if (end - position > source->size || (position | end) & 7)
		return -EIO;
	while (position != end) {
		const uint8_t *record = data + (position & mask);
		uint32_t header = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		unsigned long length = ((unsigned long)size + BPF_RINGBUF_HDR_SZ + 7) & ~7ul;
		uint8_t *place;

		/* The processor's own prefetching stops at the end of each page. Farther ahead is slower again. */
		__builtin_prefetch(record + 512);
		/* Reserved and not yet submitted: what follows has to wait, the order is the promise. */
		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (length > end - position) {
			error = -EIO;
			break;
		}
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			place = reserve(&batch, size);
			if (!place)
				break;
			memcpy(place, record + BPF_RINGBUF_HDR_SZ, size);
			end_texts(place, record + BPF_RINGBUF_HDR_SZ, size, texts, text_count);
		}
		position += length;
	}
	*whole = batch;
	/* Once a batch. Another reader that went on meanwhile has taken some of the same records. */
	if (!__atomic_compare_exchange_n(source->consumer, &start, position, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return -ESTALE;
	source->position = position;
	return error;
}

void ring_close(struct skep_source *source)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap(source->consumer, page);
	munmap(source->producer, page + 2 * source->size);
}
