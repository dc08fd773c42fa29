"""What a section names: a kind of hook, what it is on, and what the section leaves open.

The names are those of libbpf, which takes some as they stand, some with a target behind a slash, and attaches a program
by itself only where the section says all that it needs.

Source: tools/lib/bpf/libbpf.c (section_defs, and the attach functions beside them).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTHING_ATTACHES", "Hook", "kinds", "no_hook", "parse", "split_binary"]

NOTHING_ATTACHES = "nothing in skep attaches this kind yet"

_FUNCTION, _BINARY, _INTERFACE, _CGROUP = "a target function", "a binary", "an interface", "a cgroup"
_TRACEPOINT, _CALL, _STACK = "a tracepoint", "a system call", "a place in the network stack"
_MAP, _PROBE, _SOCKETS = "a map to walk over", "a probe", "a map of sockets"
# How targets begin that stand for one which user space chooses.
_PLACEHOLDER = "dummy"
# What says it, on the command line; for what is not here, --attach.
_OPTIONS = {
    _FUNCTION: "--function NAME",
    _CALL: "--function NAME",
    _PROBE: "--function PROVIDER:NAME",
    _BINARY: "--binary PATH",
    _INTERFACE: "--iface NAME",
    _CGROUP: "--cgroup PATH",
    _STACK: "--attach PROGRAM=ipv4/local_in, or another",
    _TRACEPOINT: "--attach PROGRAM=CATEGORY/NAME",
    _MAP: "--attach PROGRAM=MAP",
    _SOCKETS: "--attach PROGRAM=MAP",
}

# Two names of one kind.
_ALIASES = {"tracepoint": "tp", "raw_tracepoint": "raw_tp", "raw_tracepoint.w": "raw_tp.w"}

# Kinds with a target behind a slash, that libbpf attaches: what is open without one.
_TARGETED = {
    "kprobe": _FUNCTION,
    "kretprobe": _FUNCTION,
    "kprobe.multi": _FUNCTION,
    "kretprobe.multi": _FUNCTION,
    "ksyscall": _CALL,
    "kretsyscall": _CALL,
    "uprobe": _BINARY,
    "uretprobe": _BINARY,
    "usdt": _BINARY,
    "tp": _TRACEPOINT,
    "raw_tp": _TRACEPOINT,
    "raw_tp.w": _TRACEPOINT,
    "tp_btf": _TRACEPOINT,
    "fentry": _FUNCTION,
    "fexit": _FUNCTION,
    "fmod_ret": _FUNCTION,
    "lsm": _FUNCTION,
    # Unknown to libbpf 1.1.
    "netfilter": _STACK,
    "kprobe.session": _FUNCTION,
    "uprobe.multi": _BINARY,
    "uretprobe.multi": _BINARY,
    "uprobe.session": _BINARY,
}
# Kinds with a target behind a slash, that need more than it: what is open even so (None: nobody does it yet).
_LEFT_OPEN: Mapping[str, str | None] = {
    "freplace": None,
    "lsm_cgroup": _CGROUP,
    "iter": "",
    # Its target is a member of the struct, which says where it is registered.
    "struct_ops": "",
    # Behind its slash stands an event; without one, samples are taken by the clock.
    "perf_event": "",
}
# Iterators over what one map holds.
_OVER_A_MAP = {"bpf_map_elem", "bpf_sk_storage_map", "sockmap"}
# ... and over tasks.
_OVER_TASKS = {"task", "task_file", "task_vma"}
# Whole sections: what is open.
_WHOLE: Mapping[str, str | None] = {
    **dict.fromkeys(("xdp", "xdp.frags", "tc", "classifier", "action"), _INTERFACE),
    **dict.fromkeys(("xdp/devmap", "xdp.frags/devmap", "xdp/cpumap", "xdp.frags/cpumap"), None),
    **dict.fromkeys(("sk_skb", "sk_skb/stream_parser", "sk_skb/stream_verdict", "sk_msg"), _SOCKETS),
    **dict.fromkeys(("sk_reuseport", "sk_reuseport/migrate"), None),
    # Of the network namespace that skep runs in.
    **dict.fromkeys(("sk_lookup", "flow_dissector"), ""),
    **dict.fromkeys(("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "lirc_mode2"), None),
    "socket": _INTERFACE,
    **dict.fromkeys(("sockops", "cgroup_skb/ingress", "cgroup_skb/egress"), _CGROUP),
    **dict.fromkeys((f"cgroup/{what}" for what in ("skb", "sock", "sock_create", "sock_release", "sysctl")), _CGROUP),
    **dict.fromkeys((f"cgroup/{what}" for what in ("getsockopt", "setsockopt", "dev")), _CGROUP),
    **{
        f"cgroup/{call}{family}": _CGROUP
        for call in ("bind", "connect", "sendmsg", "recvmsg", "getpeername", "getsockname")
        for family in ("4", "6", "_unix")
        if call != "bind" or family != "_unix"
    },
    **dict.fromkeys(("cgroup/post_bind4", "cgroup/post_bind6"), _CGROUP),
    "syscall": "",
    # Unknown to libbpf 1.1.
    **dict.fromkeys(("tc/ingress", "tc/egress", "tcx/ingress", "tcx/egress"), _INTERFACE),
    **dict.fromkeys(("netkit/primary", "netkit/peer"), None),
    "sk_skb/verdict": _SOCKETS,
}
# Kinds with a form that may sleep (.s); libbpf 1.1 lacks that of some.
_MAY_SLEEP = {"uprobe", "uretprobe", "fentry", "fexit", "fmod_ret", "lsm", "iter"}
_MAY_SLEEP |= {"usdt", "tp", "raw_tp", "tp_btf", "uprobe.multi", "uretprobe.multi", "uprobe.session", "struct_ops"}
_IN_BINARIES = {"uprobe", "uretprobe", "usdt", "uprobe.multi", "uretprobe.multi", "uprobe.session"}
# Hooks on the way back.
_RETURNS = {"kretprobe", "kretprobe.multi", "kretsyscall", "fexit", "uretprobe", "uretprobe.multi"}
# Kinds of one program type (enum bpf_prog_type), of which each may be attached as any other.
_FAMILIES = {
    **dict.fromkeys(("kprobe", "kretprobe", "ksyscall", "kretsyscall", "uprobe", "uretprobe", "usdt"), "probe"),
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi", "kprobe.session"), "probe"),
    **dict.fromkeys(("uprobe.multi", "uretprobe.multi", "uprobe.session"), "probe"),
    **dict.fromkeys(("raw_tp", "raw_tp.w"), "raw_tp"),
    **dict.fromkeys(("tc", "classifier", "action", "tcx/ingress", "tcx/egress", "tc/ingress", "tc/egress"), "tc"),
    **dict.fromkeys(("cgroup/skb", "cgroup_skb/ingress", "cgroup_skb/egress"), "cgroup_skb"),
}
# Kinds whose target is a type in the kernel's BTF, found when a program is loaded.
_BY_TYPE = {"tp_btf", "fentry", "fexit", "fmod_ret", "lsm", "lsm_cgroup", "iter", "freplace"}
# Kinds that are in the network stack of a namespace.
_IN_STACK = {"netfilter", "sk_lookup", "flow_dissector"}
# Kinds of which one program at a time has a place.
_ALONE = {"xdp", "xdp.frags", "flow_dissector"}
# Kinds of programs that came late: loading fails where the kernel does not know them.
_LATE = {"netfilter", "syscall", *(kind for kind in _WHOLE if kind.endswith("_unix"))}


class Hook:
    """What a section names.

    Args:
        kind: ``fentry``, ``tp``, ``xdp``, ``cgroup/connect4``: one name for all forms of a kind; "" where no hook has
            that name.
        target: what it is on: ``do_unlinkat``, ``sched/sched_switch``; "" if the kind has none.
        sleepable: whether the program may sleep.
        lacks: what it has to be told before it can be attached: ``an interface``; "" if nothing; None where skep does
            not attach this kind yet.
        map: the map that an iterator walks over, or whose sockets are meant: its name in the kernel file, its number,
            or the path of its pin.
    """

    __slots__ = ("kind", "lacks", "map", "sleepable", "target")

    def __init__(self, kind: str, target: str, *, sleepable: bool, lacks: str | None, map: str = "") -> None:  # noqa: A002
        self.kind = kind
        self.target = target
        self.sleepable = sleepable
        self.lacks = lacks
        self.map = map

    def __str__(self) -> str:
        kind = f"{self.kind}.s" if self.sleepable and self.kind != "syscall" else self.kind
        whole = f"{kind}/{self.target}" if self.target else kind
        return f"{whole} of map {self.map}" if self.map else whole

    @property
    def needs(self) -> str:
        """Why it cannot be attached as it is, with the option that helps; "" if it can."""
        if self.lacks is None:
            return NOTHING_ATTACHES
        return f"needs {self.lacks}: {_OPTIONS[self.lacks]}" if self.lacks else ""

    def complete(self, place: str) -> Hook:
        """The same hook, once what it lacks has been said.

        Args:
            place: an interface or a cgroup: the target, unless the section has one already.
        """
        return Hook(self.kind, self.target or place, sleepable=self.sleepable, lacks="")

    def over(self, map: str) -> Hook:  # noqa: A002
        """The same hook, on a map.

        Args:
            map: as the user says it.
        """
        return Hook(self.kind, self.target, sleepable=self.sleepable, lacks="", map=map)

    @property
    def walks_map(self) -> bool:
        """Whether it is an iterator over what one map holds."""
        return self.kind == "iter" and self.target in _OVER_A_MAP

    @property
    def on_sockets(self) -> bool:
        """Whether it is on what the sockets of one map send or get."""
        return _WHOLE.get(self.kind) == _SOCKETS

    @property
    def walks_tasks(self) -> bool:
        """Whether it is an iterator over tasks, or over what they have, which can keep to one process."""
        return self.kind == "iter" and self.target in _OVER_TASKS

    @property
    def on_demand(self) -> bool:
        """Whether its program runs only when somebody reads or runs it, not when something happens."""
        return self.kind in {"iter", "syscall"}

    @property
    def family(self) -> str:
        """What programs of one type have in common: they may be attached to each other's hooks."""
        return _FAMILIES.get(self.kind, self.kind)

    @property
    def is_return(self) -> bool:
        """Whether it is on a function's way back."""
        return self.kind in _RETURNS

    @property
    def in_binary(self) -> bool:
        """Whether it lies in a binary, not in the kernel."""
        return self.kind in _IN_BINARIES

    @property
    def is_pattern(self) -> bool:
        """Whether it names functions by a pattern: ``*`` is anything, ``?`` one character."""
        names = split_binary(self.kind, self.target)[1] if self.in_binary else self.target
        return "*" in names or "?" in names

    @property
    def by_type(self) -> bool:
        """Whether loading already looks its target up, in the kernel's BTF."""
        return self.kind in _BY_TYPE

    @property
    def told_by_loading(self) -> bool:
        """Whether a kernel that lacks it refuses its program already when it is loaded."""
        return self.by_type or self.kind in _LATE

    @property
    def on_network(self) -> bool:
        """Whether it is on an interface, on a cgroup or in the network stack: its program takes CAP_NET_ADMIN."""
        return _WHOLE.get(self.kind) in {_INTERFACE, _CGROUP, _SOCKETS} or self.kind in _IN_STACK

    @property
    def place(self) -> str:
        """Where only one program can be at a time: ``xdp of eth0``; "" where there is room for several."""
        if self.kind not in _ALONE:
            return ""
        return f"xdp of {self.target}" if self.target else self.kind

    @property
    def either_way(self) -> bool:
        """Whether its section leaves open if packets that come or packets that leave are meant."""
        return self.kind in {"tc", "classifier", "action", "cgroup/skb"}

    @property
    def loads(self) -> bool:
        """Whether the program can be loaded with what the section says."""
        if not self.by_type:
            return True
        # Another program, for freplace: there the section names only a function of it.
        return self.kind != "freplace" and bool(self.target) and (self.kind in _LEFT_OPEN or not self.lacks)


def parse(section: str) -> Hook:
    """Takes the name of a section apart.

    Args:
        section: of a program, as ``fentry.s/do_unlinkat``; one with a ? in front is for programs that are not loaded
            unless they are asked for.
    """
    name = section.removeprefix("?")
    if name in _WHOLE:
        return Hook(name, "", sleepable=name == "syscall", lacks=_WHOLE[name])
    prefix, _, target = name.partition("/")
    bare = prefix.removesuffix(".s")
    kind = _ALIASES.get(bare, bare)
    sleepable = bare != prefix
    if kind not in _TARGETED.keys() | _LEFT_OPEN.keys() or (sleepable and kind not in _MAY_SLEEP):
        return Hook("", "", sleepable=False, lacks="")
    if kind in _LEFT_OPEN:
        lacks = _MAP if kind == "iter" and target in _OVER_A_MAP else _LEFT_OPEN[kind]
        return Hook(kind, target, sleepable=sleepable, lacks=lacks)
    if kind in _IN_BINARIES:
        return Hook(kind, target, sleepable=sleepable, lacks=_lacks_in_binary(kind, target))
    return Hook(kind, target, sleepable=sleepable, lacks="" if _says_all(kind, target) else _TARGETED[kind])


def split_binary(kind: str, target: str) -> tuple[str, str]:
    """The binary and the place in it that a target names, each of which may be left open ("").

    Args:
        kind: of a hook in a binary.
        target: ``/bin/bash:readline``, ``bash:readline``, ``/bin/bash``, ``readline``; of USDT, ``bash:provider:name``.
    """
    binary, colon, place = target.partition(":")
    if "/" not in binary and (not colon or (kind == "usdt" and place and ":" not in place)):
        binary, place = "", target
    return binary, "" if place.startswith(_PLACEHOLDER) else place


def _lacks_in_binary(kind: str, target: str) -> str:
    binary, place = split_binary(kind, target)
    if not binary:
        return _BINARY
    if kind == "usdt":
        return "" if ":" in place else _PROBE
    return "" if place else _FUNCTION


def kinds() -> dict[str, list[str]]:
    """Every kind of hook, and the names that its sections begin with: of tp, ``tp``, ``tracepoint``, ``tp.s`` ..."""
    names = {kind: [kind] for kind in (*_TARGETED, *_LEFT_OPEN, *_WHOLE)}
    for alias, kind in _ALIASES.items():
        names[kind].append(alias)
    for kind in _MAY_SLEEP:
        names[kind] += [f"{name}.s" for name in names[kind]]
    return names


def _says_all(kind: str, target: str) -> bool:
    if kind == "tp":
        category, _, name = target.partition("/")
        return bool(category and name)
    return bool(target) and not target.startswith(_PLACEHOLDER)


def no_hook(section: str) -> str:
    """What is wrong with a section that is no hook's, and which one may be meant.

    Args:
        section: of a program.
    """
    from difflib import get_close_matches

    name = section.removeprefix("?")
    known = [*_WHOLE, *_TARGETED, *_LEFT_OPEN, *_ALIASES]
    near = get_close_matches(name, known, 1) or get_close_matches(name.partition("/")[0], known, 1)
    # xdp_prog: names of before libbpf 1.0.
    begins = sorted((one for one in known if name.startswith(one)), key=len)
    message = f"section {name} names no hook"
    return f"{message}. Did you mean {(near or begins)[-1]}?" if near or begins else message
