"""`Perf`: events of perf(1), as BCC's scripts import it. They open them through `BPF.attach_perf_event`."""

from __future__ import annotations

from skep.base.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Perf"]


class Perf:
    """BCC's own, of which skep has none."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"skep has no Perf.{name} of BCC's", remedy="BPF.attach_perf_event() takes a type and an event."
        )

    @staticmethod
    def perf_event_open(*_: object, **__: object) -> NoReturn:
        """Refused."""
        raise UnsupportedError(
            "skep has no Perf.perf_event_open() of BCC's",
            remedy="BPF.attach_perf_event() and open_perf_event() of a table take a type and an event.",
        )
