"""``skep guard learn|watch|status|show|diff|merge|score|explain|evaluate``: how programs behave, and what is new."""

from __future__ import annotations

import argparse
import json
import os
import sys

from skep.base.errors import UnsupportedError, UsageError
from skep.cli.guarding import add_live, add_watch, explain_alarm, is_live, learn_live, status, watch
from skep.cli.parser import Parser
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

__all__ = ["main"]

_EXAMPLES = """\
  skep guard learn nginx -p 812 --for 10m            learn what runs; again: it adds up
  skep guard learn sort -- sort /etc/passwd          learn a command from five runs
  skep guard watch nginx                             silent while all is as learned
  skep guard explain nginx-3                         an alarm, with its evidence and processes
  skep guard status                                  what is known, and how well
  skep guard learn runs/ -o nginx.profile            learn from recordings, one run a file
  skep guard show nginx.profile                      what was learned, and has it settled?
  skep guard score nginx.profile today.txt           is this run unusual?
  skep guard explain nginx.profile today.txt         what about it is?
  skep guard evaluate --train T --normal N --attack A -o json
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    try:
        import numpy as np  # noqa: F401 - what all of the guard needs
    except ImportError:
        raise UnsupportedError("the guard needs NumPy", remedy="pip install 'skep[numpy]'") from None
    before, command = list(arguments), []
    if "--" in before:
        place = before.index("--")
        before, command = before[:place], before[place + 1 :]
        if not command:
            raise UsageError("a command follows --")
    options = _parse(before)
    if command and options.verb not in {"learn", "watch"}:
        raise UsageError(f"{options.verb} takes no command")
    options.command = command
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    from skep.guard.reading import ARCHITECTURES

    parser = Parser(
        "guard", "Learns how a program behaves, and tells when it behaves otherwise.", f"examples:\n{_EXAMPLES}"
    )
    verbs: Any = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    files: Any = {"nargs": "+", "metavar": "FILE", "help": "traces, or folders of them: one run a file"}
    machine = os.uname().machine
    default = machine if machine in ARCHITECTURES else ARCHITECTURES[0]
    architecture: Any = {
        "choices": ARCHITECTURES,
        "default": default,
        "help": f"of the system calls (default: {default})",
    }

    learn = verb("learn", _learn, "learn a program from recordings of its runs, or while it runs")
    learn.add_argument("files", **{**files, "metavar": "NAME|FILE", "help": "a name, or traces and folders of them"})
    learn.add_argument("-o", "--output", metavar="PROFILE", help="where to")
    add_live(learn)
    learn.add_argument("--arch", **architecture)
    learn.add_argument("--program", default="", metavar="PATH", help="the executable; its build id is kept")
    learn.add_argument(
        "--cgroup", default="", metavar="PATH", help="the cgroup that it runs in; with --for, whoever is in it"
    )

    live = verb("watch", watch, "tell when programs do what they never did")
    add_watch(live)
    about = verb("status", status, "tell what is known of programs, how well, and what was found")
    about.add_argument("names", nargs="*", metavar="NAME")

    show = verb("show", _show, "show what a profile holds")
    show.add_argument("profile")
    diff = verb("diff", _diff, "show what only one of two profiles has")
    diff.add_argument("left")
    diff.add_argument("right")
    merge = verb("merge", _merge, "add profiles of one program up")
    merge.add_argument("profiles", nargs="+", metavar="PROFILE")
    merge.add_argument("-o", "--output", required=True, metavar="PROFILE", help="where to")

    judging = []
    for name, text in (
        ("score", "tell how unusual runs are"),
        ("explain", "tell what is unusual in runs, or of an alarm all"),
    ):
        judging.append(verb(name, _judge, text))
        judging[-1].add_argument("profile", metavar="PROFILE" if name == "score" else "PROFILE|ALARM")
        judging[-1].add_argument("files", **{**files, "nargs": "+" if name == "score" else "*"})
    for made in (*judging, live):
        made.add_argument(
            "--false-alarms",
            type=_positive,
            default=1.0,
            metavar="N",
            help="acceptable false alarms a day (default: 1)",
        )
        made.add_argument("--force", action="store_true", help="use a profile that has not settled")

    evaluate = verb("evaluate", _evaluate, "learn from labelled traces, and measure what is found in others")
    for part in ("train", "normal", "attack"):
        evaluate.add_argument(f"--{part}", required=True, metavar="DIR", help=f"{part} traces, one a file")
    evaluate.add_argument("--arch", **architecture)
    evaluate.add_argument("--by-instance", action="store_true", help="intervals over instances of attacks, not traces")

    for made in (show, diff, live, about, *judging, evaluate):
        made.add_argument(
            "-o", "--output", choices=["text", "json"], default="text", help="how to tell it (default: text)"
        )
    return parser.parse(arguments)


class _Parser(Parser):
    """The parser of one of the verbs."""

    def __init__(self, *, prog: str, **options: Any) -> None:
        super().__init__(prog.removeprefix("skep "), options["description"])


def _positive(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _tell(options: argparse.Namespace, data: Any, lines: Iterable[str]) -> None:
    if options.output == "json":
        sys.stdout.write(json.dumps(data) + "\n")
    else:
        sys.stdout.writelines(f"{escape(line)}\n" for line in lines)


def _learn(options: argparse.Namespace) -> int:
    from skep.guard.identity import program_of
    from skep.guard.profile import learn
    from skep.guard.reading import read_runs
    from skep.guard.store import save

    if is_live(options):
        _say_learned(*learn_live(options))
        return 0
    if not options.output:
        raise UsageError("-o says where the profile goes", remedy="To learn what runs: --for TIME, or -- COMMAND.")
    program = program_of(options.program, options.cgroup)
    profile = learn(read_runs(options.files, options.arch), options.arch, program)
    save(profile, options.output)
    _say_learned(profile, options.output)
    return 0


def _say_learned(profile: Any, path: str) -> None:
    state = "settled" if profile.settled else "not settled yet: learn from more runs"
    sys.stderr.write(
        f"skep: {path}: {profile.calls} calls in {profile.runs.fused.total:.0f} runs, "
        f"{profile.unsettled:.1f} new pairs in 10,000 calls to be expected: {state}\n"
    )


def _show(options: argparse.Namespace) -> int:
    from skep.guard.report import profile_data, profile_lines
    from skep.guard.state import place_of
    from skep.guard.store import load

    profile = load(place_of(options.profile))
    _tell(options, profile_data(profile), profile_lines(profile))
    return 0


def _diff(options: argparse.Namespace) -> int:
    from skep.guard.report import difference, difference_lines
    from skep.guard.store import load

    found = difference(load(options.left), load(options.right))
    _tell(options, found, difference_lines(found, {"left": options.left, "right": options.right}))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from skep.guard.store import load, save

    if len(options.profiles) < 2:
        raise UsageError("merging takes two profiles at least")
    merged, *others = [load(path) for path in options.profiles]
    for other in others:
        merged = merged + other
    save(merged, options.output)
    _say_learned(merged, options.output)
    return 0


def _judge(options: argparse.Namespace) -> int:
    from skep.guard.judging import Judge
    from skep.guard.reading import read_runs
    from skep.guard.report import verdict_data, verdict_lines
    from skep.guard.state import place_of
    from skep.guard.store import load

    if not options.files:
        return explain_alarm(options)
    profile = load(place_of(options.profile))
    judge = Judge(profile, false_alarms=options.false_alarms, force=options.force)
    for run in read_runs(options.files, profile.architecture):
        verdict = judge.judge(run)
        _tell(options, verdict_data(verdict), verdict_lines(verdict, explain=options.verb == "explain"))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from skep.guard.evaluation import evaluate
    from skep.guard.report import evaluation_lines

    found = evaluate(options.train, options.normal, options.attack, options.arch, by_instance=options.by_instance)
    _tell(options, found, evaluation_lines(found))
    return 0
