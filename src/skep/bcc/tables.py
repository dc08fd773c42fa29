"""The tables of a program in BCC's dialect: what a declaration says, and what it becomes in C."""

from __future__ import annotations

import re
from types import MappingProxyType

from skep.base.errors import CompileError
from skep.base.nearest import nearest
from skep.bcc.places import diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

__all__ = ["METHODS", "Table", "find_tables"]

# What a table is called in a declaration -> the map it is; None: an array for int keys, else a hash.
_KINDS = {
    "hash": "HASH",
    "array": "ARRAY",
    "histogram": None,
    "percpu_hash": "PERCPU_HASH",
    "percpu_array": "PERCPU_ARRAY",
    "lru_hash": "LRU_HASH",
    "lru_percpu_hash": "LRU_PERCPU_HASH",
    "lpm_trie": "LPM_TRIE",
    "perf_output": "PERF_EVENT_ARRAY",
    "perf_array": "PERF_EVENT_ARRAY",
    "ringbuf": "RINGBUF",
    "prog": "PROG_ARRAY",
    "stacktrace": "STACK_TRACE",
    "cgroup_array": "CGROUP_ARRAY",
    "devmap": "DEVMAP",
    "cpumap": "CPUMAP",
    "queue": "QUEUE",
    "stack": "STACK",
    "task_storage": "TASK_STORAGE",
    "sk_storage": "SK_STORAGE",
    "inode_storage": "INODE_STORAGE",
    "cgroup_storage": "CGROUP_STORAGE",
    "percpu_cgroup_storage": "PERCPU_CGROUP_STORAGE",
    "xskmap": "XSKMAP",
    "sockmap": "SOCKMAP",
    "sockhash": "SOCKHASH",
    "array_of_maps": "ARRAY_OF_MAPS",
    "hash_of_maps": "HASH_OF_MAPS",
}
# Of a declaration: kind, key, value, name, entries, flags, and how it is shared.
_PARTS = 7
# Maps of which libbpf takes sizes, not types.
_SIZED = {"PERF_EVENT_ARRAY", "PROG_ARRAY", "STACK_TRACE", "CGROUP_ARRAY", "CPUMAP", "DEVMAP", "XSKMAP"}

METHODS = {
    "lookup": "((typeof({map}.value))bpf_map_lookup_elem(&{map}, {0}))",
    "update": "bpf_map_update_elem(&{map}, {0}, {1}, BPF_ANY)",
    "insert": "bpf_map_update_elem(&{map}, {0}, {1}, BPF_NOEXIST)",
    "delete": "bpf_map_delete_elem(&{map}, {0})",
    "lookup_or_try_init": "{init}skep_value; }})",
    # This one returns from the function that it stands in: so it does in BCC.
    "lookup_or_init": "{init}if (!skep_value) return 0; skep_value; }})",
    "increment": "{add}*skep_value += {n};{else} }})",
    "atomic_increment": "{add}__sync_fetch_and_add(skep_value, {n});{else} }})",
    "perf_submit": "bpf_perf_event_output({0}, &{map}, BPF_F_CURRENT_CPU, {1}, {2})",
    "perf_submit_skb": "bpf_perf_event_output({0}, &{map}, (u64)({1}) << 32 | BPF_F_CURRENT_CPU, {2}, {3})",
    "ringbuf_output": "bpf_ringbuf_output(&{map}, {0}, {1}, {2})",
    "ringbuf_reserve": "bpf_ringbuf_reserve(&{map}, {0}, 0)",
    "ringbuf_submit": "bpf_ringbuf_submit({0}, {1})",
    "ringbuf_discard": "bpf_ringbuf_discard({0}, {1})",
    "ringbuf_query": "bpf_ringbuf_query(&{map}, {0})",
    "get_stackid": "bpf_get_stackid({0}, &{map}, {1})",
    "call": "bpf_tail_call({0}, &{map}, {1})",
    "perf_read": "bpf_perf_event_read(&{map}, {0})",
    "perf_counter_value": "bpf_perf_event_read_value(&{map}, {0}, {1}, {2})",
    "check_current_task": "bpf_current_task_under_cgroup(&{map}, {0})",
    "redirect_map": "bpf_redirect_map(&{map}, {0}, {1})",
    "sock_map_update": "bpf_sock_map_update({0}, &{map}, {1}, {2})",
    "sock_hash_update": "bpf_sock_hash_update({0}, &{map}, {1}, {2})",
    "msg_redirect_hash": "bpf_msg_redirect_hash({0}, &{map}, {1}, {2})",
    "sk_redirect_hash": "bpf_sk_redirect_hash({0}, &{map}, {1}, {2})",
    "get_local_storage": "((typeof({map}.value))bpf_get_local_storage(&{map}, {0}))",
    "push": "bpf_map_push_elem(&{map}, {0}, {1})",
    "pop": "bpf_map_pop_elem(&{map}, {0})",
    "peek": "bpf_map_peek_elem(&{map}, {0})",
    "task_storage_get": "((typeof({map}.value))bpf_task_storage_get(&{map}, {0}, {1}, {2}))",
    "task_storage_delete": "bpf_task_storage_delete(&{map}, {0})",
    "sk_storage_get": "((typeof({map}.value))bpf_sk_storage_get(&{map}, {0}, {1}, {2}))",
    "sk_storage_delete": "bpf_sk_storage_delete(&{map}, {0})",
    "inode_storage_get": "((typeof({map}.value))bpf_inode_storage_get(&{map}, {0}, {1}, {2}))",
    "inode_storage_delete": "bpf_inode_storage_delete(&{map}, {0})",
}
"""What the methods of tables become."""

_INIT = (
    "({{ typeof({map}.key) skep_key = {0}; typeof({map}.value) skep_value = bpf_map_lookup_elem(&{map}, skep_key); "
    "if (!skep_value) {{ bpf_map_update_elem(&{map}, skep_key, {1}, BPF_NOEXIST); "
    "skep_value = bpf_map_lookup_elem(&{map}, skep_key); }} "
)
_ADD = (
    "({{ typeof(*{map}.key) skep_key = {0}; typeof({map}.value) skep_value = bpf_map_lookup_elem(&{map}, &skep_key); "
    "if (skep_value) "
)
# What is not there yet begins with 0: of hashes alone, in BCC too.
_ELSE = (
    " else {{ typeof(*{map}.value) skep_first = {n}; "
    "bpf_map_update_elem(&{map}, &skep_key, &skep_first, BPF_NOEXIST); }}"
)
# What libclang sees of a table: its methods are functions that return what they return. So it types the calls.
_SEEN = """
typedef {key} skep_key_of_{name};
typedef {value} skep_value_of_{name};
struct {name}_table_t {{ skep_key_of_{name} key; skep_value_of_{name} leaf;
	skep_value_of_{name} *(*lookup)(const void *), *(*lookup_or_init)(const void *, const void *),
		*(*lookup_or_try_init)(const void *, const void *),
		*(*task_storage_get)(const void *, const void *, u64),
		*(*get_local_storage)(u64), *(*sk_storage_get)(const void *, const void *, u64),
		*(*inode_storage_get)(const void *, const void *, u64);
	void *(*ringbuf_reserve)(u64), (*increment)(skep_key_of_{name}, ...), (*atomic_increment)(skep_key_of_{name}, ...),
		(*call)(void *, int), (*ringbuf_submit)(void *, u64), (*ringbuf_discard)(void *, u64);
	long {longs}; }};
extern struct {name}_table_t {name};
"""
_TYPED = {"lookup", "lookup_or_init", "lookup_or_try_init", "ringbuf_reserve", "increment", "atomic_increment", "call"}
_TYPED |= {
    "get_local_storage",
    "ringbuf_submit",
    "ringbuf_discard",
    "task_storage_get",
    "sk_storage_get",
    "inode_storage_get",
}
_LONGS = ", ".join(f"(*{name})()" for name in METHODS if name not in _TYPED)


class Table:
    """A declaration.

    Args:
        kind: as BCC calls it, such as ``hash`` and ``perf_output``.
        key: the type of its keys, in C.
        value: that of its values.
        name: of the table.
        entries: how many it has room for, in C.
        flags: of the map, in C.
        inner: the table that its maps are like; "" where it holds none.
        shared: ``:public`` or ``:extern``, or the path in a bpffs where it is pinned; "" for a table of its text alone.
        place: where in the text it stands: the first byte, and the one behind the last.
    """

    __slots__ = ("entries", "flags", "inner", "key", "kind", "map", "name", "place", "shared", "value")

    def __init__(self, arguments: tuple[str, ...], place: tuple[int, int], public: Mapping[str, str]) -> None:
        kind, self.key, self.value, self.name, self.entries, self.flags, self.shared = arguments
        if not self.name.isidentifier():
            raise CompileError(f"a table has a name of one word, not {self.name!r}")
        if kind == "extern":
            if self.name not in public:
                raise CompileError(
                    f"no other text of this script has made a table {self.name} public",
                    remedy=f"BPF_TABLE_PUBLIC(..., {self.name}, ...) makes it so, as long as the BPF() with it lives.",
                )
            kind, self.shared = public[self.name], ":extern"
        # A map of maps names the one that its maps are like behind a $.
        self.kind, _, self.inner = kind.partition("$")
        self.place = place
        if self.kind not in _KINDS:
            raise CompileError(
                f"table {self.name}: there is no kind {self.kind!r}", remedy=nearest(self.kind, _KINDS, "kinds")
            )
        self.map = _KINDS[self.kind] or ("ARRAY" if self.key == "int" else "HASH")

    def seen(self) -> str:
        """The declaration that libclang reads."""
        return _SEEN.format(name=self.name, key=self.key, value=self.value, longs=_LONGS).replace("\n", " ")

    def declared(self) -> str:
        """The map, as libbpf knows it."""
        said = [f"__uint(type, BPF_MAP_TYPE_{self.map})"]
        if self.map in _SIZED:
            said += ["__uint(key_size, 4)", f"__uint(value_size, sizeof({self.value}))"]
        elif self.inner:
            said += [f"__type(key, {self.key})"]
        elif self.map in {"QUEUE", "STACK"}:
            said += [f"__type(value, {self.value})"]
        elif self.map != "RINGBUF":
            said += [f"__type(key, {self.key})", f"__type(value, {self.value})"]
        if self.entries != "0":
            said.append(f"__uint(max_entries, {self.entries})")
        if self.flags != "0":
            said.append(f"__uint(map_flags, {self.flags})")
        # An array of unknown length comes last in a struct.
        said += [f"__array(values, typeof({self.inner}))"] if self.inner else []
        types = re.sub(r"\b(\w+)\.(key|leaf)\b", _type_of, "; ".join(said))
        return f'struct {{ {types}; }} {self.name} SEC(".maps");'

    def call(self, method: str, arguments: list[str]) -> str:
        """What a call of a method becomes.

        Args:
            method: one of `METHODS`.
            arguments: in C.

        Raises:
            CompileError: it takes other arguments.
        """
        template = METHODS[method]
        pieces = {"init": _INIT, "add": _ADD, "else": _ELSE if self.map == "HASH" else ""}
        for name, piece in pieces.items():
            template = template.replace(f"{{{name}}}", piece)
        if self.inner or self.map in _SIZED:
            # What is found there is a map, or its type is said by its size alone.
            template = template.replace("typeof({map}.value)", "void *" if self.inner else f"{self.value} *")
        most = max((int(number) + 1 for number in re.findall(r"\{(\d)\}", template)), default=0)
        # What is added is 1 where nobody says.
        least, most = (most, most + 1) if "{n}" in template else (most, most)
        if not least <= len(arguments) <= most:
            told = f"{least} or {most}" if least < most else str(most)
            raise CompileError(f"{self.name}.{method}() takes {told} arguments, not {len(arguments)}")
        return template.format(*arguments, map=self.name, n=arguments[1] if len(arguments) > 1 else "1")


def _type_of(member: re.Match[str]) -> str:
    """`counts.leaf` of another table: libbpf's maps name their types by pointers."""
    return f"*{member[1]}.{'key' if member[2] == 'key' else 'value'}"


def find_tables(text: str, public: Mapping[str, str] = MappingProxyType({})) -> Iterator[Table]:
    """The declarations of a text that the preprocessor has been over.

    Args:
        text: of which the macros are expanded.
        public: the kinds of tables that other texts have made public, by name.

    Raises:
        CompileError: there is no such kind of table, or two have one name.
    """
    names: set[str] = set()
    for found in re.finditer(r"\bskep_bcc_table\(", text):
        try:
            table = _table(text, found, public, names)
        except CompileError as error:
            at = len(text[: found.start()].encode("utf-8", "surrogateescape"))
            said = diagnostic(text.encode("utf-8", "surrogateescape"), at, error.message, error.remedy)
            raise CompileError(error.message, remedy=error.remedy, diagnostics=[said]) from None
        names.add(table.name)
        yield table


def _table(text: str, found: re.Match[str], public: Mapping[str, str], others: Container[str]) -> Table:
    arguments, end = _arguments(text, found.end())
    table = Table(_parts(arguments), (found.start(), end), public)
    if table.name in others:
        raise CompileError(f"there are two tables {table.name}", remedy="Give one of them another name.")
    return table


def _parts(arguments: Sequence[str]) -> tuple[str, ...]:
    parts = tuple(" ".join(_unquoted(each).split()) for each in arguments)
    if len(parts) != _PARTS:
        raise CompileError(
            f"the declaration of a table is not understood: {', '.join(parts)}",
            remedy="A type with a comma in it is taken apart by the preprocessor: give it a name by typedef.",
        )
    return parts


def _unquoted(argument: str) -> str:
    strings = re.findall(r'"([^"]*)"', argument)
    return "".join(strings) if strings else argument


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """What stands between commas, and where it ends: types in C may have commas in braces."""
    arguments, depth, first = [], 0, start
    for place in range(start, len(text)):
        sign = text[place]
        if sign in "({[":
            depth += 1
        elif sign in ")}]" and depth:
            depth -= 1
        elif sign == ")" or (sign == "," and not depth):
            arguments.append(text[first:place])
            first = place + 1
            if sign == ")":
                end = re.compile(r"\s*;").match(text, first)
                return arguments, end.end() if end else first
    raise CompileError("the declaration of a table does not end")
