/* What headers of the kernel define, and its types do not tell: for the preprocessor alone, as dialect.h, which has them.
 */
#ifndef SKEP_BCC_KERNEL_H
#define SKEP_BCC_KERNEL_H

#define htons(x) bpf_htons(x)
#define ntohs(x) bpf_ntohs(x)
#define htonl(x) bpf_htonl(x)
#define ntohl(x) bpf_ntohl(x)
#define min_t(type, x, y) ({ type skep_x = (x); type skep_y = (y); skep_x < skep_y ? skep_x : skep_y; })
#define max_t(type, x, y) ({ type skep_x = (x); type skep_y = (y); skep_x > skep_y ? skep_x : skep_y; })
#define min(x, y) ({ typeof(x) skep_x = (x); typeof(y) skep_y = (y); skep_x < skep_y ? skep_x : skep_y; })
#define max(x, y) ({ typeof(x) skep_x = (x); typeof(y) skep_y = (y); skep_x > skep_y ? skep_x : skep_y; })
#define div_u64(x, y) ((u64)(x) / (u32)(y))
#define div64_u64(x, y) ((u64)(x) / (u64)(y))
#define offsetof(type, member) __builtin_offsetof(type, member)
#define MASK(bits) ((bits) == 64 ? ~0ULL : (1ULL << (bits)) - 1)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define container_of(pointer, type, member) ((type *)((void *)(pointer) - offsetof(type, member)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(place) (1UL << (place))
#define BIT_ULL(place) (1ULL << (place))
#define GENMASK(high, low) ((~0UL << (low)) & (~0UL >> (63 - (high))))
#define DIV_ROUND_UP(x, y) (((x) + (y) - 1) / (y))
#define ALIGN(x, size) (((x) + ((typeof(x))(size) - 1)) & ~((typeof(x))(size) - 1))
#define clamp(x, low, high) min(max(x, low), high)
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) ((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define IS_ERR(pointer) IS_ERR_VALUE((unsigned long)(pointer))
#define PTR_ERR(pointer) ((long)(pointer))
#define MAJOR(device) ((unsigned int)((device) >> 20))
#define MINOR(device) ((unsigned int)((device) & 0xfffff))
#define MKDEV(major, minor) ((major) << 20 | (minor))
#define new_encode_dev(device) ((MINOR(device) & 0xff) | MAJOR(device) << 8 | (MINOR(device) & ~0xff) << 12)
#define new_decode_dev(number) MKDEV(((number) & 0xfff00) >> 8, ((number) & 0xff) | ((number) >> 12 & 0xfff00))
#define swab16(x) __builtin_bswap16(x)
#define swab32(x) __builtin_bswap32(x)
#define swab64(x) __builtin_bswap64(x)
#undef __swab16
#undef __swab32
#undef __swab64
#define __swab16(x) swab16(x)
#define __swab32(x) swab32(x)
#define __swab64(x) swab64(x)
#define __constant_htons(x) bpf_htons(x)
#define __constant_ntohs(x) bpf_ntohs(x)
#define __constant_htonl(x) bpf_htonl(x)
#define __constant_ntohl(x) bpf_ntohl(x)
#define be16_to_cpu(x) bpf_ntohs(x)
#define be32_to_cpu(x) bpf_ntohl(x)
#define be64_to_cpu(x) bpf_be64_to_cpu(x)
#define cpu_to_be16(x) bpf_htons(x)
#define cpu_to_be32(x) bpf_htonl(x)
#define cpu_to_be64(x) bpf_cpu_to_be64(x)
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define FIELD_SIZEOF(type, member) sizeof_field(type, member)
#define ilog2(x) (bpf_log2l(x) - 1)
#define is_power_of_2(x) ((x) && !((x) & ((x) - 1)))
/* 1 for what is defined as 1. */
#define SKEP_BCC_ONE_1 0,
#define SKEP_BCC_SECOND(a, b, ...) b
#define SKEP_BCC_IS_ONE(found) SKEP_BCC_SECOND(found 1, 0, 0)
#define SKEP_BCC_IS(value) SKEP_BCC_IS_ONE(SKEP_BCC_ONE_##value)
#define IS_ENABLED(option) SKEP_BCC_IS(option)
/* All functions are inlined. That it is empty lets texts write __attribute__((noinline)), too. */
#define noinline
#define __packed __attribute__((__packed__))
#define __maybe_unused __attribute__((__unused__))
#define fallthrough __attribute__((__fallthrough__))
#define __force
#define atomic_read(number) ((number)->counter)
#define atomic64_read(number) ((number)->counter)
#define atomic_long_read(number) ((number)->counter)
#define refcount_read(count) ((count)->refs.counter)
#define __user
#define __kernel
#define __rcu
#define NULL ((void *)0)

/* Numbers. */
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_LOCAL 1
#define AF_INET 2
#define AF_BRIDGE 7
#define AF_INET6 10
#define AF_KEY 15
#define AF_NETLINK 16
#define AF_ROUTE AF_NETLINK
#define AF_PACKET 17
#define AF_CAN 29
#define AF_TIPC 30
#define AF_BLUETOOTH 31
#define AF_ALG 38
#define AF_VSOCK 40
#define AF_XDP 44
#define PF_UNIX AF_UNIX
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define NAME_MAX 255
#define PATH_MAX 4096
#define IFNAMSIZ 16
#define KSYM_NAME_LEN 512
#define MODULE_NAME_LEN (64 - sizeof(unsigned long))
#define __NEW_UTS_LEN 64
#define DISK_NAME_LEN 32
#define DNAME_INLINE_LEN 40
#define PAGE_OFFSET 0xffff888000000000UL
#define pgoff_t unsigned long
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
/* Of tasks; their registers lie at the end. */
#define THREAD_SIZE 16384
#if defined(__TARGET_ARCH_x86)
#define TOP_OF_KERNEL_STACK_PADDING (&fred_entry_from_user ? 16 : 0)
#endif
#define NSEC_PER_SEC 1000000000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_USEC 1000L
#define USEC_PER_SEC 1000000L
#define MSEC_PER_SEC 1000L
#define HZ 250
#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define __TASK_STOPPED 4
#define __TASK_TRACED 8
#define EXIT_DEAD 0x10
#define EXIT_ZOMBIE 0x20
#define EXIT_TRACE (EXIT_ZOMBIE | EXIT_DEAD)
#define TASK_PARKED 0x40
#define TASK_DEAD 0x80
#define TASK_WAKEKILL 0x100
#define TASK_WAKING 0x200
#define TASK_NOLOAD 0x400
#define TASK_NEW 0x800
#define TASK_KILLABLE (TASK_WAKEKILL | TASK_UNINTERRUPTIBLE)
#define TASK_STOPPED (TASK_WAKEKILL | __TASK_STOPPED)
#define TASK_TRACED __TASK_TRACED
#define TASK_IDLE (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)
#define TASK_NORMAL (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)
#define TASK_REPORT (TASK_NORMAL | __TASK_STOPPED | __TASK_TRACED | EXIT_DEAD | EXIT_ZOMBIE | TASK_PARKED)
#define O_RDONLY 0
#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_EXCL 0200
#define O_TRUNC 01000
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000
#if defined(__TARGET_ARCH_arm64)
#define O_DIRECTORY 040000
#else
#define O_DIRECTORY 0200000
#endif
#define O_TMPFILE (020000000 | O_DIRECTORY)
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_LSEEK 0x4
#define FMODE_PREAD 0x8
#define FMODE_PWRITE 0x10
#define FMODE_EXEC 0x20
#define FMODE_PATH 0x4000
#define FMODE_OPENED 0x80000
#define FMODE_CREATED 0x100000
#define MAY_EXEC 0x1
#define MAY_WRITE 0x2
#define MAY_READ 0x4
#define MAY_APPEND 0x8
#define MAY_ACCESS 0x10
#define MAY_OPEN 0x20
#define MAY_CHDIR 0x40
#define MAY_NOT_BLOCK 0x80
#define O_ACCMODE 3
#define S_IFMT 0170000
#define S_ISUID 04000
#define S_ISGID 02000
#define S_ISVTX 01000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISLNK(mode) (((mode) & S_IFMT) == 0120000)
#define S_ISREG(mode) (((mode) & S_IFMT) == 0100000)
#define S_ISDIR(mode) (((mode) & S_IFMT) == 0040000)
#define S_ISCHR(mode) (((mode) & S_IFMT) == 0020000)
#define S_ISBLK(mode) (((mode) & S_IFMT) == 0060000)
#define S_ISFIFO(mode) (((mode) & S_IFMT) == 0010000)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == 0140000)
#define VM_READ 0x1
#define VM_WRITE 0x2
#define VM_EXEC 0x4
#define VM_SHARED 0x8
#define VM_MAYREAD 0x10
#define VM_MAYWRITE 0x20
#define VM_MAYEXEC 0x40
#define VM_MAYSHARE 0x80
#define VM_GROWSDOWN 0x100
#define VM_PFNMAP 0x400
#define VM_LOCKED 0x2000
#define VM_IO 0x4000
#define VM_HUGETLB 0x400000
#define BLK_STS_OK 0
#define BLK_STS_NOTSUPP ((blk_status_t)1)
#define BLK_STS_TIMEOUT ((blk_status_t)2)
#define BLK_STS_NOSPC ((blk_status_t)3)
#define BLK_STS_TRANSPORT ((blk_status_t)4)
#define BLK_STS_TARGET ((blk_status_t)5)
#define BLK_STS_MEDIUM ((blk_status_t)7)
#define BLK_STS_PROTECTION ((blk_status_t)8)
#define BLK_STS_RESOURCE ((blk_status_t)9)
#define BLK_STS_IOERR ((blk_status_t)10)
#define BLK_STS_DM_REQUEUE ((blk_status_t)11)
#define BLK_STS_AGAIN ((blk_status_t)12)
#define BLK_STS_DEV_RESOURCE ((blk_status_t)13)
#define REQ_OP_BITS 8
#define REQ_OP_MASK ((1 << REQ_OP_BITS) - 1)
#define REQ_FAILFAST_DEV (1ULL << __REQ_FAILFAST_DEV)
#define REQ_SYNC (1ULL << __REQ_SYNC)
#define REQ_META (1ULL << __REQ_META)
#define REQ_PRIO (1ULL << __REQ_PRIO)
#define REQ_NOMERGE (1ULL << __REQ_NOMERGE)
#define REQ_IDLE (1ULL << __REQ_IDLE)
#define REQ_INTEGRITY (1ULL << __REQ_INTEGRITY)
#define REQ_FUA (1ULL << __REQ_FUA)
#define REQ_PREFLUSH (1ULL << __REQ_PREFLUSH)
#define REQ_RAHEAD (1ULL << __REQ_RAHEAD)
#define REQ_BACKGROUND (1ULL << __REQ_BACKGROUND)
#define REQ_NOWAIT (1ULL << __REQ_NOWAIT)
#define REQ_POLLED (1ULL << __REQ_POLLED)
#define READ 0
#define WRITE 1
#define SCM_RIGHTS 1
#define CAP_OPT_NONE 0
#define CAP_OPT_NOAUDIT 2
#define CAP_OPT_INSETID 4
/* How kernels are built that have BTF, and what is in it. */
#define CONFIG_NET_NS 1
#define CONFIG_SLUB 1
#if defined(__TARGET_ARCH_x86) || defined(__TARGET_ARCH_arm64)
#define CONFIG_ARCH_HAS_SYSCALL_WRAPPER 1
#endif
#define MSG_PEEK 2
#define MSG_DONTWAIT 0x40
#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ENOSPC 28
#define EINPROGRESS 115
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ENOIOCTLCMD 515
#define ERESTART_RESTARTBLOCK 516
#define EPROBE_DEFER 517
#define ENOTSUPP 524
#define EIOCBQUEUED 529
#define SOL_IP 0
#define SOL_TCP 6
#define SOL_UDP 17
#define SOL_IPV6 41
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_IPV6 0x86dd
#define ETH_ALEN 6
#define ETH_HLEN 14
#define XDP_PACKET_HEADROOM 256
#define TC_ACT_UNSPEC (-1)
#define TC_ACT_OK 0
#define TC_ACT_RECLASSIFY 1
#define TC_ACT_SHOT 2
#define TC_ACT_PIPE 3
#define TC_ACT_STOLEN 4
#define TC_ACT_QUEUED 5
#define TC_ACT_REPEAT 6
#define TC_ACT_REDIRECT 7
#define TCPHDR_FIN 0x01
#define TCPHDR_SYN 0x02
#define TCPHDR_RST 0x04
#define TCPHDR_PSH 0x08
#define TCPHDR_ACK 0x10
#define TCPHDR_URG 0x20
#define TCPHDR_ECE 0x40
#define TCPHDR_CWR 0x80
#define TCPHDR_SYN_ECN (TCPHDR_SYN | TCPHDR_ECE | TCPHDR_CWR)
#define BPF_DEVCG_ACC_MKNOD 1
#define BPF_DEVCG_ACC_READ 2
#define BPF_DEVCG_ACC_WRITE 4
#define BPF_DEVCG_DEV_BLOCK 1
#define BPF_DEVCG_DEV_CHAR 2
#define PERF_MAX_STACK_DEPTH 127
#define PF_IDLE 0x00000002
#define PF_EXITING 0x00000004
#define PF_IO_WORKER 0x00000010
#define PF_WQ_WORKER 0x00000020
#define PF_FORKNOEXEC 0x00000040
#define PF_SUPERPRIV 0x00000100
#define PF_DUMPCORE 0x00000200
#define PF_SIGNALED 0x00000400
#define PF_MEMALLOC 0x00000800
#define PF_KSWAPD 0x00020000
#define PF_KTHREAD 0x00200000
#define MIN_NICE (-20)
#define MAX_NICE 19
#define MAX_RT_PRIO 100
#define DEFAULT_PRIO 120
#define MAX_PRIO 140
#define CLONE_VM 0x00000100
#define CLONE_FS 0x00000200
#define CLONE_FILES 0x00000400
#define CLONE_VFORK 0x00004000
#define CLONE_THREAD 0x00010000
#define CLONE_NEWNS 0x00020000
#define CLONE_NEWPID 0x20000000
#define CLONE_NEWNET 0x40000000
#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGABRT 6
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define U8_MAX ((u8)~0U)
#define U16_MAX ((u16)~0U)
#define U32_MAX ((u32)~0U)
#define U64_MAX ((u64)~0ULL)
#define INT_MAX 0x7fffffff
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (~0U)
#define LONG_MAX ((long)(~0UL >> 1))
#define ULONG_MAX (~0UL)
#define LLONG_MAX ((long long)(~0ULL >> 1))
#define ULLONG_MAX (~0ULL)

/* Members that the kernel's headers give short names. */
#define sk_family __sk_common.skc_family
#define sk_state __sk_common.skc_state
#define sk_num __sk_common.skc_num
#define sk_dport __sk_common.skc_dport
#define sk_daddr __sk_common.skc_daddr
#define sk_rcv_saddr __sk_common.skc_rcv_saddr
#define sk_v6_daddr __sk_common.skc_v6_daddr
#define sk_v6_rcv_saddr __sk_common.skc_v6_rcv_saddr
#define sk_net __sk_common.skc_net
#define sk_flags __sk_common.skc_flags
#define inet_daddr sk.__sk_common.skc_daddr
#define inet_rcv_saddr sk.__sk_common.skc_rcv_saddr
#define inet_dport sk.__sk_common.skc_dport
#define inet_num sk.__sk_common.skc_num
#define ir_loc_addr req.__req_common.skc_rcv_saddr
/* Those that only texts know which include what declares sockets: others may use such words for their own. */
#ifdef SKEP_BCC_SOCKETS
#define sk_node __sk_common.skc_node
#define sk_nulls_node __sk_common.skc_nulls_node
#define sk_refcnt __sk_common.skc_refcnt
#define sk_tx_queue_mapping __sk_common.skc_tx_queue_mapping
#define sk_rx_queue_mapping __sk_common.skc_rx_queue_mapping
#define sk_hash __sk_common.skc_hash
#define sk_portpair __sk_common.skc_portpair
#define sk_addrpair __sk_common.skc_addrpair
#define sk_reuse __sk_common.skc_reuse
#define sk_reuseport __sk_common.skc_reuseport
#define sk_ipv6only __sk_common.skc_ipv6only
#define sk_net_refcnt __sk_common.skc_net_refcnt
#define sk_bound_dev_if __sk_common.skc_bound_dev_if
#define sk_bind_node __sk_common.skc_bind_node
#define sk_prot __sk_common.skc_prot
#define sk_cookie __sk_common.skc_cookie
#define sk_incoming_cpu __sk_common.skc_incoming_cpu
#define sk_rxhash __sk_common.skc_rxhash
#define ir_num req.__req_common.skc_num
#define ir_rmt_addr req.__req_common.skc_daddr
#define ir_rmt_port req.__req_common.skc_dport
#define ir_v6_rmt_addr req.__req_common.skc_v6_daddr
#define ir_v6_loc_addr req.__req_common.skc_v6_rcv_saddr
#define ir_iif req.__req_common.skc_bound_dev_if
#define ir_cookie req.__req_common.skc_cookie
#define rsk_listener __req_common.skc_listener
#define rsk_refcnt __req_common.skc_refcnt
#define rsk_hash __req_common.skc_hash
#define ireq_net req.__req_common.skc_net
#define ireq_state req.__req_common.skc_state
#define ireq_family req.__req_common.skc_family
#define tw_family __tw_common.skc_family
#define tw_state __tw_common.skc_state
#define tw_bound_dev_if __tw_common.skc_bound_dev_if
#define tw_net __tw_common.skc_net
#define tw_daddr __tw_common.skc_daddr
#define tw_rcv_saddr __tw_common.skc_rcv_saddr
#define tw_v6_daddr __tw_common.skc_v6_daddr
#define tw_v6_rcv_saddr __tw_common.skc_v6_rcv_saddr
#define tw_dport __tw_common.skc_dport
#define tw_num __tw_common.skc_num
#define tw_cookie __tw_common.skc_cookie
#endif
#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32
#define tcp_sk(pointer) ((struct tcp_sock *)(pointer))
#define inet_sk(pointer) ((struct inet_sock *)(pointer))
#define inet_csk(pointer) ((struct inet_connection_sock *)(pointer))
#define udp_sk(pointer) ((struct udp_sock *)(pointer))
#define unix_sk(pointer) ((struct unix_sock *)(pointer))
#define inet_rsk(pointer) ((struct inet_request_sock *)(pointer))
#define tcp_rsk(pointer) ((struct tcp_request_sock *)(pointer))
#define inet_twsk(pointer) ((struct inet_timewait_sock *)(pointer))
#define skb_mac_header(buffer) ((buffer)->head + (buffer)->mac_header)
#define skb_network_header(buffer) ((buffer)->head + (buffer)->network_header)
#define skb_transport_header(buffer) ((buffer)->head + (buffer)->transport_header)
#define ip_hdr(buffer) ((struct iphdr *)skb_network_header(buffer))
#define ipv6_hdr(buffer) ((struct ipv6hdr *)skb_network_header(buffer))
#define tcp_hdr(buffer) ((struct tcphdr *)skb_transport_header(buffer))
#define udp_hdr(buffer) ((struct udphdr *)skb_transport_header(buffer))
#define icmp_hdr(buffer) ((struct icmphdr *)skb_transport_header(buffer))
#define file_inode(file) ((file)->f_inode)
#define d_inode(dentry) ((dentry)->d_inode)
#define req_op(request) ((request)->cmd_flags & REQ_OP_MASK)
#define rq_data_dir(request) (req_op(request) & 1 ? WRITE : READ)
#define blk_rq_pos(request) ((request)->__sector)
#define blk_rq_bytes(request) ((request)->__data_len)
#define blk_rq_sectors(request) (blk_rq_bytes(request) >> 9)
#define sg_is_chain(list) ((list)->page_link & 1)
#define sg_is_last(list) ((list)->page_link & 2)
#define sg_chain_ptr(list) ((struct scatterlist *)((list)->page_link & ~3UL))
#define skb_rx_queue_recorded(buffer) ((buffer)->queue_mapping != 0)
#define skb_get_rx_queue(buffer) ((buffer)->queue_mapping - 1)
#define TCP_SKB_CB(buffer) ((struct tcp_skb_cb *)&((buffer)->cb[0]))

#endif
