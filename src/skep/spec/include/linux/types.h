/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel's types for user space, unless vmlinux.h has declared them all: together they do not compile, and half of
 * <linux/...> begins with this one.
 */
#if !defined(__VMLINUX_H__) || defined(SKEP_NO_COMPATIBILITY)
#include_next <linux/types.h>
#else
#ifndef __aligned_u64
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#endif
#ifndef __bitwise
#define __bitwise
#endif
#endif
