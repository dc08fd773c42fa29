/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Which functions the C library lacks: <features.h> asks, and for eBPF would ask for those of 32 bits, a file that few
 * machines have. No library runs in the kernel, so nothing is said. Thus <stdint.h> and the like can be included.
 */
