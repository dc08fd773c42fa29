"""`Netlink`: asks the kernel's rtnetlink, which has queueing disciplines and filters of packets (tc).

Minimum kernel: 4.12, for errors in words. Source: Documentation/userspace-api/netlink/intro.rst;
include/uapi/linux/netlink.h, rtnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACK", "CREATE", "DUMP", "ECHO", "EXCLUSIVE", "Netlink", "attribute", "attributes"]

ACK, ECHO = 0x4, 0x8
DUMP = 0x300
EXCLUSIVE, CREATE = 0x200, 0x400
_REQUEST = 0x1
_CAPPED, _WITH_WORDS = 0x100, 0x200
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_MESSAGE = 1  # NLMSGERR_ATTR_MSG
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# Attributes that hold others say so in their kind.
_KIND = 0x3FFF
_ROOM = 1 << 16


class Netlink:
    """A socket to rtnetlink, in the network namespace that it was made in.

    `port` is its address there: no two sockets have the same.

    Raises:
        OSError: it cannot be made.
    """

    __slots__ = ("_socket", "port")

    def __init__(self) -> None:
        self._socket = _new_socket(0)
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self.port: int = self._socket.getsockname()[0]

    def close(self) -> None:
        """Closes the socket; its port is free again."""
        self._socket.close()

    def ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """Sends a request, and waits for the answer.

        Args:
            kind: of the request: RTM_NEWQDISC ...
            flags: DUMP, or ACK with others; an answer ends with an acknowledgement.
            body: what follows the header.

        Returns:
            The bodies of what came before the acknowledgement.

        Raises:
            OSError: what the kernel says, in its words where it has some.
        """
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 1, 0) + body)
        answers: list[bytes] = []
        while True:
            data = memoryview(self._socket.recv(_ROOM))
            while len(data) >= _HEADER.size:
                length, answer, answer_flags, _, _ = _HEADER.unpack_from(data)
                content = bytes(data[_HEADER.size : length])
                if answer == _ERROR:
                    _raise_if_failed(content, answer_flags)
                    return answers
                if answer == _DONE:
                    return answers
                answers.append(content)
                data = data[length + -length % 4 :]

    @staticmethod
    def is_taken(port: int) -> bool:
        """Whether a socket of this network namespace has a port.

        Args:
            port: its number.
        """
        try:
            _new_socket(port).close()
        except OSError:
            return True
        return False


def _new_socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        made.bind((port, 0))
    except OSError:
        made.close()
        raise
    return made


def _raise_if_failed(content: bytes, flags: int) -> None:
    number = -struct.unpack_from("=i", content)[0]
    if not number:
        return
    words = b""
    if flags & _WITH_WORDS:
        # Behind the error stands the header of what failed, and the rest of it too where it is not capped.
        request = _HEADER.unpack_from(content, 4)[0]
        start = 4 + (_HEADER.size if flags & _CAPPED else request + -request % 4)
        words = attributes(content[start:]).get(_MESSAGE, b"")
    raise OSError(number, words.rstrip(b"\0").decode("ascii", "replace") or os.strerror(number))


def attribute(kind: int, content: bytes) -> bytes:
    """One attribute, padded.

    Args:
        kind: its number.
        content: what it holds; other attributes, for one that is nested.
    """
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content + bytes(-len(content) % 4)


def attributes(data: bytes) -> Mapping[int, bytes]:
    """Attributes taken apart: kind -> content.

    Args:
        data: one behind the other.
    """
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _KIND] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found
