"""``skep check SOURCE``: tells of each program whether the kernel takes it, what that costs, and why not."""

from __future__ import annotations

import os
import sys

from skep.base.errors import ProgramError, UsageError, VmError
from skep.base.nearest import nearest
from skep.cli.parser import EVENT, Parser
from skep.session.api import read_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.session.api import Spec

__all__ = ["main"]

_EXAMPLES = """\
  skep check x.bpf.c                                 does this kernel take it, and what does that cost?
  skep check x.bpf.o --against old.bpf.o             what has changed?
  skep check x.bpf.c --kernel 6.1 --kernel 6.12      what do these kernels say?
  skep check x.bpf.o --btf vmlinux-5.15              does that kernel have the types that it needs?
"""
# Exit codes: of those of several kernels, the first of these that is among them.
_WORST = (1, 3, 0)


def main(arguments: Sequence[str]) -> int:
    """Runs the verb: 1 if a program is refused, 3 if one needs what is not here, or may not be tried."""
    parser = Parser(
        "check",
        "Loads each program of a kernel file by itself, attaches none, and tells what the kernel says of it.",
        f"examples:\n{_EXAMPLES}",
    )
    parser.add_argument("source", metavar="SOURCE", help="a .bpf.c file, a .bpf.o file, a package.json or a tool")
    parser.add_argument("--against", metavar="OBJECT", help="another build of it: tells what has changed since")
    parser.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="RELEASE",
        help="asks this kernel of Debian's, under QEMU, and not the running one; as often as there are kernels to ask",
    )
    parser.add_argument(
        "--btf",
        metavar="FILE",
        help="asks no kernel, but whether the types in FILE have what programs need (CO-RE)",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="where to write what the verifier says of each program, whole, refused or not"
    )
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
    )
    parser.add_argument("--event", **EVENT)
    options = parser.parse(arguments)
    if sum(map(bool, (options.against, options.kernel, options.btf))) > 1:
        raise UsageError("--against, --kernel and --btf are different questions: ask one at a time")
    if options.log and (options.kernel or options.btf):
        raise UsageError("--log FILE takes what the running kernel says: not with --kernel, nor with --btf")
    as_json = options.output == "json"
    try:
        spec = read_spec(options.source, events=options.events)
    except ProgramError as error:
        if as_json and error.diagnostic is not None:
            from skep.view.check import check_json, report_dict

            found = {"source": options.source, "kernel": os.uname().release, "programs": []}
            sys.stdout.write(check_json([{**found, "report": report_dict(error.diagnostic)}]))
        raise
    if options.kernel:
        return _elsewhere(options.source, spec, list(dict.fromkeys(options.kernel)), as_json=as_json)
    if options.btf:
        return _types(options.source, spec, options.btf, as_json=as_json)
    return _here(options.source, spec, options.against, options.log, as_json=as_json)


def _here(source: str, spec: Spec, against: str | None, log: str | None, *, as_json: bool) -> int:
    """Asks the running kernel."""
    from skep.kernel.checking import check, exit_code
    from skep.view.check import against_text, check_json, check_text, describe_check

    verdicts = check(spec)
    if log:
        with open(log, "w", encoding="utf-8") as file:
            file.writelines(f"program {verdict.name} ({verdict.section})\n{verdict.log}\n" for verdict in verdicts)
    release = os.uname().release
    found = [describe_check(source, release, verdicts)]
    if against:
        found.insert(0, describe_check(against, release, check(read_spec(against))))
    if as_json:
        sys.stdout.write(check_json(found))
    else:
        sys.stdout.write(against_text(*found) if against else check_text(source, release, verdicts))
    return exit_code(spec, verdicts)


def _types(source: str, spec: Spec, btf: str, *, as_json: bool) -> int:
    """Asks the types of another kernel."""
    from skep.kernel.checking import check_types
    from skep.view.check import check_json, check_text, describe_check

    verdicts = check_types(spec, btf)
    sys.stdout.write(
        check_json([describe_check(source, btf, verdicts)]) if as_json else check_text(source, btf, verdicts)
    )
    return 3 if any(verdict.report is not None for verdict in verdicts) else 0


def _elsewhere(source: str, spec: Spec, kernels: Sequence[str], *, as_json: bool) -> int:
    """Asks other kernels."""
    from skep.view.check import check_json, matrix_text
    from skep.vm import KERNELS

    for kernel in kernels:
        if kernel not in KERNELS:
            raise UsageError(f"--kernel {kernel}: there is no such kernel", remedy=nearest(kernel, KERNELS, "kernels"))
    found, codes = [], set()
    for kernel in kernels:
        check, code = _ask(spec, kernel)
        found.append({**check, "source": source, "kernel": kernel})
        codes.add(code)
    sys.stdout.write(check_json(found) if as_json else matrix_text(found))
    return next(code for code in _WORST if code in codes)


def _ask(spec: Spec, kernel: str) -> tuple[dict[str, Any], int]:
    """What this verb says of an object, in a virtual machine of that kernel."""
    import json
    from pathlib import Path
    from tempfile import gettempdir

    import skep
    from skep.base.progress import Work
    from skep.base.scratch import Scratch
    from skep.vm import run

    with Scratch(gettempdir(), "skep-check-") as scratch:
        folder = Path(scratch.path)
        (folder / "checked.bpf.o").write_bytes(spec.data)
        # The guest's own /tmp is where it may write; $SKEP_RESULTS is this folder.
        script = 'exec "$0" -m skep check "$SKEP_RESULTS/checked.bpf.o" -o json > "$SKEP_RESULTS/verdicts"'
        room = {"PYTHONPATH": str(Path(skep.__file__).parent.parent), "XDG_CACHE_HOME": "/tmp"}  # noqa: S108
        # Python may lie below a folder that the guest has of its own: the one that the command runs in is there, too.
        beside = Path(sys.executable).parent
        with Work(f"asking Linux {kernel} in a virtual machine", slow=True):
            code = run(["sh", "-c", script, sys.executable], kernel=kernel, results=folder, cwd=beside, env=room)
        if code not in _WORST:
            raise VmError(f"{spec.name} cannot be checked on {kernel}: the virtual machine gives {code}")
        return json.loads((folder / "verdicts").read_text()), code
