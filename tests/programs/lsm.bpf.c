#include "hook.h"

SEC("lsm/path_unlink")
int BPF_PROG(hook, const struct path *dir, struct dentry *dentry)
{
	return seen(0);
}
