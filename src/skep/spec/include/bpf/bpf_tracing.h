/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* libbpf's own, and what its releases after 1.1 have beside (see bpf_helpers.h). */
#include_next <bpf/bpf_tracing.h>

#if !defined(SKEP_BPF_TRACING_H) && !defined(SKEP_NO_COMPATIBILITY)
#define SKEP_BPF_TRACING_H

/* A program on a function of user space gets its arguments as one on a function of the kernel does. */
#ifndef BPF_UPROBE
#define BPF_UPROBE(name, arguments...) BPF_KPROBE(name, ##arguments)
#endif
#ifndef BPF_URETPROBE
#define BPF_URETPROBE(name, arguments...) BPF_KRETPROBE(name, ##arguments)
#endif
/* The name of BPF_KSYSCALL before libbpf 1.0. */
#ifndef BPF_KPROBE_SYSCALL
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL
#endif

/* The sixth argument, of functions and of system calls. */
#if !defined(PT_REGS_PARM6) && (defined(__TARGET_ARCH_x86) || defined(__TARGET_ARCH_arm64))
#ifdef __TARGET_ARCH_x86
#define SKEP_SIXTH r9
#else
#define SKEP_SIXTH regs[5]
#endif
#define PT_REGS_PARM6(registers) (__PT_REGS_CAST(registers)->SKEP_SIXTH)
#define PT_REGS_PARM6_CORE(registers) BPF_CORE_READ(__PT_REGS_CAST(registers), SKEP_SIXTH)
#define PT_REGS_PARM6_SYSCALL(registers) PT_REGS_PARM6(registers)
#define PT_REGS_PARM6_CORE_SYSCALL(registers) PT_REGS_PARM6_CORE(registers)
#define ___bpf_kprobe_args6(argument, others...) ___bpf_kprobe_args5(others), (void *)PT_REGS_PARM6(ctx)
#define ___bpf_syscall_args6(argument, others...) ___bpf_syscall_args5(others), (void *)PT_REGS_PARM6_SYSCALL(regs)
#define ___bpf_syswrap_args6(argument, others...) \
	___bpf_syswrap_args5(others), (void *)PT_REGS_PARM6_CORE_SYSCALL(regs)
#endif

#endif
