"""What happened, and what to do, of the kinds of failures that need no walk over the path."""

from __future__ import annotations

from skep.spec.rejection import SMALLER_STACK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ADVICE", "INSTEAD"]

ADVICE: Mapping[str, tuple[str, str]] = {
    "misaligned": (
        "this access does not lie at a multiple of its size",
        "Copy the bytes with __builtin_memcpy() into a variable of that type, or mark the structure packed.",
    ),
    "pointer-arithmetic": (
        "this does with a pointer what only a number allows",
        (
            "Add to a pointer only a number that was compared with a limit before, and compute sizes with numbers: "
            "(long)end - (long)start. Do not subtract from, multiply, shift or mask a pointer."
        ),
    ),
    "pointer-leak": (
        "an address of the kernel would get to where others can read it",
        "Store what the pointer points to, or a number of your own, not the pointer itself.",
    ),
    "constant-argument": (
        "{call}() takes a constant here, and gets a value that is known only at run time",
        "Give a literal, or a value that the compiler computes: a macro, sizeof(), a const volatile global.",
    ),
    "map-mismatch": (
        "{call}() does not work on this kind of map",
        (
            "Use the helper that is made for this map's type, or give the map the type that the helper needs "
            "(__uint(type, BPF_MAP_TYPE_...))."
        ),
    ),
    "licence": (
        "{call}() is only for programs with a licence compatible with the GPL",
        'Declare one: char LICENSE[] SEC("license") = "Dual BSD/GPL";',
    ),
    "sleepable": (
        "{call}() may sleep, and this program may not",
        (
            "Make the program sleepable with .s in its section, where its kind allows that (fentry.s/, lsm.s/, "
            "iter.s/, uprobe.s/, syscall), and call it outside of locks and RCU sections; or use what does not sleep: "
            "bpf_probe_read_user() for bpf_copy_from_user()."
        ),
    ),
    "dynptr": (
        "{call}() gets a dynptr that is not in the state that it needs",
        (
            "Set {given} up before with the helper that makes one (bpf_ringbuf_reserve_dynptr(), "
            "bpf_dynptr_from_mem(), bpf_dynptr_from_skb(), bpf_dynptr_from_xdp()), give its own address, and do not "
            "write to it otherwise. One from a ring has to be submitted or discarded, once."
        ),
    ),
    "iterator": (
        "{call}() gets an iterator that is not in the state that it needs",
        (
            "Call bpf_iter_..._new() once before, bpf_iter_..._next() in the loop, and bpf_iter_..._destroy() after "
            "it on every path; bpf_for() and bpf_for_each() do all three."
        ),
    ),
    "kptr": (
        "a kernel pointer in a map is used otherwise than as a whole",
        (
            "Take it out or put it in with bpf_kptr_xchg(&value->member, pointer), test the result for NULL, and "
            "release it; only read it directly inside of bpf_rcu_read_lock(). One that the kernel does not find "
            "though it is marked __kptr: clang 14 leaves the mark out of pointers to structs; compile with a newer one."
        ),
    ),
    "special-field": (
        "a timer, lock, list or tree in a map value is touched otherwise than by its helpers",
        (
            "Leave the member alone but for its helpers, give its own address (&value->member), and declare the map's "
            "value with __type(value, struct ...), so that the kernel sees where it is. Copy the other members one by "
            "one."
        ),
    ),
    "object-graph": (
        "a node is used without being owned, or its list or tree without its lock",
        (
            "Make nodes with bpf_obj_new(), hold the lock of the root around bpf_list_...() and bpf_rbtree_...(), and "
            "give what is taken out to bpf_obj_drop() or back into a list."
        ),
    ),
    "reference-release": (
        "{call}() gets something that was not acquired, or was released before",
        (
            "Release {given} once, by the pointer that the acquiring call returned, unchanged, after testing it for "
            "NULL."
        ),
    ),
    "untrusted-pointer": (
        "{call}() gets a pointer of which the verifier does not know that it is valid",
        (
            "Give {call}() an argument of the program itself, or what an acquiring function returned "
            "(bpf_task_acquire(), bpf_task_from_pid(), bpf_kptr_xchg()); a member that RCU protects may be read "
            "between bpf_rcu_read_lock() and bpf_rcu_read_unlock()."
        ),
    ),
    "kernel-struct-access": (
        "this reaches outside of a structure of the kernel, or through a part of it that is not known",
        "Read the member by its own name and type, or copy it with bpf_probe_read_kernel() or BPF_CORE_READ().",
    ),
    "read-only": (
        "this writes to memory that the program may only read",
        (
            "Write to a map, to the stack or to a record of your own; a kernel structure is changed only through "
            "helpers. A const global or a frozen map (BPF_F_RDONLY_PROG) stays as it is."
        ),
    ),
    "global-function": (
        "a global function takes arguments that it cannot be verified with",
        (
            "Make the function static (then it is verified with what it is called with), or give it what may stand in "
            "its signature: the context, numbers, and pointers to types of known size, which it tests for NULL."
        ),
    ),
    "callback": (
        "a function is called back in a way that is not allowed",
        (
            "Make the callback static, with the signature of its helper, return 0 to go on or 1 to stop, and call no "
            "helper in it that callbacks may not call."
        ),
    ),
    "tail-call": (
        "a tail call is made where the program cannot be left",
        (
            "Release all that is held before bpf_tail_call(), and call it from the program itself or from a static "
            "function that returns int."
        ),
    ),
    "exception": (
        "an exception is thrown, or caught, where that is not allowed",
        "Throw only where nothing is held, and give the callback one number and a number as its result.",
    ),
    "stack-size": (
        "the functions that call each other need more than 512 bytes of stack",
        SMALLER_STACK,
    ),
    "call-depth": (
        "functions call each other too deep",
        "Let the compiler inline some of them (static __always_inline), and turn recursion into a loop.",
    ),
    "malformed-program": (
        "the instructions do not hold together: some cannot be reached, or a path has no end",
        (
            "Let every function end with a return, and see the compiler's warnings: a division by zero, an endless "
            "loop or a missing return leaves such code behind."
        ),
    ),
    "capability": (
        "whoever loads this lacks a capability",
        "Run it as root, or give the process CAP_BPF and CAP_PERFMON (and CAP_NET_ADMIN for networks).",
    ),
    "unsupported": (
        "this kernel, or its JIT compiler, does not support what the program uses",
        "Enable the JIT compiler (sysctl net.core.bpf_jit_enable=1), or use a newer kernel.",
    ),
    "missing-btf": (
        "this kernel has no type information, which the program needs",
        "Boot a kernel with CONFIG_DEBUG_INFO_BTF=y, or give the BTF of exactly this kernel with --btf FILE.",
    ),
    "verifier-bug": (
        "the verifier contradicts itself: this is an error of the kernel, not of the program",
        (
            "Write the line otherwise, try another kernel, and tell bpf@vger.kernel.org, with the whole log (--log "
            "FILE)."
        ),
    ),
    "attach-target": (
        "what the program attaches to does not allow it",
        "Attach to a function that the kernel allows it on, or use another kind of program.",
    ),
    "uninitialised-register": (
        "a value is used that is not set on this path",
        "Set the variable where it is declared, and let every path of a function return a value.",
    ),
    "infinite-loop": (
        "this loop is not seen to end",
        (
            "Count to a limit that is a constant: for (int i = 0; i < 64; i++), and change the counter in every "
            "round. Or use bpf_loop() (Linux 5.17) or bpf_for() (6.4), which the verifier walks once. Kernels before "
            "5.3 take no loops: #pragma unroll."
        ),
    ),
}
"""By category. {call}, {given}: what the line that is refused calls, and gives to it."""

INSTEAD: Sequence[tuple[str, str]] = (
    (
        r"bpf_(probe_read|copy_from_user|get_stack|perf_event_read|send_signal|override_return)",
        "It is for tracing programs.",
    ),
    (
        r"bpf_skb_(load|store)_bytes",
        (
            "It is for programs on sk_buffs (tc, socket, cgroup_skb); XDP reads through data and data_end, or with "
            "bpf_xdp_load_bytes() (Linux 5.18)."
        ),
    ),
    (
        r"bpf_(skb|l[34]|csum|clone_redirect|set_hash)",
        "It is for programs on sk_buffs: tc, and in part socket filters.",
    ),
    (
        r"bpf_xdp_",
        "It is for XDP programs; programs on sk_buffs have bpf_skb_...() of the same meaning.",
    ),
    (
        r"bpf_get_current_|bpf_current_task|bpf_get_ns_current",
        (
            "It is for programs that run for a task; in a packet's path there is none: use a tracing or cgroup "
            "program, or bpf_get_socket_cookie()."
        ),
    ),
    (
        r"bpf_sk_|bpf_skc_|bpf_tcp_|bpf_sock",
        "It is for programs on sockets and packets.",
    ),
    (
        r"bpf_(ktime|trace|spin|timer|map)_?",
        "It may not be called where this program runs; do it in a program of another type.",
    ),
)
"""By the beginnings of helpers' names: which programs may call them."""
