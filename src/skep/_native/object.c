#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "native.h"

static void write_text(void *file, const char *format, va_list arguments)
{
	vfprintf(file, format, arguments);
}

/*
 * The same frame as bpftool's header, so that sources that test for its guard behave: everything in it is relocatable
 * (CO-RE) unless the source asks otherwise.
 */
int skep_write_header(const struct btf *btf, int fd)
{
	struct btf_dump *dump;
	int error = 0;
	FILE *file;

	file = fdopen(dup(fd), "w");
	if (!file)
		return -errno;
	dump = btf_dump__new(btf, write_text, file, NULL);
	if (!dump) {
		error = -errno;
		fclose(file);
		return error;
	}
	fputs("#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n"
	      "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
	      "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
	      "#endif\n\n",
	      file);
	for (uint32_t id = 1, count = btf__type_cnt(btf); id < count && !error; id++)
		error = btf_dump__dump_type(dump, id);
	fputs("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n#endif\n", file);
	btf_dump__free(dump);
	if (fclose(file) && !error)
		error = -errno;
	return error;
}

static void *destroy(void *link)
{
	bpf_link__destroy(link);
	return NULL;
}

/*
 * The kernel waits for its readers (RCU) 60 to 210 ms for each tracepoint, kprobe or uprobe link that goes. The waits
 * overlap when the links go together.
 */
void skep_detach(struct bpf_link **links, size_t count)
{
	pthread_t *threads = calloc(count, sizeof(*threads));
	size_t started = 0;

	while (threads && started < count && !pthread_create(&threads[started], NULL, destroy, links[started]))
		started++;
	for (size_t i = started; i < count; i++)
		bpf_link__destroy(links[i]);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}
