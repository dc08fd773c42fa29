"""What a user says of hooks: what sections leave open, and targets other than those that they name.

The words are the options of ``skep run``:

    --iface NAME          the interface of xdp, tc, tcx and socket filters
    --cgroup PATH         the cgroup of cgroup programs, or the one that an iterator over cgroups starts at
    --direction WAY       of tc and cgroup/skb, which packets: ingress (what comes, as long as nothing says otherwise)
                          or egress (what leaves)
    --xdp-mode MODE       of xdp: native (in the driver) or generic (in front of the stack); else the driver decides
    --binary PATH         the binary or library of uprobes and USDT probes, whatever their sections name
    --function NAME       the function of kprobes, uprobes, fentry and the like, or a pattern (vfs_*); the system call
                          of ksyscall; the PROVIDER:NAME of USDT probes
    --freq N              samples a second of perf_event
    --attach PROG=TARGET  of one program, what stands behind the slash of its section; with a kind in front of it, the
                          whole section: PROG=kretprobe/do_unlinkat; of perf_event, an event and its period:
                          PROG=page-faults:1; of an iterator over a map, or of a program on a map's sockets, the
                          map: its name, number, or pin;
                          of a program on an interface or a cgroup, that: PROG=eth0; of netfilter, a place and a
                          priority: PROG=ipv4/local_in/10
"""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.spec.objectspec import TREE
from skep.spec.sections import Hook, parse, split_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from skep.spec.objectspec import MapSpec, ProgramSpec

__all__ = ["DEFAULT_FREQUENCY", "Targets", "hook_of", "open_words"]

DEFAULT_FREQUENCY = 99
"""Samples a second: a little off the beat of what happens a hundred times."""

# What a need is filled by.
_WORDS = {
    "an interface": ("iface",),
    "a cgroup": ("cgroup",),
    "a binary": ("binary", "function"),
    "a probe": ("function",),
    "a target function": ("function",),
    "a system call": ("function",),
}


# The kinds of maps (enum bpf_map_type) that hold sockets, and those that iterators over a map walk over: hashes and
# arrays, storage of sockets, maps of sockets.
_SOCKETS = {15, 18}
_WALKED = {"bpf_map_elem": {1, 2, 5, 6, 9, 10}, "bpf_sk_storage_map": {24}, "sockmap": _SOCKETS}


# What is told by its name alone, and whether that has a slash.
_PLACES = {"an interface": False, "a cgroup": True}


class Targets:
    """What is said of hooks; all of it is optional.

    Args:
        iface: name of a network interface.
        cgroup: path of a cgroup's folder.
        direction: ``ingress`` or ``egress``, where a section does not say it; None: as an annotation says, or ingress.
        xdp_mode: ``native`` or ``generic``; None: as an annotation says, or as the driver likes.
        binary: path of a binary, or name of a library or program.
        function: name of a function; with ``*`` and ``?``, all that fit.
        freq: samples a second.
        pid: the one process that uprobes and USDT probes are of; None for all.
        root: the process that samples are of, with what it starts from then on, and that iterators over tasks walk
            over; None for all.
        process: the process whose program and libraries are meant where a uprobe or USDT probe names no path; its
            children are not left out.
        attach: name of a program -> target.
    """

    __slots__ = (
        "attach",
        "binary",
        "cgroup",
        "direction",
        "freq",
        "function",
        "iface",
        "pid",
        "process",
        "root",
        "xdp_mode",
    )

    def __init__(
        self,
        *,
        iface: str | None = None,
        cgroup: str | None = None,
        direction: str | None = None,
        xdp_mode: str | None = None,
        binary: str | None = None,
        function: str | None = None,
        freq: str | int = DEFAULT_FREQUENCY,
        pid: int | None = None,
        process: int | None = None,
        root: int | None = None,
        attach: Mapping[str, str] | None = None,
    ) -> None:
        self.iface = iface
        self.cgroup = cgroup
        self.direction = _one_of("--direction", direction, ("ingress", "egress"))
        self.xdp_mode = _one_of("--xdp-mode", xdp_mode, ("native", "generic"))
        self.binary = binary
        self.function = function
        self.freq = _frequency(freq)
        self.pid = pid
        self.process = process
        self.root = root
        self.attach = attach or {}

    def __repr__(self) -> str:
        said = [f"{name}={value!r}" for name in self.__slots__ if (value := getattr(self, name))]
        return f"Targets({', '.join(said)})"

    def in_process(self, *, root: int | None, process: int | None) -> Targets:
        """The same, with what a run knows of processes; None leaves what was said.

        Args:
            root: as above.
            process: as above.
        """
        said = {name: getattr(self, name) for name in self.__slots__}
        said |= {name: pid for name, pid in (("root", root), ("process", process)) if pid is not None}
        return Targets(**said)


def _frequency(text: str | int) -> int:
    number = int(text) if str(text).isdecimal() and len(str(text)) < 10 else 0
    if not 1 <= number <= 100_000:
        raise UsageError(f"--freq {text}: it takes samples a second, 1 to 100000")
    return number


def _one_of(option: str, text: str | None, known: tuple[str, ...]) -> str | None:
    if text is not None and text not in known:
        raise UsageError(f"{option} {text}: it takes {' or '.join(known)}")
    return text


def hook_of(program: ProgramSpec, targets: Targets, maps: Mapping[str, MapSpec]) -> Hook:
    """The hook of a program, with what the user says of it.

    Args:
        program: whose section says the rest.
        targets: what is said.
        maps: of its kernel file.

    Raises:
        UsageError: a target is none for such a program.
    """
    stated = targets.attach.get(program.name)
    if program.hook.walks_map or program.hook.on_sockets:
        return _on_map(program, stated, maps)
    hook = program.hook if stated is None else _stated(program, stated)
    if hook.in_binary:
        return _of_several(_in_binary(hook, targets))
    if hook.lacks in {"a target function", "a system call"} and targets.function:
        hook = parse(f"{_section(hook)}/{targets.function}")
    if not hook.lacks:
        return _of_several(hook)
    place = (targets.iface or _noted_interface(program)) if hook.lacks == "an interface" else targets.cgroup
    return hook.complete(place) if hook.lacks in _PLACES and place else hook


def _stated(program: ProgramSpec, target: str) -> Hook:
    hook = parse(target)
    if not hook.kind:
        hook = parse(f"{_section(program.hook)}/{target}")
    # No interface has a slash in its name, and the path of every cgroup has one.
    if not hook.kind and _PLACES.get(program.hook.lacks or "") == ("/" in target):
        return program.hook.complete(target)
    if not hook.kind or hook.family != program.hook.family:
        raise UsageError(
            f"--attach {program.name}={target}: a program of section {program.section!r} cannot be attached there",
            remedy="Give what stands behind the slash of its section, or a section of the same family.",
        )
    return hook


def _on_map(program: ProgramSpec, stated: str | None, maps: Mapping[str, MapSpec]) -> Hook:
    """On the map that is stated, or the only one that it can be on; an iterator walks over none that it uses itself."""
    hook = program.hook
    types = _SOCKETS if hook.on_sockets else _WALKED[hook.target]
    used = set() if hook.on_sockets else program.symbols | {TREE}
    fitting = [map_.name for map_ in maps.values() if map_.type in types and map_.name not in used]
    if stated is None:
        return hook.over(fitting[0]) if len(fitting) == 1 else hook
    if stated not in maps and not stated.isdecimal() and not stated.startswith("/"):
        raise UsageError(
            f"--attach {program.name}={stated}: there is no map {stated}",
            remedy=f"It takes a map of this file ({', '.join(maps) or 'it has none'}), a map's number, or its pin.",
        )
    return hook.over(stated)


def _section(hook: Hook) -> str:
    return f"{hook.kind}.s" if hook.sleepable else hook.kind


def _in_binary(hook: Hook, targets: Targets) -> Hook:
    """The path, and what is in it; the user's path is that of every program."""
    path, place = split_binary(hook.kind, hook.target)
    path = targets.binary or path or (f"/proc/{targets.process}/exe" if targets.process is not None else "")
    place = place or targets.function or ""
    # Of what is open still, the hook names the first.
    return parse(f"{_section(hook)}/{path}:{place}" if path else f"{_section(hook)}/{place}")


def _of_several(hook: Hook) -> Hook:
    """A pattern of functions is for the kind that takes several."""
    if hook.kind in {"kprobe", "kretprobe", "uprobe", "uretprobe"} and hook.is_pattern:
        return parse(f"{hook.kind}.multi{'.s' if hook.sleepable else ''}/{hook.target}")
    return hook


def _noted_interface(program: ProgramSpec) -> str:
    number = program.note.object("tchook").get("ifindex", program.note.value("ifindex"))
    return "" if number is None else str(number)


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
        words.update({"direction"} if hook.either_way else ())
        words.update({"xdp-mode"} if hook.kind in {"xdp", "xdp.frags"} else ())
        words.update({"cgroup"} if (hook.kind, hook.target) == ("iter", "cgroup") else ())
    return words
