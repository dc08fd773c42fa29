"""What stands behind options: values of variables, --fill, --attach, --freq. The first byte chooses which."""

from __future__ import annotations

from functools import cache
from random import Random

from skep.base.schema import Type
from skep.spec.fills import entries, read_fill
from skep.spec.objectspec import ObjectSpec
from skep.spec.targets import Targets, hook_of
from skep.spec.values import Value
from tests.fuzz import mutation, objects

_BYTE = Type("int", 1, "u8")
_VALUES = [
    Value("x", Type("int", 8, "u64"), None),
    Value("x", Type("int", 4, "s32", signed=True), "duration_ms"),
    Value("x", Type("int", 2, "__be16"), "port_be"),
    Value("x", Type("int", 16, "__int128", signed=True), "duration_ns"),
    Value("x", Type("bool", 1, "bool"), None),
    Value("x", Type("float", 4, "float"), None),
    Value("x", Type("float", 8, "double"), None),
    Value("x", Type("enum", 4, "enum mode", enum={0: "IDLE", 7: "BUSY"}), None),
    Value("x", Type("text", 16, "char[16]", count=16), None),
    Value("x", Type("text", 0, "char[0]"), None),
    Value("x", Type("int", 4, "__be32"), "ipv4"),
    Value("x", Type("array", 16, "u8[16]", element=_BYTE, count=16), "ip"),
    Value("x", Type("struct", 16, "struct in6_addr"), "ipv6"),
]
_TEXTS = ["12", "-0x1f", "10ms", "1.5h", "443", "true", "3.25e2", "BUSY", "text", "192.0.2.1", "2001:db8::1", "0b11"]
_TEXTS += ["table=1:2", "addresses=[2001:db8::/32]:1", "queue=7", "jumps=0:prog", "allowed=10.0.0.0/8", "names=a:b"]
_TEXTS += ["kprobe/do_unlinkat", "tp/sched/sched_switch", "libc:malloc", "/bin/bash:readline+16", "page-faults:1"]
_TEXTS += ["ipv4/local_in/10", "usdt/libc:probe:name", "uprobe.multi/x:*", "vfs_*", "99"]


@cache
def _specs() -> list[ObjectSpec]:
    return [ObjectSpec.read(data, "x.o") for data in objects.seeds()]


def seeds() -> list[bytes]:
    return [bytes([index]) + text.encode() for index in range(len(_VALUES) + 3) for text in _TEXTS]


def mutated(random: Random, seed: bytes) -> bytes:
    return seed[:1] + mutation.text(random, seed[1:])


def read(data: bytes) -> None:
    # As Python gives arguments: what is not UTF-8 stands in them as surrogates.
    index, text = (data or b"\0")[0] % (len(_VALUES) + 3), data[1:].decode("utf-8", "surrogateescape")
    if index < len(_VALUES):
        value = _VALUES[index]
        written = value.parse(text)
        assert len(written) == value.type.size
        assert value.write(value.read(written)) == written
    elif index == len(_VALUES):
        Targets(freq=text)
    for spec in _specs() if index == len(_VALUES) + 1 else ():
        if text.partition("=")[0] in spec.maps:
            entries(spec, read_fill(spec, [text]))
        else:
            # The names of maps are those of objects: what stands behind them is the user's.
            for name, map_ in spec.maps.items():
                _fill(spec, f"{name}={text.partition('=')[2] or text}", filled=map_.type != 0)
    for spec in _specs() if index == len(_VALUES) + 2 else ():
        for program in spec.programs.values():
            _attach(spec, program.name, text)


def _fill(spec: ObjectSpec, text: str, *, filled: bool) -> None:
    from skep.base.errors import UsageError

    try:
        assert entries(spec, read_fill(spec, [text])) is not None or not filled
    except UsageError:
        return


def _attach(spec: ObjectSpec, program: str, text: str) -> None:
    from skep.base.errors import UsageError

    for targets in ({"attach": {program: text}}, {"function": text}, {"binary": text}, {"iface": text}):
        try:
            hook = hook_of(spec.programs[program], Targets(**targets), spec.maps)
            _ = str(hook), hook.needs, hook.is_pattern, hook.on_network
        except UsageError:
            continue
