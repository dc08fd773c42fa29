"""What scripts ask of BCC's C library: pins, entries of maps, runs of programs. Its other functions are refused.

They take and give what C does: addresses, and negative numbers where something is wrong, of which errno says what.
"""

from __future__ import annotations

import ctypes
import os

from skep.base.errors import UnsupportedError
from skep.bcc.refusing import answer_for
from skep.bcc.utils import as_text
from skep.kernel import plain
from skep.kernel.btf import VMLINUX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from skep.bcc.module import Module

__all__ = ["lib"]

# What else scripts ask of the module.
__getattr__ = answer_for("bcc.libbcc", {})


class _Library:
    @staticmethod
    def bpf_table_fd(module: Module, name: str | bytes) -> int:
        """The file descriptor of a table, of those, too, that Python cannot read; -1 where there is none.

        Args:
            module: `BPF.module`.
            name: of the table.
        """
        found = module.maps.get(as_text(name))
        return -1 if found is None else int(found.fd)

    @staticmethod
    def bpf_obj_pin(fd: int, pathname: Any) -> int:
        """Keeps a map or a program in the kernel, by a file of a bpffs.

        Args:
            fd: its file descriptor.
            pathname: of the file, as bytes or as a ctypes string.
        """
        return _told(plain.pin(fd, _text(pathname)))

    @staticmethod
    def bpf_obj_get(pathname: Any) -> int:
        """The file descriptor of what is pinned.

        Args:
            pathname: of the file.
        """
        return _told(plain.get(_text(pathname)))

    @staticmethod
    def bpf_update_elem(fd: int, key: Any, value: Any, flags: int = 0) -> int:
        """Sets an entry of a map.

        Args:
            fd: the map's file descriptor.
            key: its address: `ctypes.byref(...)`, an array, bytes.
            value: its address.
            flags: BPF_ANY and the like.
        """
        return _told(plain.update(fd, _address(key), _address(value), flags))

    @staticmethod
    def bpf_lookup_elem(fd: int, key: Any, value: Any) -> int:
        """Reads an entry of a map.

        Args:
            fd: the map's file descriptor.
            key: its address.
            value: the address that it is written to.
        """
        return _told(plain.lookup(fd, _address(key), _address(value)))

    @staticmethod
    def bpf_delete_elem(fd: int, key: Any) -> int:
        """Removes an entry of a map.

        Args:
            fd: the map's file descriptor.
            key: its address.
        """
        return _told(plain.delete(fd, _address(key)))

    @staticmethod
    def bpf_prog_test_run(
        fd: int, repeat: int, data: Any, size: int, data_out: Any, size_out: Any, retval: Any, duration: Any
    ) -> int:
        """Runs a program by itself.

        Args:
            fd: the program's file descriptor.
            repeat: how many times.
            data: the address of a packet.
            size: of the packet.
            data_out: where to write what becomes of it.
            size_out: where to write how long that is, 32 bits, as the next ones.
            retval: where to write what the program returned.
            duration: where to write how long a run took, in nanoseconds.
        """
        error, *results = plain.run(fd, _number(repeat), _address(data), _number(size), _address(data_out))
        if not error:
            for place, result in zip((size_out, retval, duration), results, strict=True):
                if place is not None:
                    ctypes.cast(place, ctypes.POINTER(ctypes.c_uint))[0] = result
        return _told(error)

    @staticmethod
    def bpf_has_kernel_btf() -> bool:
        """Whether the kernel tells its types."""
        return os.path.exists(VMLINUX)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"skep has no C library of BCC's, and so no lib.{name}()",
            remedy="What scripts need of it, methods of BPF and of its tables do.",
        )


def _address(place: Any) -> int:
    """What ctypes takes for an address: a reference, an array, bytes, a number, None."""
    return ctypes.cast(place, ctypes.c_void_p).value or 0


def _number(value: Any) -> int:
    return int(getattr(value, "value", value))


def _text(value: Any) -> bytes:
    return os.fsencode(getattr(value, "value", value))


def _told(result: int) -> int:
    """A result, of which ctypes knows the error."""
    if result < 0:
        ctypes.set_errno(-result)
    return result


lib = _Library()
