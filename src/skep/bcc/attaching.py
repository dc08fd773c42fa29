"""Attaching and detaching, as scripts say it: the part of `BPF` that holds links."""

from __future__ import annotations

import os
from weakref import WeakSet

from skep.base.errors import AttachError, HookMissingError, SkepError, UsageError
from skep.bcc.binaries import find_binary_of
from skep.bcc.queries import Queries
from skep.bcc.utils import as_text
from skep.kernel.link import Links, attach
from skep.kernel.link.link import release
from skep.spec.sections import parse
from skep.spec.targets import Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.bcc.usdt import USDTProbe
    from skep.kernel.program import Program

    Name = str | bytes

__all__ = ["Attaching"]

_all: WeakSet[Attaching] = WeakSet()


class Attaching(Queries):
    """What is attached, by what a script calls it."""

    def __init__(self) -> None:
        self._links: dict[tuple[Any, ...], Links] = {}
        _all.add(self)

    def _program(self, name: str, section: str) -> Program:
        """A program, loaded; what `BPF` knows."""
        raise NotImplementedError

    def _attach(self, key: tuple[Any, ...], section: str, hook: str, targets: Targets | None = None) -> None:
        """Attaches the program that is named last in a key.

        Args:
            key: what detaching asks for: a kind, a place, a program.
            section: which says the type of the program.
            hook: where it goes.
            targets: what the hook leaves open.
        """
        if key in self._links:
            return
        name = key[-1]
        program = self._program(name, section)
        self._links[key] = attach([program], {name: parse(hook)}, targets or Targets())

    def _detach(self, *begin: Any) -> None:
        """Detaches whatever a key begins with.

        Raises:
            UsageError: there is nothing like that.
        """
        found = [key for key in self._links if key[: len(begin)] == begin]
        if not found:
            raise UsageError(f"{' '.join(map(str, begin))} is not attached")
        _close([self._links.pop(key) for key in found])

    def _detach_all(self) -> None:
        links, self._links = list(self._links.values()), {}
        _close(links)

    def _count(self, kind: str) -> int:
        return sum(key[0].endswith(kind) for key in self._links)

    def num_open_kprobes(self) -> int:
        """How many kprobes and kretprobes there are."""
        return self._count("kprobe") + self._count("kretprobe")

    def num_open_uprobes(self) -> int:
        """How many uprobes and uretprobes there are; those of USDT are uprobes, too."""
        return sum(self._count(kind) for kind in ("uprobe", "uretprobe", "usdt"))

    def num_open_tracepoints(self) -> int:
        """How many tracepoints there are."""
        return sum(key[0] == "tp" for key in self._links)

    def attach_kprobe(self, event: Name = b"", event_off: int = 0, fn_name: Name = b"", event_re: Name = b"") -> None:
        """Attaches a program to the entry of a function of the kernel.

        Args:
            event: the function.
            event_off: bytes behind its begin.
            fn_name: the program.
            event_re: a pattern of functions instead: those that cannot be attached to are left out.

        Raises:
            HookMissingError: this kernel has no such function, or no kprobes.
        """
        self._attach_kprobes("kprobe", event, fn_name, event_re, f"+{event_off}" if event_off else "")

    def attach_kretprobe(
        self,
        event: Name = b"",
        fn_name: Name = b"",
        event_re: Name = b"",
        maxactive: int = 0,  # noqa: ARG002 - the kernel chooses it for perf events
    ) -> None:
        """Attaches a program to the return of a function of the kernel. The arguments are those of `attach_kprobe`."""
        self._attach_kprobes("kretprobe", event, fn_name, event_re, "")

    def _attach_kprobes(self, kind: str, event: Name, fn_name: Name, event_re: Name, offset: str) -> None:
        name = as_text(fn_name)

        def each(function: str) -> None:
            self._attach((kind, function, name), "kprobe", f"{kind}/{function}{offset}")

        if event_re:
            functions = [as_text(found) for found in self.get_kprobe_functions(event_re)]
            self._each(each, functions, f"{kind} {as_text(event_re)}")
        else:
            each(as_text(event))

    def _each(self, attach_one: Callable[[Any], None], places: list[Any], what: str) -> None:
        """Attaches to several places; those that refuse are left out, unless all do."""
        if self.num_open_kprobes() + self.num_open_uprobes() + len(places) > self.get_probe_limit():
            raise AttachError(
                f"{what} fits {len(places)} functions: too many probes",
                7,
                remedy="BCC_PROBE_LIMIT=N in the environment allows N.",
            )
        failed: SkepError | None = None
        done = 0
        for place in places:
            try:
                attach_one(place)
                done += 1
            except (AttachError, HookMissingError) as error:
                failed = error
        if not done:
            raise failed or HookMissingError(f"nothing here fits {what}")

    def detach_kprobe(self, event: Name, fn_name: Name | None = None) -> None:
        """Detaches programs from the entry of a function: one of them, or all."""
        self._detach("kprobe", as_text(event), *_given(fn_name))

    def detach_kretprobe(self, event: Name, fn_name: Name | None = None) -> None:
        """Detaches programs from the return of a function: one of them, or all."""
        self._detach("kretprobe", as_text(event), *_given(fn_name))

    def attach_uprobe(
        self,
        name: Name = b"",
        sym: Name = b"",
        sym_re: Name = b"",
        addr: int | None = None,
        fn_name: Name = b"",
        pid: int = -1,
        sym_off: int = 0,
    ) -> None:
        """Attaches a program to the entry of a function of a program or library.

        Args:
            name: of the library without its ``lib``, a path, or a program's name.
            sym: the function.
            sym_re: a pattern of functions instead.
            addr: an address in the binary instead.
            fn_name: the program.
            pid: the process; -1 for all.
            sym_off: bytes behind the begin of the function.

        Raises:
            AttachError: there is no such binary or function.
        """
        self._attach_uprobes("uprobe", name, sym, sym_re, addr, fn_name, pid, sym_off)

    def attach_uretprobe(
        self,
        name: Name = b"",
        sym: Name = b"",
        sym_re: Name = b"",
        addr: int | None = None,
        fn_name: Name = b"",
        pid: int = -1,
    ) -> None:
        """Attaches a program to the return of a function. The arguments are those of `attach_uprobe`."""
        self._attach_uprobes("uretprobe", name, sym, sym_re, addr, fn_name, pid, 0)

    def _attach_uprobes(
        self,
        kind: str,
        name: Name,
        sym: Name,
        sym_re: Name,
        addr: int | None,
        fn_name: Name,
        pid: int,
        sym_off: int,
    ) -> None:
        path, program = find_binary_of(name, pid), as_text(fn_name)
        targets = Targets(pid=pid if pid > 0 else None)

        def each(place: str) -> None:
            self._attach((kind, path, place, pid, program), "kprobe", f"{kind}/{path}:{place}", targets)

        if sym_re:
            places = [f"{address:#x}" for address in self.get_user_addresses(path, sym_re)]
            self._each(each, places, f"{path}:{as_text(sym_re)}")
        else:
            each(_place(sym, addr, sym_off))

    def detach_uprobe(
        self, name: Name = b"", sym: Name = b"", addr: int | None = None, pid: int = -1, sym_off: int = 0
    ) -> None:
        """Detaches programs from the entry of a function."""
        self._detach("uprobe", find_binary_of(name, pid), _place(sym, addr, sym_off), pid)

    def detach_uretprobe(self, name: Name = b"", sym: Name = b"", addr: int | None = None, pid: int = -1) -> None:
        """Detaches programs from the return of a function."""
        self._detach("uretprobe", find_binary_of(name, pid), _place(sym, addr, 0), pid)

    def attach_usdt(self, probe: USDTProbe, fn_name: Name, pid: int = -1) -> None:
        """Attaches a program to a probe; what `USDT` does.

        Args:
            probe: of `USDT`.
            fn_name: the program.
            pid: the process; -1 for all.
        """
        path = os.fsdecode(probe.bin_path)
        hook = f"usdt/{path}:{probe.short_name()}"
        targets = Targets(pid=pid if pid > 0 else None)
        self._attach(("usdt", path, probe.short_name(), pid, as_text(fn_name)), "kprobe", hook, targets)

    def attach_tracepoint(self, tp: Name = b"", tp_re: Name = b"", fn_name: Name = b"") -> None:
        """Attaches a program to a tracepoint.

        Args:
            tp: as ``category:event``.
            tp_re: a pattern instead, which tracepoints begin with.
            fn_name: the program.

        Raises:
            HookMissingError: this kernel has no such tracepoint.
        """
        names = [as_text(found) for found in self.get_tracepoints(tp_re)] if tp_re else [as_text(tp)]
        for name in names:
            self._attach(("tp", name, as_text(fn_name)), "tp", f"tp/{name.replace(':', '/')}")

    def detach_tracepoint(self, tp: Name = b"") -> None:
        """Detaches programs from a tracepoint."""
        self._detach("tp", as_text(tp))

    def attach_raw_tracepoint(self, tp: Name = b"", fn_name: Name = b"") -> None:
        """Attaches a program to a tracepoint with its raw arguments."""
        self._attach(("raw_tp", as_text(tp), as_text(fn_name)), "raw_tp", f"raw_tp/{as_text(tp)}")

    def detach_raw_tracepoint(self, tp: Name = b"") -> None:
        """Detaches programs from it."""
        self._detach("raw_tp", as_text(tp))

    def _attach_by_type(self, prefix: str, kind: str, fn_name: Name) -> None:
        name = as_text(fn_name)
        name = name if name.startswith(prefix) else prefix + name
        target = name.removeprefix(prefix)
        target = target if kind == "lsm" else target.partition("__")[2] or target
        self._attach((kind, name), f"{kind}/{target}", f"{kind}/{target}")

    def attach_kfunc(self, fn_name: Name = b"") -> None:
        """Attaches a program ``kfunc__MODULE__FUNCTION`` to the entry of a function."""
        self._attach_by_type("kfunc__", "fentry", fn_name)

    def attach_kretfunc(self, fn_name: Name = b"") -> None:
        """Attaches a program ``kretfunc__MODULE__FUNCTION`` to the return of a function."""
        self._attach_by_type("kretfunc__", "fexit", fn_name)

    def attach_fmod_ret(self, fn_name: Name = b"") -> None:
        """Attaches a program ``kmod_ret__MODULE__FUNCTION``, which may change what a function returns."""
        self._attach_by_type("kmod_ret__", "fmod_ret", fn_name)

    def attach_lsm(self, fn_name: Name = b"") -> None:
        """Attaches a program ``lsm__HOOK`` to a hook of security modules."""
        self._attach_by_type("lsm__", "lsm", fn_name)

    def detach_kfunc(self, fn_name: Name = b"") -> None:
        """Detaches a program of `attach_kfunc`."""
        self._detach("fentry", _prefixed("kfunc__", fn_name))

    def detach_kretfunc(self, fn_name: Name = b"") -> None:
        """Detaches a program of `attach_kretfunc`."""
        self._detach("fexit", _prefixed("kretfunc__", fn_name))

    def detach_fmod_ret(self, fn_name: Name = b"") -> None:
        """Detaches a program of `attach_fmod_ret`."""
        self._detach("fmod_ret", _prefixed("kmod_ret__", fn_name))

    def detach_lsm(self, fn_name: Name = b"") -> None:
        """Detaches a program of `attach_lsm`."""
        self._detach("lsm", _prefixed("lsm__", fn_name))


def _get_num_open_probes() -> int:
    """How many kprobes and uprobes this process has, as scripts ask the module itself."""
    return sum(each.num_open_kprobes() + each.num_open_uprobes() for each in _all)


def _close(links: Sequence[Links]) -> None:
    """Ends links, all at once: the kernel takes long for each."""
    release([each[name] for each in links for name in each])
    for each in links:
        each.close()


def _prefixed(prefix: str, name: Name) -> str:
    text = as_text(name)
    return text if text.startswith(prefix) else prefix + text


def _given(name: Name | None) -> Iterable[str]:
    return () if name is None else (as_text(name),)


def _place(sym: Name, addr: int | None, offset: int) -> str:
    """A place in a binary, as hooks name it."""
    if addr is not None:
        return f"{addr + offset:#x}"
    return f"{as_text(sym)}+{offset}" if offset else as_text(sym)
