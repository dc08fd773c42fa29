/*
 * What runtimes of languages and a database tell by USDT probes, all in one, by the names and with the arguments that
 * BCC's tools know; and what a program in C does. `runtime NAME` calls itself NAME, waits for a line, does it all once,
 * and waits for another; `runtime NAME twice` starts another, which does the same after it.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sdt.h"

#define PLACES_4 "8@%0 8@%1 8@%2 8@%3"
#define OUT_OF_LINE __attribute__((noinline, noclone))

/* A text that has been read: probes do not wait for what is on disk still. */
static const char *text(const char *pointer)
{
	return *(const volatile char *)pointer ? pointer : "";
}

/* Ruby, and Python, whose first argument is a file. */
OUT_OF_LINE static void called(const char *class, const char *method)
{
	PROBE_OF("ruby", "method__entry", "0", "8@%0 8@%1", ARGUMENT(class), ARGUMENT(method));
	PROBE_OF("python", "function__entry", "0", "8@%0 8@%1 -4@%2", ARGUMENT(class), ARGUMENT(method), ARGUMENT(7));
}

OUT_OF_LINE static void returned(const char *class, const char *method)
{
	PROBE_OF("python", "function__return", "0", "8@%0 8@%1 -4@%2", ARGUMENT(class), ARGUMENT(method), ARGUMENT(8));
	PROBE_OF("ruby", "method__return", "0", "8@%0 8@%1", ARGUMENT(class), ARGUMENT(method));
}

static void calls(void)
{
	called(text("Golden"), text("outer"));
	for (int number = 0; number < 2; number++) {
		called(text("Golden"), text("inner"));
		PROBE_OF("ruby", "cmethod__entry", "0", "8@%0 8@%1", ARGUMENT(text("Array")), ARGUMENT(text("each")));
		PROBE_OF("ruby", "cmethod__return", "0", "8@%0 8@%1", ARGUMENT(text("Array")), ARGUMENT(text("each")));
		returned(text("Golden"), text("inner"));
	}
	returned(text("Golden"), text("outer"));
}

/* Ruby's and Node's collections of garbage: 2 is its word for "mark-sweep-compact". */
static void collects(void)
{
	PROBE_OF("node", "gc__start", "0", "4@%0", ARGUMENT(2));
	PROBE_OF("node", "gc__done", "0", "4@%0", ARGUMENT(2));
}

static void creates(void)
{
	PROBE_OF("ruby", "object__create", "0", "8@%0", ARGUMENT(text("Golden")));
	PROBE_OF("ruby", "string__create", "0", "8@%0", ARGUMENT(100L));
	PROBE_OF("ruby", "string__create", "0", "8@%0", ARGUMENT(28L));
	PROBE_OF("ruby", "hash__create", "0", "8@%0", ARGUMENT(3L));
	PROBE_OF("ruby", "array__create", "0", "8@%0", ARGUMENT(1000L));
}

/* A name and its length, its ids for the runtime and for the kernel. */
static void starts(void)
{
	PROBE_OF("hotspot", "thread__start", "0", PLACES_4, ARGUMENT(text("first")), ARGUMENT(5L), ARGUMENT(3L), ARGUMENT(4000L));
	PROBE_OF("hotspot", "thread__stop", "0", PLACES_4, ARGUMENT(text("first")), ARGUMENT(5L), ARGUMENT(3L), ARGUMENT(4000L));
	PROBE_OF("libpthread", "pthread_start", "0", "8@%0 8@%1 8@%2", ARGUMENT(0L), ARGUMENT(starts), ARGUMENT(0L));
}

static void asks(const char *query)
{
	PROBE_OF("mysql", "query__start", "0", "8@%0 8@%1", ARGUMENT(query), ARGUMENT(1L));
	PROBE_OF("mysql", "query__done", "0", "-4@%0", ARGUMENT(0));
}

/* Tcl's, which it passes by unless somebody looks; often enough for those that count by the second. */
SEMAPHORE(created_semaphore);

static void repeats(void)
{
	for (int number = 0; number < 300; number++)
		PROBE_OF("tcl", "proc__entry", "0", "8@%0", ARGUMENT(text("golden")));
	for (int number = 0; number < 500 && *(volatile unsigned short *)&created_semaphore; number++)
		PROBE_OF("tcl", "obj__create", "created_semaphore", "8@%0", ARGUMENT(0L));
}

OUT_OF_LINE void *keeps(size_t size)
{
	return malloc(size);
}

/* What is kept is reachable: the compiler may not leave it out. */
void *kept[3];
/* Not for the compiler to know: one call is one stack. */
static volatile int often = 2;

OUT_OF_LINE void allocates(void)
{
	for (int number = 0; number < often; number++)
		kept[number] = keeps(1000 + number);
	kept[2] = keeps(77);
	free(kept[2]);
}

OUT_OF_LINE unsigned long spins(unsigned long times)
{
	for (volatile unsigned long number = 0; number < times; number++)
		;
	return times;
}

static void does_all(void)
{
	calls();
	collects();
	creates();
	starts();
	asks(text("SELECT 1"));
	asks(text("SELECT name FROM golden"));
	repeats();
	allocates();
	spins(200000000);
}

int main(int count, char **arguments)
{
	struct pollfd input = {.events = POLLIN};
	pid_t other = -1;
	int ends[2];
	char line[2];

	if (count > 1)
		prctl(PR_SET_NAME, arguments[1]);
	if (count > 2 && !pipe(ends) && !(other = fork())) {
		dup2(ends[0], 0);
		close(ends[1]);
	}
	poll(&input, 1, -1);
	does_all();
	if (other > 0) {
		close(ends[1]);
		waitpid(other, NULL, 0);
	}
	/* The line is there until all is done: so others know. */
	return read(0, line, 1) == 1 && read(0, line, 1) == 1;
}
