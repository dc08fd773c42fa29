"""`Failure`: one refusal, with all that can be asked about it; and `Finding`, the answer."""

from __future__ import annotations

import re

from skep.base.errors import Span
from skep.kernel.verifier.flow import Flow
from skep.kernel.verifier.names import argument, assigned, copied, dereferenced, indexed, uncast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # The position of a step, and what happened there.
    Moment = tuple[int, Span]

    from skep.kernel.verifier.categories import Category
    from skep.kernel.verifier.flow import Event, Origin
    from skep.kernel.verifier.instruction import Instruction
    from skep.kernel.verifier.log import Log
    from skep.kernel.verifier.registers import Value
    from skep.spec.lines import SourceLine

__all__ = ["Failure", "Finding", "quoted", "span_of"]

_REGISTER = re.compile(r"\bR(\d+)\b")
# Arguments are counted from 0, registers from 1; those of helpers are registers.
_ARGUMENT = re.compile(r"(helper arg|arg ?#?|args#)(\d+)\b")
# What a program gives back where it has nothing to say.
_NEUTRAL = {"xdp": "XDP_PASS", "tc": "TC_ACT_OK", "tcx": "TC_ACT_OK", "classifier": "TC_ACT_OK", "sk_skb": "SK_PASS"}
_ALLOWING = ("cgroup", "netfilter", "sk_msg", "sk_lookup")


def quoted(name: str) -> str:
    """A word of the user's source in a sentence."""
    return f"`{name}`"


class Finding:
    """What is found out about a failure.

    Args:
        message: in one sentence, in the user's own words.
        path: how it came to be.
        suggestion: what to write instead.
        category: where the path shows another reason than the verifier's words do.
        position: of the step to point at, where that is not the last.
        word: what the line to point at names, where the verifier says no more than that.
    """

    __slots__ = ("category", "message", "path", "position", "suggestion", "word")

    def __init__(
        self,
        message: str,
        path: Sequence[Span] = (),
        suggestion: str | None = None,
        *,
        category: str | None = None,
        position: int | None = None,
        word: str | None = None,
    ) -> None:
        self.message = message
        self.path = path
        self.suggestion = suggestion
        self.category = category
        self.position = position
        self.word = word


class Failure:
    """One refusal.

    Args:
        log: what the verifier wrote.
        category: of what it says.
        message: the line that the category is known by.
        section: of the program, such as ``xdp``.
    """

    def __init__(self, log: Log, category: Category, message: str, section: str = "") -> None:
        self.log = log
        self.flow = Flow(log)
        self.category = category
        self.message = message
        self.said = "\n".join(log.messages)
        self.section = section.lstrip("?")
        self.position = self.flow.last

    @property
    def instruction(self) -> Instruction:
        """The one that is refused."""
        return self.flow.instruction(self.position)

    @property
    def register(self) -> int | None:
        """The register that the verifier names, or that the instruction reads through."""
        for text in (self.message, self.said):
            if match := _REGISTER.search(text):
                return int(match[1])
            if match := _ARGUMENT.search(text):
                return int(match[2]) + (match[1] != "helper arg")
        if not self.flow.steps:
            return None
        does = self.instruction
        return does.base if does.base is not None else does.target

    @property
    def text(self) -> str:
        """The source line of the instruction."""
        place = self.flow.steps[self.position].place if self.flow.steps else None
        return place.text if place is not None else ""

    @property
    def pointers(self) -> list[str]:
        """The pointers that the line reads or writes through, those of the instruction's own side first."""
        part = copied(self.text, written=bool(self._writes)) if self._writes is not None else None
        if part is not None:
            return [uncast(part[0]).lstrip("&").partition("->")[0]]
        return dereferenced(self.text, written=self._writes)

    @property
    def element(self) -> tuple[str, str] | None:
        """The array that the line indexes, and by what; that of the instruction's own side."""
        return indexed(self.text, written=self._writes)

    @property
    def _writes(self) -> bool | None:
        kind = self.instruction.kind if self.flow.steps else ""
        return kind == "store" if kind in {"load", "store"} else None

    @property
    def call(self) -> str:
        """The function that the instruction calls, or ""."""
        return self.instruction.name if self.flow.steps else ""

    @property
    def neutral(self) -> str:
        """What the program can return to have no effect."""
        kind = re.split(r"[/.]", self.section)[0]
        return _NEUTRAL.get(kind, "1" if kind.startswith(_ALLOWING) else "0")

    def value(self, register: int) -> Value | None:
        """What is known of a register before the instruction."""
        return self.flow.value(register, self.position)

    def origin(self, register: int) -> Origin:
        """Where the value of a register came from."""
        return self.flow.origin(register, self.position)

    def place(self, position: int) -> SourceLine | None:
        """The source line of a step; None where the log says nothing of it."""
        return self.flow.steps[position].place if self.flow.steps else None

    def at(self, position: int, message: str) -> Moment:
        """What happened at a step."""
        return position, span_of(self.place(position), message)

    def assigned(self, event: Event | None) -> str | None:
        """The variable that the line of an event sets."""
        place = self.place(event.position) if event is not None and event.kind != "argument" else None
        return assigned(place.text) if place is not None else None

    def named(self, register: int, origin: Origin) -> str | None:
        """The user's name for what a register holds: as the line that is refused calls it, or an earlier one."""
        if self.call:
            given = argument(self.text, self.call, register)
            if given is not None:
                return given.lstrip("&*") if given.startswith("&") else given
        earlier = self.assigned(origin.source)
        used = self.pointers
        if earlier is not None and (not used or earlier in used):
            return earlier
        return used[0] if used else earlier

    def path(self, *moments: Moment | None) -> list[Span]:
        """What happened, in its order, without what says the same of the same line."""
        found: dict[tuple[str, int, str], Span] = {}
        for _, span in sorted((moment for moment in moments if moment is not None), key=lambda moment: moment[0]):
            found.setdefault((span.file, span.line, span.message), span)
        return list(found.values())


def span_of(place: SourceLine | None, message: str) -> Span:
    """A place as a span."""
    if place is None:
        return Span("", 0, None, message)
    return Span(place.file or "", place.line or 0, place.column, message, place.text)
