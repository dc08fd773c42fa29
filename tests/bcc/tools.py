"""The tools of Debian's bpfcc-tools: what each is given, what provokes it, and what it is to print then."""

from __future__ import annotations

from typing import NamedTuple


class Tool(NamedTuple):
    """One tool.

    Args:
        name: without ``-bpfcc``.
        arguments: of its command line; {pid} is the workload's.
        workload: of `tests.bcc.workloads`.
        pattern: what its output matches, line by line, once it works.
        interrupt: whether it prints when it is interrupted.
        needs: what it cannot do without.
        alone: whether it, or its workload, is for a machine that nobody else uses.
    """

    name: str
    arguments: str
    workload: str
    pattern: str
    interrupt: bool = False
    needs: str = ""
    alone: bool = False


_LOG2 = r"^ +\d+ -> \d+ +: +[1-9]\d* +\|\*"

TOOLS = (
    Tool(
        "argdist",
        "-i 1 -n 3 -C 't:sched:sched_process_exec():int:args->pid'",
        "executes",
        r"^\t[1-9]\d* +args->pid = \d+$",
    ),
    Tool("bashreadline", "", "shells", r"\becho workload$", alone=True),
    Tool("bindsnoop", "", "connects", r"\d+ +python\S* +TCP +127\.0\.0\.1"),
    Tool("biolatency", "1 3", "disks", _LOG2),
    Tool("biolatpcts", "{disk} -i 1", "disks", r"(read|write) +[1-9]\d*(\.\d+)?[mu]s"),
    Tool("biopattern", "1 3", "disks", r"^\d\d:\d\d:\d\d +loop\d+ +\d+ +\d+ +[1-9]"),
    Tool("biosnoop", "", "disks", r"python\S* +\d+ +\S+ +[RW] +\d+ +\d+ +\d+\.\d+"),
    Tool("biotop", "-C 1 3", "disks", r"\d+ +python\S* +[RW] +\d+ +\d+ +\S+ +\d+"),
    Tool("bitesize", "", "disks", _LOG2, interrupt=True),
    Tool("bpflist", "", "holds", r"python\S* +map +1"),
    Tool("btrfsdist", "1 2", "btrfs", _LOG2),
    Tool("btrfsslower", "0", "btrfs", r"python\S* +\d+ +[RWOS] +\d+ .*file$"),
    Tool("cachestat", "1 3", "files", r"^ +[1-9]\d* +\d+ +\d+ +\d+\.\d+%"),
    Tool("cachetop", "1", "opens", r"^ *\d+ +\S+ +python\S* +\d+ +[1-9]", needs="a terminal"),
    Tool("capable", "", "privileges", r"python\S* +\d+ +CAP_SYS_(NICE|CHROOT)"),
    Tool("compactsnoop", "", "compacts", r"python\S* +\d+ .*complete", alone=True),
    Tool("cpudist", "1 3", "spins", _LOG2),
    Tool("cpuunclaimed", "1 3", "spins", r"%CPU +\d", needs="hardware clock"),
    Tool("criticalstat", "", "spins", r"TASK: ", needs="a kernel that traces preemption"),
    Tool("dbslower", "mysql -p {pid}", "opens", r"QUERY", needs="a database"),
    Tool("dbstat", "mysql", "opens", r"query", needs="a database"),
    Tool("dcsnoop", "-a", "stats", r"python\S* +[RM] +\S+"),
    Tool("dcstat", "1 3", "stats", r"^\d\d:\d\d:\d\d: +[1-9]"),
    Tool("deadlock", "--binary /lib/x86_64-linux-gnu/libc.so.6 {pid}", "inverts", r"Potential Deadlock Detected"),
    Tool("dirtop", "-d /tmp -C 1 3", "opens", r"^[1-9]\d* +[1-9]\d* +[1-9]\d* +\d+ +/tmp"),
    Tool("drsnoop", "", "allocates", r"python", needs="memory that is short"),
    Tool("execsnoop", "", "executes", r"^true +\d+ +\d+ +0 +/bin/true one two"),
    Tool("exitsnoop", "", "executes", r"^true +\d+ +\d+ +\d+ +\d+\.\d+ +0"),
    Tool("ext4dist", "1 3", "files", _LOG2),
    Tool("ext4slower", "0", "files", r"python\S* +\d+ +[RWOS] +\d+ .*file$"),
    Tool("filegone", "", "removes", r"python\S* +\S+ +skep-workload"),
    Tool("filelife", "", "removes", r"python\S* +\d+\.\d+ +skep-workload"),
    Tool("fileslower", "0 -a", "opens", r"python\S* +\d+ +[RW] +\d+ +\d+\.\d+ +skep-workload"),
    Tool("filetop", "-C -a 1 3", "opens", r"python\S* +\d+ +\d+ +\d+ +\d+ +\w +skep-workload"),
    Tool("funccount", "-i 1 -d 3 -p {pid} c:pthread_mutex_lock", "inverts", r"^pthread_mutex_lock +[1-9]"),
    Tool("funcinterval", "-i 1 -d 3 vfs_read", "opens", _LOG2),
    Tool("funclatency", "-i 1 -d 3 vfs_read", "opens", _LOG2),
    Tool("funcslower", "-u 0 vfs_read", "opens", r"python\S* +\d+ +\d+\.\d+ +[0-9a-f]+ vfs_read"),
    Tool("gethostlatency", "", "resolves", r"python\S* +\d+\.\d+ +localhost"),
    Tool("hardirqs", "-C 1 3", "reads", r"^\S+ +[1-9]\d*$"),
    Tool("inject", "kmalloc -P 0.001", "opens", r"(?!)", needs="a kernel that injects errors", alone=True),
    Tool("killsnoop", "", "kills", r"\d+ +python\S* +15 +\d+ +0"),
    Tool("klockstat", "-d 3", "opens", r"^ *\S+\+0x\S+ +\d+ +[1-9]"),
    Tool("kvmexit", "1", "spins", r"KVM", needs="a processor with virtual machines"),
    Tool("llcstat", "1", "spins", r"HIT%", needs="hardware counters"),
    Tool("mdflush", "", "syncs", r"^\d\d:\d\d:\d\d +\d+ +\S+ +md\d", needs="a RAID"),
    Tool("memleak", "-p {pid} 1 2", "leaks", r"bytes in \d+ allocations"),
    Tool("mountsnoop", "", "mounts", r'mount\("?(none)?.*tmpfs'),
    Tool("mysqld_qslower", "{pid}", "opens", r"QUERY", needs="a database"),
    Tool("netqtop", "-n lo -i 1", "connects", r"^ *\d+ +[1-9]"),
    Tool("nfsdist", "1 2", "files", _LOG2, needs="NFS"),
    Tool("nfsslower", "0", "files", r"file$", needs="NFS"),
    Tool("offcputime", "-f 2", "threads", r"^python\S*;.* [1-9]\d*$"),
    Tool("offwaketime", "-f 2", "threads", r";.* [1-9]\d*$"),
    Tool("oomkill", "", "exhausts", r"Triggered by PID \d+ \(.python"),
    Tool("opensnoop", "", "opens", r"\d+ +python\S* +-1 +2 +/no/such/file"),
    Tool("pidpersec", "", "executes", r"^\d\d:\d\d:\d\d: PIDs/sec: [1-9]"),
    Tool("ppchcalls", "", "spins", r"(?!)", needs="a PowerPC"),
    Tool("profile", "-f 2", "spins", r"^python\S*;.* [1-9]\d*$"),
    Tool("readahead", "-d 3", "reads", r"total pages: \d+/[1-9]"),
    Tool("runqlat", "1 3", "spins", _LOG2),
    Tool("runqlen", "1 3", "spins", r"\|\*"),
    Tool("runqslower", "0", "spins", r"\d\d:\d\d:\d\d +\S+ +\d+ +\d+"),
    Tool("shmsnoop", "", "shares", r"python\S* +SHMGET +\w+ +key"),
    Tool("slabratetop", "-C 1 3", "opens", r"^\S+ +[1-9]\d* +[1-9]"),
    Tool("sofdsnoop", "", "passes", r"^SEND +\d+ +python"),
    Tool("softirqs", "1 3", "connects", r"^(net_rx|timer|sched|rcu) +[1-9]"),
    Tool("solisten", "", "connects", r"\d+ +python\S* +\S* *TCPv4 +\d+ +\d+ +127\.0\.0\.1"),
    Tool("sslsniff", "-c openssl", "secrets", r"the question of the workload", alone=True),
    Tool("stackcount", "-i 1 -D 3 t:sched:sched_process_fork", "executes", r"^  .*fork.*\n(.*\n)*?^ +[1-9]\d*$"),
    Tool("statsnoop", "", "stats", r"\d+ +python\S* +-1 +2 +/no/such/file"),
    Tool("syncsnoop", "", "syncs", r"^\d+\.\d+ +sync\(\)"),
    Tool("syscount", "-i 1 -d 3", "opens", r"^(openat|read|write|futex|clock_nanosleep|select|pselect6) +[1-9]"),
    Tool("tcpaccept", "", "connects", r"\d+ +python\S* +4 +127\.0\.0\.1 +\d+ +127\.0\.0\.1"),
    Tool("tcpcong", "-d 1 9", "loses", r"^tcp_congest_state = loss\n(.*\n)*?.*: [1-9]\d* +\|\*"),
    Tool("tcpconnect", "", "connects", r"\d+ +python\S* +4 +127\.0\.0\.1 +127\.0\.0\.1 +\d+"),
    Tool("tcpconnlat", "", "connects", r"\d+ +python\S* +4 +127\.0\.0\.1 +127\.0\.0\.1 +\d+ +\d+\.\d+"),
    Tool("tcpdrop", "", "loses", r"127\.0\.0\.1:\d+ +> 127\.0\.0\.1:\d+"),
    Tool("tcplife", "", "connects", r"\d+ +python\S* +127\.0\.0\.1 +\d+ +127\.0\.0\.1 +\d+ +\d+ +\d+ +\d+\.\d+"),
    Tool("tcpretrans", "", "loses", r"R> +127\.0\.0\.1"),
    Tool("tcprtt", "-i 1 -d 3", "connects", _LOG2),
    Tool("tcpstates", "", "connects", r"python\S* +127\.0\.0\.1 +\d+ +127\.0\.0\.1 +\d+ +\w+ +-> +\w+ +\d+\.\d+"),
    Tool("tcpsubnet", "-i 1 127.0.0.0/8", "connects", r"127\.0\.0\.0/8 +[1-9]"),
    Tool("tcpsynbl", "", "connects", r"\|\*", interrupt=True),
    Tool("tcptop", "-C 1 3", "connects", r"\d+ +python\S* +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ +\d+ +\d+"),
    Tool("tcptracer", "", "connects", r"^[CAX] +\d+ +python\S* +4 +127\.0\.0\.1 +127\.0\.0\.1"),
    Tool("threadsnoop", "", "threads", r"^\d+ +\d+ +b'python\S* +b'"),
    Tool("tplist", "sched:sched_switch", "opens", r"^sched:sched_switch$"),
    Tool(
        "trace",
        "'t:sched:sched_process_exec \"%d\", args->pid'",
        "executes",
        r"^\d+ +\d+ +true +sched_process_exec +\d+",
    ),
    Tool("ttysnoop", "0", "shells", r"workload", needs="a terminal", alone=True),
    Tool("ucalls", "-l none -S {pid} 2", "stats", r"newfstatat \[syscall\] +[1-9]|stat\S* +[1-9]"),
    Tool("uflow", "-l python {pid}", "stats", r"-> .*workloads.py.stats", needs="a Python that tells of its functions"),
    Tool("ugc", "-l python {pid}", "collects", r"^\d+\.\d+ +[1-9]\d*\.\d+"),
    Tool("uobjnew", "-l c {pid} 2", "stats", r"^block size +\d+ +[1-9]\d* +[1-9]"),
    Tool(
        "ustat",
        "-l python -C 1 3",
        "collects",
        r"^\d+ +\S*python\S* .* \d+ +[1-9]\d* +\d+ +\d+ +\d+ +\d+ *$",
        alone=True,
    ),
    Tool("uthreads", "{pid}", "threads", r"^\d+\.\d+ +\S+ +pthread", needs="a C library with probes"),
    Tool("vfscount", "2", "opens", r"\bvfs_read'? +[1-9]"),
    Tool("vfsstat", "1 3", "opens", r"^\d\d:\d\d:\d\d: +[1-9]"),
    Tool("virtiostat", "1 3", "reads", r"^ *b'virtio\S* +\S*virtio\d"),
    Tool("wakeuptime", "-f 2", "threads", r";.* [1-9]\d*$"),
    Tool("xfsdist", "1 2", "xfs", _LOG2),
    Tool("xfsslower", "0", "xfs", r"python\S* +\d+ +[RWOS] +\d+ .*file'?$"),
    Tool("zfsdist", "1 2", "files", _LOG2, needs="ZFS"),
    Tool("zfsslower", "0", "files", r"file$", needs="ZFS"),
)
