"""Constants and macros that programs expect of the kernel's headers."""

import os

from bcc import BPF

NAMES = """
TASK_COMM_LEN NAME_MAX IFNAMSIZ DNAME_INLINE_LEN PATH_MAX PAGE_SIZE PAGE_SHIFT
AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET PF_INET IPPROTO_TCP IPPROTO_UDP IPPROTO_ICMP
ETH_P_IP ETH_P_IPV6 ETH_P_ARP ETH_HLEN ETH_ALEN
NSEC_PER_SEC NSEC_PER_MSEC NSEC_PER_USEC USEC_PER_SEC MSEC_PER_SEC
O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_CLOEXEC O_DIRECTORY
S_IFMT S_IFREG S_IFDIR S_IFLNK S_IFSOCK EPERM ENOENT EINTR EIO EAGAIN ENOMEM EEXIST EINVAL EINPROGRESS
TASK_RUNNING TASK_INTERRUPTIBLE TASK_UNINTERRUPTIBLE PF_KTHREAD CLONE_NEWNS CLONE_VM CLONE_THREAD
TCP_ESTABLISHED TCP_SYN_SENT TCP_SYN_RECV TCP_CLOSE TCP_LISTEN REQ_OP_BITS REQ_OP_MASK REQ_OP_READ REQ_OP_WRITE REQ_OP_FLUSH
BPF_ANY BPF_NOEXIST BPF_EXIST BPF_F_USER_STACK BPF_F_REUSE_STACKID BPF_F_FAST_STACK_CMP BPF_F_CURRENT_CPU
XDP_ABORTED XDP_DROP XDP_PASS XDP_TX XDP_REDIRECT TC_ACT_OK TC_ACT_SHOT
SIGINT SIGKILL SIGTERM SIGCHLD PERF_MAX_STACK_DEPTH MAX_ERRNO UINT_MAX INT_MAX ULONG_MAX U32_MAX
PROT_READ PROT_WRITE MAP_SHARED MAP_ANONYMOUS FMODE_READ FMODE_WRITE MSG_PEEK
""".split()
EXPRESSIONS = [
    "sizeof(struct iphdr)",
    "sizeof(struct ipv6hdr)",
    "sizeof(struct tcphdr)",
    "sizeof(struct ethhdr)",
    "bpf_log2(0)",
    "bpf_log2(1)",
    "bpf_log2(1000)",
    "bpf_log2l(1ull << 40)",
    "bpf_ntohs(0x1234)",
    "ntohs(0x1234)",
    "htons(80)",
    "htonl(1)",
    "ntohl(0x01020304)",
    "bpf_htonl(0x01020304)",
    "min_t(int, 3, -4)",
    "max_t(int, 3, -4)",
    "div_u64(1000, 7)",
    "offsetof(struct iphdr, saddr)",
    "S_ISREG(0100644)",
    "S_ISDIR(0100644)",
    "MINOR(0x800003)",
    "MAJOR(0x800003)",
    "ARRAY_SIZE(letters)",
    "IS_ERR_VALUE(-5)",
    "BIT(5)",
    "container(3)",
    "KERNEL_VERSION(5, 10, 3)",
    "DIV_ROUND_UP(10, 3)",
    "MASK(8)",
    "sizeof(bool)",
    "(u8)~0",
    "(__u16)-1",
    "sizeof(size_t)",
    "sizeof(pid_t)",
    "sizeof(uid_t)",
    "sizeof(dev_t)",
    "sizeof(loff_t)",
    "sizeof(counts.key)",
    "sizeof(counts.leaf)",
    "true",
    "NULL == 0",
    "LINUX_VERSION_CODE >= KERNEL_VERSION(4, 8, 0)",
    "ALIGN(13, 8)",
    "GENMASK(7, 4)",
    "swab16(0x1234)",
    "be32_to_cpu(1)",
    "cpu_to_be16(1)",
    "le16_to_cpu(3)",
    "sizeof(atomic_t)",
    "sizeof(sector_t)",
    "sizeof(gfp_t)",
    "sizeof(umode_t)",
    "sizeof(kuid_t)",
]
TEXT = """
#include <uapi/linux/ptrace.h>
#include <uapi/linux/bpf.h>
#include <uapi/linux/in.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/stat.h>
#include <linux/sched.h>
#include <linux/fs.h>
#include <linux/dcache.h>
#include <linux/limits.h>
#include <linux/socket.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/blkdev.h>
#include <linux/mman.h>
#include <linux/math64.h>
#include <linux/kdev_t.h>
#include <linux/err.h>
#include <linux/version.h>
#include <net/tcp_states.h>
#include <uapi/linux/pkt_cls.h>
#include <uapi/linux/perf_event.h>
#include <uapi/linux/un.h>
#define container(x) ({ int _y = (x); _y * 2; })
BPF_HASH(counts, u32, u64);
BPF_ARRAY(found, u64, 1);
BPF_HASH(again, u32, typeof(counts.leaf));
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID) return 0;
    int key = 0;
    char letters[] = "abcd";
    u64 value = (u64)(EXPRESSION);
    found.update(&key, &value);
    return 0;
}
"""
text = TEXT.replace("PID", str(os.getpid()))
whole = "BPF_ARRAY(found, u64, 256);"
ASKED = NAMES + EXPRESSIONS
body = "".join(f"    key = {n}; value = (u64)({name}); found.update(&key, &value);\n" for n, name in enumerate(ASKED))
whole = text.replace("BPF_ARRAY(found, u64, 1);", whole)
whole = whole.replace(
    "    u64 value = (u64)(EXPRESSION);\n    found.update(&key, &value);\n", f"    u64 value;\n{body}"
)
with BPF(text=whole) as b:
    os.getppid()
    for number, name in enumerate(ASKED):
        print(name, b["found"][number].value)
