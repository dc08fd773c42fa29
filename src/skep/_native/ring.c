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

static size_t ring_length(uint32_t header)
{
	return ((size_t)(header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) + BPF_RINGBUF_HDR_SZ + 7) & ~(size_t)7;
}

/*
 * Takes more records, as long as their headers are the one given and whole pieces fit at both ends. Most records are taken
 * here, in half the time that one by one would need: the processor need not read a header to know where the next one is,
 * and nothing is called. Returns where it stopped.
 */
static inline __attribute__((always_inline)) const uint8_t *alike(const struct skep_source *source, const uint8_t *record,
								  const uint8_t *end, uint32_t header,
								  struct batch *whole, int wide)
{
	const size_t length = ring_length(header), size = header;
	const uint32_t pieces = PIECES(size), text_pieces = source->text_count < pieces ? source->text_count : pieces;
	const struct skep_texts *texts = source->texts;
	/* Copies that nobody points to stay in registers, whatever is written to the buffer. */
	const struct batch batch = *whole;
	uint32_t count = batch.drained.count;
	size_t bytes = batch.drained.bytes;

	while (count < batch.limit && (size_t)pieces * PIECE <= batch.capacity - bytes &&
	       length + PIECE <= (size_t)(end - record) &&
	       __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE) == header) {
		/* The processor's own prefetching stops at the end of each page. */
		__builtin_prefetch(record + 512);
		copy_pieces(batch.buffer + bytes, record + BPF_RINGBUF_HDR_SZ, pieces, texts, text_pieces, wide);
		record += length;
		bytes += size;
		batch.offsets[++count] = bytes;
	}
	whole->drained.count = count;
	whole->drained.bytes = bytes;
	return record;
}

#ifdef __x86_64__
static __attribute__((target("avx512bw"))) const uint8_t *take_wide(const struct skep_source *source,
								    const uint8_t *record, const uint8_t *end,
								    uint32_t header, struct batch *batch)
{
	return alike(source, record, end, header, batch, 1);
}
#endif

static const uint8_t *take_alike(const struct skep_source *source, const uint8_t *record, const uint8_t *end,
				 uint32_t header, struct batch *batch)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512bw"))
		return take_wide(source, record, end, header, batch);
#endif
	return alike(source, record, end, header, batch, 0);
}

int ring_drain(struct skep_source *source, struct batch *batch)
{
	unsigned long start = __atomic_load_n(source->consumer, __ATOMIC_RELAXED);
	unsigned long waiting = __atomic_load_n(source->producer, __ATOMIC_ACQUIRE) - start;
	const uint8_t *first = source->data + (start & (source->size - 1)), *record = first, *end;
	int error = 0;

	if (start != source->position)
		return -ESTALE;
	/* Each record begins at a multiple of 8. */
	if (waiting > source->size || (start | waiting) & 7)
		return -EIO;
	/* Once in a row: the data is mapped twice. */
	end = first + waiting;
	while (record != end) {
		uint32_t header = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		uint8_t *place;
		size_t room;

		/* Reserved and not yet submitted: what follows has to wait, the order is the promise. */
		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (ring_length(header) > (size_t)(end - record)) {
			error = -EIO;
			break;
		}
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			place = reserve(batch, header);
			if (!place)
				break;
			room = batch->buffer + batch->capacity - place;
			if (room > (size_t)(end - record) - BPF_RINGBUF_HDR_SZ)
				room = end - record - BPF_RINGBUF_HDR_SZ;
			copy_record(place, record + BPF_RINGBUF_HDR_SZ, header, room, source->texts, source->text_count);
		}
		record += ring_length(header);
		if (batch->drained.stride == header)
			record = take_alike(source, record, end, header, batch);
	}
	/* Once a batch. Another reader that went on meanwhile has taken some of the same records. */
	unsigned long reached = start + (record - first);
	if (!__atomic_compare_exchange_n(source->consumer, &start, reached, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return -ESTALE;
	source->position = reached;
	return error;
}

void ring_close(struct skep_source *source)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap(source->consumer, page);
	munmap(source->producer, page + 2 * source->size);
}
