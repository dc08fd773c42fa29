"""`Summary`: the account of a run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Summary"]


class Summary:
    """The account of a run.

    Args:
        events: records shown, by the source that they came from.
        lost: records that the kernel dropped; None where neither it nor the kernel file counts them.
        out_of_scope: records of tasks outside of the tree.
        runs: how often each program ran; None where the kernel does not tell.
        streams: how many sources of records the kernel file has.
        command: the traced command and its exit status (negative: a signal), or None.
        living: processes of the command's tree that have not ended.
        missed: tasks that could not be followed.
        not_attached: why programs were not attached, by name.
        unheard: CPUs that came online during the run, whose records in perf buffers are lost.
        unheard_missed: whether there may be more of these.
    """

    __slots__ = (
        "command",
        "events",
        "living",
        "lost",
        "missed",
        "not_attached",
        "out_of_scope",
        "runs",
        "streams",
        "unheard",
        "unheard_missed",
    )

    def __init__(
        self,
        *,
        events: Mapping[str, int],
        lost: int | None,
        out_of_scope: int,
        runs: Mapping[str, int] | None,
        streams: int,
        command: tuple[str, int] | None,
        living: Sequence[int],
        missed: int,
        not_attached: Mapping[str, str],
        unheard: Sequence[int],
        unheard_missed: bool,
    ) -> None:
        self.events = events
        self.lost = lost
        self.out_of_scope = out_of_scope
        self.runs = runs
        self.streams = streams
        self.command = command
        self.living = living
        self.missed = missed
        self.not_attached = not_attached
        self.unheard = unheard
        self.unheard_missed = unheard_missed
