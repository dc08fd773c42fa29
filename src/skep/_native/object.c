#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "native.h"

static void write_text(void *file, const char *format, va_list arguments)
{
	vfprintf(file, format, arguments);
}

/*
 * The function that a type tags as one that programs may call (kfunc), or NULL: Linux 6.10 and later,
 * Documentation/bpf/kfuncs.rst.
 */
static const struct btf_type *kfunc_of(const struct btf *btf, uint32_t id)
{
	const struct btf_type *tag = btf__type_by_id(btf, id), *function;

	if (!btf_is_decl_tag(tag) || btf_decl_tag(tag)->component_idx != -1 ||
	    strcmp(btf__name_by_offset(btf, tag->name_off), "bpf_kfunc"))
		return NULL;
	function = btf__type_by_id(btf, tag->type);
	return btf_is_func(function) ? function : NULL;
}

uint32_t skep_kfuncs(const struct btf *btf, struct skep_kfunc *found, uint32_t room)
{
	uint32_t count = 0;

	for (uint32_t id = 1, end = btf__type_cnt(btf); id < end && count < room; id++) {
		const struct btf_type *function = kfunc_of(btf, id);

		if (function)
			found[count++] = (struct skep_kfunc){btf__type_by_id(btf, id)->type,
							     btf__name_by_offset(btf, function->name_off)};
	}
	return count;
}

/* Prototypes of the functions that programs may call. Weak, so that a program may ask whether this kernel has one. */
static int write_prototypes(const struct btf *btf, struct btf_dump *dump, FILE *file)
{
	int error = 0;

	fputs("#ifndef BPF_NO_KFUNC_PROTOTYPES\n"
	      "#ifndef __ksym\n#define __ksym __attribute__((section(\".ksyms\")))\n#endif\n"
	      "#ifndef __weak\n#define __weak __attribute__((weak))\n#endif\n\n",
	      file);
	for (uint32_t id = 1, count = btf__type_cnt(btf); id < count && !error; id++) {
		const struct btf_type *function = kfunc_of(btf, id), *prototype;
		LIBBPF_OPTS(btf_dump_emit_type_decl_opts, options);
		char name[256];

		if (!function)
			continue;
		prototype = btf__type_by_id(btf, function->type);
		/* libbpf 1.1 writes f() for f(void), which to C says nothing of the arguments. */
		snprintf(name, sizeof(name), "%s%s", btf__name_by_offset(btf, function->name_off),
			 btf_vlen(prototype) ? "" : "(void)");
		options.field_name = name;
		fputs("extern ", file);
		error = btf_dump__emit_type_decl(dump, btf_vlen(prototype) ? function->type : prototype->type, &options);
		fputs(" __weak __ksym;\n", file);
	}
	fputs("#endif\n\n", file);
	return error;
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

	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
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
	fputs("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n", file);
	if (!error)
		error = write_prototypes(btf, dump, file);
	fputs("#endif\n", file);
	btf_dump__free(dump);
	/* A full disk may show at any write: the caller must not keep half a header. */
	if (ferror(file) && !error)
		error = -EIO;
	if (fclose(file) && !error)
		error = -errno;
	return error;
}

/* Links that wait to be destroyed, taken one by one by several threads. */
struct queue {
	struct bpf_link **links;
	size_t count, next;
};

static void *destroy(void *argument)
{
	struct queue *queue = argument;
	size_t i;

	while ((i = __atomic_fetch_add(&queue->next, 1, __ATOMIC_RELAXED)) < queue->count)
		bpf_link__destroy(queue->links[i]);
	/* What libbpf said on this thread goes with it. */
	free(skep_messages_take());
	return NULL;
}

/*
 * The kernel waits for its readers (RCU) 60 to 210 ms for each tracepoint, kprobe or uprobe link that goes. The waits
 * overlap when the links go together.
 */
void skep_detach(struct bpf_link **links, size_t count)
{
	struct queue queue = { .links = links, .count = count };
	pthread_t threads[32];
	size_t started = 0;

	while (started < count && started < sizeof(threads) / sizeof(*threads) &&
	       !pthread_create(&threads[started], NULL, destroy, &queue))
		started++;
	/* Without a single thread this one does it all. */
	if (!started && count)
		destroy(&queue);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}
