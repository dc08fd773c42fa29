/*
 * The peer of `bench/run ring`: libbpf's ring_buffer, whose callback copies each record to a table that holds them all.
 *
 *   ring OBJECT COUNT    loads ring.bpf.o, fills its ring, and prints the nanoseconds of CPU time that each record took:
 *                        to copy, and until the largest of a column of the table is known as well
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static char records[16 * 1024 * 1024];
static size_t used;
static unsigned long count;

static int copy(void *unused, void *data, size_t size)
{
	(void)unused;
	if (used + size > sizeof(records))
		return -1;
	memcpy(records + used, data, size);
	used += size;
	count++;
	return 0;
}

/* Of the member that every record numbers itself in. */
static uint32_t largest(size_t size)
{
	uint32_t most = 0, number;

	for (size_t record = 0; record < used; record += size) {
		memcpy(&number, records + record + 16, sizeof(number));
		most = number > most ? number : most;
	}
	return most;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct bpf_object *object;
	struct bpf_map *variables;
	struct ring_buffer *ring;
	uint32_t wanted;
	size_t size;
	char line[8];

	if (argc != 3)
		return 2;
	wanted = atoi(argv[2]);
	object = bpf_object__open(argv[1]);
	if (!object)
		return 1;
	variables = bpf_object__find_map_by_name(object, ".rodata");
	memcpy((void *)bpf_map__initial_value(variables, &size), &wanted, sizeof(wanted));
	if (bpf_object__load(object))
		return 1;
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), copy, NULL, NULL);
	if (!ring)
		return 1;
	/* A line on standard input is a round. */
	while (fgets(line, sizeof(line), stdin)) {
		double started, copied;
		uint32_t most;

		if (bpf_prog_test_run_opts(bpf_program__fd(bpf_object__find_program_by_name(object, "produce")), &run))
			return 1;
		count = used = 0;
		started = now();
		ring_buffer__consume(ring);
		copied = now();
		most = largest(used / count);
		printf("%.2f %.2f %u\n", (copied - started) / count, (now() - started) / count, most);
		fflush(stdout);
	}
	ring_buffer__free(ring);
	bpf_object__close(object);
	return 0;
}
