"""What libclang's cursors say of C: what stands behind casts, what a pointer leads to, how a type is called."""

from __future__ import annotations

import ctypes
import re

from clang.cindex import Cursor, CursorKind, TypeKind, conf
from clang.cindex import Type as ClangType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ADDRESS_OF",
    "ASSIGN",
    "DEREFERENCE",
    "STEPS",
    "TRANSPARENT",
    "binary_operator",
    "canonical_name",
    "constant",
    "has_name",
    "is_number",
    "operand_of_sizeof",
    "pointee",
    "same",
    "strip",
    "type_name",
    "unary_operator",
    "unwrapped",
]

# enum CXBinaryOperatorKind and CXUnaryOperatorKind, clang-c/Index.h
ASSIGN = 22
STEPS = {1, 2, 3, 4}  # x++, x--, ++x, --x
ADDRESS_OF = 5
DEREFERENCE = 6
_INTEGER = 1  # enum CXEvalResultKind

TRANSPARENT = {CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR, CursorKind.CSTYLE_CAST_EXPR}

# libclang has these, its Python package does not.
_lib = conf.lib
_lib.clang_getCursorBinaryOperatorKind.argtypes = [Cursor]
_lib.clang_getCursorUnaryOperatorKind.argtypes = [Cursor]
_lib.clang_Cursor_Evaluate.argtypes = [Cursor]
_lib.clang_Cursor_Evaluate.restype = ctypes.c_void_p
_lib.clang_EvalResult_getKind.argtypes = [ctypes.c_void_p]
_lib.clang_EvalResult_getAsLongLong.argtypes = [ctypes.c_void_p]
_lib.clang_EvalResult_getAsLongLong.restype = ctypes.c_longlong
_lib.clang_EvalResult_dispose.argtypes = [ctypes.c_void_p]


def binary_operator(cursor: Cursor) -> int:
    """The number of a binary operator (enum CXBinaryOperatorKind)."""
    return int(_lib.clang_getCursorBinaryOperatorKind(cursor))


def unary_operator(cursor: Cursor) -> int:
    """The number of a unary operator (enum CXUnaryOperatorKind)."""
    return int(_lib.clang_getCursorUnaryOperatorKind(cursor))


def constant(expression: Cursor) -> int | None:
    """The value of an integer expression that the compiler can compute."""
    result = _lib.clang_Cursor_Evaluate(expression)
    if not result:
        return None
    try:
        is_integer = _lib.clang_EvalResult_getKind(result) == _INTEGER
        return int(_lib.clang_EvalResult_getAsLongLong(result)) if is_integer else None
    finally:
        _lib.clang_EvalResult_dispose(result)


def unwrapped(cursor: Cursor) -> Iterator[Cursor]:
    """The expression, then what stands in its parentheses and casts, one by one."""
    yield cursor
    while cursor.kind in TRANSPARENT:
        inner = [child for child in cursor.get_children() if child.kind.is_expression()]
        if len(inner) != 1:
            return
        cursor = inner[0]
        yield cursor


def strip(cursor: Cursor) -> Cursor:
    """The expression behind parentheses and casts."""
    *_, last = unwrapped(cursor)
    return last


def pointee(type_: ClangType) -> ClangType | None:
    """What a pointer leads to; None for `void *`, for pointers to single bytes, and for what is no pointer."""
    if type_.kind != TypeKind.POINTER:
        type_ = type_.get_canonical()
    if type_.kind != TypeKind.POINTER:
        return None
    target = type_.get_pointee()
    return target if target.get_size() > 1 else None


def operand_of_sizeof(cursor: Cursor) -> ClangType | None:
    """The T of `sizeof(T)`, or the type of the x of `sizeof(x)`."""
    cursor = strip(cursor)
    if cursor.kind != CursorKind.CXX_UNARY_EXPR:
        return None
    operand = next(cursor.get_children(), None)
    if operand is None or operand.kind == CursorKind.INTEGER_LITERAL:
        return None
    # Of `sizeof(struct event *)` and `sizeof(u8[64])` libclang shows no more than struct event and u8.
    if operand.kind == CursorKind.TYPE_REF and any(token.spelling in {"*", "["} for token in cursor.get_tokens()):
        return None
    return operand.type if operand.type.get_canonical().kind != TypeKind.POINTER else None


def has_name(member: Cursor) -> bool:
    """Whether a member of a struct has a name of its own; libclang calls the others `(anonymous at FILE:LINE)`."""
    return str(member.spelling).isidentifier()


def is_number(type_: ClangType) -> bool:
    """Whether it is an integer, an enum or a boolean."""
    kind = type_.get_canonical().kind
    return bool(kind == TypeKind.ENUM or TypeKind.BOOL.value <= kind.value <= TypeKind.INT128.value)


def same(one: ClangType, other: ClangType) -> bool:
    """Whether two types are one but for `const` and the like."""
    return canonical_name(one) == canonical_name(other)


def canonical_name(type_: ClangType) -> str:
    """A type's name behind all typedefs, which tells it from others."""
    return _unqualified(type_.get_canonical().spelling)


def type_name(type_: ClangType) -> str | None:
    """How C calls a type at the top level of the file; None if it cannot."""
    if type_.kind == TypeKind.CONSTANTARRAY:
        base, bracket, counts = (type_name(type_.element_type) or "").partition("[")
        return f"{base}[{type_.element_count}]{bracket}{counts}" if base else None
    declaration = type_.get_declaration()
    if declaration.kind == CursorKind.NO_DECL_FOUND:
        return canonical_name(type_)
    if declaration.semantic_parent.kind != CursorKind.TRANSLATION_UNIT:
        return None
    # libclang writes out typeof(x), and calls what has no name `struct (unnamed at FILE:LINE)`.
    names = (_unqualified(type_.spelling), canonical_name(type_))
    return next((name for name in names if re.fullmatch(r"[\w ]+", name)), None)


def _unqualified(name: str) -> str:
    return re.sub(r"\b(const|volatile|restrict)\b\s*", "", name).strip()
