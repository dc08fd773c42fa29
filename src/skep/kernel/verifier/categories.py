"""The kinds of reasons for which the verifier refuses a program, each with its rule and the words that it is known by.

An id is stable; docs/verifier/ID.md is its page. Source of the words: kernel/bpf/verifier.c and btf.c, 5.10 to 6.18.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CATEGORIES", "UNKNOWN", "Category", "find_category"]


class Category:
    """One kind of reason.

    Args:
        id: stable name, such as ``null-pointer``.
        group: ``memory``, ``value``, ``call``, ``lifetime``, ``context``, ``structure``, ``limit`` or ``environment``.
        rule: the rule that is broken, in one sentence.
        words: regular expressions of what the verifier says.
    """

    __slots__ = ("group", "id", "rule", "words")

    def __init__(self, id: str, group: str, rule: str, *words: str) -> None:  # noqa: A002
        self.id = id
        self.group = group
        self.rule = rule
        self.words: Sequence[re.Pattern[str]] = tuple(re.compile(word) for word in words)

    @property
    def is_lacking(self) -> bool:
        """Whether it is the kernel that lacks something, so that the program may be right elsewhere."""
        return self.id in {"core-relocation", "missing-btf", "kernel-too-old", "unsupported"}


UNKNOWN = Category("verifier", "structure", "the verifier could not prove the program safe")
"""For words that no category is known by."""

# Where the words of two categories fit, the first in this order counts.
_ORDER: Sequence[Category] = (
    Category(
        "core-relocation",
        "environment",
        "a type, member or function that the program uses has to exist in the kernel that it is loaded into",
        r"<invalid CO-RE relocation>|failed to resolve CO-RE relocation|unknown#195896080|<missing kfunc",
    ),
    Category(
        "missing-btf",
        "environment",
        "the kernel needs type information (BTF) of its own for this",
        r"kernel is missing BTF|without CONFIG_DEBUG_INFO_BTF|in-kernel BTF is malformed|btf_vmlinux is malformed",
    ),
    Category(
        "kernel-too-old",
        "environment",
        "a helper or an instruction has to be known to the kernel",
        r"invalid func unknown#\d+|unknown func unknown#\d+|unknown opcode|invalid func \w+#\d+$"
        r"|kernel function call not eliminated",
    ),
    Category(
        "capability",
        "environment",
        "the capability to do this has to be held by whoever loads the program",
        r"allowed for CAP_|CAP_\w+ (and CAP_\w+ )?(are )?required|require CAP_|prohibited for !root|for root only",
    ),
    Category(
        "unsupported",
        "environment",
        "this kernel, or its JIT compiler, has to support what the program uses",
        r"non-JITed|JIT (is|does|doesn)|not supported for PREEMPT_RT|cannot be used for PREEMPT_RT",
    ),
    Category(
        "verifier-bug",
        "environment",
        "the verifier contradicts itself",
        r"verifier internal error|verifier bug|verifier is misconfigured|kernel subsystem misconfigured|internal bug$",
    ),
    Category(
        "licence",
        "environment",
        "what the kernel marks as GPL-only may be called only by a program with a licence compatible with the GPL",
        r"GPL.only|GPL.restricted|non-GPL|GPL compatible license",
    ),
    Category(
        "complexity",
        "limit",
        "the verifier has to reach the end of every path within a million instructions",
        r"BPF program is too large|jumps is too complex|too many (states|instructions)|too many subprograms"
        r"|maps per program has reached|bpf_loop iteration limit",
    ),
    Category(
        "stack-size",
        "limit",
        "the stack frames of functions that call each other have 512 bytes together",
        r"combined stack size|stack size of subprog|stack size \d+\(extra",
        r"invalid (write to )?stack R10 off=-(5[2-9]\d|51[3-9]|[6-9]\d\d|\d{4,})\b",
    ),
    Category(
        "call-depth",
        "limit",
        "functions may call each other eight deep",
        r"call stack of \d+ frames is too deep|recursive call|max struct nesting depth",
    ),
    Category(
        "infinite-loop",
        "structure",
        "every loop has to be seen to end",
        r"infinite loop detected|back-edge from insn|loop detected",
    ),
    Category(
        "exception",
        "context",
        "an exception may be thrown only where nothing is held, to a callback that takes one number",
        r"exception c(b|allback)|bpf_throw",
    ),
    Category(
        "helper-not-available",
        "environment",
        "each program type may call only its own helpers and functions of the kernel",
        r"unknown func|cannot use helper|not allowed in probe|calling kernel function \S+ is not allowed"
        r"|not supported for program type|tracing progs cannot use|filter progs cannot use|not allowed for this program"
        r"|cannot update sockmap|supported only for|doesn't support non-zero flags|instructions not allowed"
        r"|cannot call kernel func|LD_\[?ABS\S* (is only|is not|instructions)",
    ),
    Category(
        "special-field",
        "memory",
        "a timer, lock, list or tree in a map value is used only through its helpers",
        r"cannot be accessed directly by load/store|has no valid bpf_|doesn't point to 'struct bpf_|bpf_timer|bpf_wq"
        r"|bpf_task_work|workqueue pointer|timer pointer|bpf_\{list_head|must be at a constant offset"
        r"|(?<!dynptr )has to be at a constant offset|has to have BTF in order",
    ),
    Category(
        "spin-lock",
        "context",
        "a spin lock is given back on every path, and nothing but short work is done while it is held",
        r"bpf_spin_lock|bpf_spin_unlock|bpf_res_spin|spin_\{lock|holding a lock|held lock and object"
        r"|bpf_list_head must|lock-ed region.*spin|not allowed inside bpf_spin",
    ),
    Category(
        "critical-section",
        "context",
        "an RCU, preemption or interrupt section is left on every path, and sleeping calls stay outside of it",
        r"bpf_rcu_read_(un)?lock|rcu[ _]read|RCU CS|bpf_preempt_(en|dis)able|preemption|non-preemptible|bpf_local_irq"
        r"|IRQ|interrupts? (flag|disabled)",
    ),
    Category(
        "sleepable",
        "context",
        "what may sleep can be called only by a program that may sleep",
        r"might sleep|sleepable|can only be called from sleepable",
    ),
    Category(
        "tail-call",
        "call",
        "a tail call leaves the program for good: nothing is held, and the function returns int",
        r"tail_call|(?<!map for )tail call",
    ),
    Category(
        "reference-leak",
        "lifetime",
        "what a helper hands out to be given back has to be given back on every path",
        r"Unreleased reference|reference leak|cannot be mixed with socket references",
    ),
    Category(
        "dynptr",
        "lifetime",
        "a dynptr is set up by its helper before it is used, and touched only through helpers",
        r"[Dd]ynptr",
    ),
    Category(
        "iterator",
        "lifetime",
        "an iterator is made by _new, asked by _next, and destroyed once",
        r"iter_\w+ as arg|expected (un)?initialized iter|an initialized iter|valid iter pointer|pointer to an iterator"
        r"|css_task_iter",
    ),
    Category(
        "kptr",
        "lifetime",
        "a kernel pointer in a map is exchanged with bpf_kptr_xchg and read as a whole",
        r"\bkptr\b",
    ),
    Category(
        "object-graph",
        "lifetime",
        "nodes of lists and trees are owned by one holder, and added under the lock of their root",
        r"allocated object must|expected pointer to allocated|owning ref|bpf_obj_new|bpf_obj_drop|bpf_percpu_obj"
        r"|rbtree|graph (root|node)|bpf_list_(head|node)|bpf_rb_(root|node)|bpf_refcount|operation on \w+ expects arg"
        r"|not found at offset=|neither owning",
    ),
    Category(
        "reference-release",
        "lifetime",
        "only what was acquired can be released, once, by the pointer that was handed out",
        r"unacquired reference|has not been acquired before|must be referenced(?! or trusted)|expects refcounted"
        r"|release func|reference has not|acquired reference|Helper has invalid btf_id",
    ),
    Category(
        "null-pointer",
        "memory",
        "a pointer that may be NULL has to be tested before it is used",
        r"invalid mem access '\w*or_null\w*'|NULL pointer passed to|null-check it first|type=\w*or_null\w* expected="
        r"|pointer arithmetic on \w*or_null\w*|untrusted_ptr_or_null|invalid mem access 'map_value_or_null'",
    ),
    Category(
        "untrusted-pointer",
        "call",
        "a function of the kernel takes only pointers that are known to be valid",
        r"must be referenced or trusted|must be a rcu pointer|expected=\w*trusted_ptr_|untrusted_ptr_",
    ),
    Category(
        "packet-bounds",
        "memory",
        "a packet may be read only as far as it was compared with data_end",
        r"invalid access to packet|outside of the packet|math between pkt pointer and (register|-?\d)",
        r"helper access to the packet",
    ),
    Category(
        "map-value-bounds",
        "memory",
        "an index into a map value has to be proven to lie inside of it",
        r"invalid access to map value|math between map_value pointer and (register|-?\d)|makes map_value pointer be out"
        r"|pointer arithmetic of map value goes out of range",
    ),
    Category(
        "stack-bounds",
        "memory",
        "an access to the stack has to stay inside of the variable's frame",
        r"invalid (indirect )?(write|access) to stack|invalid( unbounded)? variable-offset|invalid stack "
        r"|math between fp pointer and (register|-?\d)|fp pointer offset|variable stack access"
        r"|invalid variable stack|unbounded indirect variable offset stack"
        r"|stack pointer arithmetic goes out of range|invalid stack type"
        r"|makes fp pointer be out",
    ),
    Category(
        "uninitialised-stack",
        "memory",
        "bytes of the stack have to be written before they are read",
        r"invalid (indirect )?read from stack|invalid indirect read|invalid read from stack"
        r"|leaking pointer from stack",
    ),
    Category(
        "uninitialised-register",
        "value",
        "a value has to be set on every path before it is used",
        r"!read_ok|R\d+ is invalid|not initialized",
    ),
    Category(
        "context-access",
        "memory",
        "the context is read by its own members only, at the offset and size that the program type allows",
        r"invalid bpf_context access|\bctx ptr\b|ctx access|ctx pointer|stores into R\d+ ctx|expects pointer to ctx"
        r"|expected pointer to ctx|r1 != ctx",
    ),
    Category(
        "read-only",
        "memory",
        "memory that is read-only for this program cannot be written",
        r"BPF_ATOMIC stores into",
        r"write into|cannot write into|only read|read from map forbidden|frame pointer is read only|write to change key"
        r"|does not allow writes|rdonly_",
    ),
    Category(
        "misaligned",
        "memory",
        "an access has to lie at a multiple of its size",
        r"misaligned",
    ),
    Category(
        "map-mismatch",
        "call",
        "a helper works only on the kinds of map that it is made for",
        r"cannot pass map_type|isn't map pointer|not pointing to valid bpf_map|different pointers|arg_type for sockmap"
        r"|map_ptr (abusing|access)|invalid map_ptr|only one cgroup storage|direct value access|map_type|struct_ops map"
        r"|expected prog array map|tail_call abusing|offload device mismatch|Only one arena|arena",
    ),
    Category(
        "pointer-leak",
        "value",
        "addresses of the kernel may not get to where others can read them",
        r"leaks addr|corrupt spilled pointer|cannot spill pointers|cannot return stack pointer|pointer comparison",
    ),
    Category(
        "global-function",
        "call",
        "a global function is verified by its signature alone, so its arguments are checked inside of it",
        r"Caller passes invalid args|doesn't return scalar|reference type\('|global function|is global and|Global func"
        r"|Unrecognized arg#|args? pointer type|passed to an? (invalid|global)|memory size|arg#\d+ type",
    ),
    Category(
        "callback",
        "call",
        "a function that a helper calls back is static, and returns what that helper expects",
        r"callback|expected pointer to func",
    ),
    Category(
        "return-value",
        "value",
        "the value that a program returns has to be one that its hook knows",
        r"(At|In) .*(exit|return|callback).*register|register R0|should have been in|subprogram exit",
        r"R0 (is|not|has) (not )?a? ?(known|scalar|unknown)|R0 leaks",
    ),
    Category(
        "kernel-struct-access",
        "memory",
        "a structure of the kernel is read by its own members, inside of its size",
        r"access beyond (struct|the end)|access to (struct|flow keys)|invalid \w+ access off=|invalid (sock"
        r"|tcp_sock|xdp)",
        r"is ptr_\w+ (access|invalid)|dereference of modified|invalid negative access|negative offset"
        r"|cannot access ptr",
        r"variable \w*ptr_\w* access|attach to unsupported member|btf_id|bounds of struct",
    ),
    Category(
        "attach-target",
        "environment",
        "the function or structure that a program attaches to has to allow it",
        r"is not modifiable|Attach(ing)? |attach_btf|attach to|struct_ops module|not a supported struct|hook",
    ),
    Category(
        "memory-bounds",
        "memory",
        "an access has to be proven to lie inside of the memory that a helper gave",
        r"invalid access to mem|invalid access to map key|variable buffer offset|buffer offset|tp_buffer|access to buf"
        r"|mem_size=|math between \w*mem pointer and register|unbounded memory access, make sure|outside of the allowed"
        r"|min value is negative, either use unsigned index",
    ),
    Category(
        "size-argument",
        "call",
        "a size that is given to a helper has to be proven to be positive and to fit the memory beside it",
        r"use 'var &= const'|zero-sized read|unbounded memory access|len pair|min value is negative",
    ),
    Category(
        "pointer-arithmetic",
        "value",
        "a pointer may be changed only by adding a number that is proven to be small",
        r"pointer arithmetic|arithmetic (on|with)|subtract pointer|subtraction from stack|pointer [-+]= pointer"
        r"|bitwise operator|math between|pointer offset -?\d+ is not allowed|beyond pointer bounds"
        r"|unsupported alu|makes \w+ pointer|from different maps|mixed signed bounds|pointer \S+ pointer prohibited",
    ),
    Category(
        "constant-argument",
        "call",
        "this argument has to be a constant that is known when the program is loaded",
        r"must be a known constant|is not a (known )?const|constant offset|must have zero offset|not a constant address"
        r"|does not point to a readonly map|zero-terminated|format string|constant argument|R\d+ is not a const"
        r"|must be in range",
    ),
    Category(
        "not-a-pointer",
        "memory",
        "only what the verifier knows to be a valid pointer can be read through",
        r"invalid mem access",
    ),
    Category(
        "stale-packet-pointer",
        "memory",
        "a call that may move the packet ends all pointers into it, and all comparisons of them",
    ),
    Category(
        "use-after-release",
        "lifetime",
        "what was given back may not be used any more",
    ),
    Category(
        "argument-type",
        "call",
        "a call takes an argument of the type that it is declared with",
        r"expected=|expected pointer|expects pointer|but .* is expected|doesn't point|expected|expects|is not a scalar"
        r"|must point|pointer type \w+ \w+ must|too many args|arguments",
    ),
    Category(
        "malformed-program",
        "structure",
        "the instructions have to be well formed, and each has to be reached",
        r"unreachable insn|out of range from insn|last insn is not|reserved fields|invalid destination"
        r"|middle of ldimm64|div by zero|invalid shift|unknown insn|invalid BPF_|invalid bpf_ld|jump out|unreachable"
        r"|func_info|line_info|core_relo|invalid insn|too many|fall ?through|unrecognized|BPF_\w+ uses",
    ),
)

CATEGORIES = {category.id: category for category in (*_ORDER, UNKNOWN)}
"""Every category, by id."""


def find_category(messages: Iterable[str]) -> tuple[Category, str]:
    """The category of what the verifier says, and the line that it is known by.

    Args:
        messages: the lines, from first to last.
    """
    said = list(messages)
    for category in _ORDER:
        for message in said:
            if any(word.search(message) for word in category.words):
                return category, message
    return UNKNOWN, said[-1] if said else ""
