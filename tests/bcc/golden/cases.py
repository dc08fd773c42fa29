"""Scripts whose output under BCC itself was recorded (outputs/NAME.txt), and what each is to see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PROBED = HERE.parents[1] / "programs" / "probed"
# What starts the first line of a record, which says where it is from.
HEAD = "# "
_TIME = (r"\d\d:\d\d:\d\d", "TIME")
_INTERVAL = r"\[\d\d:\d\d:\d\d\]"
_STAMP = (r"\d+\.\d{3,9}", "STAMP")


class Case(NamedTuple):
    """A script, and what it is to see.

    Args:
        name: of its record.
        script: a file of ``scripts``, or a tool of Debian's bpfcc-tools.
        arguments: of the script; {pid} is what provokes, {probed} the program of that name.
        provoke: a function of ``provoke.py``, ``probed``, or "": the script does it by itself.
        ready: what the script prints once it is attached.
        done: what it prints last; "": it ends by itself.
        keep: which of its lines count: a regular expression; PID stands there for the process that provokes.
        words: what differs: a regular expression, and the word that is put in its place.
        once: lines that it repeats at each interval count once.
    """

    name: str
    script: str
    arguments: Sequence[str] = ()
    provoke: str = ""
    ready: str = ""
    done: str = ""
    keep: str = ""
    words: Sequence[tuple[str, str]] = ()
    once: bool = False

    @property
    def record(self) -> Path:
        """The file of its record."""
        return HERE / "outputs" / f"{self.name}.txt"

    @property
    def recorded(self) -> list[str]:
        """What BCC printed."""
        return [line for line in self.record.read_text().splitlines() if not line.startswith(HEAD)]

    def path(self, tools: Path) -> Path:
        """Where the script is.

        Args:
            tools: the folder of Debian's.
        """
        return HERE / "scripts" / self.script if self.script.endswith(".py") else tools / f"{self.script}-bpfcc"


def _ours(name: str, *words: tuple[str, str]) -> Case:
    return Case(name, f"{name}.py", words=words)


_PROBED_WORDS = ((re.escape(str(PROBED)), "PROBED"), _TIME, _STAMP)
# Those that this kernel has all hooks for.
HERE_TOO = (
    _ours("histograms", (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME")),
    _ours("tables"),
    _ours("records"),
    _ours("printed", ("PID", "PID")),
    _ours("whole_lines", (r"\[CPU\] \S+", "CPU")),
    _ours("functions"),
    _ours("constants"),
    _ours("tracepoints"),
    _ours("helpers"),
    _ours("probes", *_PROBED_WORDS),
    _ours("stacks", *_PROBED_WORDS),
    Case(
        "argdist-count",
        "argdist",
        (
            "-p",
            "{pid}",
            "-i",
            "1",
            "-C",
            "p:{probed}:probed_one(int n):int:n",
            "-C",
            "r:{probed}:probed_two():int:$retval",
        ),
        ready=_INTERVAL,
        done="probed_two.*\n.*\n.*= 22",
        once=True,
        provoke="probed",
        words=_PROBED_WORDS,
    ),
    Case(
        "argdist-histogram",
        "argdist",
        (
            "-p",
            "{pid}",
            "-i",
            "1",
            "-H",
            "p:{probed}:many_700(int n):int:n",
            "-H",
            "r:{probed}:probed_two():int:$retval",
        ),
        ready=_INTERVAL,
        done=r"\|\*[\s\S]*\|\*",
        once=True,
        provoke="probed",
        words=_PROBED_WORDS,
    ),
    Case(
        "trace",
        "trace",
        (
            "-p",
            "{pid}",
            'p:{probed}:probed_one(int n) (n == 1) "one %d %x", n, n',
            'r:{probed}:probed_two "gave %d", retval',
            'u:{probed}:plain "arg %d", arg1',
            'p:{probed}:many_7(int n) (n == 8) "never"',
        ),
        ready="PID",
        done="arg",
        provoke="probed",
        words=_PROBED_WORDS,
    ),
    Case(
        "funccount",
        "funccount",
        ("-p", "{pid}", "{probed}:probed_*"),
        ready="Tracing",
        provoke="probed",
        words=_PROBED_WORDS,
    ),
    Case(
        "stackcount",
        "stackcount",
        ("-p", "{pid}", "-U", "{probed}:probed_one"),
        ready="Tracing",
        provoke="probed",
        words=_PROBED_WORDS,
    ),
    Case("tplist", "tplist", ("-l", "{probed}"), words=_PROBED_WORDS),
    Case("tplist-variables", "tplist", ("-v", "-l", "{probed}"), words=_PROBED_WORDS),
    Case("tplist-tracepoint", "tplist", ("-v", "syscalls:sys_enter_openat")),
    Case(
        "syscount",
        "syscount",
        ("-p", "{pid}"),
        provoke="calls",
        ready="Tracing",
        keep=r"^(SYSCALL|getppid|unlink|getpriority)",
        words=(_TIME,),
    ),
    Case(
        "syscount-failed",
        "syscount",
        ("-p", "{pid}", "-x", "-e", "ENOENT"),
        provoke="calls",
        ready="Tracing",
        keep=r"^(SYSCALL|getppid|unlink)",
        words=(_TIME,),
    ),
    Case(
        "syscount-processes",
        "syscount",
        ("-p", "{pid}", "-P", "-x", "-e", "ENOENT"),
        provoke="calls",
        ready="Tracing",
        keep="PID",
        words=(_TIME,),
    ),
    Case(
        "gethostlatency",
        "gethostlatency",
        provoke="resolves",
        ready="TIME",
        done="golden.* 127.0.0.1$",
        keep="PID",
        words=(_TIME, (r"\d+\.\d\d\b", "LAT")),
    ),
    Case(
        "threadsnoop",
        "threadsnoop",
        provoke="threads",
        ready="TIME",
        done="golden",
        keep="PID",
        words=((r"^\d+", "TIME"),),
    ),
    Case(
        "exitsnoop",
        "exitsnoop",
        provoke="executes",
        ready="PCOMM",
        done="^sh .*code 3",
        keep="PID",
        words=(
            (r"\d+ PID \d+", "CHILD PID CHILD"),
            (r"\d+\.\d\d", "AGE"),
        ),
    ),
)
# Those that need a kernel with kprobes. Their texts hold no process id: they are compiled before the guest starts.
KPROBES = (
    Case(
        "execsnoop",
        "execsnoop",
        ("-x",),
        provoke="executes",
        ready="PCOMM",
        done="exit 3",
        keep="PID",
        words=((r"\d+ PID", "CHILD PID"),),
    ),
    Case("syncsnoop", "syncsnoop", provoke="syncs", ready="TIME", done=r"sync\(\)[^$]*sync\(\)", words=(_STAMP,)),
)
CASES = {case.name: case for case in (*HERE_TOO, *KPROBES)}
