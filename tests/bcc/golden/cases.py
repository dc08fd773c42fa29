"""Scripts whose output under BCC itself was recorded (outputs/NAME.txt), and what each is to see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
_PROGRAMS = HERE.parents[1] / "programs"
PROBED, RUNTIME = _PROGRAMS / "probed", _PROGRAMS / "runtime"
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
        arguments: of the script; {pid} is what provokes, {probed} and {runtime} are the programs of these names.
        provoke: a function of ``provoke.py``, a program with its arguments, or "": the script does it by itself.
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
        if self.script.endswith(".py"):
            return HERE / "scripts" / self.script
        # Those of languages have no suffix.
        named = tools / f"{self.script}-bpfcc"
        return named if named.exists() else tools / self.script


def _ours(name: str, *words: tuple[str, str]) -> Case:
    return Case(name, f"{name}.py", words=words)


_PROBED_WORDS = ((re.escape(str(PROBED)), "PROBED"), _TIME, _STAMP)
_NEGATIVE = (r"-?\d+\.\d+", "STAMP")
# How far behind the begin of a function, as the compiler has it.
_DISTANCE = (r"\+0x[0-9a-f]+", "+N")
# What calls main() has a name where the library's symbols are installed.
_START = (r"__libc_start_call_main(?:\+N)?|\[unknown\]", "START")
# Rows of a histogram of times.
_ROWS = (r"(?:^ +\d+ -> \d+ .*\n)+", "ROWS\n")


def _runtime(script: str, *arguments: str, name: str = "", ready: str = "Tracing", **more: Any) -> Case:
    more = {"provoke": "runtime golden", **more}
    words = ((re.escape(str(RUNTIME)), "RUNTIME"), *more.pop("words", ()))
    return Case(name or script, script, arguments, ready=ready, words=words, **more)


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
        provoke="probed wait twice",
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
        provoke="probed wait twice",
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
        provoke="probed wait twice",
        words=_PROBED_WORDS,
    ),
    Case(
        "funccount",
        "funccount",
        ("-p", "{pid}", "{probed}:probed_*"),
        ready="Tracing",
        provoke="probed wait twice",
        words=_PROBED_WORDS,
    ),
    Case(
        "stackcount",
        "stackcount",
        ("-p", "{pid}", "-U", "{probed}:probed_one"),
        ready="Tracing",
        provoke="probed wait twice",
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
    _runtime("tplist", "-p", "{pid}", name="tplist-process", ready="", keep="runtime"),
    _runtime("ucalls", "-l", "python", "{pid}"),
    _runtime(
        "ucalls",
        *("-l", "ruby", "-L", "-S", "{pid}"),
        name="ucalls-latency",
        keep="METHOD|Golden|Tracing|Attached",
        words=((r"\d+\.\d\d$", "LAT"),),
    ),
    _runtime(
        "uflow",
        *("-l", "ruby", "{pid}"),
        ready="CPU",
        done="<- Golden.outer",
        words=((r"^\d+ +PID", "CPU PID"), (r"\d\.\d{3}", "STAMP")),
    ),
    _runtime("ugc", "-l", "node", "{pid}", ready="START", done=" GC", words=((r"\d+\.\d\d+", "STAMP"),)),
    _runtime("uobjnew", "-l", "ruby", "{pid}"),
    _runtime("uobjnew", "-l", "c", "{pid}", name="uobjnew-c"),
    _runtime("uthreads", "-l", "java", "{pid}", ready="TIME", done="pthread", words=(_STAMP, (r"\d{9,}", "PLACE"))),
    _runtime(
        "ustat",
        *("-l", "tcl", "-C", "100"),
        provoke="runtime tclsh twice",
        keep=r"^PID|^\d+ +/",
        words=((r"/\S{19}(?= +\d)", "RUNTIME"), (r"^\d+ ", "CHILD ")),
    ),
    _runtime("mysqld_qslower", "{pid}", "0", ready="TIME", done="golden", words=((r"\d+\.\d+", "STAMP"),)),
    _runtime("dbslower", *("mysql", "-p", "{pid}", "-m", "0"), ready="TIME", done="golden", words=(_NEGATIVE,)),
    _runtime("dbstat", "mysql", "-p", "{pid}", words=(_TIME, _ROWS)),
    _runtime(
        "memleak",
        *("-p", "{pid}", "-o", "0", "-a", "1"),
        ready="Attaching",
        done=r"\[libc",
        once=True,
        words=(_TIME, (r"addr = \w+", "addr = PLACE"), (r"0x[0-9a-f]{16}", "PLACE"), _DISTANCE, _START),
    ),
    # It ends by itself. What was sampled at two places of one function is in two lines.
    _runtime(
        "profile",
        *("-f", "-U", "-F", "999", "-p", "{pid}", "2"),
        ready="",
        keep="spins",
        once=True,
        words=((r"\d+$", "COUNT"), _START),
    ),
    _runtime("funclatency", "-p", "{pid}", "{runtime}:allocates", words=(_ROWS, (r"\d+ nsecs", "TIME nsecs"))),
    _runtime(
        "funcslower",
        *("-u", "1", "-a", "1", "-U", "-p", "{pid}", "{runtime}:spins"),
        done=r"'main'\n.+\n",
        words=((r"\d+\.\d\d", "LAT"), _START),
    ),
    Case(
        "bashreadline",
        "bashreadline",
        provoke="types",
        ready="TIME",
        done="echo golden$",
        keep="TIME|golden$",
        words=(_TIME, (r"\d+ +echo", "CHILD echo")),
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
