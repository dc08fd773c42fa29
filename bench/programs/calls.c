// SPDX-License-Identifier: Apache-2.0
/* calls: for each line N on its input, makes N system calls of a cycle of 512, and prints the nanoseconds that each took. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const long numbers[] = { SYS_getpid, SYS_getppid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_gettid, SYS_getpgrp };

int main(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		long count = atol(line), call;
		struct timespec from, to;
		unsigned state = 1;

		clock_gettime(CLOCK_MONOTONIC, &from);
		for (call = 0; call < count; call++) {
			/* The same 512 calls again and again: so many sequences of seven. */
			state = call % 512 ? state * 1664525 + 1013904223 : 1;
			syscall(numbers[state >> 29]);
		}
		clock_gettime(CLOCK_MONOTONIC, &to);
		printf("%f\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / count);
		fflush(stdout);
	}
	return 0;
}
