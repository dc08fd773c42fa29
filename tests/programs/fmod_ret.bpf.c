#include "hook.h"

/* 0 changes nothing. */
SEC("fmod_ret/security_path_unlink")
int BPF_PROG(hook, const struct path *dir, struct dentry *dentry)
{
	return seen(0);
}
