/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel's error numbers. <bpf/usdt.bpf.h> asks for them, vmlinux.h has no macros, and where linux-libc-dev is not
 * installed these three are all that <bpf/...> needs of <linux/...>. They are the same on every architecture.
 */
#if __has_include_next(<linux/errno.h>)
#include_next <linux/errno.h>
#else
#define ENOENT 2
#define ESRCH 3
#define EINVAL 22
#endif
