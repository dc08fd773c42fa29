"""Finds what tells the types of one ring apart: a member that all have in one place, set to constants of their own."""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind, TypeKind
from clang.cindex import Type as ClangType

from skep.spec.document import Tag
from skep.spec.inference import frames
from skep.spec.syntax import ADDRESS_OF, canonical_name, constant, has_name, is_number, pointee, strip, unary_operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skep.spec.flow import Frame
    from skep.spec.function import Function

__all__ = ["find_tag"]

# A type, by the name that tells it from others, and a place in it, in bits.
_Place = tuple[str, int]


def find_tag(types: Mapping[str, ClangType], functions: Mapping[str, Function]) -> Tag | None:
    """What tells the types of one ring apart, beside their sizes.

    Args:
        types: of the ring's records, by their names in C.
        functions: all that the source defines, by name.
    """
    stored = _stored({canonical_name(type_) for type_ in types.values()}, functions)
    members = [_members(type_) for type_ in types.values()]
    for name, place in members[0].items():
        if not all(each.get(name) == place for each in members):
            continue
        found = {each: stored.get((canonical_name(type_), place[0]), set()) for each, type_ in types.items()}
        values = {each: sorted(value for value in own if value is not None) for each, own in found.items()}
        known = [value for own in found.values() for value in own]
        if all(values.values()) and None not in known and len(set(known)) == len(known):
            return Tag(name, values)
    return None


def _members(type_: ClangType, prefix: str = "", start: int = 0) -> dict[str, tuple[int, int]]:
    """The numbers in a struct, by their paths such as `header.kind`: (place in bits, size in bytes)."""
    found = {}
    for field in type_.get_canonical().get_fields():
        place = start + field.get_field_offsetof()
        if is_number(field.type) and not field.is_bitfield():
            found[f"{prefix}{field.spelling}"] = (place, field.type.get_size())
        elif field.type.get_canonical().kind == TypeKind.RECORD:
            found |= _members(field.type, f"{prefix}{field.spelling}." if has_name(field) else prefix, place)
    return found


def _stored(types: set[str], functions: Mapping[str, Function]) -> dict[_Place, set[int | None]]:
    """What programs store in the members of these types; None for what is no constant."""
    found: dict[_Place, set[int | None]] = {}
    for frame in frames(functions, lambda function: bool(function.stores or function.lists)):
        for member, value in frame.function.stores:
            for place in _places(frame, member, types):
                found.setdefault(place, set()).update({None} if value is None else _values(frame, value))
        for values in frame.function.lists:
            for field, value in _initial(values):
                place = (canonical_name(values.type), field.get_field_offsetof())
                if place[0] in types and is_number(value.type):
                    found.setdefault(place, set()).update(_values(frame, value))
    return found


def _values(frame: Frame, value: Cursor) -> set[int | None]:
    return {constant(origin) for origin, _ in frame.origins(value, lambda each: constant(each) is not None)}


def _initial(values: Cursor) -> Iterator[tuple[Cursor, Cursor]]:
    """The fields and values of `{ .a = 1, .b = 2 }` or `{ 1, 2 }`."""
    fields = list(values.type.get_canonical().get_fields())
    for position, value in enumerate(values.get_children()):
        named = list(value.get_children()) if value.kind == CursorKind.UNEXPOSED_EXPR else []
        if len(named) == 2 and named[0].kind == CursorKind.MEMBER_REF:
            yield named[0].referenced, named[1]
        elif position < len(fields):
            yield fields[position], value


def _places(frame: Frame, member: Cursor, types: set[str]) -> list[_Place]:
    """Where in which of these types a member of an expression such as `e->header.kind` lies."""
    start = 0
    while member.kind == CursorKind.MEMBER_REF_EXPR:
        outer = next(member.get_children())
        # What has no name is no step: the place of its members is known from the struct around it.
        if has_name(member):
            while outer.kind == CursorKind.MEMBER_REF_EXPR and not has_name(outer):
                outer = next(outer.get_children())
            start += (pointee(outer.type) or outer.type).get_offset(member.spelling)
        member = strip(outer)
    if member.kind == CursorKind.UNARY_OPERATOR and unary_operator(member) == ADDRESS_OF:
        further = [(strip(next(member.get_children())), frame)]
    else:
        target = canonical_name(pointee(member.type) or member.type)
        if target in types:
            return [(target, start)]
        # A pointer to the head of a record, or to a part of it.
        further = [(strip(origin), home) for origin, home in frame.origins(member) if strip(origin) != member]
    return [(name, place + start) for origin, home in further for name, place in _places(home, origin, types)]
