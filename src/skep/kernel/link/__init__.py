"""Attaches programs: one module a kind of hook, one skeleton, and `Links`, which holds what is attached.

Each module has `attach(program, hook, targets) -> Attachment`, and says in its docstring what it is, the minimum kernel
and the source. What a section leaves open stands in `targets`, filled in by then: the hook names its target.
"""

from __future__ import annotations

from importlib import import_module

from skep._native import messages
from skep.base.errors import HookMissingError, SkepError
from skep.kernel.features import mount_tracefs
from skep.kernel.handlers import UNIX_CALLS
from skep.kernel.held import Held
from skep.kernel.link.link import Link, release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["MODULES", "Links", "attach"]

MODULES = {
    **dict.fromkeys(("kprobe", "kretprobe", "ksyscall", "kretsyscall"), "kprobe"),
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi", "kprobe.session"), "kprobe_multi"),
    **dict.fromkeys(("uprobe", "uretprobe"), "uprobe"),
    **dict.fromkeys(("uprobe.multi", "uretprobe.multi", "uprobe.session"), "uprobe_multi"),
    "usdt": "usdt",
    "tp": "tracepoint",
    **dict.fromkeys(("raw_tp", "raw_tp.w"), "raw_tracepoint"),
    **dict.fromkeys(("tp_btf", "fentry", "fexit", "fmod_ret", "lsm"), "tracing"),
    "perf_event": "perf_event",
    **dict.fromkeys(("xdp", "xdp.frags"), "xdp"),
    **dict.fromkeys(("tc", "classifier", "action"), "tc"),
    **dict.fromkeys(("tcx/ingress", "tcx/egress", "tc/ingress", "tc/egress"), "tcx"),
    "socket": "socket_filter",
    "netfilter": "netfilter",
    **dict.fromkeys(("sk_lookup", "flow_dissector"), "netns"),
    **dict.fromkeys(("sk_msg", "sk_skb", "sk_skb/verdict", "sk_skb/stream_parser", "sk_skb/stream_verdict"), "sockmap"),
    "struct_ops": "struct_ops",
    **dict.fromkeys(("cgroup/skb", "cgroup_skb/ingress", "cgroup_skb/egress", "sockops", "lsm_cgroup"), "cgroup"),
    **dict.fromkeys((f"cgroup/{what}" for what in ("sock", "sock_create", "sock_release", "dev", "sysctl")), "cgroup"),
    **dict.fromkeys((f"cgroup/{call}" for call in ("getsockopt", "setsockopt")), "cgroup"),
    **{
        f"cgroup/{call}{version}": "cgroup"
        for call in ("bind", "post_bind", "connect", "sendmsg", "recvmsg", "getpeername", "getsockname")
        for version in "46"
    },
    **{f"cgroup/{call}_unix": "cgroup" for call in UNIX_CALLS},
    "iter": "iterator",
    "syscall": "syscall",
}
"""Kind of a hook -> the module that attaches it."""


class Links(Held):
    """Attached programs, by name: a context manager that detaches them, all at once. Made by `Object.attach`.

    Args:
        links: by name of their program.

    `left_out` holds, by name, why a program is not attached.

    Minimum kernel: 4.1, later by the kind of hook (docs/hooks.md). Source: kernel/bpf/syscall.c (link_create).
    """

    def __init__(self, links: dict[str, Link]) -> None:
        self._links = links
        self.left_out: dict[str, str] = {}
        self._hold()

    def _told(self) -> str:
        return f"Links {', '.join(self._links) or 'of nothing'}"

    def __iter__(self) -> Iterator[str]:
        """The names of the attached programs."""
        return iter([name for name, link in self._links.items() if not link.closed])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Link:
        """What keeps a program attached.

        Args:
            name: of the program.

        Raises:
            ClosedError: they are closed.
        """
        self.check()
        return self._links[name]

    @property
    def notices(self) -> list[str]:
        """What the user should know of how programs are attached."""
        return [f"{name}: {each.notice}" for name, each in self._links.items() if each.notice]

    def lost(self) -> dict[str, str]:
        """The programs whose place has gone since they were attached (an interface, a cgroup), and what it was."""
        return {name: why for name, each in self._links.items() if (why := each.lost())}

    def pin(self, folder: str) -> None:
        """Pins them all, or none: the programs stay attached until `skep.unpin`, whatever becomes of this process.

        Args:
            folder: on a bpffs; it is made if it is not there, and each program is pinned as its ``links/NAME``.

        Raises:
            ClosedError: they are closed.
            PinError: something is pinned there already, or a program is attached without a link.
            UnsupportedError: it is not on a bpffs.
            PrivilegeError: it is not permitted.

        Minimum kernel: 5.7; 5.15 for tp, kprobe, uprobe and perf_event. Source: kernel/bpf/inode.c.
        """
        from skep.kernel.pin import pin_all

        self.check()
        pin_all(folder, self.lasting(), ())

    def lasting(self) -> list[tuple[str, Link]]:
        """Those that hold something, with the names of their programs."""
        return [(name, link) for name, link in self._links.items() if link.lasts]

    def _release(self) -> None:
        release(self._links.values())

    def _abandon(self) -> None:
        """Each link does it itself."""


def attach(
    programs: Iterable[Program], hooks: Mapping[str, Hook], targets: Targets, *, needed: Collection[str] = ()
) -> Links:
    """Attaches programs to their hooks.

    A program whose hook this kernel lacks is left out (open(2) does not exist on arm64), as is one that is @optional,
    whatever its failure. For any other reason all are attached, or none.

    Args:
        programs: loaded ones.
        hooks: by name of the program; nothing is open in them.
        targets: what the user says of hooks.
        needed: names of those that are not left out for want of their hook.

    Raises:
        PrivilegeError: not permitted.
        HookMissingError: the kernel has none of the hooks, or not that of a program that is needed.
        AttachError: a hook refuses its program.
    """
    # What runs once runs last.
    programs = sorted(programs, key=lambda program: hooks[program.spec.name].kind == "syscall")
    if any(hook.kind == "tp" for hook in hooks.values()):
        mount_tracefs()
    links = Links({})
    failures = []
    try:
        for program in programs:
            name = program.spec.name
            module = import_module(f"skep.kernel.link.{MODULES[hooks[name].kind]}")
            messages()
            try:
                attachment = module.attach(program, hooks[name], targets)
                links._links[name] = Link(name, attachment, str(hooks[name]), program.id)  # noqa: SLF001 - its own maker
            except SkepError as failure:
                # The modules tell why; of which program they speak is known here.
                links.left_out[name] = failure.message
                failure.message = f"program {name}: {failure.message}"
                _stop(failure, program, hooks[name], needed)
                failures.append((failure, hooks[name]))
    except BaseException:
        links.close()
        raise
    if failures and not links._links:  # noqa: SLF001
        links.close()
        raise _advised(*failures[0])
    return links


def _stop(failure: SkepError, program: Program, hook: Hook, needed: Collection[str]) -> None:
    """Raises a failure, unless its program may be left out."""
    if "optional" in program.spec.note.marks:
        return
    if not isinstance(failure, HookMissingError) or program.spec.name in needed:
        raise _advised(failure, hook)


def _advised(failure: SkepError, hook: Hook) -> SkepError:
    """With the names nearest to one that is not there: what is left out is not worth the 0.1 s that they take."""
    if isinstance(failure, HookMissingError) and failure.remedy is None:
        from skep.kernel.link.symbols import advice

        failure.remedy = advice(hook)
    return failure
