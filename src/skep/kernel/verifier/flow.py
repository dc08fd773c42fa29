"""Where a value came from: a walk back over the path that failed, through registers, the stack and function calls.

It needs the instructions alone: kernels before 5.18 write the state of registers only at branches.
"""

from __future__ import annotations

from skep.kernel.verifier.instruction import FRAME_POINTER, Instruction, decode
from skep.kernel.verifier.registers import Value, read_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.verifier.log import Log, Step

__all__ = ["Event", "Flow", "Origin"]

# Registers that a call leaves without a value.
_CLOBBERED = range(1, 6)
# A name for a register, or a slot of the stack, of one frame: (frame, register), or (frame, offset below zero).
Name = tuple[int, int]


class Event:
    """One thing that happened to a value.

    Args:
        position: of the step, on the path.
        kind: load, call, subprogram, set, change, move, spill, fill, test, argument, clobbered, or lost.
        instruction: what the step does.
    """

    __slots__ = ("instruction", "kind", "position")

    def __init__(self, position: int, kind: str, instruction: Instruction) -> None:
        self.position = position
        self.kind = kind
        self.instruction = instruction


class Origin:
    """Where a value came from.

    Args:
        events: from its first to its last: the first is what made it, the others moved or changed it.
        holders: what held it: the positions from and before which, and its name.
    """

    __slots__ = ("events", "holders")

    def __init__(self, events: Sequence[Event], holders: Sequence[tuple[int, int, Name]]) -> None:
        self.events = events
        self.holders = holders

    @property
    def source(self) -> Event | None:
        """What made it, or None where the path does not say."""
        return self.events[0] if self.events else None

    @property
    def is_changed(self) -> bool:
        """Whether something was computed with it on its way."""
        return any(event.kind == "change" for event in self.events)


class Flow:
    """Answers about one path.

    Args:
        log: the path.
    """

    def __init__(self, log: Log) -> None:
        self.steps: Sequence[Step] = log.steps
        self.start = log.start
        self.last = len(log.steps) - 1

    def instruction(self, position: int) -> Instruction:
        """What a step does."""
        return decode(self.steps[position].text)

    def origin(self, register: int, position: int) -> Origin:
        """Follows the value that a register holds before a step back to what made it.

        Args:
            register: its number.
            position: of the step.
        """
        name: Name = (self.steps[position].frame, register)
        events: list[Event] = []
        holders: list[tuple[int, int, Name]] = []
        until = position
        place = position - 1
        while place >= 0:
            found = self._written(place, name)
            if found is not None:
                kind, following = found
                events.append(Event(place, kind, self.instruction(place)))
                if following != name:
                    holders.append((place + 1, until, name))
                    until = place
                if following is None:
                    break
                name = following
            place -= 1
        else:
            if 0 <= name[1] <= FRAME_POINTER:
                events.append(Event(0, "argument", Instruction("")))
            holders.append((0, until, name))
        return Origin(events[::-1], holders[::-1])

    def _written(self, place: int, name: Name) -> tuple[str, Name | None] | None:
        """What a step does to what `name` holds: how, and what held it before; None if the step leaves it alone."""
        step, (frame, holder) = self.steps[place], name
        does = self.instruction(place)
        if does.kind == "exit" and step.frame == frame + 1:
            # What a function returns is in its own r0.
            return ("move", (step.frame, 0)) if holder == 0 else None
        if does.kind in {"call", "subprogram"} and step.frame == frame - 1 and self._enters(place, frame):
            # What a function was given is in its caller's registers.
            return ("move", (step.frame, holder)) if holder in _CLOBBERED and does.kind == "subprogram" else None
        if step.frame != frame:
            return None
        if holder < 0:
            return self._stored(does, name)
        if does.kind in {"call", "subprogram"}:
            if self._enters(place, frame + 1) and holder == 0:
                return None
            if holder == 0:
                return does.kind, None
            return ("clobbered", None) if holder in _CLOBBERED else None
        if does.target != holder or does.kind == "test":
            return None
        if does.kind == "move":
            return "move", (frame, does.source or 0)
        if does.kind == "load":
            slot = self._slot(place, does)
            return ("fill", (frame, slot)) if slot is not None else ("load", None)
        if does.kind == "change":
            # Where an index was first, what is pointed to comes with what is added.
            swapped = does.operator == "+" and self._is_pointer(does.source, place) and self._is_number(holder, place)
            return "change", (frame, does.source or 0) if swapped else name
        return does.kind, None

    def _is_pointer(self, register: int | None, place: int) -> bool:
        value = self._stated(register, place) if register is not None else None
        return value is not None and value.type not in {"scalar", ""}

    def _is_number(self, register: int, place: int) -> bool:
        value = self._stated(register, place)
        return value is not None and value.type == "scalar"

    def _enters(self, place: int, frame: int) -> bool:
        """Whether the step after a call is in the function that was called."""
        return place < self.last and self.steps[place + 1].frame == frame

    def _stored(self, does: Instruction, name: Name) -> tuple[str, Name | None] | None:
        frame, offset = name
        if does.kind != "store" or does.base != FRAME_POINTER or not does.offset <= offset < does.offset + does.size:
            return None
        return ("spill", (frame, does.source)) if does.source is not None else ("set", None)

    def _slot(self, place: int, does: Instruction) -> int | None:
        """The slot of the stack that a load reads, if it reads one that was stored before."""
        if does.base != FRAME_POINTER:
            return None
        frame = self.steps[place].frame
        for before in range(place - 1, -1, -1):
            step = self.steps[before]
            if step.frame == frame:
                stored = self.instruction(before)
                if stored.kind == "store" and stored.base == FRAME_POINTER and stored.offset == does.offset:
                    return does.offset
                if stored.kind == "call" and self._is_given(before, does.offset):
                    return None
        return None

    def _is_given(self, place: int, offset: int) -> bool:
        """Whether a call is given the address of a slot of the stack, and so may have written it."""
        state = self.before(place)
        return any(
            value.type == "fp" and value.number("off") == offset
            for name, value in state.items()
            if name in {"R1", "R2", "R3", "R4", "R5"}
        )

    def tests(self, origin: Origin) -> list[tuple[int, Instruction]]:
        """The comparisons of a value, from first to last: (position, what is compared).

        Args:
            origin: of the value.
        """
        return [
            (position, does)
            for since, until, (frame, register) in origin.holders
            for position in range(since, until)
            if (does := self.instruction(position)).kind == "test"
            and self.steps[position].frame == frame
            and register in {does.target, does.source}
        ]

    def before(self, position: int) -> dict[str, Value]:
        """What is known of registers before a step: of each, what was written last, in the step's frame.

        Args:
            position: of the step.
        """
        frame = self.steps[position].frame
        known: dict[str, Value] = {}
        wanted = {f"R{number}" for number in range(FRAME_POINTER + 1)}
        for place in range(position - 1, max(position - 400, -1), -1):
            step = self.steps[place]
            if step.frame == frame and step.after:
                for name, value in read_state(step.after).items():
                    known.setdefault(name, value)
            if wanted <= known.keys():
                break
        else:
            if frame == 0:
                for name, value in read_state(self.start).items():
                    known.setdefault(name, value)
        return known

    def value(self, register: int, position: int) -> Value | None:
        """What is known of a register before a step: what the log says, or else what the instructions alone show.

        Args:
            register: its number.
            position: of the step.
        """
        return self._stated(register, position) or self._shown(register, position)

    def _stated(self, register: int, position: int) -> Value | None:
        frame, name = self.steps[position].frame, f"R{register}"
        for place in range(position - 1, -1, -1):
            step = self.steps[place]
            if step.frame != frame:
                continue
            # To look is much faster than to read.
            found = read_state(step.after).get(name) if name in step.after else None
            if found is not None:
                return found
            if self._written(place, (frame, register)) is not None:
                return None
        return read_state(self.start).get(name) if frame == 0 else None

    def _shown(self, register: int, position: int) -> Value | None:
        """The context, an address on the stack, or a constant."""
        origin = self.origin(register, position)
        changes = [event.instruction for event in origin.events if event.kind == "change"]
        source = origin.source
        if source is None or any(does.operator != "+" or does.constant is None for does in changes):
            return None
        added = sum(does.constant or 0 for does in changes)
        if source.kind == "set" and source.instruction.constant is not None:
            number = source.instruction.constant + added
            return Value(str(number), "scalar", {"value": str(number)})
        if source.kind != "argument":
            return None
        frame, holder = origin.holders[0][2]
        if holder == FRAME_POINTER:
            return Value(f"fp{added}", "fp", {"off": str(added)})
        # The program itself is given its context.
        return Value("ctx()", "ctx", {}) if (frame, holder) == (0, 1) and not added else None
