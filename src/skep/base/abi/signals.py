"""Signal numbers, the same on x86 and arm64.

The standard library's `signal` knows the names too, but costs 4 ms to import.
"""

from __future__ import annotations

__all__ = ["SIGNALS"]

_NAMES = """
    HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT
    CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
"""

SIGNALS: dict[int, str] = {
    **{number: f"SIG{name}" for number, name in enumerate(_NAMES.split(), 1)},
    # The C library keeps 32 and 33 for itself: SIGRTMIN is the first that programs may use, as in `kill -l`.
    32: "SIG32",
    33: "SIG33",
    34: "SIGRTMIN",
    **{number: f"SIGRTMIN+{number - 34}" for number in range(35, 50)},
    **{number: f"SIGRTMAX-{64 - number}" for number in range(50, 64)},
    64: "SIGRTMAX",
}
"""Number -> name, 1 to 64."""
