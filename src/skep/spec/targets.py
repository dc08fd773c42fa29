"""What a user says of hooks: what sections leave open, and targets other than those that they name.

The words are the options of ``skep run``:

    --iface NAME          the interface of xdp, tc, tcx and socket filters
    --cgroup PATH         the cgroup of cgroup programs
    --binary PATH         the binary or library of uprobes and USDT probes, whatever their sections name
    --function NAME       the function of kprobes, uprobes, fentry and the like; the system call of ksyscall
    --freq N              samples a second of perf_event
    --attach PROG=TARGET  of one program, what stands behind the slash of its section; with a kind in front of it, the
                          whole section: PROG=kretprobe/do_unlinkat
"""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.spec.sections import Hook, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from skep.spec.objectspec import ProgramSpec

__all__ = ["DEFAULT_FREQUENCY", "Targets", "hook_of", "open_words"]

DEFAULT_FREQUENCY = 99
"""Samples a second: a little off the beat of what happens a hundred times."""

# What a need is filled by.
_WORDS = {
    "an interface": ("iface",),
    "a cgroup": ("cgroup",),
    "a binary": ("binary", "function"),
    "a target function": ("function",),
    "a system call": ("function",),
}


class Targets:
    """What is said of hooks; all of it is optional.

    Args:
        iface: name of a network interface.
        cgroup: path of a cgroup's folder.
        binary: path of a binary, or name of a library or program.
        function: name of a function; with ``*`` and ``?``, all that fit, for the kinds that take several.
        freq: samples a second.
        pid: the one process that uprobes, USDT probes and samples are of; None for all.
        attach: name of a program -> target.
    """

    __slots__ = ("attach", "binary", "cgroup", "freq", "function", "iface", "pid")

    def __init__(
        self,
        *,
        iface: str | None = None,
        cgroup: str | None = None,
        binary: str | None = None,
        function: str | None = None,
        freq: str | int = DEFAULT_FREQUENCY,
        pid: int | None = None,
        attach: Mapping[str, str] | None = None,
    ) -> None:
        self.iface = iface
        self.cgroup = cgroup
        self.binary = binary
        self.function = function
        self.freq = _frequency(freq)
        self.pid = pid
        self.attach = attach or {}


def _frequency(text: str | int) -> int:
    number = int(text) if str(text).isdecimal() and len(str(text)) < 10 else 0
    if not 1 <= number <= 100_000:
        raise UsageError(f"--freq {text}: it takes samples a second, 1 to 100000")
    return number


def hook_of(program: ProgramSpec, targets: Targets) -> Hook:
    """The hook of a program, with what the user says of it.

    Args:
        program: whose section says the rest.
        targets: what is said.

    Raises:
        UsageError: a target is none for such a program.
    """
    stated = targets.attach.get(program.name)
    hook = program.hook if stated is None else _stated(program, stated)
    if hook.in_binary:
        return _in_binary(hook, targets)
    if hook.lacks in {"a target function", "a system call"} and targets.function:
        return parse(f"{_section(hook)}/{targets.function}")
    if hook.lacks == "an interface" and (targets.iface or _noted_interface(program)):
        return hook.complete()
    return hook.complete() if hook.lacks == "a cgroup" and targets.cgroup else hook


def _stated(program: ProgramSpec, target: str) -> Hook:
    hook = parse(target)
    if not hook.kind:
        hook = parse(f"{_section(program.hook)}/{target}")
    if not hook.kind or hook.family != program.hook.family:
        raise UsageError(
            f"--attach {program.name}={target}: a program of section {program.section!r} cannot be attached there",
            remedy="Give what stands behind the slash of its section, or a section of the same family.",
        )
    return hook


def _section(hook: Hook) -> str:
    return f"{hook.kind}.s" if hook.sleepable else hook.kind


def _in_binary(hook: Hook, targets: Targets) -> Hook:
    """The path, and what is in it; the user's path is that of every program."""
    path, _, name = hook.target.partition(":")
    path, name = targets.binary or path, name or targets.function or ""
    return parse(f"{_section(hook)}/{path}:{name}") if path and name else hook


def _noted_interface(program: ProgramSpec) -> bool:
    return "ifindex" in program.note.marks or "ifindex" in program.note.object("tchook")


def open_words(programs: Collection[ProgramSpec]) -> set[str]:
    """The words that say something of the hooks of these programs: ``iface``, ``binary`` ...

    Args:
        programs: of one kernel file.
    """
    words: set[str] = set()
    for program in programs:
        hook = program.hook
        words.update(_WORDS.get(hook.lacks or "", ()))
        words.update({"binary"} if hook.in_binary else ())
        words.update({"freq"} if hook.kind == "perf_event" else ())
    return words
