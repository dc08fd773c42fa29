"""`Shown`: takes the place of `BPF` where a script's text is only to be shown as C."""

from __future__ import annotations

import sys

from skep.bcc.bpf import BPF
from skep.bcc.module import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Shown"]


class Shown(BPF):
    """Prints the C that a text becomes, and ends the script. The arguments are those of `BPF`.

    Raises:
        CompileError: the text is wrong.
        SystemExit: it is not.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        sys.stdout.write(translated(*self._given(*arguments, **named))[0].source)
        raise SystemExit(0)
