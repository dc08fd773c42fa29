"""`python -m skep.vm`: run a command under another kernel, from a shell."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from skep.base.errors import SkepError
from skep.vm import KERNELS, NO_STATUS, run


def main() -> int:
    """Read the command line and run the command; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="skep.vm",
        description="Run COMMAND in the current folder under another kernel, and give its exit status.",
        epilog="exit status: 124 at the time limit, 125 if the guest ended without a status",
    )
    parser.add_argument("--kernel", choices=KERNELS, default="6.12", help="release series (default %(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="for boot and COMMAND, default %(default)s"
    )
    parser.add_argument(
        "--memory", type=int, default=2048, metavar="MB", help="the guest's memory, default %(default)s"
    )
    parser.add_argument("--collect", type=Path, metavar="HOSTDIR", help="folder that COMMAND sees as $SKEP_RESULTS")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args()
    # argparse passes the separator on or not, depending on its release.
    command = arguments.command[arguments.command[:1] == ["--"] :]
    if not command:
        parser.error("no COMMAND given")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        return run(
            command,
            kernel=arguments.kernel,
            timeout=arguments.timeout,
            memory=arguments.memory,
            results=arguments.collect,
        )
    except SkepError as error:
        sys.stderr.write(f"skep vm: {error}" + (f"; {error.remedy}" if error.remedy else "") + "\n")
        return NO_STATUS
    except BrokenPipeError:
        # Nobody reads on; at exit, Python would try once more to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _leave(number: int, _frame: FrameType | None) -> None:
    # As an exception, so that the guest and its folder are gone before this process is.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
