// SPDX-License-Identifier: Apache-2.0
/*
 * provoke WHAT [WHERE]: for each line N on its input, provokes N events of a kind, 10,000 a second or as many as it can,
 * and prints how many, and the nanoseconds that it took. The kinds stand at the end; WHERE is a disk, or an address.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "sdt.h"

#define EACH_SECOND 10000
/* Events in a row: few enough for the smallest ring, and enough for the caches to be warm. */
#define SLICE 100
#define BLOCK 4096

SEMAPHORE(request_semaphore);

static const char *where;
static char *page;
static int file, first[2], second[2];

static void check(int holds)
{
	if (holds)
		return;
	perror("provoke");
	exit(1);
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* What probes find here: functions that stand in for those of bash, of libc, of libssl. Each remains a call of its own. */
#define PROBED __attribute__((noinline, noclone, used))
#define STAYS __asm__ volatile("" ::: "memory")

PROBED char *readline(const char *prompt)
{
	STAYS;
	return page;
}

PROBED unsigned long length(const char *text)
{
	STAYS;
	return 5;
}

PROBED int SSL_read(void *connection, void *data, int size)
{
	STAYS;
	return size;
}

PROBED int SSL_write(void *connection, const void *data, int size)
{
	STAYS;
	return size;
}

PROBED int SSL_read_ex(void *connection, void *data, size_t size, size_t *done)
{
	STAYS;
	return 0;
}

PROBED int SSL_write_ex(void *connection, const void *data, size_t size, size_t *done)
{
	STAYS;
	return 0;
}

PROBED void step(void)
{
	getppid();
	STAYS;
}

static void prepare_nothing(void)
{
}

static void prepare_page(void)
{
	page = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(page, "a line that is typed, or said to a peer, or heard from it");
}

static void prepare_memory(void)
{
	file = memfd_create("provoke", 0);
}

static void prepare_null(void)
{
	file = open("/dev/null", O_WRONLY);
}

static void prepare_disk(void)
{
	prepare_page();
	file = open(where, O_RDWR | O_DIRECT);
}

static void prepare_sender(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(4321) };

	inet_pton(AF_INET, where, &address.sin_addr);
	file = socket(AF_INET, SOCK_DGRAM, 0);
	check(!connect(file, (struct sockaddr *)&address, sizeof(address)));
}

static void prepare_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(4321) };

	inet_pton(AF_INET, where, &address.sin_addr);
	file = socket(AF_INET, SOCK_STREAM, 0);
	check(!bind(file, (struct sockaddr *)&address, sizeof(address)) && !listen(file, 16));
}

static void *answer(void *unused)
{
	char byte;

	while (read(first[0], &byte, 1) == 1)
		check(write(second[1], &byte, 1) == 1);
	return NULL;
}

/* Two threads on one CPU: each has to leave it for the other. */
static void prepare_threads(void)
{
	pthread_t thread;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	check(!pipe(first) && !pipe(second) && !pthread_create(&thread, NULL, answer, NULL));
}

static volatile int spinning;

static void *spin(void *unused)
{
	for (;;)
		while (!spinning)
			usleep(1000);
	return NULL;
}

/* A thread for each CPU: none is idle. */
static void prepare_spinners(void)
{
	pthread_t thread;
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	while (count--)
		pthread_create(&thread, NULL, spin, NULL);
}

static void provoke_open(void)
{
	close(open("/dev/null", O_RDONLY));
}

static void provoke_signal(void)
{
	kill(getpid(), 0);
}

static void provoke_sync(void)
{
	fdatasync(file);
}

static void provoke_write(void)
{
	check(write(file, "x", 1) == 1);
}

static void provoke_call(void)
{
	getppid();
}

static void provoke_switches(void)
{
	char byte = 0;

	check(write(first[1], &byte, 1) == 1 && read(second[0], &byte, 1) == 1);
}

static void provoke_exec(void)
{
	static char *words[] = { "/bin/true", NULL }, *environment[] = { NULL };
	pid_t child;

	check(!posix_spawn(&child, words[0], NULL, NULL, words, environment));
	waitpid(child, NULL, 0);
}

static void provoke_exit(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
}

static void provoke_request(void)
{
	static unsigned number;

	check(pwrite(file, page, BLOCK, BLOCK * (number++ % 128)) == BLOCK);
}

static void provoke_line(void)
{
	readline("");
}

static void provoke_text(void)
{
	length("typed");
}

static void provoke_message(void)
{
	SSL_write(page, page, 64);
}

static void provoke_collection(void)
{
	PROBE("hotspot", "gc__begin", "0", "-4@%0", 0);
	PROBE("hotspot", "gc__end", "0", "", 0);
}

static void provoke_query(void)
{
	if (*(volatile unsigned short *)&request_semaphore)
		PROBE("http", "request", "request_semaphore", "8@%0", "/api/users?id=7");
}

static void provoke_packet(void)
{
	check(send(file, "packet", 6, 0) == 6);
}

/* Reset, so that nothing waits for packets that come late. */
static void provoke_connection(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(4321) };
	struct linger reset = { .l_onoff = 1 };
	int client = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, where, &address.sin_addr);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	check(!connect(client, (struct sockaddr *)&address, sizeof(address)));
	close(accept(file, NULL, NULL));
	close(client);
}

static const struct kind {
	const char *name;
	void (*prepare)(void);
	void (*provoke)(void);
	int events; /* that come of it */
} kinds[] = {
	{ "open", prepare_nothing, provoke_open, 1 },
	{ "signal", prepare_nothing, provoke_signal, 1 },
	{ "sync", prepare_memory, provoke_sync, 1 },
	{ "write", prepare_null, provoke_write, 1 },
	{ "call", prepare_nothing, provoke_call, 1 },
	{ "switch", prepare_threads, provoke_switches, 2 },
	{ "exec", prepare_nothing, provoke_exec, 1 },
	{ "exit", prepare_nothing, provoke_exit, 1 },
	{ "request", prepare_disk, provoke_request, 1 },
	{ "line", prepare_page, provoke_line, 1 },
	{ "text", prepare_nothing, provoke_text, 1 },
	{ "message", prepare_page, provoke_message, 1 },
	{ "collection", prepare_nothing, provoke_collection, 1 },
	{ "query", prepare_nothing, provoke_query, 1 },
	{ "function", prepare_nothing, step, 1 },
	{ "packet", prepare_sender, provoke_packet, 1 },
	{ "change", prepare_server, provoke_connection, 6 },
	{ "sample", prepare_spinners, prepare_nothing, 1 },
};

int main(int count, char **arguments)
{
	const struct kind *kind = kinds, *end = kinds + sizeof(kinds) / sizeof(*kinds);
	char line[64];

	while (kind < end && strcmp(kind->name, count > 1 ? arguments[1] : ""))
		kind++;
	if (kind == end)
		return 2;
	where = count > 2 ? arguments[2] : "";
	kind->prepare();
	while (fgets(line, sizeof(line), stdin)) {
		long wanted = atol(line), begun = now(), events = 0, pause, left;

		spinning = 1;
		while (events < wanted) {
			for (pause = events + SLICE; events < pause; events += kind->events)
				kind->provoke();
			left = begun + events * (1000000000L / EACH_SECOND) - now();
			if (left > 0)
				nanosleep(&(struct timespec){ .tv_nsec = left }, NULL);
		}
		spinning = 0;
		printf("%ld %ld\n", events, now() - begun);
		fflush(stdout);
	}
	return 0;
}
