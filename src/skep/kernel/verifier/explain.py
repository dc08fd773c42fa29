"""A verifier log -> a `Diagnostic`: the category, the line, how it came to be, and what to write instead."""

from __future__ import annotations

import re

from skep.base.errors import Diagnostic
from skep.kernel.verifier import advice, bounds, calls, lifetimes, limits, maps, packets, pointers
from skep.kernel.verifier.categories import CATEGORIES, UNKNOWN, find_category
from skep.kernel.verifier.environment import core_relocation, missing_function, too_old
from skep.kernel.verifier.failure import Failure, Finding
from skep.kernel.verifier.log import read_log
from skep.kernel.verifier.report import read_report
from skep.spec.lines import line_naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skep.kernel.verifier.categories import Category
    from skep.kernel.verifier.environment import Types
    from skep.kernel.verifier.report import Report
    from skep.spec.lines import SourceLine

__all__ = ["explain"]

# What is read of a log: the end of the path is what counts.
_MOST = 20 << 20
_EXPLAINERS: Mapping[str, Callable[[Failure], Finding]] = {
    "null-pointer": pointers.null_pointer,
    "not-a-pointer": pointers.not_a_pointer,
    "packet-bounds": packets.packet_bounds,
    "map-value-bounds": bounds.memory_bounds,
    "memory-bounds": bounds.memory_bounds,
    "stack-bounds": bounds.memory_bounds,
    "size-argument": limits.size_argument,
    "reference-leak": lifetimes.reference_leak,
    "spin-lock": lifetimes.critical_section,
    "critical-section": lifetimes.critical_section,
    "argument-type": calls.argument_type,
    "helper-not-available": calls.helper,
    "context-access": advice.context_access,
    "return-value": calls.return_value,
    "callback": calls.callback,
    "dynptr": calls.dynptr,
    "map-mismatch": maps.map_mismatch,
    "kernel-struct-access": advice.kernel_struct_access,
    "read-only": advice.read_only,
    "reference-release": calls.reference_release,
    "uninitialised-stack": advice.stack_read,
    "complexity": advice.complexity,
}
# Which bounds are meant, by the type of what is read through.
_BOUNDS = {
    "map_value": "map-value-bounds",
    "fp": "stack-bounds",
    "pkt": "packet-bounds",
    "mem": "memory-bounds",
    "ringbuf_mem": "memory-bounds",
    "ctx": "context-access",
}
_INSTRUCTION = re.compile(r"\binsn (\d+)|^(\d+): <invalid CO-RE")


def explain(
    log: str,
    *,
    section: str = "",
    lines: Mapping[int, SourceLine] | None = None,
    types: Types | None = None,
) -> Diagnostic:
    """What a log means.

    Args:
        log: what the kernel wrote, as captured by libbpf; of any kernel, and possibly cut short.
        section: of the program, such as ``xdp``: it says what the program may return and call.
        lines: the source line of each instruction (`skep.spec.lines.source_lines`): kernels before 6.9 do not say it.
        types: what the kernel's types have (`skep.kernel.btf.members`), to name what is nearest to a missing one.
    """
    # Lines of the source stand in it, and may hold anything; the numbers of the kernel have 64 bits.
    said = re.sub(r"\d{21,}", "0", log[-_MOST:] if len(log) > _MOST else log)
    read = read_log(said, lines)
    report = read_report(said)
    category, message = find_category(read.messages)
    failure = Failure(read, category, message, section)
    if failure.category.id in {"memory-bounds", "size-argument"}:
        failure.category = _by_type(failure)
    if failure.category.id == "uninitialised-register" and missing_function(failure.flow) is not None:
        failure.category = CATEGORIES["kernel-too-old"]
    finding = _find(failure, types)
    category = CATEGORIES.get(finding.category or "", failure.category)
    place = _place(failure, finding, lines or {})
    if report is not None and category is UNKNOWN:
        finding.message = report.reason
    if report is not None and place is None:
        place = report.place
    return Diagnostic(
        category.id,
        "error",
        finding.message,
        file=place.file if place is not None else None,
        line=place.line if place is not None else None,
        column=place.column if place is not None else None,
        path=finding.path or (report.path if report is not None else ()),
        suggestion=finding.suggestion or (report.suggestion if report is not None else None),
        source=place.text if place is not None else None,
        details=_details(failure, category.rule, report),
    )


def _find(failure: Failure, types: Types | None) -> Finding:
    if failure.category.id == "core-relocation":
        return core_relocation(failure, types)
    if failure.category.id == "kernel-too-old":
        return too_old(failure)
    needs_steps = failure.category.id not in {"complexity", "helper-not-available", "return-value"}
    if needs_steps and not failure.flow.steps:
        return advice.general(failure)
    return _EXPLAINERS.get(failure.category.id, advice.general)(failure)


def _by_type(failure: Failure) -> Category:
    """Bounds are bounds of something: what the register points to says of what."""
    register = failure.register
    if register is None or not failure.flow.steps:
        return failure.category
    if failure.category.id == "size-argument" and (failure.call or "var &=" in failure.said):
        value = failure.value(register)
        if value is None or value.type == "scalar":
            return failure.category
    value = failure.value(register)
    kind = value.type if value is not None else ""
    if not kind:
        source = failure.origin(register).source
        kind = "map_value" if source is not None and source.instruction.name == "bpf_map_lookup_elem" else ""
    return CATEGORIES.get(_BOUNDS.get(kind, ""), failure.category)


def _place(failure: Failure, finding: Finding, lines: Mapping[int, SourceLine]) -> SourceLine | None:
    """The line to point at: that of the instruction refused, or that the verifier names by its number."""
    steps = failure.flow.steps
    if finding.position is not None:
        return failure.place(finding.position)
    named = _INSTRUCTION.search(failure.message)
    if finding.word is not None and lines:
        return line_naming(lines, finding.word, int(named[2]) if named is not None and named[2] else 0)
    # Of a loop it names the beginning, while the step before is the jump back.
    if named is not None and not (failure.category.id == "infinite-loop" and steps):
        number = int(named[1] or named[2])
        place = next((step.place for step in reversed(steps) if step.index == number), lines.get(number))
        if place is None and named[2]:
            place = failure.log.place
        if place is not None:
            return place
    if failure.category.id == "complexity" and (costs := failure.log.costs()):
        return costs[0][0]
    return steps[-1].place if steps else lines.get(0)


def _details(failure: Failure, rule: str, report: Report | None) -> list[str]:
    details = [f"rule: {rule}"]
    if failure.log.messages:
        details.append(f"verifier: {'; '.join(failure.log.messages[:3])}")
    if report is not None:
        details.append(f"reason: {report.reason}")
    if failure.flow.steps:
        step = failure.flow.steps[-1]
        details.append(f"instruction: {step.index}: {step.text}")
        state = failure.flow.before(failure.position)
        used = dict.fromkeys(f"R{number}" for number in re.findall(r"\b[rw](\d+)\b", step.text))
        if failure.register is not None:
            used[f"R{failure.register}"] = None
        known = [f"{name}={state[name].text}" for name in used if name in state]
        if known:
            details.append(f"registers: {' '.join(known)}")
    return details
