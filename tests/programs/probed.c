/*
 * What test_probes.py probes: functions, and USDT probes. With an argument it waits for a line first, with two also at
 * its end.
 */
#include <stdio.h>
#include <string.h>
#include "sdt.h"

SEMAPHORE(guarded_semaphore);

int probed_variable = 7;

/* Their second instruction lies one byte behind the first. */
__attribute__((noinline)) int probed_one(int number)
{
	__asm__ volatile("nop");
	return number + 10;
}

__attribute__((noinline)) int probed_two(int number)
{
	__asm__ volatile("nop");
	return number + 20;
}

/* many_0 to many_999 */
__asm__(".altmacro\n"
	".macro many number\n"
	".globl many_\\number\n"
	".type many_\\number, @function\n"
	"many_\\number: ret\n"
	".size many_\\number, . - many_\\number\n"
	".endm\n"
	".text\n"
	".set number, 0\n"
	".rept 1000\n"
	"many %number\n"
	".set number, number + 1\n"
	".endr\n");
void many_7(int number);
void many_700(int number);

int main(int count, char **arguments)
{
	/* Not for the compiler to do: the library's own is probed. */
	size_t (*volatile length)(const char *) = strlen;

	if (count > 1)
		getchar();
	probed_one(1);
	probed_two(2);
	many_7(7);
	many_700(700);
	PROBE("skep", "plain", "0", "-4@%0", count + 100);
	if (*(volatile unsigned short *)&guarded_semaphore)
		PROBE("skep", "guarded", "guarded_semaphore", "-4@%0", count + 200);
	if (count > 2)
		getchar();
	return length(arguments[0]) == 0;
}
