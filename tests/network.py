"""Network namespaces of a test's own, with a cable between them: packets that nobody else sends or sees."""

from __future__ import annotations

import itertools
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from skep._native import ffi, lib

__all__ = ["Network", "inside", "ip", "send"]

_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread, in a network namespace."""

    def enter(path: str) -> int:
        here, there = (os.open(each, os.O_RDONLY) for each in ("/proc/thread-self/ns/net", path))
        assert not lib.syscall(lib.SYS_setns, ffi.cast("int", there), ffi.cast("int", _CLONE_NEWNET))
        os.close(there)
        return here

    here = enter(f"/run/netns/{namespace}")
    try:
        yield
    finally:
        os.close(enter(f"/proc/self/fd/{here}"))
        os.close(here)


class Network:
    """Two namespaces with a cable (veth) between them: `ours` has near, 10.99.0.1; `theirs` has far, 10.99.0.2."""

    def __init__(self) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.ours, self.theirs = f"skep-ours-{number}", f"skep-theirs-{number}"

    def make(self) -> None:
        ip("netns", "add", self.ours)
        ip("netns", "add", self.theirs)
        ip("link", "add", "near", "netns", self.ours, "type", "veth", "peer", "name", "far", "netns", self.theirs)
        for namespace, name, address in ((self.ours, "near", 1), (self.theirs, "far", 2)):
            ip("-n", namespace, "address", "add", f"10.99.0.{address}/24", "dev", name)
            # Without an address of IPv6 that the kernel makes up, it tells nobody of one: the cable is silent.
            ip("-n", namespace, "link", "set", name, "addrgenmode", "none", "up")
            ip("-n", namespace, "link", "set", "lo", "up")

    def add_ipv6(self) -> None:
        """From now on near is fd99::1, too, and far fd99::2."""
        for namespace, name, number in ((self.ours, "near", 1), (self.theirs, "far", 2)):
            ip("-n", namespace, "address", "add", f"fd99::{number}/64", "dev", name, "nodad")

    def remove(self) -> None:
        for namespace in (self.ours, self.theirs):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", namespace)

    def receive(self, size: int = 10) -> None:
        """They send us a packet."""
        with inside(self.theirs):
            send("10.99.0.1", size)

    def tc(self, *words: str) -> str:
        command = ["ip", "netns", "exec", self.ours, "tc", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @property
    def filters(self) -> list[str]:
        """The names of the filters on near and lo."""
        shown = [
            self.tc("filter", "show", "dev", name, way) for name in ("near", "lo") for way in ("ingress", "egress")
        ]
        return re.findall(r"handle .*?(skep:\S+|bytecode)", "".join(shown))


def send(address: str, size: int = 10, port: int = 4321) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(size), (address, port))
