"""Which types the records of each ring have, by the calls that reserve, fill and send them.

A record's type is what the pointer to it leads to, followed through casts, variables and the functions of the source
(`skep.spec.flow`), weighed against the size that is sent.
"""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind, TypeKind
from clang.cindex import Type as ClangType

from skep.spec.flow import Frame
from skep.spec.objectspec import PERF_EVENT_ARRAY, RINGBUF
from skep.spec.syntax import ADDRESS_OF, constant, is_number, operand_of_sizeof, same, strip, unary_operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from skep.spec.function import Call, Function

__all__ = ["ITERATOR", "Record", "distinct", "find_records", "frames"]

ITERATOR = 0
"""Of no map: what an iterator writes, it writes for whoever reads it."""

# Calls that send a record: the kind of map; then which argument is the map, the record, its size.
_OUTPUTS = {
    "bpf_ringbuf_output": (RINGBUF, 0, 1, 2),
    "bpf_perf_event_output": (PERF_EVENT_ARRAY, 1, 3, 4),
    "bpf_skb_output": (PERF_EVENT_ARRAY, 1, 3, 4),
    "bpf_xdp_output": (PERF_EVENT_ARRAY, 1, 3, 4),
}
# What takes a record by its pointer alone: of a ring that nothing else is known of.
_SUBMITS = {"bpf_ringbuf_submit", "bpf_ringbuf_discard"}
# What gives a pointer into a dynptr: the dynptr, the offset, ...
_SLICES = {"bpf_dynptr_data", "bpf_dynptr_slice_rdwr"}
# What an iterator writes: where it goes, the record, its size.
_WRITE = "bpf_seq_write"
_SENDERS = {
    _WRITE,
    *_OUTPUTS,
    *_SUBMITS,
    *_SLICES,
    "bpf_ringbuf_reserve",
    "bpf_ringbuf_reserve_dynptr",
    "bpf_dynptr_write",
}
# Calls that are followed at most, each from each of its callers.
_MOST_FRAMES = 4096


class Record:
    """What one call sends.

    Args:
        kind: of the map: RINGBUF or PERF_EVENT_ARRAY; or ITERATOR.
        rings: the maps that it may go to; none, if they cannot be told. Of an iterator, the program.
        types: the types that it may have.
    """

    __slots__ = ("kind", "rings", "types")

    def __init__(self, kind: int, rings: list[str], types: list[ClangType]) -> None:
        self.kind = kind
        self.rings = rings
        self.types = types


def find_records(functions: Mapping[str, Function]) -> list[Record]:
    """What the programs of a source send, in the order of its text.

    Args:
        functions: all that it defines, by name.
    """
    found = []
    dynptrs: dict[object, Record] = {}
    for frame in frames(functions, lambda function: any(call.name in _SENDERS for call in function.calls.values())):
        for call in frame.function.calls.values():
            record = _record(frame, call, dynptrs) if call.name in _SENDERS else None
            if record is not None:
                found.append(record)
    return found


def frames(functions: Mapping[str, Function], wanted: Callable[[Function], bool]) -> Iterator[Frame]:
    """The calls of the functions that are wanted, from each caller, and the calls that lead there.

    Args:
        functions: all of a source, by name.
        wanted: whether a function does what is looked for.
    """
    leading = {name for name, function in functions.items() if wanted(function)}
    while True:
        above = {name for name, function in functions.items() if not leading.isdisjoint(_called(function))}
        if above <= leading:
            break
        leading |= above
    called = {name for function in functions.values() for name in _called(function)}
    # A function that calls itself is nobody's caller yet.
    waiting = [Frame(functions[name], functions) for name in reversed(list(functions)) if name in leading - called]
    for _ in range(_MOST_FRAMES):
        if not waiting:
            return
        frame = waiting.pop()
        yield frame
        inner = [frame.into(call.cursor) for call in frame.function.calls.values() if call.name in leading]
        waiting += [each for each in reversed(inner) if each is not None]


def _called(function: Function) -> set[str]:
    return {call.name for call in function.calls.values()}


def _record(frame: Frame, call: Call, dynptrs: dict[object, Record]) -> Record | None:
    arguments, name = call.arguments, call.name
    if name in _OUTPUTS and len(arguments) > max(_OUTPUTS[name][1:]):
        kind, ring, data, size = _OUTPUTS[name]
        types = _weighed(frame, frame.leads_to(arguments[data]), arguments[size])
        return Record(kind, _rings(frame, arguments[ring]), types)
    if name == _WRITE and len(arguments) == 3:
        return Record(ITERATOR, [frame.program], _weighed(frame, frame.leads_to(arguments[1]), arguments[2]))
    if name in _SUBMITS and arguments:
        return Record(RINGBUF, [], _weighed(frame, frame.leads_to(arguments[0]), None))
    if name == "bpf_ringbuf_reserve" and len(arguments) == 3:
        types = _weighed(frame, frame.becomes(call.use), arguments[1])
        return Record(RINGBUF, _rings(frame, arguments[0]), types)
    if name == "bpf_ringbuf_reserve_dynptr" and len(arguments) == 4:
        record = Record(RINGBUF, _rings(frame, arguments[0]), _weighed(frame, [], arguments[1]))
        dynptrs[_dynptr(frame, arguments[3])] = record
        return record
    if len(arguments) > 3 or name in _SLICES:
        _fill(frame, call, dynptrs)
    return None


def _fill(frame: Frame, call: Call, dynptrs: Mapping[object, Record]) -> None:
    """What is written to the start of a dynptr, or found there, is its record."""
    record = dynptrs.get(_dynptr(frame, call.arguments[0])) if call.arguments else None
    if record is None or len(call.arguments) < 3 or record.types:
        return
    if call.name in _SLICES and constant(call.arguments[1]) == 0:
        record.types = _weighed(frame, frame.becomes(call.use), call.arguments[-1])
    elif call.name == "bpf_dynptr_write" and constant(call.arguments[1]) == 0:
        record.types = _weighed(frame, frame.leads_to(call.arguments[2]), call.arguments[3])


def _dynptr(frame: Frame, pointer: Cursor) -> object:
    """What tells one dynptr from another: its variable, in the frame of the function that it belongs to."""
    origin, frame = next(frame.origins(pointer))
    variable = _operand(origin)
    return id(frame), variable.referenced.hash if variable.referenced is not None else None


def _operand(cursor: Cursor) -> Cursor:
    """The x of `&x`."""
    cursor = strip(cursor)
    if cursor.kind == CursorKind.UNARY_OPERATOR and unary_operator(cursor) == ADDRESS_OF:
        return strip(next(cursor.get_children()))
    return cursor


def _rings(frame: Frame, ring: Cursor) -> list[str]:
    """The global maps that `&map` may mean, or those in the map of maps that it is looked up in."""
    found: dict[str, None] = {}
    for origin, home in frame.origins(ring):
        last = _operand(origin)
        call = home.function.calls.get(last.hash)
        if call is not None and call.name == "bpf_map_lookup_elem" and call.arguments:
            outer = _operand(call.arguments[0]).referenced
            names = [] if outer is None else [each for each in outer.walk_preorder() if each != outer]
            found |= {each.spelling: None for each in names if _is_global(each)}
        elif _is_global(last) and last != strip(origin):
            found[last.spelling] = None
    return list(found)


def _is_global(cursor: Cursor) -> bool:
    if cursor.kind != CursorKind.DECL_REF_EXPR or cursor.referenced.kind != CursorKind.VAR_DECL:
        return False
    return bool(cursor.referenced.semantic_parent.kind == CursorKind.TRANSLATION_UNIT)


def _weighed(frame: Frame, types: Sequence[ClangType], size: Cursor | None) -> list[ClangType]:
    """The types of a record, from those that a pointer leads to and from the size that is sent."""
    targets = distinct(types)
    counted = _counted(frame, size) if size is not None else []
    if not counted:
        whole = constant(size) if size is not None else None
        exact = [type_ for type_ in targets if type_.get_size() == whole]
        # A number at the start of a record of another size is not the record.
        known = exact or [type_ for type_ in targets if not is_number(type_)]
        return known or (_mentioned(frame, size) if size is not None else [])
    return distinct([_heavier(target, each) for each in counted for target in targets or [each]])


def _heavier(target: ClangType, counted: ClangType) -> ClangType:
    if target.kind == TypeKind.CONSTANTARRAY and same(target.element_type, counted):
        # One element of an array is sent.
        return counted
    if counted.kind == TypeKind.CONSTANTARRAY and counted.element_type.get_size() == 1:
        # The size of the buffer that it lies in.
        return target
    # A larger size tells that the pointer leads to a buffer of bytes, or to the head of a larger struct. A smaller one
    # sends the struct without its tail.
    return counted if counted.get_size() > target.get_size() else target


def distinct(types: Iterable[ClangType]) -> list[ClangType]:
    """The types, each once: `struct event` and a typedef of it are one."""
    found: list[ClangType] = []
    for type_ in types:
        if not any(same(type_, other) for other in found):
            found.append(type_)
    return found


def _counted(frame: Frame, size: Cursor) -> list[ClangType]:
    """The types whose size that is."""
    operands = [operand_of_sizeof(origin) for origin, _ in frame.origins(size)]
    return distinct(operand for operand in operands if operand is not None)


def _mentioned(frame: Frame, size: Cursor) -> list[ClangType]:
    """The first type that a size is computed from: `sizeof(struct event) + length`, `offsetof(struct event, data)`."""
    for origin, _ in frame.origins(size):
        for cursor in origin.walk_preorder():
            operand = operand_of_sizeof(cursor)
            if operand is None and cursor.kind == CursorKind.TYPE_REF and cursor.type.get_size() > 8:
                operand = cursor.type
            if operand is not None:
                return [operand]
    return []
