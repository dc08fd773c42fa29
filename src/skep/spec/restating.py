"""Structs that stand within a function, or have no name, restated so that they can be named at the end of the file.

Only there can a pointer be put that keeps them in BTF. The restated struct has the same members at the same places,
whatever attributes made them lie there: it is packed, and what lies between members is filled.
"""

from __future__ import annotations

from clang.cindex import Cursor, CursorKind, TypeKind
from clang.cindex import Type as ClangType

from skep.spec.document import RESTATED
from skep.spec.syntax import has_name, type_name

__all__ = ["restate"]


def restate(type_: ClangType, ring: str) -> tuple[str, str] | None:
    """The name of the restated type, and its declaration; None for what is neither a struct nor a union.

    Args:
        type_: that C cannot name at the top level.
        ring: that carries it, whose name serves where the type has none.
    """
    declaration = type_.get_declaration()
    if declaration.kind not in {CursorKind.STRUCT_DECL, CursorKind.UNION_DECL} or type_.get_size() <= 0:
        return None
    tag = declaration.spelling if has_name(declaration) else ring
    name = f"{_word(declaration)} {tag}{RESTATED}"
    return name, f"{name} {_body(type_)};"


def _word(declaration: Cursor) -> str:
    return "union" if declaration.kind == CursorKind.UNION_DECL else "struct"


def _body(type_: ClangType) -> str:
    union = type_.get_declaration().kind == CursorKind.UNION_DECL
    parts = []
    end = 0
    for field in type_.get_fields():
        start = field.get_field_offsetof()
        parts += [*([] if union else _gap(start - end)), _member(field)]
        end = start + (field.get_bitfield_width() if field.is_bitfield() else 8 * max(field.type.get_size(), 0))
    # Its alignment fills it up at its end.
    return f"{{ {' '.join(parts)} }} __attribute__((packed, aligned({type_.get_align()})))"


def _gap(bits: int) -> list[str]:
    # Members without a name are not in BTF.
    whole, rest = divmod(bits, 64)
    return ["unsigned long long :64;"] * whole + ([f"unsigned long long :{rest};"] if rest else [])


def _member(field: Cursor) -> str:
    name = field.spelling if has_name(field) else ""
    if field.is_bitfield():
        return f"{_base(field.type)} {name}:{field.get_bitfield_width()};"
    type_, counts = field.type, ""
    while type_.kind in {TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY}:
        counts += f"[{type_.element_count}]" if type_.kind == TypeKind.CONSTANTARRAY else "[]"
        type_ = type_.element_type
    return f"{_base(type_)} {name}{counts};"


def _base(type_: ClangType) -> str:
    canonical = type_.get_canonical()
    if canonical.kind == TypeKind.POINTER:
        return "void *"
    name = type_name(type_)
    if name is not None:
        return name
    if canonical.kind == TypeKind.RECORD:
        return f"{_word(canonical.get_declaration())} {_body(canonical)}"
    if canonical.kind == TypeKind.ENUM:
        return str(canonical.get_declaration().enum_type.spelling)
    # An array behind a typedef.
    return f"__typeof__({canonical.spelling})"
