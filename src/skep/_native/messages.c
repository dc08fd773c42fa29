#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "native.h"

/* libbpf's print callback is one for the process and may come from any thread: each thread keeps its own text. */
static __thread char *text;
static __thread size_t length;

/* A verifier log comes as one message and can have megabytes; more than this is nobody's to read. */
static const size_t most = 64 << 20;

static int keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *message, *longer;
	int size;

	if (level == LIBBPF_DEBUG)
		return 0;
	size = vasprintf(&message, format, arguments);
	if (size < 0)
		return 0;
	if (length + size <= most) {
		longer = realloc(text, length + size + 1);
		if (longer) {
			text = longer;
			memcpy(text + length, message, size + 1);
			length += size;
		}
	}
	free(message);
	return 0;
}

void skep_messages_install(void)
{
	libbpf_set_print(keep);
}

char *skep_messages_take(void)
{
	char *taken = text;

	text = NULL;
	length = 0;
	return taken;
}

void skep_free(void *memory)
{
	free(memory);
}
