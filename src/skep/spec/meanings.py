"""Finds the meaning of a field from its type, its name and its neighbours; and the clock of a time from its programs.

The rules are those of the field's own habits: what `ts`, `delta_us`, `saddr` or `ret` hold in the kernel files that
people write. A rule needs type *and* name to agree; what fits none stays a plain number. So does what has one name for
two things: an `exit_code` may be the kernel's, with the status shifted and the signal below it, or the status alone.
"""

from __future__ import annotations

from skep.base.schema import IN_FILES, Field, Schema, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["CLOCKS", "meaning_of", "with_meanings"]

# Helpers that read a clock (include/uapi/linux/bpf.h), and the meaning of what they return.
CLOCKS = {5: "time_monotonic", 160: "time_monotonic", 125: "time_boot", 208: "time_tai"}


def _int(*sizes: int, signed: bool | None = None) -> Callable[[Type], bool]:
    return lambda type_: type_.kind == "int" and type_.size in sizes and signed in {None, type_.signed}


def _is_stack(type_: Type) -> bool:
    """Whether a type holds a stack: its number, its addresses, or places in files (struct bpf_stack_build_id)."""
    element = type_.element
    if type_.kind != "array" or element is None:
        # A number without a sign in eight bytes is rather an address.
        return type_.kind == "int" and (type_.size == 4 or (type_.size == 8 and type_.signed))
    return (element.kind == "int" and element.size == 8) or element.name == IN_FILES


def _is_mac(type_: Type) -> bool:
    return type_.kind == "array" and type_.count == 6 and type_.element is not None and type_.element.size == 1


# (what the name ends in, after a _ or as a whole; the type; the meaning). "time" stands for the clock that the programs
# read. Names are compared and not matched: compiling these as regular expressions would cost 2 ms at every start.
_ENDINGS = (
    ("ts timestamp time ts_ns timestamp_ns time_ns", _int(8), "time"),
    # Times, of which no word counts in these units; not spans, as what follows would make of them.
    ("ts_us ts_ms timestamp_us timestamp_ms", lambda _: False, ""),
    ("us usec usecs micros", _int(4, 8), "duration_us"),
    ("ms msec msecs millis", _int(4, 8), "duration_ms"),
    ("ns nsec nsecs nanos delta duration latency elapsed age lat", _int(8), "duration_ns"),
    ("ret retval result retcode ret_code", _int(4, 8), "result"),
    ("err errno error", _int(4, 8), "errno"),
    ("sig signal signo signum", _int(1, 2, 4), "signal"),
    ("syscall syscall_id syscall_nr syscall_number sysnr", _int(2, 4, 8), "syscall"),
    ("mntns mntns_id mnt_ns_id netns netns_id net_ns_id pidns pidns_id pid_ns_id", _int(4, 8), "namespace"),
    ("userns userns_id user_ns_id utsns utsns_id ipcns ipcns_id cgroupns cgroupns_id", _int(4, 8), "namespace"),
    # The kernel counts namespaces in 32 bits, nanoseconds in 64.
    ("mnt_ns net_ns pid_ns user_ns uts_ns ipc_ns cgroup_ns", _int(4), "namespace"),
    ("mnt_ns net_ns pid_ns user_ns uts_ns ipc_ns cgroup_ns", _int(8), "duration_ns"),
    ("family af", _int(1, 2, 4), "family"),
    ("mode", _int(2, 4), "mode"),
    ("mac smac dmac lladdr hwaddr", _is_mac, "mac"),
    ("cgroup_id cgroupid cgid", _int(8, signed=False), "cgroup"),
    ("tid", _int(4), "tid"),
    ("ppid parent_pid", _int(4), "ppid"),
    ("pid tgid", _int(4), "pid"),
    ("uid", _int(4), "uid"),
    ("gid", _int(4), "gid"),
    ("port sport dport lport rport nport srcport dstport", _int(2), "port"),
    ("bytes", _int(4, 8, signed=False), "bytes"),
    ("stack_id stackid stkid stack kstack ustack kstack_id ustack_id", _is_stack, "stack"),
)
# The same for whole names only.
_WHOLE = (
    ("ktime ktime_ns start start_ns end end_ns begin begin_ns when", _int(8), "time"),
    ("compat is_compat", lambda type_: type_.kind in {"int", "bool"}, "compat"),
    ("open_flags o_flags", _int(4, 8), "open_flags"),
    # In packets a protocol of two bytes is Ethernet's.
    ("protocol proto l4proto ip_proto ipproto", _int(1), "protocol"),
    ("oldstate newstate tcp_state", _int(1, 2, 4), "tcp_state"),
    ("cgroup", _int(8, signed=False), "cgroup"),
    ("ips addrs callchain backtrace stacktrace", lambda type_: type_.kind == "array" and _is_stack(type_), "stack"),
    ("dev", lambda type_: type_.name in {"dev_t", "u32", "__u32"}, "device"),
)
_BY_ENDING: dict[str, list[tuple[Callable[[Type], bool], str]]] = {}
_BY_NAME: dict[str, list[tuple[Callable[[Type], bool], str]]] = {}
for _rules, _table in ((_ENDINGS, _BY_ENDING), (_WHOLE, _BY_NAME)):
    for _names, _fits, _word in _rules:
        for _name in _names.split():
            _table.setdefault(_name, []).append((_fits, _word))
# In parts.
_LONGEST_ENDING = 3
# What arrays of bytes are called that hold text.
_TEXTS = {"comm", "name", "filename", "fname", "file", "path", "pathname", "text", "str", "string", "line", "cmdline"}
_TEXTS |= {"command", "message", "msg"}
_SIDES = ("", "s", "d", "src", "dst", "source", "dest", "local", "remote", "l", "r")
_ADDRESSES = {side + word for side in _SIDES for word in ("addr", "ip", "address")}


def with_meanings(schema: Schema, helpers: Collection[int]) -> Schema:
    """The same schema, each field with the meaning that is found for it.

    Args:
        schema: as read from BTF.
        helpers: the numbers of the helpers that the programs call, to tell which clock a time is of.
    """
    clocks = sorted({CLOCKS[helper] for helper in helpers if helper in CLOCKS})
    clock = clocks[0] if len(clocks) == 1 else "time_monotonic"
    families = any(ending in {"family", "af"} for field in schema.fields for ending in _endings(field.name))
    fields = (_as_text(field) for field in schema.fields)
    return Schema(
        schema.name,
        schema.size,
        tuple(
            Field(
                field.name,
                field.offset,
                field.size,
                field.type,
                field.meaning or _meaning(field, clock, families=families),
                field.bits,
            )
            for field in fields
        ),
    )


def _as_text(field: Field) -> Field:
    """The field as text, if it is an array of bytes that is called so: `__u8 comm[16]` is as common as `char`."""
    type_, element = field.type, field.type.element
    if element is None or type_.kind != "array" or element.kind != "int" or element.size != 1:
        return field
    named = field.meaning in {"comm", "text"} or any(ending in _TEXTS for ending in _endings(field.name.lower()))
    text = Type("text", type_.size, type_.name, count=type_.count)
    return Field(field.name, field.offset, field.size, text, field.meaning, field.bits) if named else field


def meaning_of(name: str, type_: Type) -> str | None:
    """The meaning of a value that stands alone, such as a variable.

    Args:
        name: what it is called.
        type_: its type.
    """
    return _meaning(Field(name, 0, type_.size, type_), "time_monotonic", families=False)


def _meaning(field: Field, clock: str, *, families: bool) -> str | None:
    name, type_ = field.name.lower(), field.type
    if field.bits is not None:
        return None
    if type_.kind == "pointer":
        return "pointer"
    address = _address(name)
    if address is not None and type_.size == 16 and type_.kind in {"array", "struct", "union", "int", "text"}:
        return "ip" if families and address != "6" else "ipv6"
    if address is not None and type_.size == 4 and type_.kind == "int":
        return "ipv4"
    if type_.kind == "text":
        return "comm" if "comm" in _endings(name) else "text"
    rules = _BY_NAME.get(name) or next((_BY_ENDING[ending] for ending in _endings(name) if ending in _BY_ENDING), [])
    word = next((word for fits, word in rules if fits(type_)), None)
    if word is None:
        return None
    if word == "port" and type_.name == "__be16":
        return "port_be"
    return clock if word == "time" else word


def _endings(name: str) -> Iterator[str]:
    """The name, and what stands behind each of the last _ in it, longest first."""
    parts = name.rsplit("_", _LONGEST_ENDING)
    yield name
    for start in range(1, len(parts)):
        yield "_".join(parts[start:])


def _address(name: str) -> str | None:
    """Whether a name is that of an address: its version (``4``, ``6``), "" if the name has none; None if it is not."""
    version = name[-1] if name[-1:] in {"4", "6"} else ""
    bare = name.removesuffix(version).removesuffix("v").removesuffix("_") if version else name
    endings = list(_endings(bare))
    if any(ending in _ADDRESSES or ending.replace("_", "", 1) in _ADDRESSES for ending in endings):
        return version
    return None
