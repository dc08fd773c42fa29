"""bench/run verifier: are the verifier's refusals of strangers' programs explained rightly?

The programs are the selftests of Linux 6.12 (tools/testing/selftests/bpf/progs, from Debian's linux-source-6.12, in
the cache as for `bench/run strangers`) that state the message they have to fail with (`__failure __msg`): those that
clang compiles by hand, each loaded alone, on 6.12 under QEMU. Of those that are refused with the message they state:

category    is one of those that a table, written by hand from the messages, allows; where a message leaves open what
            it means, what the program's own source says
function    the line lies inside of the program's own function, or of one that it calls
line        on a sample that was labelled by hand, the line is the right one

    bench/run verifier              on 6.12
    bench/verifier.py --here        on the running kernel, with .venv/bin/python
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import skep
from skep.kernel.btf import header_folder, identity
from skep.spec.btf import DECL_TAG, Btf
from skep.spec.elf import Elf
from skep.spec.lines import source_lines

# A script has its own folder on the path, not the project.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.corpus import CACHE, PROJECT, corpus

OBJECTS = CACHE.parent / "verifier"
BOOT_LIMIT = 3600
_FAILURE = "comment:test_expect_failure"
_MESSAGE = re.compile(r"comment:test_expect_msg=\d+=(.*)", re.DOTALL)

# What a message may mean, by the whole line in which the verifier says it (the selftests state parts of it); the first
# that fits counts. Two where the line leaves it open. Reviewed by a second engineer (2026-11-22).
TABLE = (
    (r"tail_call would lead", "reference-leak tail-call"),
    (r"Unreleased reference|reference leak", "reference-leak"),
    (r"packet pointer|access to packet|outside of the packet|math between pkt", "packet-bounds"),
    (r"helper access to the packet", "argument-type"),
    (r"cannot use helper|calling kernel function|cannot update sockmap|not allowed in probe", "helper-not-available"),
    (r"tracing progs cannot use|non-zero flags|LD_ABS is only", "helper-not-available"),
    (r"bpf_throw|exception c(b|allback) ", "exception"),
    (r"RCU|rcu_read|preempt", "critical-section"),
    (r"cannot be accessed directly", "special-field"),
    (r"spin_|unlock|holding a lock|taking a lock", "spin-lock"),
    (r"rcu pointer|referenced or trusted|type=untrusted|expected=ptr_, trusted", "untrusted-pointer"),
    (r"NULL pointer passed|_or_null|null-check", "null-pointer"),
    (r"dynptr", "dynptr"),
    (r"iter_", "iterator"),
    (r"kptr", "kptr"),
    (r"sleepable|might sleep", "sleepable"),
    (r"callback return", "callback"),
    (r"callback|called from", "callback"),
    (r"timer|bpf_wq|workqueue", "special-field"),
    (r"rb_root|rbtree|owning|allocated object|obj_drop|obj_new", "object-graph"),
    (r"unacquired|release kernel function|passed to release", "reference-release"),
    (r"combined stack|stack size", "stack-size"),
    (r"frames", "call-depth"),
    (r"too large|too complex", "complexity"),
    (r"loop detected|back-edge", "infinite-loop"),
    (r"R0 has|register R0|R0 is not a known|should have been in", "return-value"),
    (r"unreachable|out of range|div by zero|jump|invalid shift", "malformed-program"),
    (r"doesn't return scalar|invalid args|reference type", "global-function"),
    (r"expects pointer to ctx", "global-function argument-type"),
    (r"bpf_context|ctx ptr|ctx pointer|ctx access|R\d+ ctx|different pointers", "context-access"),
    (r"stores into", "read-only"),
    (r"misaligned", "misaligned"),
    (r"write into|cannot write|only read|read from map|allow writes|read only", "read-only"),
    (r"zero-sized|'var &=|len pair", "size-argument"),
    (r"!read_ok|is invalid$", "uninitialised-register"),
    (r"math between fp|fp pointer", "stack-bounds"),
    (r"access to map value|makes map_value|math between map_value", "map-value-bounds"),
    (r"read from stack", "uninitialised-stack"),
    (r"to stack|variable-offset", "stack-bounds"),
    (r"math between|pointer [-+]= pointer|arithmetic|subtract|bitwise", "pointer-arithmetic"),
    (r"min value is negative|unbounded memory|outside of the allowed", "map-value-bounds memory-bounds"),
    (r"access to memory|buffer offset|tp_buffer", "memory-bounds"),
    (r"mem access", "not-a-pointer"),
    (r"map_type|map pointer|valid bpf_map", "map-mismatch"),
    (r"known constant", "constant-argument"),
    (r"access beyond|negative access|(sock|tcp_sock|sock_common) access|cannot access ptr", "kernel-struct-access"),
    (r"hook|attach to", "attach-target"),
    (r"expected|expects|must point", "argument-type"),
)
# Where the message says what is refused, not what led there: what the program does wrong, read in its source.
_ENDED = "dynptr use-after-release"
_MOVED = "stale-packet-pointer dynptr"
MEANT = {
    "dynptr_fail": {
        "data_slice_use_after_release1": "use-after-release",
        "data_slice_use_after_release2": "use-after-release",
        "clone_invalidate4": "use-after-release",
        "clone_invalidate5": "use-after-release",
        "clone_invalidate6": "use-after-release",
        "dynptr_invalidate_slice_reinit": _ENDED,
        "dynptr_invalidate_slice_or_null": _ENDED,
        "dynptr_invalidate_slice_failure": _ENDED,
        "invalid_data_slices": _ENDED,
        "skb_invalid_data_slice1": _MOVED,
        "skb_invalid_data_slice2": _MOVED,
        "skb_invalid_data_slice3": _MOVED,
        "skb_invalid_data_slice4": _MOVED,
        "xdp_invalid_data_slice1": _MOVED,
        "xdp_invalid_data_slice2": _MOVED,
        "clone_skb_packet_data": _MOVED,
        "clone_xdp_packet_data": _MOVED,
    },
    "test_global_func17": {"global_func17": "read-only"},
    "user_ringbuf_fail": {
        "user_ringbuf_callback_null_context_read": "null-pointer not-a-pointer",
        "user_ringbuf_callback_null_context_write": "null-pointer not-a-pointer",
    },
}
# Labelled by hand: the line on which the program is wrong. Inline assembler is one line to the compiler: its first.
LABELS = {
    "async_stack_depth": {"pseudo_call_check": 34, "async_call_root_check": 49},
    "cgrp_kfunc_failure": {
        "cgrp_kfunc_acquire_no_null_check": 61,
        "cgrp_kfunc_acquire_fp": 73,
        "cgrp_kfunc_acquire_unsafe_kretprobe": 87,
        "cgrp_kfunc_acquire_trusted_walked": 101,
        "cgrp_kfunc_acquire_null": 115,
        "cgrp_kfunc_acquire_unreleased": 128,
        "cgrp_kfunc_release_fp": 200,
        "cgrp_kfunc_release_unacquired": 244,
    },
    "cpumask_failure": {
        "test_alloc_no_release": 44,
        "test_alloc_double_release": 56,
        "test_acquire_wrong_cpumask": 69,
        "test_mutate_cpumask": 80,
        "test_invalid_nested_array": 216,
    },
    "dynptr_fail": {
        "ringbuf_missing_release1": 90,
        "ringbuf_release_uninit_dynptr": 145,
        "use_after_invalid": 165,
        "data_slice_out_of_bounds_ringbuf": 244,
        "data_slice_out_of_bounds_skb": 267,
        "data_slice_out_of_bounds_map_value": 287,
        "data_slice_use_after_release1": 310,
        "data_slice_use_after_release2": 344,
        "invalid_helper2": 425,
        "invalid_write1": 443,
        "invalid_read1": 550,
        "invalid_read3": 584,
        "dynptr_invalidate_slice_reinit": 961,
        "dynptr_invalidate_slice_or_null": 980,
        "dynptr_invalidate_slice_failure": 1007,
        "skb_invalid_slice_write": 1087,
        "skb_invalid_data_slice1": 1113,
        "dynptr_slice_var_len1": 1325,
        "dynptr_slice_var_len2": 1345,
        "invalid_slice_rdwr_rdonly": 1402,
        "clone_invalidate4": 1581,
    },
    "nested_trust_failure": {"test_invalid_nested_user_cpus": 30, "test_invalid_skb_field": 39},
    "sock_destroy_prog_fail": {"trace_tcp_destroy_sock": 18},
    "task_kfunc_failure": {
        "task_kfunc_acquire_unsafe_kretprobe": 74,
        "task_access_comm1": 269,
        "task_access_comm2": 277,
        "task_access_comm3": 285,
    },
    "test_global_func1": {"global_func1": 52},
    "test_global_func10": {"global_func10": 34},
    "test_global_func11": {"global_func11": 20},
    "test_global_func13": {"global_func13": 25},
    "test_global_func15": {"global_func15": 23, "global_func15_tricky_pruning": 36},
    "test_global_func3": {"global_func3": 17},
    "test_global_func5": {"global_func5": 19},
    "test_global_func6": {"global_func6": 19},
    "user_ringbuf_fail": {"user_ringbuf_callback_invalid_return": 180},
    "verifier_array_access": {
        "an_array_with_a_constant_2": 157,
        "with_a_invalid_max_check_2": 305,
        "a_read_only_array_1_2": 386,
    },
    "verifier_basic_stack": {"invalid_fp_arithmetic": 66, "misaligned_read_from_stack": 93},
    "verifier_bounds_mix_sign_unsign": {"signed_and_unsigned_variant_6": 216},
    "verifier_cfg": {"unreachable": 14, "conditional_loop": 91},
    "verifier_direct_packet_access": {"pkt_end_reg_bad_access": 141},
    "verifier_linked_scalars": {"scalars_self_add_clears_id": 43},
    "verifier_loops1": {"loop_after_a_conditional_jump": 129, "bounded_recursion": 155},
    "verifier_meta_access": {"meta_access_test5": 97},
    "verifier_prevent_map_lookup": {"map_lookup_in_stack_trace": 27},
    "verifier_jeq_infer_not_null": {"unchanged_for_jne_true_branch": 70},
    "verifier_raw_stack": {"load_bytes_invalid_access_1": 242},
    "verifier_spin_lock": {
        "lock_test2_direct_ld_st": 59,
        "lock_test3_direct_ld_st": 93,
        "call_within_a_locked_region": 160,
        "spin_lock_test6_missing_unlock": 194,
    },
}


def verifier(*, here: bool) -> None:
    """Prints what was explained otherwise than stated, and the totals."""
    _compile()
    results = CACHE.parent / "verifier-results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    if here:
        _load_all(results / "rows")
    else:
        command = ["tests/vm/run", "--kernel", "6.12", "--timeout", str(BOOT_LIMIT), "--collect", str(results)]
        subprocess.run([*command, "--", sys.executable, __file__, "guest"], cwd=PROJECT, check=True)
    rows = [json.loads(line) for line in (results / "rows").read_text().splitlines()]
    _totals(rows)


def _compile() -> None:
    OBJECTS.mkdir(parents=True, exist_ok=True)
    header = header_folder(identity())
    sources = [
        path for path in corpus() if path.parent.name == "progs" and "__failure" in path.read_text("utf-8", "replace")
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda source: _compile_one(source, header), sources))


def _compile_one(source: Path, header: str) -> None:
    target = OBJECTS / f"{source.stem}.bpf.o"
    if target.exists():
        return
    command = ["clang", "-g", "-O2", "-mcpu=v3", "--target=bpf", "-D__TARGET_ARCH_x86", f"-I{header}", "-I.."]
    command += ["-idirafter", str(CACHE / "stubs"), "-idirafter", f"/usr/include/{os.uname().machine}-linux-gnu"]
    subprocess.run(
        [*command, "-c", source.name, "-o", str(target)], cwd=source.parent, capture_output=True, check=False
    )


def _stated(path: Path) -> dict[str, list[str]]:
    """The messages that the programs of an object have to fail with, by program."""
    elf = Elf(path.read_bytes(), path.name)
    btf = Btf(elf.by_name[".BTF"].data, elf.byte_order, path.name)
    tags: dict[str, list[str]] = {}
    for number in range(1, len(btf)):
        raw = btf.raw(number)
        if raw.kind == DECL_TAG:
            tags.setdefault(btf.raw(raw.size_or_type).name, []).append(raw.name)
    found = {
        name: [m[1] for tag in said if (m := _MESSAGE.match(tag))] for name, said in tags.items() if _FAILURE in said
    }
    return {name: messages for name, messages in found.items() if messages}


def _load_all(rows: Path) -> None:
    with rows.open("w") as file:
        for path in sorted(OBJECTS.glob("*.bpf.o")):
            for program, messages in _stated(path).items():
                row = {"file": path.name.removesuffix(".bpf.o"), "program": program, "messages": messages}
                file.write(json.dumps(row | _load(path, program)) + "\n")


def _load(path: Path, program: str) -> dict[str, Any]:
    try:
        spec = skep.open(str(path))
        if program not in spec.programs:
            return {"result": "not a program"}
        spec.load(wanted=[program], without=[other for other in spec.programs if other != program]).close()
    except skep.VerifierError as error:
        found = error.diagnostic
        assert found is not None
        lines = {each.line for each in source_lines(spec.data, path.name, program).values()}
        return {
            "result": "refused",
            "log": error.log[-4000:],
            "category": found.id,
            "line": found.line,
            "inside": found.line in lines,
        }
    except skep.SkepError as error:
        return {"result": error.message.partition("\n")[0]}
    return {"result": "loaded"}


def _totals(rows: list[dict[str, Any]]) -> None:
    refused = [row for row in rows if row["result"] == "refused"]
    as_stated = [row for row in refused if any(_pattern(said).search(row["log"]) for said in row["messages"])]
    right = placed = labelled = on_line = 0
    for row in as_stated:
        name = f"{row['file']} {row['program']}"
        allowed = _allowed(row)
        right += row["category"] in allowed
        placed += row["inside"] is True
        if row["category"] not in allowed:
            print(f"{name}: {row['category']}, not {' or '.join(allowed) or 'in the table'}: {row['messages'][-1]}")
        label = LABELS.get(row["file"], {}).get(row["program"])
        labelled += label is not None
        on_line += label == row["line"] if label is not None else 0
        if label is not None and label != row["line"]:
            print(f"{name}: line {row['line']}, not {label}")
    for what, count, of in (
        ("refused, of those that compile and state a message", len(refused), len(rows)),
        ("... with that message", len(as_stated), len(refused)),
        ("... category as the table says", right, len(as_stated)),
        ("... line inside of the function", placed, len(as_stated)),
        ("... line right, of those labelled by hand", on_line, labelled),
    ):
        print(f"{what:60}{count:5} of {of:4} {100 * count / max(of, 1):5.1f} %")


def _pattern(message: str) -> re.Pattern[str]:
    """A message of a selftest: what stands in {{ }} is a regular expression."""
    parts = re.split(r"\{\{(.*?)\}\}", message)
    return re.compile("".join(re.escape(part) if number % 2 == 0 else part for number, part in enumerate(parts)))


def _allowed(row: dict[str, Any]) -> list[str]:
    """What a refusal may be called: by the last line that a message stands in, of the last message the table knows."""
    if meant := MEANT.get(row["file"], {}).get(row["program"]):
        return meant.split()
    for message in reversed(row["messages"]):
        said = [line for line in row["log"].splitlines() if _pattern(message).search(line)]
        for pattern, categories in TABLE:
            if said and re.search(pattern, said[-1]):
                return categories.split()
    return []


if __name__ == "__main__":
    if sys.argv[1:] == ["guest"]:
        _load_all(Path(os.environ["SKEP_RESULTS"]) / "rows")
    else:
        verifier(here=sys.argv[1:] == ["--here"])
