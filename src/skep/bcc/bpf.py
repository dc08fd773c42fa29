"""`BPF`: a text of BCC's dialect in the kernel, as scripts drive it.

It stands on the rooms to the left: `skep.bcc.module` loads, `skep.bcc.attaching` attaches, tables and buffers read.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys

from skep.base.errors import UnsupportedError, UsageError
from skep.bcc.backed import sized_by_the_text
from skep.bcc.constants import DEBUG_PREPROCESSOR, DEBUG_SOURCE, BPFProgType
from skep.bcc.function import Function
from skep.bcc.kinds import KINDS
from skep.bcc.module import Module, read_text
from skep.bcc.packets import Packets
from skep.bcc.places import marker_of
from skep.bcc.polling import Polling
from skep.bcc.printing import Printing
from skep.bcc.refusing import Refusing
from skep.bcc.sampling import Sampling
from skep.bcc.sections import section_of
from skep.bcc.symbols import kernel_names, user_symbol
from skep.bcc.utils import as_bytes, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from skep.kernel.program import Program

    Name = str | bytes

__all__ = ["BPF"]

_STREAMS = {"perf_output", "perf_array", "ringbuf"}
_USDT = """
static inline long skep_usdt_argument(struct pt_regs *ctx)
{
    long value = 0;
    return bpf_usdt_arg(ctx, 0, &value);
}
"""
# Where a text that is no file is said to be.
_TEXT = "BPF-text"


class _RefusingClass(type):
    """What scripts ask of the class alone, and is not there, is refused by its name."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnsupportedError(f"skep has no BPF.{name} of BCC's")


class BPF(Sampling, Packets, Polling, Printing, Refusing, metaclass=_RefusingClass):
    """A text, loaded, with what a script attaches of it: a context manager.

    Args:
        src_file: path of a file with the text; beside the script, if it is not here.
        hdr_file: path of a file that comes before it.
        text: the text itself.
        debug: of ``DEBUG_*``: 4 or 8 show on stderr the C that the text became.
        cflags: for the compiler: ``-DNAME=1``.
        usdt_contexts: probes of `USDT` that are attached at once.
        allow_rlimit: no longer needed: memory for eBPF is counted otherwise since Linux 5.11.
        device: not provided: offloading to a network card.
        attach_usdt_ignore_pid: attaches these probes in all processes.

    Raises:
        CompileError: the text is wrong; the places are its own.
        VerifierError: the verifier rejects a program that is attached at once.
        PrivilegeError: a capability is missing.
    """

    SOCKET_FILTER, KPROBE, SCHED_CLS, SCHED_ACT = 1, 2, 3, 4
    TRACEPOINT, XDP, PERF_EVENT, CGROUP_SKB = 5, 6, 7, 8
    CGROUP_SOCK, LWT_IN, LWT_OUT, LWT_XMIT, SOCK_OPS, SK_SKB, CGROUP_DEVICE = range(9, 16)
    SK_MSG, RAW_TRACEPOINT, CGROUP_SOCK_ADDR = 16, 17, 18
    CGROUP_SOCKOPT, TRACING, LSM = 25, 26, 29
    XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)
    XDP_FLAGS_UPDATE_IF_NOEXIST, XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE = 1, 2, 4, 8
    XDP_FLAGS_REPLACE = 16

    def __init__(
        self,
        src_file: Name = b"",
        hdr_file: Name = b"",
        text: Name | None = None,
        debug: int = 0,
        cflags: Sequence[Name] = (),
        usdt_contexts: Sequence[Any] = (),
        allow_rlimit: bool = True,  # noqa: ARG002 - as scripts give it
        device: Name | None = None,
        attach_usdt_ignore_pid: bool = False,
    ) -> None:
        Sampling.__init__(self)
        Printing.__init__(self)
        Polling.__init__(self)
        self.funcs: dict[bytes, Function] = {}
        self.debug = debug
        if device is not None:
            raise UnsupportedError("skep does not offload programs to network cards (device=)")
        given, file, flags = self._given(src_file, hdr_file, text, cflags=cflags)
        # Probes without arguments need the maps, too, of the function that reads arguments.
        with sized_by_the_text():
            self.module = Module(given + _USDT if usdt_contexts else given, file, flags)
        atexit.register(self._end)
        try:
            if debug & (DEBUG_PREPROCESSOR | DEBUG_SOURCE):
                sys.stderr.write(self.module.source)
            # What is printed before anybody reads it is read later.
            if self.module.spec.prints:
                self._open_pipe()
            for usdt in usdt_contexts:
                usdt.attach_uprobes(self, attach_usdt_ignore_pid)
            self._trace_autoload()
        except BaseException:
            self.cleanup()
            raise

    @staticmethod
    def _given(
        src_file: Name = b"",
        hdr_file: Name = b"",
        text: Name | None = None,
        *_: object,
        cflags: Sequence[Name] = (),
        **__: object,
    ) -> tuple[str, str, list[str]]:
        """The whole text, where it is from, and what the compiler is told, of the arguments of a `BPF`."""
        flags = [as_text(flag) for flag in cflags]
        if text is None and not src_file:
            raise UsageError("BPF() takes a text, or a file with one", remedy="BPF(text=...) or BPF(src_file=...)")
        path, whole = read_text(os.fsdecode(src_file)) if text is None else (_TEXT, as_text(text))
        if hdr_file:
            header, before = read_text(os.fsdecode(hdr_file))
            whole = f"{marker_of(header)}{before}\n{marker_of(path)}{whole}"
        return whole, path, flags

    def _trace_autoload(self) -> None:
        """Attaches the programs whose names say what to."""
        for name in self.module.programs:
            prefix, _, rest = name.partition("__")
            match prefix:
                case "kprobe":
                    self.attach_kprobe(event=self.fix_syscall_fnname(rest), fn_name=name)
                case "kretprobe":
                    self.attach_kretprobe(event=self.fix_syscall_fnname(rest), fn_name=name)
                case "tracepoint":
                    self.attach_tracepoint(tp=rest.replace("__", ":", 1), fn_name=name)
                case "raw_tracepoint":
                    self.attach_raw_tracepoint(tp=rest, fn_name=name)
                case "kfunc":
                    self.attach_kfunc(fn_name=name)
                case "kretfunc":
                    self.attach_kretfunc(fn_name=name)
                case "lsm":
                    self.attach_lsm(fn_name=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Detaches and unloads all. To do it twice is fine."""
        atexit.unregister(self._end)
        self._detach_all()
        for function in self.funcs.values():
            function.close()
        for each in self.tables.values():
            each.close()
        self._close_pipe()
        self.module.close()

    def _end(self) -> None:
        """At the end of the script: a Ctrl-C that comes now has nothing left to end, and would show as a traceback."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.cleanup()

    close = cleanup

    def _program(self, name: str, section: str) -> Program:
        return self.module.program(name, section)

    def load_func(self, func_name: Name, prog_type: int, device: Name | None = None, attach_type: int = -1) -> Function:
        """Loads a program.

        Args:
            func_name: of the text.
            prog_type: of `BPFProgType`; also ``BPF.KPROBE`` and the like.
            device: not provided.
            attach_type: of `BPFAttachType`, for types that need it.

        Raises:
            UsageError: there is no such function.
            UnsupportedError: skep loads no programs of this type.
            VerifierError: the verifier rejects it.
        """
        name = as_bytes(func_name)
        if name in self.funcs:
            return self.funcs[name]
        if device is not None:
            raise UnsupportedError("skep does not offload programs to network cards (device=)")
        section = section_of(prog_type, attach_type)
        if section is None:
            which = f"type {prog_type}" if attach_type < 0 else f"type {prog_type} for place {attach_type}"
            remedy = "load_func(..., attach_type=BPFAttachType...)" if attach_type < 0 else None
            raise UnsupportedError(f"skep loads no programs of {which} for BCC's scripts", remedy=remedy)
        function = self.funcs[name] = Function(self, self.module.program(name.decode(), section))
        return function

    def dump_func(self, func_name: Name) -> bytes:
        """The instructions of a program, as they were compiled: 8 bytes each.

        Args:
            func_name: of the text.

        Raises:
            UsageError: there is no such function.
        """
        return self.module.instructions(as_text(func_name))

    def load_funcs(self, prog_type: int = BPFProgType.KPROBE) -> list[Function]:
        """Loads all programs as one type."""
        return [self.load_func(name, prog_type) for name in self.module.programs]

    def get_table(self, name: Name, keytype: Any = None, leaftype: Any = None, reducer: Any = None) -> Any:
        """A table.

        Args:
            name: of the text.
            keytype: the ctypes type of its keys; None: as the text says.
            leaftype: that of its values.
            reducer: makes one of the values of two CPUs.

        Raises:
            UsageError: there is no such table (KeyError).
        """
        found = self._table(name, keytype, leaftype)
        if reducer is not None:
            found.reducer = reducer
        return found

    def _table(self, name: Name, keytype: Any = None, leaftype: Any = None) -> Any:
        text = as_text(name)
        kind = self.module.tables.get(text)
        if kind is None:
            raise KeyError(name)
        if text not in self.tables or keytype is not None or leaftype is not None:
            map_ = self.module.maps[text]
            if kind in _STREAMS:
                from skep.bcc import buffers

                streams = buffers.RingBuf if kind == "ringbuf" else buffers.PerfEventArray
                self.tables[text] = streams(map_, kind, keytype, leaftype, self.module)
            else:
                # A histogram is an array or a hash, by its key.
                made = KINDS.get(map_.kind if kind == "histogram" else kind)
                if made is None:
                    raise UnsupportedError(f"skep has no tables of kind {kind} for Python: programs alone use {text}")
                self.tables[text] = made(map_, kind, keytype, leaftype)
        return self.tables[text]

    def __getitem__(self, key: Name) -> Any:
        return self._table(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.module.tables)

    def __len__(self) -> int:
        return len(self.module.tables)

    def __contains__(self, key: Name) -> bool:
        return as_text(key) in self.module.tables

    @staticmethod
    def ksym(addr: int, show_module: bool = False, show_offset: bool = False) -> bytes:
        """The function of the kernel at an address.

        Args:
            addr: the address.
            show_module: with its module behind it, ``[kernel]`` for none.
            show_offset: with how far behind its begin the address is.
        """
        return _told(kernel_names().at(addr), show_module, show_offset)

    @staticmethod
    def sym(addr: int, pid: int, show_module: bool = False, show_offset: bool = False, demangle: bool = True) -> bytes:
        """The function at an address.

        Args:
            addr: the address.
            pid: the process that it is of; -1 for the kernel.
            show_module: with the file behind it.
            show_offset: with how far behind its begin the address is.
            demangle: names of C++ as they are written.
        """
        if pid < 0:
            return BPF.ksym(addr, show_module, show_offset)
        return _told(user_symbol(addr, pid, plain=not demangle), show_module, show_offset)

    @staticmethod
    def generate_auto_includes(program_words: Iterable[str]) -> str:  # noqa: ARG004 - as scripts give them
        """Nothing: what a text needs of the kernel's headers is there."""
        return ""

    def donothing(self) -> None:
        """Nothing: a program that is measured by a uprobe on it."""

    def free_bcc_memory(self) -> int:
        """Nothing is left to free: the compiler is another process."""
        return 0


def _told(found: tuple[bytes, int, bytes] | None, show_module: bool, show_offset: bool) -> bytes:
    """A function, as scripts show it: ``name+0x12 [libc.so.6]``."""
    name, distance, module = found or (b"", 0, b"")
    told = (name + b"+0x%x" % distance if show_offset else name) if name else b"[unknown]"
    return told + b" [%s]" % os.path.basename(module) if show_module and module else told


# As scripts know it: BPF.Function.
BPF.Function = Function  # type: ignore[attr-defined]
