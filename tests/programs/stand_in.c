/*
 * Stands in for what tools probe: a Java virtual machine that collects garbage twice, a server that takes three requests,
 * functions that call each other, a library for TLS that sends nothing. One word says which.
 */
#define _GNU_SOURCE /* gettid(2) */
#include <pthread.h>
#include <stdio.h>
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

static int leaves;

/* Of a library for TLS: says that all was sent, unless the thread ends half-way. */
__attribute__((noinline)) int SSL_write(void *connection, const void *data, int size)
{
	if (leaves)
		syscall(SYS_exit, 0);
	__asm__ volatile("" : : "r"(connection), "r"(data));
	return size;
}

/* The others that such a library has. */
int SSL_read(void *connection, void *data, int size) __attribute__((alias("SSL_write")));
int SSL_read_ex(void *connection, void *data, int size) __attribute__((alias("SSL_write")));
int SSL_write_ex(void *connection, const void *data, int size) __attribute__((alias("SSL_write")));

static void *call(void *calls)
{
	if (!strcmp(calls, "tls")) {
		SSL_write(NULL, "said", 4);
	} else if (leaves) {
		PROBE("hotspot", "gc__begin", "0", "-4@%0", 0);
	} else {
		collect(0, 0);
	}
	return NULL;
}

static void *leave(void *calls)
{
	leaves = gettid();
	return call(calls);
}

/* At each line that comes in: a thread of it ends in the midst of a call, and tells its id; it makes a whole one. */
static void leave_and_call(char *calls)
{
	pthread_t thread;

	getchar();
	pthread_create(&thread, NULL, leave, calls);
	pthread_join(thread, NULL);
	printf("%d\n", leaves);
	fflush(stdout);
	getchar();
	leaves = 0;
	call(calls);
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
	} else if (!strcmp(what, "call")) {
		call(arguments[2]);
	} else if (!strcmp(what, "leave")) {
		leave_and_call(arguments[2]);
	} else {
		step_one();
		syscall(SYS_getgid);
	}
	return 0;
}
