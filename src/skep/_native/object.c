#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
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

/* The types that a source can ask for, told by its words. */
struct asked {
	const struct btf *btf;
	const char *const *words; /* sorted; NULL for all types */
	size_t count;
	bool *types; /* by id */
	uint32_t *waiting, depth;
};

static int compare_words(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

static bool has_word(const struct asked *asked, uint32_t offset)
{
	const char *name = btf__name_by_offset(asked->btf, offset);

	return !asked->words ||
	       (*name && bsearch(&name, asked->words, asked->count, sizeof(*asked->words), compare_words));
}

/*
 * Asks for a type, and through: for what it leads to, but for functions. A struct waits until its members are looked at.
 * A longer chain goes in a circle, of which the dump will tell.
 */
static void ask(struct asked *asked, uint32_t id, bool through)
{
	for (int i = 0; id && i < 64; i++) {
		const struct btf_type *type = btf__type_by_id(asked->btf, id);

		if (btf_is_composite(type) || btf_is_any_enum(type)) {
			if (!asked->types[id])
				asked->waiting[asked->depth++] = id;
			asked->types[id] = true;
			return;
		}
		if (btf_is_ptr(type) && !through)
			return;
		if (btf_is_typedef(type))
			asked->types[id] = true;
		if (btf_is_array(type))
			id = btf_array(type)->type;
		else
			id = btf_is_mod(type) || btf_is_ptr(type) || btf_is_typedef(type) ? type->type : 0;
	}
}

static void ask_for_parts(struct asked *asked, const struct btf_type *type)
{
	const struct btf_member *member = btf_members(type);
	const struct btf_param *parameter = btf_params(type);

	for (int i = 0; btf_is_composite(type) && i < btf_vlen(type); i++)
		ask(asked, member[i].type, has_word(asked, member[i].name_off));
	for (int i = 0; btf_is_func_proto(type) && i < btf_vlen(type); i++)
		ask(asked, parameter[i].type, true);
	if (btf_is_func_proto(type))
		ask(asked, type->type, true);
}

/* By its name, or that of one of its values. */
static bool is_named(const struct asked *asked, const struct btf_type *type)
{
	bool named = has_word(asked, type->name_off);

	for (int i = 0; btf_is_enum(type) && i < btf_vlen(type) && !named; i++)
		named = has_word(asked, btf_enum(type)[i].name_off);
	for (int i = 0; btf_is_enum64(type) && i < btf_vlen(type) && !named; i++)
		named = has_word(asked, btf_enum64(type)[i].name_off);
	return named;
}

/*
 * What a source names, what that holds, and where a member is named what that leads to. Any other pointer leads to a
 * type that is declared and no more.
 */
static int find_asked(struct asked *asked)
{
	uint32_t end = btf__type_cnt(asked->btf);

	asked->types = calloc(end, sizeof(*asked->types));
	asked->waiting = malloc(end * sizeof(*asked->waiting));
	if (!asked->types || !asked->waiting)
		return -ENOMEM;
	for (uint32_t id = 1; id < end; id++) {
		const struct btf_type *type = btf__type_by_id(asked->btf, id), *function = kfunc_of(asked->btf, id);

		if (function && has_word(asked, function->name_off))
			ask_for_parts(asked, btf__type_by_id(asked->btf, function->type));
		else if ((btf_is_composite(type) || btf_is_any_enum(type) || btf_is_typedef(type)) && is_named(asked, type))
			ask(asked, id, true);
	}
	while (asked->depth)
		ask_for_parts(asked, btf__type_by_id(asked->btf, asked->waiting[--asked->depth]));
	return 0;
}

/* Prototypes of the functions that programs may call. Weak, so that a program may ask whether this kernel has one. */
static int write_prototypes(const struct asked *asked, struct btf_dump *dump, FILE *file)
{
	const struct btf *btf = asked->btf;
	int error = 0;

	fputs("#ifndef BPF_NO_KFUNC_PROTOTYPES\n"
	      "#ifndef __ksym\n#define __ksym __attribute__((section(\".ksyms\")))\n#endif\n"
	      "#ifndef __weak\n#define __weak __attribute__((weak))\n#endif\n\n",
	      file);
	for (uint32_t id = 1, count = btf__type_cnt(btf); id < count && !error; id++) {
		const struct btf_type *function = kfunc_of(btf, id), *prototype;
		LIBBPF_OPTS(btf_dump_emit_type_decl_opts, options);
		char name[256];

		if (!function || !has_word(asked, function->name_off))
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
static int write_types(const struct asked *asked, FILE *file)
{
	struct btf_dump *dump = btf_dump__new(asked->btf, write_text, file, NULL);
	int error = 0;

	if (!dump)
		return -errno;
	fputs("#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n"
	      "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
	      "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
	      "#endif\n\n",
	      file);
	for (uint32_t id = 1, count = btf__type_cnt(asked->btf); id < count && !error; id++)
		if (!asked->words || asked->types[id])
			error = btf_dump__dump_type(dump, id);
	fputs("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n", file);
	if (!error)
		error = write_prototypes(asked, dump, file);
	fputs("#endif\n", file);
	btf_dump__free(dump);
	return error;
}

int skep_write_header(const struct btf *btf, const char *const *words, size_t count, int fd)
{
	struct asked asked = {.btf = btf, .words = words, .count = count};
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
	if (words)
		error = find_asked(&asked);
	if (!error)
		error = write_types(&asked, file);
	free(asked.types);
	free(asked.waiting);
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
