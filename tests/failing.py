"""What has to be found out about each program of tests/programs/failing, and the line that it has to be said of.

The line is the one below a comment `/* fails: CATEGORY */`, or the one that such a comment ends.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "programs" / "failing"
# Of these programs it counts what is suggested.
ADVISED = FOLDER.parent / "advised.bpf.c"
# What else compiles them beside the clang of PATH: Debian's clang-19.
OTHER_COMPILER = Path("/usr/lib/llvm-19/bin")
_MARK = re.compile(r"/\* fails: (\S+) \*/")

# file, program -> what the path or the message has to say of the fact that is missing, and what the suggestion names.
LOST = {
    ("arguments", "may_sleep"): ("may sleep, and this program may not", "sleepable"),
    ("arguments", "not_for_this_type"): ("may not be called by programs", "data_end"),
    ("arguments", "not_the_context"): ("`&pid` is an address on the stack", "own context"),
    ("arguments", "size_cut_on_one_side"): ("`size` may be negative", "if (size < 0 || size > 64)"),
    ("arguments", "size_may_be_negative"): ("`size` may be negative", "declare size unsigned"),
    ("arguments", "size_not_bounded"): ("`size` is not compared with a limit", "if (size > 64)"),
    ("arguments", "value_for_pointer"): ("is a number", "&copy"),
    ("core", "member_missing"): ("struct task_struct has no member state_of_old", "bpf_core_field_exists("),
    ("core", "type_missing"): ("removed_from_kernels", "bpf_core_"),
    ("kfuncs", "dynptr_kept"): ("`record`, which bpf_ringbuf_reserve_dynptr() handed out", "_dynptr(&record, 0)"),
    ("kfuncs", "dynptr_not_set"): ("a dynptr that is not in the state", "Set record up before"),
    ("kfuncs", "parent_not_trusted"): ("does not know that it is valid", "bpf_rcu_read_lock()"),
    ("kfuncs", "rcu_kept"): ("ends inside of the RCU section", "bpf_rcu_read_unlock()"),
    ("kfuncs", "slice_after_pull"): ("bpf_skb_pull_data() may move the packet", "bpf_dynptr_slice() again"),
    ("kfuncs", "slice_after_submit"): ("bpf_ringbuf_submit_dynptr() takes it back", "Use `place` only before"),
    ("kfuncs", "slice_not_tested"): ("`place` may be NULL", "if (!place)"),
    ("kfuncs", "task_kept"): ("`task`, which bpf_task_from_pid() handed out", "bpf_task_release(task)"),
    ("kfuncs", "task_not_tested"): ("`task` may be NULL", "if (!task)"),
    ("licence", "proprietary"): ("compatible with the GPL", "LICENSE[]"),
    ("loops", "call_under_lock"): ("the spin lock begins here", "before bpf_spin_lock()"),
    ("loops", "context_moved"): ("the pointer to the context is changed here", "as it came"),
    ("loops", "global_argument"): ("length_of() is verified by itself", "if (!value)"),
    ("loops", "lock_in_tracing"): ("bpf_spin_lock() may not be called", "Leave the call out"),
    ("loops", "lock_kept"): ("no bpf_spin_unlock() on this path", "bpf_spin_unlock()"),
    ("loops", "locked_twice"): ("is held already", "Call bpf_spin_unlock() before"),
    ("loops", "never_ends"): ("not seen to end", "bpf_loop()"),
    ("loops", "not_a_verdict"): ("it takes 0 to ", "Return 0 to "),
    ("maps", "constant_too_far"): ("the map value has only 80", "larger"),
    ("maps", "constant_written"): ("may only read", "A const global"),
    ("maps", "index_not_bounded"): ("`slot` is not compared with a limit", "if (slot >= sizeof(seen->slots)"),
    ("maps", "index_one_too_many"): ("`slot` is compared here", "if (slot >= sizeof(seen->slots)"),
    ("maps", "index_signed"): ("`slot` may be negative", "declare slot unsigned"),
    ("maps", "moved_before_test"): ("`last` may be NULL", "if (!last)"),
    ("maps", "not_tested"): ("bpf_map_lookup_elem() gives NULL when the map has no such key", "if (!seen)"),
    ("maps", "not_tested_after_own_function"): ("gives NULL when the map has no such key", "if (!seen)"),
    ("maps", "other_tested"): ("this tests another pointer, not `second`", "if (!second)"),
    ("maps", "output_to_no_ring"): ("`counts`, of type BPF_MAP_TYPE_HASH", "__uint(type, BPF_MAP_TYPE_RINGBUF)"),
    ("maps", "wrong_kind_of_map"): ("does not work on this kind of map", "__uint(type"),
    ("packets", "checked_too_little"): ("this comparison proves 14 bytes", "if ((void *)(ip + 1) > end)"),
    ("packets", "direct_in_socket_filter"): ("`skb->data`", "Read only members"),
    ("packets", "end_moved"): ("what only a number allows", "Do not subtract"),
    ("packets", "given_beyond"): ("this comparison proves 34 bytes", "if ((void *)ip + 60 > end)"),
    ("packets", "not_checked"): ("`eth` is read without a comparison", "if ((void *)(eth + 1) > data_end)"),
    ("packets", "offset_not_bounded"): ("beyond 65535", "if (*length > 1500)"),
    ("packets", "payload_walked"): ("this comparison proves 0 bytes", "if ((void *)(&data[place] + 1) > end)"),
    ("packets", "stale"): ("bpf_skb_pull_data() may move the packet", "read data and data_end"),
    ("packets", "stale_after_adjusting"): ("bpf_xdp_adjust_head() may move the packet", "read data and data_end"),
    ("packets", "variable_header"): ("a number that varies is added", "if ((void *)(udp + 1) > end)"),
    ("pointers", "argument_of_function"): ("an address out of the context is a number", "bpf_probe_read_user"),
    ("pointers", "argument_too_many"): ("byte 56", "BPF_PROG()"),
    ("pointers", "bits_of_a_pointer"): ("what only a number allows", "mask"),
    ("pointers", "packet_in_tracing"): ("`ctx->data`", 'SEC("xdp")'),
    ("pointers", "past_the_context"): ("byte 8192", "Read only members"),
    ("pointers", "reads_kernel_memory"): ("an address out of the context is a number", "BPF_CORE_READ(task, pid)"),
    ("pointers", "reads_user_memory"): ("an address out of the context is a number", "bpf_probe_read_user"),
    ("pointers", "reads_what_was_read"): ("where a helper wrote it", "BPF_CORE_READ(parent, tgid)"),
    ("pointers", "variable_in_context"): ("at an offset that varies", "by a constant"),
    ("pointers", "writes_to_context"): ("may not write `ctx->rx_queue_index`", "Leave the write out"),
    ("pointers", "writes_to_kernel"): ("may only read", "helpers"),
    ("references", "never_submitted"): ("the path that forgets it goes this way", "bpf_ringbuf_discard(event, 0)"),
    ("references", "past_the_record"): ("the memory has only 8", "larger"),
    ("references", "reserve_not_tested"): ("gives NULL when the ring is full", "if (!event)"),
    ("references", "size_varies"): ("known only at run time", "bpf_ringbuf_output()"),
    ("references", "socket_kept"): ("`sk`, which bpf_sk_lookup_tcp() handed out", "bpf_sk_release(sk)"),
    ("references", "submitted_twice"): ("bpf_ringbuf_submit() takes it back", "only before bpf_ringbuf_submit()"),
    ("references", "used_after_submit"): ("bpf_ringbuf_submit() takes it back", "only before bpf_ringbuf_submit()"),
    ("rewrites", "copy_is_tested"): ("the compiler kept two copies", 'asm volatile("" : "+r"(size));'),
    ("rewrites", "length_of_string"): ("`length` may be negative", "length < 0"),
    ("rewrites", "mask_lost"): ("this compares another copy of `place`", "place &= 256 - 1"),
    ("stack", "copied_too_much"): ("`name`, which has room for 16", "sizeof(name)"),
    ("stack", "index_not_bounded"): ("`place` is not compared with a limit", "sizeof(text)"),
    ("stack", "key_too_short"): ("`pid`, which has room for 4", "the type of the map's key"),
    ("stack", "register_not_set"): ("not set on this path", "every path"),
    ("stack", "too_large_together"): ("more than 512 bytes", "BPF_MAP_TYPE_PERCPU_ARRAY"),
}

# What Linux 6.1 does not have at all: the functions of the kernel (kfuncs) that these call came with 6.2.
ABSENT = {
    "6.1": {
        ("kfuncs", name)
        for name in ("task_not_tested", "task_kept", "parent_not_trusted", "rcu_kept", "slice_after_pull")
    },
}

# What the verifier refuses before its log names a line: the line is found in the object.
UNPLACED = {("core", "member_missing"), ("core", "type_missing"), ("loops", "lock_in_tracing")}


def section(file: str, program: str) -> str:
    """The section that the source gives a program."""
    return str(re.findall(rf'SEC\("([^"]+)"\)\nint {program}\(', (FOLDER / f"{file}.bpf.c").read_text())[0])


def marked(file: str, program: str) -> tuple[str, int]:
    """The category and the line that the source states for a program."""
    lines = (FOLDER / f"{file}.bpf.c").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if re.search(rf"\bint {program}\(", line))
    if program == "global_argument":
        # It fails in the function that it calls.
        start = next(number for number, line in enumerate(lines) if "int length_of(" in line)
    for number in range(start, len(lines)):
        if match := _MARK.search(lines[number]):
            alone = lines[number].strip() == match[0]
            return match[1], number + 1 + alone
    raise AssertionError(f"{file}: nothing marked for {program}")


def advised() -> list[tuple[str, str, int, str]]:
    """Of each program of `ADVISED`: its name, the category, the line, and words that the suggestion has to hold."""
    lines = ADVISED.read_text().splitlines()
    found = []
    for number, line in enumerate(lines):
        if match := re.search(r"/\* fails: (\S+): (.+) \*/", line):
            # A function that is called back stands before the program that gives it.
            names = [named[1] for each in lines[: number + 1] if (named := re.match(r"int (\w+)\(", each))]
            later = [named[1] for each in lines[number:] if (named := re.match(r"int (\w+)\(", each))]
            name = later[0] if match[1] == "callback" else names[-1]
            found.append((name, match[1], number + 2, match[2]))
    return found
