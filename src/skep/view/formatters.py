"""How a value of each meaning is written: one formatter for every word of `skep.base.meaning`.

A formatter takes the value as it stands in the row and the run's `Names`, and returns one line of printable text. It
never fails: a number that has no name stays a number. What a traced process chose (names, paths, arguments) passes
through `escape`, so that it cannot move the terminal's cursor, change colours, or hide or reorder what is shown.
"""

from __future__ import annotations

import sys
from stat import filemode

from skep.base.abi.errnos import ERRNOS, HIGHEST_ERRNO
from skep.base.abi.files import ACCESS_MODES, open_flags
from skep.base.abi.signals import SIGNALS
from skep.base.abi.sockets import FAMILIES, PROTOCOLS, TCP_STATES
from skep.base.abi.syscalls import COMPAT, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from skep.stream.names import Names

__all__ = ["AF_INET", "AF_INET6", "CLOCKS", "FORMATTERS", "escape", "format_enum", "format_ip", "format_syscall"]

AF_INET = 2
AF_INET6 = 10

CLOCKS = {"time_monotonic": "monotonic", "time_boot": "boot", "time_tai": "tai"}
"""Meaning of a moment -> the attribute of `Names` that leads from its clock to the Unix epoch."""

_NAMED_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# (below this many nanoseconds, nanoseconds in the unit, unit): a limit is where three decimals would round up to the
# next unit.
_DURATIONS = (
    (999_999.5, 1e3, "us"),
    (999_999_500, 1e6, "ms"),
    (59.9995e9, 1e9, "s"),
    (59.9995 * 60e9, 60e9, "min"),
    (23.9995 * 3600e9, 3600e9, "h"),
    (float("inf"), 86400e9, "d"),
)
_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def escape(text: str) -> str:
    r"""Text in which every character that a terminal may not print plainly is written out.

    Args:
        text: a row's text. Bytes that are not UTF-8 stand in it as surrogates, and come out as ``\xNN``; so do ASCII's
            control characters. Others (C1, bidirectional and other format characters, private use) become ``\uNNNN``.
    """
    if text.isprintable():
        return text
    return text.translate(_escapes)


class _Escapes(dict[int, str]):
    # Of a code: what is written for it. Those of bytes are kept: a text may hold thousands.

    def __missing__(self, code: int) -> str:
        character = chr(code)
        written = character if character.isprintable() else _escaped(character)
        if code <= 0xFF or 0xDC80 <= code <= 0xDCFF:
            self[code] = written
        return written


_escapes = _Escapes()


def _escaped(character: str) -> str:
    if character in _NAMED_CONTROLS:
        return _NAMED_CONTROLS[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what "surrogateescape" makes of a byte that is not UTF-8
        code -= 0xDC00
        return f"\\x{code:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def format_ip(value: int | bytes | tuple[int, ...], family: int = 0) -> str:
    """An address that may be IPv4 or IPv6, the former in the first four bytes.

    Args:
        value: the bytes in network order: themselves, as integers of one width, or as one integer read from memory.
        family: AF_INET or AF_INET6. With any other, an address whose bytes from the fifth on are zero is IPv4.
    """
    octets = _octets(value, 16)
    if family == AF_INET or (family != AF_INET6 and not any(octets[4:])):
        return ".".join(map(str, octets[:4]))
    from socket import AF_INET6 as FAMILY  # costs 6 ms: paid where an IPv6 address occurs
    from socket import inet_ntop

    return inet_ntop(FAMILY, octets)


def _octets(value: int | bytes | tuple[int, ...], size: int) -> bytes:
    if isinstance(value, int):
        return (value & (1 << size * 8) - 1).to_bytes(size, sys.byteorder)
    if isinstance(value, tuple):
        width = max(1, size // max(1, len(value)))
        value = b"".join(_octets(part, width) for part in value)
    return value[:size].ljust(size, b"\0")


def _time(value: int, offset: int, names: Names) -> str:
    if value == 0:
        return "-"  # never set: no clock of these reads zero once programs run
    seconds, nanoseconds = divmod(value + offset, 1_000_000_000)
    minutes, second = divmod((seconds + names.utc_offset) % 86400, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}.{nanoseconds // 1000:06}"


def _duration(value: int, nanoseconds: int, unit: str) -> str:
    if -1000 < value < 1000:
        return f"{value} {unit}"  # no decimals that were not measured
    span = value * nanoseconds
    for limit, size, larger in _DURATIONS:
        if abs(span) < limit:
            return f"{span / size:.3f} {larger}"
    raise AssertionError("unreachable: the last limit is infinite")


def _bytes(value: int, _: Names) -> str:
    if -1024 < value < 1024:
        return f"{value} B"
    power = 1
    while power < len(_SIZES) and abs(value) >= 1023.95 * 1024**power:
        power += 1
    return f"{value / 1024**power:.1f} {_SIZES[power - 1]}"


def _number(value: int, _: Names) -> str:
    return str(value)


def _text(value: str | bytes | tuple[int, ...], _: Names) -> str:
    if not isinstance(value, str):
        octets = bytes(octet & 0xFF for octet in value)
        value = octets.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return escape(value)


def _result(value: int, _: Names) -> str:
    number = value
    # An unsigned field hides the sign, and a function that returns int mostly leaves zeros in the upper half of rax.
    for bits in (64, 32):
        if (1 << bits) - HIGHEST_ERRNO <= value < 1 << bits:
            number = value - (1 << bits)
    return ERRNOS.get(-number, str(value)) if number < 0 else str(value)


def _errno(value: int, names: Names) -> str:
    return ERRNOS.get(value) or _result(value, names)


def _signal(value: int, _: Names) -> str:
    return SIGNALS.get(value, str(value))


def _exit_code(value: int, _: Names) -> str:
    if value & 0xFF == 0 and 0 <= value <= 0xFF00:
        return str(value >> 8)
    name = SIGNALS.get(value & 0x7F)
    if name is None or not 0 < value <= 0xFF:
        return str(value)
    return f"{name} (core)" if value & 0x80 else name


def format_syscall(value: int, names: Names, *, compat: bool = False) -> str:
    """The name of a system call, or its number.

    Args:
        value: the number.
        names: of the machine whose numbers these are.
        compat: whether a 32-bit program called.
    """
    architecture = COMPAT.get(names.architecture, "") if compat else names.architecture
    return syscalls(architecture).get(value, str(value))


def _open_flags(value: int, names: Names) -> str:
    rest = value if value >= 0 else value & 0xFFFFFFFF
    words = [ACCESS_MODES[rest & 3]]
    rest &= ~3
    for bits, name in open_flags(names.architecture):
        if rest & bits == bits:
            words.append(name)
            rest &= ~bits
    if rest:
        words.append(hex(rest))
    return "|".join(words)


def format_enum(value: int, known: Mapping[int, str]) -> str | None:
    """The name of a value; of a set of flags, the names of all that are set. None if a part of it has none.

    Args:
        value: the number.
        known: number -> name. It is a set of flags if no number has more than one bit; and 1 and 2 alone may be
            counted.
    """
    name = known.get(value)
    if name is not None or value <= 0 or max(known, default=0) < 4 or any(each & (each - 1) for each in known):
        return name
    flags = [1 << bit for bit in range(value.bit_length()) if value >> bit & 1]
    return "|".join(known[flag] for flag in flags) if all(flag in known for flag in flags) else None


def _name(value: int, known: Mapping[int, str]) -> str:
    name = known.get(value)
    return str(value) if name is None else escape(name)


def _device(value: int, known: Mapping[int, str]) -> str:
    value &= 0xFFFFFFFF
    name = known.get(value)
    return f"{value >> 20}:{value & 0xFFFFF}" if name is None else escape(name)


FORMATTERS: dict[str, Callable[[Any, Names], str]] = {
    "time_monotonic": lambda value, names: _time(value, names.monotonic, names),
    "time_boot": lambda value, names: _time(value, names.boot, names),
    "time_tai": lambda value, names: _time(value, names.tai, names),
    "duration_ns": lambda value, _: _duration(value, 1, "ns"),
    "duration_us": lambda value, _: _duration(value, 1_000, "us"),
    "duration_ms": lambda value, _: _duration(value, 1_000_000, "ms"),
    "pid": _number,
    "tid": _number,
    "ppid": _number,
    "uid": lambda value, names: _name(value, names.users),
    "gid": lambda value, names: _name(value, names.groups),
    "comm": _text,
    "text": _text,
    "result": _result,
    "errno": _errno,
    "signal": _signal,
    "exit_code": _exit_code,
    "syscall": format_syscall,
    "compat": lambda value, _: "32-bit" if value else "64-bit",
    "open_flags": _open_flags,
    "mode": lambda value, _: filemode(value & 0xFFFF),
    "device": lambda value, names: _device(value, names.devices),
    "cgroup": lambda value, names: _name(value, names.cgroups),
    "namespace": lambda value, names: _name(value, names.namespaces),
    "family": lambda value, _: FAMILIES.get(value, str(value)),
    "protocol": lambda value, _: PROTOCOLS.get(value, str(value)),
    "tcp_state": lambda value, _: TCP_STATES.get(value, str(value)),
    "mac": lambda value, _: _octets(value, 6).hex(":"),
    "ipv4": lambda value, _: ".".join(map(str, _octets(value, 4))),
    "ipv6": lambda value, _: format_ip(value, AF_INET6),
    "ip": lambda value, _: format_ip(value),
    "port": _number,
    "port_be": lambda value, _: str(int.from_bytes(_octets(value, 2), "big")),
    "bytes": _bytes,
    "pointer": lambda value, _: hex(value & 0xFFFF_FFFF_FFFF_FFFF),
    # Alone: the number of a stack, or one address of it. Of whole ones `skep.view.stacks` knows the frames.
    "stack": lambda value, _: str(value) if value < 1 << 32 else hex(value),
}
"""Meaning -> its formatter, ``(value, names) -> text``."""
