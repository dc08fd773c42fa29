"""Attaches programs: one module a kind of hook, one skeleton, and `Links`, which holds what is attached.

Each module has `attach(program, hook, targets) -> Attachment`, and says in its docstring what it is, the minimum kernel
and the source. What a section leaves open stands in `targets`, filled in by then: the hook names its target.
"""

from __future__ import annotations

import warnings
from importlib import import_module

from skep._native import ffi, lib, messages
from skep.base.errors import HookMissingError, SkepError
from skep.kernel.features import mount_tracefs
from skep.kernel.handlers import UNIX_CALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from skep.kernel.link.common import Attachment
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


class Links:
    """Attached programs: a context manager that detaches them, all at once.

    Args:
        attachments: by name of their program.

    `left_out` holds, by name, why a program is not attached.
    """

    def __init__(self, attachments: dict[str, Attachment]) -> None:
        self._attachments = attachments
        self.left_out: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        """The names of the attached programs."""
        return iter(list(self._attachments))

    @property
    def notices(self) -> list[str]:
        """What the user should know of how programs are attached."""
        return [f"{name}: {each.notice}" for name, each in self._attachments.items() if each.notice]

    def link_fd(self, name: str) -> int:
        """The file descriptor of a program's link, as long as it is attached.

        Args:
            name: of a program with one link: an iterator.
        """
        (link,) = self._attachments[name].links
        return int(lib.bpf_link__fd(link))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._attachments:
            warnings.warn(
                f"programs {list(self._attachments)} were never detached", ResourceWarning, stacklevel=2, source=self
            )
            self.close()

    def lost(self) -> dict[str, str]:
        """The programs whose place has gone since they were attached (an interface, a cgroup), and what it was."""
        return {name: why for name, each in self._attachments.items() if each.lost is not None and (why := each.lost())}

    def close(self) -> None:
        """Detaches: the kernel takes 20 to 250 ms, by kind."""
        attachments = list(self._attachments.values())
        self._attachments = {}
        for attachment in attachments:
            for close in attachment.closers:
                close()
        handles = [link for attachment in attachments for link in attachment.links]
        lib.skep_detach(ffi.new("struct bpf_link *[]", handles), len(handles))


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
                links._attachments[name] = module.attach(program, hooks[name], targets)  # noqa: SLF001 - its own maker
            except SkepError as failure:
                # The modules tell why; of which program they speak is known here.
                links.left_out[name] = failure.message
                failure.message = f"program {name}: {failure.message}"
                _stop(failure, program, hooks[name], needed)
                failures.append((failure, hooks[name]))
    except BaseException:
        links.close()
        raise
    if failures and not links._attachments:  # noqa: SLF001
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
