"""``skep run SOURCE [options] [-- COMMAND ...]``: runs a kernel file and shows what it sees."""

from __future__ import annotations

import os
import signal
import sys
import time

from skep.base.errors import LoadError, UsageError
from skep.base.nearest import nearest
from skep.cli.options import COUNTED, run_parser
from skep.cli.showing import COLUMNS, joined, output_of
from skep.session.api import find_source, read_spec
from skep.session.run import Run
from skep.session.stop import Stop
from skep.session.words import absent_tasks, fill_words
from skep.spec.targets import Targets, open_words
from skep.spec.trust import stranger
from skep.spec.words import WORDS, questions, words_of
from skep.stream.resolve import follow_clock, resolve
from skep.stream.tables import stated_interval, table_schemas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action, Namespace
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from skep.base.schema import Schema
    from skep.cli.parser import Parser
    from skep.cli.showing import Output
    from skep.session.api import Spec
    from skep.spec.fills import Fill

__all__ = ["catch_signals", "invoking_user", "main"]

# Seconds without a record after which it is told why.
_SILENCE = 10


def main(arguments: Sequence[str], verb: str = "run") -> int:
    """Runs the verb.

    Args:
        arguments: what follows it.
        verb: it, or ``record``, which keeps the records in a file.
    """
    own, command = _split(joined(arguments), "--")
    parser, actions = run_parser(verb=verb)
    source, rest = _source(own, parser, actions)
    with Stop() as stop:
        catch_signals(stop)
        # --help waits for the second pass, which knows the kernel file's own options.
        known = [argument for argument in rest if argument not in {"-h", "--help"}]
        first = parser.parse_known_args(known)[0]
        spec = read_spec(source, btf=first.btf, events=first.events)
        options = run_parser(spec, verb)[0].parse(rest)
        if verb == "record" and not options.to:
            raise UsageError("--to FILE is missing: where the records go", remedy="For example: --to run.parquet")
        words, notices = _words(spec, options)
        if owner := stranger(find_source(source)):
            notices.append(f"{source} belongs to {owner}, and runs as root")
        targets = _targets(spec, words, options)
        fill = {**fill_words(spec, words), **_fill(spec, options.fill)}
        _set_variables(spec, options)
        notices += absent_tasks(spec)
        for notice in notices:
            _say(options, notice)
        try:
            _run(spec, options, source, command, targets, fill, stop)
        except LoadError as error:
            if options.log:
                with open(options.log, "w", encoding="utf-8") as file:
                    file.write(error.log)
            raise
    return 0


def _run(
    spec: Spec, options: Namespace, source: str, command: Sequence[str], targets: Targets, fill: Fill, stop: Stop
) -> None:
    # Before anything is loaded: what is asked of fields may be wrong.
    names = resolve()
    tables = table_schemas(spec)
    output = output_of(
        options,
        names,
        _schemas(spec, tables),
        {schema: spec.maps[name].note.object("sample") for name, schema in tables.items()},
        _about(source, command) if options.to or options.output in COLUMNS else {},
        count=options.count == COUNTED,
    )
    with (
        output,
        Run(
            spec,
            command=command,
            pids=options.pid,
            system=options.system,
            btf=options.btf,
            sizes=_sizes(spec, options.map),
            wanted=options.wanted,
            without=options.without,
            targets=targets,
            fill=fill,
            pin=options.pin,
            pin_root=options.pin_root,
            interval=options.interval or stated_interval(spec, tables),
            tables=tables,
            # A terminal shows both; a pipe or a file gets the events alone.
            stdout=1 if options.to or os.isatty(1) else 2,
            user=None if options.as_root else invoking_user(),
            # What skep itself does is nobody's question; and what it writes would be an event to write about.
            ignore=[] if os.getpid() in options.pid else [os.getpid()],
            stop=stop,
        ) as run,
    ):
        stacks = run.stacks(names)
        # A folder that is not root's may be written to at the end, too.
        run.drop_privileges(["CAP_DAC_OVERRIDE"] if options.to else [])
        for notice in run.notices:
            _say(options, notice)
        programs = "1 program" if len(run.attached) == 1 else f"{len(run.attached)} programs"
        stays = f", and pinned in {options.pin}" if options.pin else ""
        _say(options, f"{source}: {programs} attached{stays}; Ctrl-C ends")
        losses = _Losses(run)
        _watch_silence(run, spec, output, options)
        try:
            count = None if options.count == COUNTED else options.count
            for batch in run.batches(duration=options.duration, count=count, passed=output.passed):
                follow_clock(names)
                for line in stacks.add(batch) if stacks is not None else ():
                    from skep.view.formatters import escape

                    # It names files that traced processes have chosen.
                    _say(options, escape(line))
                output.write(batch)
                for line in losses.lines():
                    _say(options, line)
            summary = run.summary()
            output.finish({name: getattr(summary, name) for name in summary.__slots__})
        except OSError:  # nobody reads any more, or the disk is full
            _summarize(run, output, options)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        # Before the links go, which takes the kernel a while.
        _summarize(run, output, options)


class _Losses:
    """Tells what is lost while it is being lost: once a second, so that a flood is not drowned in its own account."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._told = 0
        self._since = time.monotonic()

    def lines(self) -> Iterator[str]:
        """What was lost since the last line; nothing before a second has passed."""
        now = time.monotonic()
        if now < self._since + 1:
            return
        lost = self._run.lost or 0
        if lost > self._told:
            seconds = f"{now - self._since:.1f} s"
            yield f"{lost - self._told} lost in {seconds}: rings or maps are full (--map NAME.max_entries=N)"
        self._told, self._since = lost, now


def _schemas(spec: Spec, tables: Mapping[str, Schema]) -> list[tuple[str, Schema]]:
    """What records there are, each with what it comes from."""
    schemas = [(name, schema) for name, event in spec.events.items() for schema in event.schemas]
    if spec.prints:
        from skep.stream.printk import SCHEMA

        schemas.append(("printk", SCHEMA))
    return [*schemas, *tables.items()]


def _about(source: str, command: Sequence[str]) -> dict[str, Any]:
    """What a recording says of the run."""
    from importlib.metadata import version

    machine = os.uname()
    return {
        "skep": version("skep"),
        "program": source,
        "arguments": sys.argv[1:],
        "command": list(command),
        "host": machine.nodename,
        "kernel": f"{machine.release} {machine.version}",
        "architecture": machine.machine,
        "started": time.time(),
    }


def _watch_silence(run: Run, spec: Spec, output: Output, options: Namespace) -> None:
    """Lets the kernel wake us: what waits for records needs no clock of its own."""

    def tell(*_: object) -> None:
        summary, filtered = run.summary(), output.filtered
        if options.quiet or (not filtered and (any(summary.events.values()) or not summary.streams)):
            return
        from skep.view.silence import silence_line

        hooks = {name: spec.programs[name].hook for name in run.attached}
        line = silence_line(
            _SILENCE,
            hooks,
            runs=summary.runs,
            lost=summary.lost,
            out_of_scope=summary.out_of_scope,
            filtered=filtered,
        )
        # Not by sys.stderr, in the midst of whose writing this may be.
        os.write(2, f"skep: {line}\n".encode(errors="backslashreplace"))

    signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, _SILENCE)


def _summarize(run: Run, output: Output, options: Namespace) -> None:
    from skep.view.summary import summary_lines

    summary = run.summary()
    for line in summary_lines(**{name: getattr(summary, name) for name in summary.__slots__}):
        _say(options, line)
    if output.filtered:
        from skep.view.silence import filtered_line

        _say(options, filtered_line(output.filtered))


def _targets(spec: Spec, words: dict[str, str], options: Namespace) -> Targets:
    """What is said of hooks. A word that says nothing else is taken from the others."""
    said: dict[str, Any] = {word: words[word] for word in open_words(spec.programs.values()) if word in words}
    others = words_of(spec).keys() | questions(spec).keys() if said else ()
    for word in said:
        if word not in others:
            del words[word]
    attach = {}
    for assignment in options.attach:
        name, equals, target = assignment.partition("=")
        if not equals or not target:
            raise UsageError(f"--attach {assignment}: it takes PROGRAM=TARGET")
        attach[name] = target
    return Targets(attach=attach, **{word.replace("-", "_"): text for word, text in said.items()})


def _words(spec: Spec, options: Namespace) -> tuple[dict[str, str], list[str]]:
    """The words that fill something, with what they say; and lines that tell it."""
    filled = words_of(spec)
    words = {word: text for word in WORDS if (text := getattr(options, f"word {word}", None)) is not None}
    notices = []
    if options.pid and not options.system:
        if len(options.pid) == 1 and "pid" in filled:
            words["pid"] = str(options.pid[0])
        elif "pid" in filled:
            notices.append(
                f"--pid fills nothing: {filled['pid'][0]} holds one process, and {len(options.pid)} are given"
            )
        elif "pid" in (asked := questions(spec)):
            notices.append(f"--pid fills nothing: {asked['pid']}")
    for word in [word for word in words if word in filled]:
        # The tree of a process goes on with its children; a variable holds the process alone.
        also = "; its children are not shown" if word == "pid" else ""
        notices.append(f"--{word} fills {', '.join(filled[word])}{also}")
    return words, notices


def _set_variables(spec: Spec, options: Namespace) -> None:
    for name, variable in spec.variables.items():
        value = getattr(options, f"variable {name}", None)
        if isinstance(value, bool):
            variable.value = value
        elif value is not None:
            variable.parse(value)
    for assignment in options.set:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: it takes NAME=VALUE")
        if name not in spec.variables:
            remedy = nearest(name, spec.variables, "variables")
            raise UsageError(f"--set {assignment}: there is no such variable", remedy=remedy)
        spec.variables[name].parse(text)


def _sizes(spec: Spec, assignments: Sequence[str]) -> dict[str, int]:
    sizes = {}
    for assignment in assignments:
        place, _, text = assignment.partition("=")
        name, _, what = place.partition(".")
        if name not in spec.maps:
            remedy = nearest(name, spec.maps, "maps")
            raise UsageError(f"--map {assignment}: there is no such map", remedy=remedy)
        if what != "max_entries" or not text.isdecimal() or len(text) > 10 or not 0 < int(text) < 1 << 32:
            raise UsageError(f"--map {assignment}: it takes NAME.max_entries=N, with N from 1 to {(1 << 32) - 1}")
        sizes[name] = int(text)
    return sizes


def _fill(spec: Spec, assignments: Sequence[str]) -> Fill:
    if not assignments:
        return {}
    from skep.spec.fills import read_fill

    return read_fill(spec, assignments)


def _split(arguments: Sequence[str], separator: str) -> tuple[list[str], list[str]]:
    given = list(arguments)
    if separator not in given:
        return given, []
    place = given.index(separator)
    if place + 1 == len(given):
        raise UsageError("after -- a command is expected", remedy="For example: skep run opensnoop -- ls /")
    return given[:place], given[place + 1 :]


def _source(arguments: list[str], parser: Parser, actions: list[Action]) -> tuple[str, list[str]]:
    """SOURCE and the other arguments. What SOURCE's own options are is known only once SOURCE is read."""
    with_value = {option for action in actions if action.nargs != 0 for option in action.option_strings}
    flags = {option for action in actions if action.nargs == 0 for option in action.option_strings}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if not argument.startswith("-"):
            return argument, arguments[:position] + arguments[position + 1 :]
        if argument in {"-h", "--help"}:
            parser.parse_args(["--help"])
        if (
            argument not in with_value | flags
            and argument.partition("=")[0] not in with_value
            and argument[:2] not in with_value
        ):
            raise UsageError(f"{argument} stands before SOURCE", remedy="The options of a kernel file come after it.")
        position += 2 if argument in with_value else 1
    raise UsageError(
        "SOURCE is missing: a .bpf.c file, a .bpf.o file, a package.json or a tool",
        remedy="skep tools lists the tools.",
    )


def invoking_user() -> tuple[int, int] | None:
    """Who called sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    return (int(uid), int(gid)) if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal() else None


def catch_signals(stop: Stop) -> None:
    """The first Ctrl-C, SIGTERM or SIGHUP asks for an end; a second finds the default, and ends skep at once."""

    def end(number: int, _: object) -> None:
        stop.request(interrupted=number == signal.SIGINT)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored when skep started (nohup, a background job) stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _say(options: Namespace, text: str) -> None:
    if not options.quiet:
        sys.stderr.write(f"skep: {text}\n")
        sys.stderr.flush()
