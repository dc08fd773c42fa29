"""`Program`: a program in the kernel, and what came of running it by itself."""

from __future__ import annotations

import errno
import os
import struct

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, ClosedError, LoadError, UnsupportedError, UsageError
from skep.kernel.descriptor import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from skep.base.errors import SkepError
    from skep.kernel.map import Map
    from skep.spec.objectspec import ProgramSpec

__all__ = ["Program", "TestRun"]

# The kernel's own ENOTSUPP, which user space has no name for.
_ENOTSUPP = 524
# Bytes that a program may add to a packet; where it adds more, the kernel says how many it needs.
_HEADROOM = 256


def _numbers(arguments: Sequence[int]) -> bytes:
    """The arguments of a tracepoint, as a program finds them in its context."""
    try:
        return b"".join(struct.pack("=q" if number < 0 else "=Q", number) for number in arguments)
    except (struct.error, TypeError):
        raise UsageError(f"ctx={arguments!r}: arguments of tracepoints are numbers of 64 bits") from None


class TestRun:
    """What came of running a program by itself.

    Args:
        returned: its return value, signed: XDP_PASS is 2, TC_ACT_UNSPEC is -1.
        data: the packet as it left it; empty for programs that take none.
        ctx: the context as it left it; empty where none was given.
        duration: of one run, in nanoseconds, on average; 0 where the kernel does not measure it.

    Minimum kernel: 4.12. Source: net/bpf/test_run.c.
    """

    # For pytest, which takes what is called so for a test.
    __test__ = False
    __slots__ = ("ctx", "data", "duration", "returned")

    def __init__(self, returned: int, data: bytes, ctx: bytes, duration: int) -> None:
        self.returned = returned
        self.data = data
        self.ctx = ctx
        self.duration = duration

    def __repr__(self) -> str:
        return f"<TestRun returned {self.returned}, {len(self.data)} bytes, {self.duration} ns>"


class Program(Descriptor):
    """A program in the kernel. Those of an object are closed with it.

    Args:
        spec: what the source declares.
        fd: file descriptor; -1 once it is closed.
        handle: libbpf's.
        maps: of its object, by name.
        struct: libbpf's handle of the struct of operations that is registered with it; None for other programs.
        owned: whether the file descriptor is this program's own to close.

    Minimum kernel: 5.2, as for its object. Source: kernel/bpf/syscall.c (bpf_prog_load).
    """

    __slots__ = ("handle", "maps", "spec", "struct")

    def __init__(
        self,
        spec: ProgramSpec,
        fd: int,
        handle: Any,
        maps: Mapping[str, Map],
        struct: Any = None,
        *,
        owned: bool = False,
    ) -> None:
        super().__init__(fd, owned=owned)
        self.spec = spec
        self.handle = handle
        self.maps = maps
        self.struct = struct

    def __repr__(self) -> str:
        # Of one that is opened by its id or its pin, the kernel does not know the section.
        what = " ".join(filter(None, (repr(self.name), self.spec.section)))
        return f"<Program {what}{', closed' if self.fd < 0 else ''}>"

    def close(self) -> None:
        """Ends the use of it. In the kernel it lives on as long as anybody else has it: a link, a pin, a map."""
        super().close()
        self.handle = ffi.NULL

    @property
    def name(self) -> str:
        """As the source calls it."""
        return self.spec.name

    @property
    def id(self) -> int:
        """Its number, by which anybody with CAP_SYS_ADMIN can open it.

        Raises:
            ClosedError: it is closed.
        """
        return int(self._info().id)

    def _info(self) -> Any:
        self.check()
        info = ffi.new("struct bpf_prog_info *")
        if lib.bpf_obj_get_info_by_fd(self.fd, info, ffi.new("uint32_t *", ffi.sizeof("struct bpf_prog_info"))):
            raise LoadError(f"program {self.name} gives no information", ffi.errno)
        return info

    def check(self) -> None:
        """Refuses what needs it open.

        Raises:
            ClosedError: it is closed, or was not loaded.
        """
        if self.fd < 0:
            raise ClosedError(f"program {self.name} is closed, or not loaded")

    def run_count(self) -> int:
        """How often it ran since statistics were enabled (`Object.enable_statistics`).

        Raises:
            ClosedError: it is closed.
        """
        return int(self._info().run_cnt)

    def pin(self, path: str) -> None:
        """Pins it: the kernel keeps it until the file is removed.

        Args:
            path: of a file that is not there yet, on a bpffs.

        Raises:
            PinError, UnsupportedError, PrivilegeError: it cannot be pinned there.

        Minimum kernel: 4.4. Source: kernel/bpf/inode.c (bpf_obj_pin_user).
        """
        from skep.kernel.pin import pin

        self.check()
        pin(self.fd, path)

    @classmethod
    def from_pin(cls, path: str) -> Self:
        """A program that is pinned: to be closed.

        Args:
            path: of the file.

        Raises:
            PinError, PrivilegeError: there is no such pin, or of something else, or it is not permitted.

        Minimum kernel: 4.4. Source: kernel/bpf/inode.c (bpf_obj_get_user).
        """
        from skep.kernel.pin import open_pin

        return cls._opened(open_pin(path, "program"))

    @classmethod
    def from_id(cls, number: int) -> Self:
        """A program of the kernel's, whoever loaded it: to be closed.

        Args:
            number: its id.

        Raises:
            PinError, PrivilegeError: there is none of that id, or it is not permitted (CAP_SYS_ADMIN).

        Minimum kernel: 4.13. Source: kernel/bpf/syscall.c (bpf_prog_get_fd_by_id).
        """
        from skep.kernel.pin import open_id

        return cls._opened(open_id(number, "program"))

    @classmethod
    def _opened(cls, fd: int) -> Self:
        from skep.spec.objectspec import ProgramSpec

        program = cls(ProgramSpec("", "", frozenset(), frozenset()), fd, ffi.NULL, {}, owned=True)
        program.spec.name = ffi.string(program._info().name).decode("ascii", "replace")
        return program

    def test_run(
        self, data: bytes | None = None, *, ctx: bytes | Sequence[int] | None = None, repeat: int | None = None
    ) -> TestRun:
        """Runs it by itself, as the kernel's own tests do: nothing needs to be attached, and no packet to be sent.

        Args:
            data: the packet, for programs on packets: 14 bytes at least, an Ethernet header.
            ctx: the context: its bytes, or the arguments of a tracepoint (raw_tp) as numbers of 64 bits, signed or not.
            repeat: how many runs the duration is measured over, from 1; None: one.

        Raises:
            ClosedError: it is closed.
            UsageError: it does not take what is given.
            UnsupportedError: programs of its kind cannot be run so.
            PrivilegeError: it is not permitted.

        Minimum kernel: 4.12; raw_tp 5.10, syscall 5.14, netfilter 6.5. Source: net/bpf/test_run.c.
        """
        self.check()
        if repeat is not None and not 0 < repeat < 1 << 31:
            raise UsageError(f"repeat={repeat}: a program is run once at least, and {(1 << 31) - 1} times at most")
        given = ctx if ctx is None or isinstance(ctx, (bytes, bytearray, memoryview)) else _numbers(ctx)
        options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
        # Kept by name: libbpf has their addresses only. What a syscall program leaves goes where its context came from.
        packet = ffi.from_buffer(data or b"")
        context = ffi.new("unsigned char[]", len(given or b""))
        ffi.memmove(context, given or b"", len(context))
        options.repeat = repeat or 0
        if given is not None:
            options.ctx_in, options.ctx_size_in = context, len(given)
        if data is not None:
            options.data_in, options.data_size_in = packet, len(packet)
            if given is not None:
                options.ctx_out, options.ctx_size_out = context, len(given)
        room = len(packet) + _HEADROOM if data is not None else 0
        while True:
            left = ffi.new("unsigned char[]", room)
            if room:
                options.data_out, options.data_size_out = left, room
            error = lib.bpf_prog_test_run_opts(self.fd, options)
            if error == -errno.EINTR:  # a signal, whose handler has run by now
                continue
            if error != -errno.ENOSPC or options.data_size_out <= room:
                break
            room = options.data_size_out
        messages()
        if error:
            raise self._refused(-error, data)
        return TestRun(
            int(ffi.cast("int32_t", options.retval)),
            bytes(ffi.buffer(left, options.data_size_out if room else 0)),
            bytes(ffi.buffer(context)),
            int(options.duration),
        )

    def _refused(self, number: int, data: bytes | None) -> SkepError:
        from skep.kernel.features import privilege_error

        what = f"program {self.name} ({self.spec.section})"
        if number in {_ENOTSUPP, errno.EOPNOTSUPP}:
            return UnsupportedError(f"{what} cannot be run by itself: the kernel runs none of its kind so")
        if number in NOT_PERMITTED:
            return privilege_error(f"running {what}")
        if number == errno.EINVAL and data is not None and len(data) < 14:
            return UsageError(f"{what} takes a packet with its Ethernet header: 14 bytes at least, not {len(data)}")
        remedy = "Programs on packets take data, raw_tp and syscall programs ctx alone, the first without repeat."
        return UsageError(f"{what} does not take what it was to be run with: {os.strerror(number)}", remedy=remedy)
