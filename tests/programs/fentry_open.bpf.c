/* By type, on a function that the user names. */
#include "hook.h"

SEC("fentry/dummy_fentry")
int BPF_PROG(hook)
{
	return seen(0);
}
