"""Attaching to packets and sockets, as scripts say it: the part of `BPF` that needs a loaded function."""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from skep.base.errors import AttachError, UnsupportedError, UsageError
from skep.bcc.function import Function
from skep.bcc.utils import as_text
from skep.kernel.link import attach
from skep.kernel.link.common import link_create
from skep.spec.sections import parse
from skep.spec.targets import Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from skep.kernel.link import Links
    from skep.kernel.program import Program

    Name = str | bytes

__all__ = ["Packets"]

_ALL = 3  # ETH_P_ALL, include/uapi/linux/if_ether.h
_SO_ATTACH_BPF = 50  # include/uapi/asm-generic/socket.h
# XDP_FLAGS_*, include/uapi/linux/if_link.h
_IF_NONE, _GENERIC, _NATIVE, _OFFLOADED = 1, 2, 4, 8
# BPF_F_ALLOW_OVERRIDE and BPF_F_ALLOW_MULTI, include/uapi/linux/bpf.h: to links of cgroups both are a matter of course.
_BESIDE_OTHERS = 3


class Packets:
    """What functions are attached to."""

    # An interface has one program, and scripts take it off by the interface alone.
    _of_interfaces: ClassVar[dict[str, Links]] = {}

    @classmethod
    def attach_xdp(cls, dev: Name, fn: Function, flags: int = 0) -> None:
        """Attaches a program to an interface, in front of the network stack. It stays as long as the script.

        Args:
            dev: the interface. One that the script has attached there before goes.
            fn: the program, from `load_func`.
            flags: of `XDPFlags`.

        Raises:
            UsageError: there is no such interface.
            AttachError: there is another program, or the driver refuses it.
            UnsupportedError: it is to run on the network card.
        """
        program, name = _program(fn), as_text(dev)
        if flags & _OFFLOADED:
            raise UnsupportedError("skep does not offload programs to network cards (XDP_FLAGS_HW_MODE)")
        if not flags & _IF_NONE:
            cls.remove_xdp(dev)
        mode = {_GENERIC: "generic", _NATIVE: "native"}.get(flags & (_GENERIC | _NATIVE))
        hooks = {program.name: parse("xdp").complete(name)}
        cls._of_interfaces[name] = attach([program], hooks, Targets(xdp_mode=mode))

    @classmethod
    def remove_xdp(cls, dev: Name, flags: int = 0) -> None:  # noqa: ARG003 - the link knows
        """Takes a script's program off an interface; nothing happens where there is none.

        Args:
            dev: the interface.
            flags: as for `attach_xdp`.
        """
        found = cls._of_interfaces.pop(as_text(dev), None)
        if found is not None:
            found.close()

    @staticmethod
    def attach_raw_socket(fn: Function, dev: Name) -> None:
        """Opens a socket that gets the packets of an interface that a program lets through; `fn.sock` is its number.

        Args:
            fn: the program, from `load_func`.
            dev: the interface; "" for all.

        Raises:
            AttachError: it cannot be opened.
        """
        _program(fn)
        name = as_text(dev)
        # Of no protocol until the program is there: no packet comes before it.
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, fn.fd)
            if name:
                packets.bind((name, _ALL))
            else:
                _bind_everywhere(packets)
        except OSError as error:
            packets.close()
            raise AttachError(f"packets of {name}: {error.strerror}", error.errno or 0) from error
        fn.keep(packets)

    @staticmethod
    def attach_func(fn: Function, attachable_fd: int, attach_type: int, flags: int = 0) -> None:
        """Attaches a program to what a file descriptor stands for: a cgroup, a map of sockets.

        Args:
            fn: the program, from `load_func`.
            attachable_fd: a file descriptor.
            attach_type: of `BPFAttachType`.
            flags: as bpf(2) has them; that other programs may be beside it needs none.

        Raises:
            AttachError: the kernel refuses it.

        Minimum kernel: 5.7; 6.10 for maps of sockets. Source: kernel/bpf/syscall.c (link_create).
        """
        program = _program(fn)
        try:
            link = link_create(fn.fd, attachable_fd, attach_type, flags=flags & ~_BESIDE_OTHERS)
        except OSError as error:
            raise AttachError(f"{program.name} cannot be attached: {error.strerror}", error.errno or 0) from error
        fn.keep(os.fdopen(link, "rb", buffering=0), (attachable_fd, attach_type))

    @staticmethod
    def detach_func(fn: Function, attachable_fd: int, attach_type: int) -> None:
        """Detaches what `attach_func` has attached. The arguments are its own.

        Raises:
            UsageError: it is not attached there.
        """
        program = _program(fn)
        if not fn.drop((attachable_fd, attach_type)):
            raise UsageError(f"{program.name} is not attached to file descriptor {attachable_fd}")


def _bind_everywhere(packets: socket.socket) -> None:
    """To all interfaces, which Python asks for by a name."""
    address = struct.pack("=HHi12x", socket.AF_PACKET, socket.htons(_ALL), 0)  # struct sockaddr_ll
    if ctypes.CDLL(None, use_errno=True).bind(packets.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _program(fn: Any) -> Program:
    """The program of a function, if it is one."""
    if not isinstance(fn, Function):
        raise UsageError(f"{fn!r} is no function that load_func() has loaded")
    return fn.program
