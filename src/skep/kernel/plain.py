"""Maps, pins and runs by file descriptors and addresses, as C has them: for callers that are written for that.

What is wrong is told by a negative number, errno's.

Minimum kernel: 4.4; 4.12 for runs. Source: kernel/bpf/syscall.c.
"""

from __future__ import annotations

from skep._native import ffi, lib, messages

__all__ = ["delete", "get", "lookup", "pin", "run", "update"]


def pin(fd: int, path: bytes) -> int:
    """Keeps a map or a program by a file of a bpffs.

    Args:
        fd: its file descriptor.
        path: of the file.
    """
    return _told(lib.bpf_obj_pin(fd, path))


def get(path: bytes) -> int:
    """The file descriptor of what is pinned.

    Args:
        path: of the file.
    """
    return _told(lib.bpf_obj_get(path))


def update(fd: int, key: int, value: int, flags: int) -> int:
    """Sets an entry of a map.

    Args:
        fd: of the map.
        key: its address.
        value: its address.
        flags: BPF_ANY and the like.
    """
    return _told(lib.bpf_map_update_elem(fd, _at(key), _at(value), flags))


def lookup(fd: int, key: int, value: int) -> int:
    """Reads an entry of a map.

    Args:
        fd: of the map.
        key: its address.
        value: the address that it is written to.
    """
    return _told(lib.bpf_map_lookup_elem(fd, _at(key), _at(value)))


def delete(fd: int, key: int) -> int:
    """Removes an entry of a map.

    Args:
        fd: of the map.
        key: its address.
    """
    return _told(lib.bpf_map_delete_elem(fd, _at(key)))


def run(fd: int, repeat: int, data: int, size: int, left: int) -> tuple[int, int, int, int]:
    """Runs a program by itself: the error, how long its packet is then, what it returned, the nanoseconds of a run.

    Args:
        fd: of the program.
        repeat: how many times.
        data: the address of a packet.
        size: of the packet.
        left: where what becomes of it is written.
    """
    options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
    options.data_in, options.data_size_in, options.data_out, options.repeat = _at(data), size, _at(left), repeat
    error = _told(lib.bpf_prog_test_run_opts(fd, options))
    return error, options.data_size_out, options.retval, options.duration


def _at(address: int) -> object:
    return ffi.cast("void *", address)


def _told(result: int) -> int:
    messages()
    return int(result)
