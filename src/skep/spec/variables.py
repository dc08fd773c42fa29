"""The globals of a kernel file: what they are called on the command line, and their values."""

from __future__ import annotations

from skep.base.errors import ProgramError, UsageError
from skep.spec.annotations import Note
from skep.spec.values import Value, input_meaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.base.schema import Type

__all__ = ["GlobalSpec", "VariableSpec"]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OPTION_CHARACTERS = _LETTERS | frozenset("0123456789_-")


class GlobalSpec:
    """One global that programs and user space share as long as the object is loaded.

    Args:
        name: as in C.
        section: the section that holds it.
        offset: in that section, in bytes.
        type: its type.
        note: its doc comment.
    """

    __slots__ = ("name", "note", "offset", "section", "type")

    def __init__(self, name: str, section: str, offset: int, type: Type, note: Note | None = None) -> None:  # noqa: A002
        self.name = name
        self.section = section
        self.offset = offset
        self.type = type
        self.note = note or Note("", {})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.type.name}>"

    @property
    def meaning(self) -> str | None:
        """What decides how its value is given (`skep.spec.values`): @format, else its type and name."""
        stated: str | None = self.note.value("format")
        return stated or input_meaning(self.name, self.type)

    @property
    def codec(self) -> Value:
        """What turns its value into bytes, and bytes into its value."""
        return Value(self.name, self.type, self.meaning)


class VariableSpec(GlobalSpec):
    """One `const volatile` global: it is set before load, and is a constant to the verifier.

    Args:
        name: as in C.
        section: the section that holds it.
        offset: in that section, in bytes.
        type: its type.
        data: its value, as in the object.
        note: its doc comment. The default that its @cmdarg states takes the place of a value of zeros.

    Raises:
        ProgramError: @cmdarg asks for what the variable does not take.
    """

    __slots__ = ("data", "default")

    def __init__(
        self,
        name: str,
        section: str,
        offset: int,
        type: Type,  # noqa: A002
        data: bytes,
        note: Note | None = None,
    ) -> None:
        super().__init__(name, section, offset, type, note)
        self.data = self.default = data
        default = self._cmdarg("default")
        if default is not None and not any(data):
            try:
                if isinstance(default, str):
                    self.parse(default)
                else:
                    self.value = default
            except UsageError as error:
                raise ProgramError(f"the default that @cmdarg states does not fit: {error}") from error
        self.default = self.data

    def _cmdarg(self, key: str) -> Any:
        return self.note.object("cmdarg").get(key)

    @property
    def help(self) -> str:
        """What its doc comment says of it."""
        return str(self._cmdarg("help") or self.note.text)

    @property
    def long(self) -> str:
        """The option that its @cmdarg asks for, such as ``--limit``; "" if it asks for none."""
        name = self._cmdarg("long")
        if name is None:
            return ""
        if not isinstance(name, str) or name[:1] not in _LETTERS or not set(name) <= _OPTION_CHARACTERS:
            raise ProgramError(f"the option that @cmdarg of {self.name} names cannot be one: {name!r}")
        return f"--{name}"

    @property
    def short(self) -> str:
        """The option of one letter that its @cmdarg asks for, such as ``-l``; "" if it asks for none."""
        letter = self._cmdarg("short")
        if letter is None:
            return ""
        if not isinstance(letter, str) or letter not in _LETTERS:
            raise ProgramError(f"the short option of @cmdarg of {self.name} is not one letter: {letter!r}")
        return f"-{letter}"

    @property
    def is_missing(self) -> bool:
        """Whether it has to be set (@required), and holds what the file says."""
        return "required" in self.note.marks and self.data == self.default

    @property
    def is_option(self) -> bool:
        """Whether it can be given as text, and is not skep's own to set (`skep_...`).

        An array of numbers may also be a table that nobody is to touch: it is one where a doc comment says what for.
        """
        if self.codec.each is not None and not (self.note.text or self.note.marks):
            return False
        return self.codec.takes_text and not self.name.startswith("skep_")

    @property
    def value(self) -> Any:
        """The value: a number, a boolean, the text up to the first NUL or of an address; a row, a tuple of an array.

        A port in network byte order is the number that people know. An enum may be set by name, an address of 32 bits
        by the number that C has for it. Text keeps room for the NUL behind it.

        Raises:
            UsageError: the type does not take that value.
        """
        return self.codec.read(self.data)

    @value.setter
    def value(self, value: object) -> None:
        self.data = self.codec.write(value)

    def parse(self, text: str) -> None:
        """Sets the value from text.

        Args:
            text: a number (decimal, 0x, 0o, 0b), true or false, an enum's name, an address, a duration such as ``10ms``
                where the name ends in _ns, _us or _ms, or the text itself; of an array, numbers joined by commas: what
                stands behind them is what the file says.

        Raises:
            UsageError: it is none of those that the type takes, or out of its range.
        """
        data = self.codec.parse(text)
        self.data = data + self.default[len(data) :]
