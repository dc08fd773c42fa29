"""`Variable`: a global of a loaded object, in the very memory that its programs use.

Minimum kernel: 5.5 for maps that are mapped into memory (BPF_F_MMAPABLE). Source: kernel/bpf/arraymap.c
(array_map_mmap), tools/lib/bpf/libbpf.c (bpf_object__init_global_data_maps).
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib
from skep.base.errors import MORE_DESCRIPTORS, NO_DESCRIPTORS, LoadError, UnsupportedError, UsageError
from skep.base.schema import decoder, dtype_of
from skep.kernel.held import Held
from skep.kernel.maps.failures import UNSUPPORTED
from skep.spec.variables import VariableSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from skep.spec.variables import GlobalSpec

__all__ = ["Memory", "Variable"]

# What the kernel says of a section that user space may not map: one with a lock, or one that was not made for it.
_UNMAPPED = {*UNSUPPORTED, errno.EINVAL}


class Memory(Held):
    """A section's memory. Where the kernel maps none (a lock lies in it), it can be read, and not written.

    Args:
        name: of the section, for messages.
        fd: of the map that holds it, which stays its owner's.
        size: in bytes.

    Raises:
        LoadError: there is no memory, or no file descriptor, to map it with.
    """

    def __init__(self, name: str, fd: int, size: int) -> None:
        from mmap import MAP_SHARED, PROT_READ, PROT_WRITE, mmap

        self._name = name
        self._fd = fd
        self._size = size
        # What is constant to programs is frozen: nobody may map it to write to it.
        access = PROT_READ if name.startswith(".rodata") else PROT_READ | PROT_WRITE
        try:
            self._mapped: mmap | None = mmap(fd, size, flags=MAP_SHARED, prot=access)
        except OSError as error:
            if error.errno not in _UNMAPPED:
                remedy = MORE_DESCRIPTORS if error.errno in NO_DESCRIPTORS else None
                raise LoadError(
                    f"section {name} cannot be mapped: {error.strerror}", error.errno or 0, remedy=remedy
                ) from None
            self._mapped = None
        self._hold()

    def _told(self) -> str:
        return f"Variables of {self._name}"

    def _release(self) -> None:
        if self._mapped is not None:
            self._mapped.close()

    def read(self, start: int, size: int) -> bytes:
        """Some of its bytes, as they are now.

        Args:
            start: the first of them.
            size: how many.

        Raises:
            ClosedError: its object is closed.
            LoadError: the kernel refuses to read it.
        """
        self.check()
        if self._mapped is not None:
            return self._mapped[start : start + size]
        value = ffi.new("unsigned char[]", self._size)
        if lib.bpf_map_lookup_elem(self._fd, ffi.new("uint32_t *", 0), value):
            raise LoadError(f"section {self._name} cannot be read: {os.strerror(ffi.errno)}", ffi.errno)
        return bytes(ffi.buffer(value + start, size))

    def write(self, start: int, data: bytes) -> None:
        """Changes some of its bytes, and no others.

        Args:
            start: the first of them.
            data: what they become.

        Raises:
            ClosedError: its object is closed.
            UnsupportedError: the kernel does not map this section, and would have it written only as a whole.
        """
        self.check()
        if self._mapped is None:
            raise UnsupportedError(
                f"section {self._name} cannot be written by parts: it holds what only programs may use, such as a lock",
                remedy="Put what user space writes into a section without one.",
            )
        self._mapped[start : start + len(data)] = data


class Variable:
    """A global of a loaded object: what programs write shows at once, and what is written is what they read next.

    Made by `Object.variables`.

    Args:
        spec: what the source declares.
        memory: of the section that it lies in.

    Minimum kernel: 5.5. Source: kernel/bpf/arraymap.c (array_map_mmap).
    """

    __slots__ = ("_codec", "_decode", "_memory", "spec")

    def __init__(self, spec: GlobalSpec, memory: Memory) -> None:
        self.spec = spec
        self._memory = memory
        self._codec = spec.codec
        # What no text can give is a row, or a tuple, as in records and maps.
        self._decode: Callable[[bytes], Any] = self._codec.read if self._codec.takes_text else decoder(spec.type)

    def __repr__(self) -> str:
        value = "closed" if self._memory.closed else f"= {self.value!r}"
        return f"<Variable {self.spec.name!r} {self.spec.type.name} {value}>"

    @property
    def value(self) -> Any:
        """The value, now: as `VariableSpec.value` has it before load; of a struct its row, of an array a tuple.

        A number is read and written as a whole. Another CPU may write it at the same moment: to count up from both
        sides loses counts.

        Raises:
            ClosedError: the object is closed.
            UsageError: it is set, and its type does not take that value, or it is a constant since it was loaded.
        """
        return self._decode(self._memory.read(self.spec.offset, self.spec.type.size))

    @value.setter
    def value(self, value: object) -> None:
        if isinstance(self.spec, VariableSpec):
            name = self.spec.name
            raise UsageError(
                f"{name} is a constant since it was loaded: the verifier has relied on its value",
                remedy=f"Set spec.variables[{name!r}].value before load, or declare it without const.",
            )
        encode = self._codec.write if self._codec.takes_text else self._codec.encode
        self._memory.write(self.spec.offset, encode(value))

    def to_array(self) -> np.ndarray[Any, Any]:
        """The value, now, as a NumPy array of its shape: large arrays take a thousandth of the time. Imports NumPy.

        Raises:
            ClosedError: the object is closed.
        """
        import numpy as np

        dtype = np.dtype(dtype_of(self.spec.type))
        return np.ndarray(dtype.shape, dtype.base, bytearray(self._memory.read(self.spec.offset, self.spec.type.size)))
