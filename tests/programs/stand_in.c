/*
 * Stands in for what tools probe: a Java virtual machine that collects garbage twice, a server that takes three requests,
 * functions that call each other. One word says which.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sdt.h"

SEMAPHORE(request_semaphore);

static void collect(int full, int microseconds)
{
	PROBE("hotspot", "gc__begin", "0", "-4@%0", full);
	usleep(microseconds);
	PROBE("hotspot", "gc__end", "0", "", 0);
}

static void take(const char *path)
{
	if (*(volatile unsigned short *)&request_semaphore)
		PROBE("http", "request", "request_semaphore", "8@%0", path);
}

/* What stands behind each call keeps it one, not a jump. */
__attribute__((noinline)) void step_three(void)
{
	syscall(SYS_getppid);
	__asm__ volatile("");
}

__attribute__((noinline)) void step_two(void)
{
	step_three();
	__asm__ volatile("");
}

__attribute__((noinline)) void step_one(void)
{
	step_two();
	syscall(SYS_getuid);
	__asm__ volatile("");
}

int main(int count, char **arguments)
{
	const char *what = count > 1 ? arguments[1] : "";

	if (!strcmp(what, "collect")) {
		collect(0, 0);
		collect(1, 30000);
	} else if (!strcmp(what, "serve")) {
		take("/index.html");
		take("/api/users?id=7");
		take("/api/orders");
	} else {
		step_one();
		syscall(SYS_getgid);
	}
	return 0;
}
