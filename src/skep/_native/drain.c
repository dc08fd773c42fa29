/*
 * Ring buffers and perf buffers, read in batches. Source: kernel/bpf/ringbuf.c and kernel/events/ring_buffer.c for the
 * layouts and the order of memory accesses.
 *
 * The other side of each position is the kernel, on another CPU: positions are read with acquire and published with
 * release, which the compiler turns into plain moves on x86-64 and into ldar and stlr on arm64. The producer's position
 * is read once a batch: a producer that keeps up would otherwise never let the reader return.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "native.h"

struct skep_source {
	int fd;
	int perf;
	size_t size; /* of the data area, a power of two */
	/* ring buffer: two mappings, the first writable */
	unsigned long *consumer;
	unsigned long *producer;
	/* perf buffer: one mapping */
	struct perf_event_mmap_page *page;
	int counts_losses;
	uint8_t *data;
};

struct batch {
	uint8_t *buffer;
	size_t capacity;
	uint32_t *offsets;
	uint32_t limit;
	struct skep_drained *drained;
};

/* Makes room for one record of that size. NULL: the batch is full, and drained says so. */
static uint8_t *reserve(struct batch *batch, uint32_t size)
{
	struct skep_drained *drained = batch->drained;
	uint8_t *place = batch->buffer + drained->bytes;

	if (drained->count == batch->limit || drained->bytes + size > batch->capacity) {
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
	return source;
fail:
	free(source);
	return NULL;
}

static int ring_drain(struct skep_source *source, struct batch *batch)
{
	unsigned long position = __atomic_load_n(source->consumer, __ATOMIC_RELAXED);
	unsigned long end = __atomic_load_n(source->producer, __ATOMIC_ACQUIRE);
	int error = 0;

	if (end - position > source->size)
		return -EIO;
	while (position < end) {
		uint8_t *record = source->data + (position & (source->size - 1));
		uint32_t header = __atomic_load_n((uint32_t *)record, __ATOMIC_ACQUIRE);
		uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		unsigned long next = position + (((unsigned long)size + BPF_RINGBUF_HDR_SZ + 7) & ~7ul);
		uint8_t *place;

		/* Reserved and not yet submitted: what follows has to wait, the order is the promise. */
		if (header & BPF_RINGBUF_BUSY_BIT)
			break;
		if (next > end) {
			error = -EIO;
			break;
		}
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			place = reserve(batch, size);
			if (!place)
				break;
			memcpy(place, record + BPF_RINGBUF_HDR_SZ, size);
		}
		position = next;
	}
	__atomic_store_n(source->consumer, position, __ATOMIC_RELEASE);
	return error;
}

struct skep_source *skep_perf_open(int map_fd, int cpu, size_t size)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.wakeup_events = 1,
		.read_format = PERF_FORMAT_LOST,
	};
	size_t page = sysconf(_SC_PAGESIZE);
	struct skep_source *source = calloc(1, sizeof(*source));
	uint8_t *memory;
	int error;

	if (!source)
		return NULL;
	source->perf = 1;
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

/* A perf buffer is mapped once: what wraps comes in two pieces. */
static void perf_copy(const struct skep_source *source, uint64_t position, void *target, size_t size)
{
	size_t start = position & (source->size - 1);
	size_t first = source->size - start < size ? source->size - start : size;

	memcpy(target, source->data + start, first);
	memcpy((uint8_t *)target + first, source->data, size - first);
}

static int perf_drain(struct skep_source *source, struct batch *batch)
{
	uint64_t position = source->page->data_tail;
	uint64_t end = __atomic_load_n(&source->page->data_head, __ATOMIC_ACQUIRE);
	int error = 0;

	if (end - position > source->size)
		return -EIO;
	while (position < end) {
		struct perf_event_header header;
		uint8_t *place;
		uint32_t size;
		uint64_t lost;

		perf_copy(source, position, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > end - position) {
			error = -EIO;
			break;
		}
		if (header.type == PERF_RECORD_SAMPLE) {
			perf_copy(source, position + sizeof(header), &size, sizeof(size));
			if (size > header.size - sizeof(header) - sizeof(size)) {
				error = -EIO;
				break;
			}
			place = reserve(batch, size);
			if (!place)
				break;
			perf_copy(source, position + sizeof(header) + sizeof(size), place, size);
		} else if (header.type == PERF_RECORD_LOST && header.size >= sizeof(header) + 2 * sizeof(lost)) {
			perf_copy(source, position + sizeof(header) + sizeof(lost), &lost, sizeof(lost));
			batch->drained->lost += lost;
		}
		position += header.size;
	}
	__atomic_store_n(&source->page->data_tail, position, __ATOMIC_RELEASE);
	return error;
}

int skep_source_fd(const struct skep_source *source)
{
	return source->fd;
}

int64_t skep_source_lost(const struct skep_source *source)
{
	uint64_t counts[2]; /* value, lost */

	if (!source->counts_losses || read(source->fd, counts, sizeof(counts)) != sizeof(counts))
		return -1;
	return counts[1];
}

void skep_source_close(struct skep_source *source)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (source->perf) {
		munmap(source->page, page + source->size);
		close(source->fd);
	} else {
		munmap(source->consumer, page);
		munmap(source->producer, page + 2 * source->size);
	}
	free(source);
}

int skep_drain(struct skep_source *source, void *buffer, size_t capacity, uint32_t *offsets, uint32_t limit,
	       struct skep_drained *drained)
{
	struct batch batch = {
		.buffer = buffer, .capacity = capacity, .offsets = offsets, .limit = limit, .drained = drained,
	};

	memset(drained, 0, sizeof(*drained));
	offsets[0] = 0;
	return source->perf ? perf_drain(source, &batch) : ring_drain(source, &batch);
}
