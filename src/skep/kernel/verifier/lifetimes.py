"""What is taken has to be given back: references, locks, sections."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure

__all__ = ["RELEASERS", "critical_section", "reference_leak", "releases"]

_GIVES_BACK = {
    "bpf_ringbuf_reserve": "bpf_ringbuf_submit({}, 0) or bpf_ringbuf_discard({}, 0)",
    "bpf_ringbuf_reserve_dynptr": "bpf_ringbuf_submit_dynptr(&{}, 0) or bpf_ringbuf_discard_dynptr(&{}, 0)",
    "bpf_sk_lookup_tcp": "bpf_sk_release({})",
    "bpf_sk_lookup_udp": "bpf_sk_release({})",
    "bpf_skc_lookup_tcp": "bpf_sk_release({})",
    "bpf_task_from_pid": "bpf_task_release({})",
    "bpf_task_from_vpid": "bpf_task_release({})",
    "bpf_cgroup_from_id": "bpf_cgroup_release({})",
    "bpf_cgroup_ancestor": "bpf_cgroup_release({})",
    "bpf_cpumask_create": "bpf_cpumask_release({})",
    "bpf_get_task_exe_file": "bpf_put_file({})",
    "bpf_skb_ct_lookup": "bpf_ct_release({})",
    "bpf_xdp_ct_lookup": "bpf_ct_release({})",
    "bpf_skb_ct_alloc": "bpf_ct_insert_entry({})",
    "bpf_xdp_ct_alloc": "bpf_ct_insert_entry({})",
    "bpf_obj_new_impl": "bpf_obj_drop({})",
    "bpf_percpu_obj_new_impl": "bpf_percpu_obj_drop({})",
    "bpf_crypto_ctx_create": "bpf_crypto_ctx_release({})",
}
RELEASERS = {
    "bpf_ringbuf_submit",
    "bpf_ringbuf_discard",
    "bpf_ringbuf_submit_dynptr",
    "bpf_ringbuf_discard_dynptr",
    "bpf_sk_release",
    "bpf_put_file",
    "bpf_obj_drop_impl",
    "bpf_percpu_obj_drop_impl",
    "bpf_ct_insert_entry",
}
"""What takes back what was handed out, beside every ``*_release``."""

# What opens a section, what closes it, and what the verifier says of it.
_SECTIONS = (
    ("bpf_spin_lock", "bpf_spin_unlock", "the spin lock"),
    ("bpf_res_spin_lock", "bpf_res_spin_unlock", "the spin lock"),
    ("bpf_rcu_read_lock", "bpf_rcu_read_unlock", "the RCU section"),
    ("bpf_preempt_disable", "bpf_preempt_enable", "the section without preemption"),
    ("bpf_local_irq_save", "bpf_local_irq_restore", "the section without interrupts"),
)
# The jumps and moves of a function's end.
_MOST_TO_EXIT = 5


def releases(call: str) -> str | None:
    """What gives back what a function hands out, with {} for it; None if it hands out nothing.

    Args:
        call: name of the function.
    """
    if call in _GIVES_BACK:
        return _GIVES_BACK[call]
    if call.endswith("_acquire"):
        return call.removesuffix("_acquire") + "_release({})"
    if match := re.fullmatch(r"(bpf_iter_\w+)_new", call):
        return f"{match[1]}_destroy(&{{}})"
    return None


def reference_leak(failure: Failure) -> Finding:
    """A path ends with something that was not given back."""
    flow = failure.flow
    numbers = [int(number) for number in re.findall(r"alloc_insn=(\d+)", failure.said)]
    taken = next(
        (
            position
            for position in range(flow.last, -1, -1)
            if (numbers and flow.steps[position].index == numbers[0])
            or (not numbers and releases(flow.instruction(position).name))
        ),
        None,
    )
    if taken is None:
        return Finding("something that was handed out is not given back", suggestion=None)
    call = flow.instruction(taken).name
    name = _holder(failure, taken, call)
    give = (releases(call) or "its release function").replace("{}", name or "it")
    what = quoted(name) if name else f"what {call}() gave"
    branch = _last_branch(failure, taken)
    spans = [failure.at(taken, f"{call}() hands it out")]
    shared = branch is not None and _tests_for_null(failure, taken, branch)
    if branch is not None and not shared:
        spans.append(failure.at(branch, "the path that forgets it goes this way"))
    if failure.call == "bpf_tail_call":
        spans.append(failure.at(failure.position, "a tail call does not come back"))
        leaves = "before the tail call"
    else:
        spans.append(failure.at(failure.position, f"the program ends, and {what} was not given back"))
        leaves = "before returning, on this path too"
    end = branch if branch is not None and _is_near(failure, branch) else _last_statement(failure)
    if shared and end == branch:
        # The compiler gives the line of the test for NULL to the comparison after it as well.
        end = taken
    return Finding(
        f"{what}, which {call}() handed out, is not given back on this path",
        failure.path(*spans),
        f"Call {give} {leaves}.",
        position=end,
    )


def _is_near(failure: Failure, branch: int) -> bool:
    """Whether a branch leads to the end of the program at once, by a line of the program's own file."""
    end, last = failure.place(failure.position), failure.place(branch)
    own = end is not None and last is not None and end.file == last.file
    return own and failure.flow.last - branch <= _MOST_TO_EXIT


def _tests_for_null(failure: Failure, taken: int, branch: int) -> bool:
    """Whether a branch has the line of the test for NULL of what was handed out, in the same file."""
    flow, line, first = failure.flow, failure.place(branch), failure.place(taken)
    if line is None or first is None or line.file != first.file:
        return False
    return any(
        does.target == 0 and does.constant == 0 and flow.steps[position].place == line
        for position in range(taken + 1, branch)
        if (does := flow.instruction(position)).kind == "test"
    )


def _last_statement(failure: Failure) -> int | None:
    """The return before a closing brace, or what is before a macro's end: to these the compiler counts an exit."""
    steps = failure.flow.steps
    end = steps[failure.position].place
    if end is None:
        return None
    in_macro = "BPF_PROG(" in end.text or "BPF_KPROBE(" in end.text
    for position in range(failure.position, -1, -1):
        place = steps[position].place
        if place is not None and place.text.strip() != "}" and place.line != end.line and place.file == end.file:
            return position if in_macro or "return" in place.text else None
    return None


def _holder(failure: Failure, position: int, call: str) -> str | None:
    """The user's name for what a call hands out: what it is assigned to, or what it writes to."""
    place = failure.place(position)
    text = place.text if place is not None else ""
    for number in (1, 4) if call.endswith("_dynptr") or call.startswith("bpf_iter_") else ():
        given = argument(text, call, number)
        if given is not None and given.startswith("&") and (number == 4 or call.startswith("bpf_iter_")):
            return given[1:]
    return failure.assigned(failure.flow.origin(0, position + 1).source) if position < failure.flow.last else None


def _last_branch(failure: Failure, since: int) -> int | None:
    """The last comparison that sent this path elsewhere than straight on."""
    steps = failure.flow.steps
    for position in range(failure.position - 1, since, -1):
        if failure.flow.instruction(position).kind == "test" and steps[position + 1].index != steps[position].index + 1:
            return position
    return None


def critical_section(failure: Failure) -> Finding:
    """Something is done inside of a section that has to wait, or the section is not left."""
    flow = failure.flow
    for position in range(flow.last, -1, -1):
        for opens, closes, what in _SECTIONS:
            call = flow.instruction(position).name
            if call.startswith(opens) and position != flow.last:
                return _open_section(failure, position, closes, what)
            if call.startswith(closes) and position != flow.last:
                break
    call = failure.call
    closing = next((opens for opens, closes, _ in _SECTIONS if call.startswith(closes)), None)
    if closing is not None:
        return Finding(
            f"{call}() closes what is not open on this path",
            failure.path(failure.at(failure.position, "nothing is held here")),
            f"Call {closing}() before it, on every path that comes here.",
        )
    if "RCU" in failure.said or "rcu" in failure.said:
        return Finding(
            f"{call}() needs an RCU section around it" if call else "this needs an RCU section around it",
            failure.path(failure.at(failure.position, "no bpf_rcu_read_lock() is held here")),
            "Call bpf_rcu_read_lock() before, and bpf_rcu_read_unlock() after it.",
        )
    return Finding(failure.message, failure.path(failure.at(failure.position, "here")))


def _open_section(failure: Failure, opened: int, closes: str, what: str) -> Finding:
    start = failure.at(opened, f"{what} begins here")
    if failure.instruction.kind == "exit":
        branch = _last_branch(failure, opened)
        return Finding(
            f"the program ends inside of {what}",
            failure.path(
                start,
                failure.at(branch, "the path that forgets it goes this way") if branch is not None else None,
                failure.at(failure.position, f"no {closes}() on this path"),
            ),
            f"Call {closes}() before every return after {failure.flow.instruction(opened).name}().",
            position=branch if branch is not None and _is_near(failure, branch) else _last_statement(failure),
        )
    call = f"{failure.call}()" if failure.call else "this"
    if failure.call == failure.flow.instruction(opened).name:
        return Finding(
            f"{call} is called where {what} is held already",
            failure.path(start, failure.at(failure.position, f"the second one, before {closes}()")),
            f"Call {closes}() before this line, or leave one of both out: a program holds one lock at a time.",
        )
    return Finding(
        f"{call} cannot be done inside of {what}",
        failure.path(start, failure.at(failure.position, f"{call} is called before {closes}()")),
        f"Move it out of the section: call {call} before {failure.flow.instruction(opened).name}(), and keep what it "
        f"returns in a variable, or after {closes}().",
    )
