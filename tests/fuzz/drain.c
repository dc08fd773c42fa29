/*
 * The readers of ring and perf buffers over memory made by hand. A page that nobody may touch stands behind all that
 * they read or write: who goes too far ends there.
 */
#include <assert.h>
#include <sys/mman.h>

#include "../../src/skep/_native/ring.c"
#include "../../src/skep/_native/perf.c"
#include "../../src/skep/_native/drain.c"

/* Perf buffers of two CPUs. */
enum { RING, PERF, TIMED, KINDS };
#define MOST 2

struct guarded {
	uint8_t *start; /* what it holds ends where the forbidden page begins */
	size_t size;
};

static struct guarded allocate(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE), whole = (size + page - 1) & ~(page - 1);
	uint8_t *memory = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert(memory != MAP_FAILED);
	assert(!mprotect(memory + whole, page, PROT_NONE));
	return (struct guarded){ memory + whole - size, size };
}

static void release(struct guarded memory)
{
	size_t page = sysconf(_SC_PAGESIZE);
	uint8_t *start = (uint8_t *)((uintptr_t)memory.start & ~(page - 1));

	munmap(start, memory.start + memory.size + page - start);
}

/* One buffer: its control page, and the data, which the kernel maps twice for a ring buffer. */
static struct guarded make(struct skep_source *source, uint64_t start, uint64_t ahead, const uint8_t *contents,
			   size_t length)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct guarded memory = allocate(page + (source->perf ? source->size : 2 * source->size));

	source->data = memory.start + page;
	for (size_t index = 0; index < length && index < source->size; index++) {
		size_t place = (start + index) & (source->size - 1);

		source->data[place] = contents[index];
		if (!source->perf)
			source->data[source->size + place] = contents[index];
	}
	source->position = start;
	if (source->perf) {
		source->page = (struct perf_event_mmap_page *)memory.start;
		source->page->data_tail = start;
		source->page->data_head = start + ahead;
	} else {
		source->consumer = (unsigned long *)memory.start;
		source->producer = source->consumer + 1;
		*source->consumer = start;
		*source->producer = start + ahead;
	}
	return memory;
}

/* Drains until nothing comes any more. 0, what the reader says is wrong, or 1 where it breaks its own promises. */
int fuzz_drain(int kind, int pages, uint64_t start, uint64_t ahead, const uint8_t *contents, size_t length,
	       uint64_t until, size_t capacity, uint32_t limit)
{
	size_t count = kind == RING ? 1 : MOST, size = sysconf(_SC_PAGESIZE) << pages;
	struct skep_source sources[MOST], *all[MOST];
	struct guarded rings[MOST], buffer = allocate(capacity), offsets = allocate((limit + 1) * sizeof(uint32_t));
	static const uint32_t places[] = { 0, 5, 8, 16, 30, 1000 };
	struct skep_texts texts[PIECES(1030)] = { 0 };
	const uint32_t *ends = (uint32_t *)offsets.start;
	struct skep_drained drained;
	int error;

	skep_mark_texts(places, 3, texts, PIECES(1030));
	for (size_t i = 0; i < count; i++) {
		sources[i] = (struct skep_source){ .perf = kind != RING, .timed = kind == TIMED, .size = size };
		skep_source_texts(&sources[i], texts, PIECES(1030));
		rings[i] = make(&sources[i], start, ahead, contents, length);
		all[i] = &sources[i];
	}
	do {
		error = skep_drain(all, count, until, buffer.start, capacity, (uint32_t *)offsets.start, limit, &drained);
		if (drained.bytes > capacity || drained.count > limit || drained.needed > size)
			error = 1;
		for (uint32_t i = 0; i < drained.count; i++)
			if (ends[i] > ends[i + 1])
				error = 1;
		for (size_t i = 0; i < count; i++)
			if (sources[i].position - start > ahead)
				error = 1;
	} while (!error && drained.count);
	for (size_t i = 0; i < count; i++)
		release(rings[i]);
	release(buffer);
	release(offsets);
	return error;
}
