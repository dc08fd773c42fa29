"""``skep guard learn NAME``, ``watch``, ``status``, ``explain ALARM``: what the guard does while programs run."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from contextlib import suppress

from skep.base.errors import ProfileError, SourceNotFoundError, UsageError
from skep.cli.parser import duration
from skep.cli.run import catch_signals, invoking_user
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from skep.guard.live.watcher import Subject

__all__ = ["add_live", "add_watch", "explain_alarm", "is_live", "learn_live", "status", "watch"]

# Runs of a command, if the user does not say how many: fewer do not settle.
_RUNS = 5


def add_live(parser: argparse.ArgumentParser) -> None:
    """What says whom to learn from while it runs, and how long."""
    _add_subjects(parser)
    parser.add_argument("--for", type=duration, dest="seconds", metavar="TIME", help="how long (10s, 10m)")
    parser.add_argument("--runs", type=_count, metavar="N", help=f"how often COMMAND is run (default: {_RUNS})")


def add_watch(parser: argparse.ArgumentParser) -> None:
    """What `watch` takes."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="profiles, by name or path")
    _add_subjects(parser)
    parser.add_argument("--cgroup", default="", metavar="PATH", help="whoever is in this cgroup")
    parser.add_argument("--for", type=duration, dest="seconds", metavar="TIME", help="how long (default: until Ctrl-C)")
    parser.add_argument(
        "--run", dest="handler", metavar="COMMAND", help="run this for each alarm, which is its input (no shell)"
    )
    parser.add_argument("--without", action="append", default=[], metavar="KIND", help="kinds that are not watched")


def _count(text: str) -> int:
    """How often, at least once."""
    import argparse

    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _add_subjects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", "--pid", type=int, action="append", default=[], help="a running process (repeatable)")
    parser.add_argument("--exe", default="", metavar="PATH", help="whoever runs this executable")
    parser.add_argument("--as-root", action="store_true", help="COMMAND stays root, though sudo called skep")


def is_live(options: argparse.Namespace) -> bool:
    """Whether it is to be learned from what runs, and not from files."""
    return bool(options.command or options.pid or options.exe or options.seconds is not None)


def learn_live(options: argparse.Namespace) -> Any:
    """Learns from what runs, and adds that to what is known of the name.

    Returns:
        The profile and where it is.
    """
    from skep.guard.identity import program_of
    from skep.guard.live.learning import executable_of, find_processes, record_command, record_processes
    from skep.guard.profile import learn
    from skep.guard.state import place_of
    from skep.guard.store import alone, load, save
    from skep.session.stop import Stop

    if len(options.files) != 1:
        raise UsageError("one name is learned at a time", remedy="skep guard learn NAME -- COMMAND")
    if options.runs is not None and (not options.command or options.seconds is not None):
        raise UsageError("--runs says how often a command is run", remedy="It goes with -- COMMAND, without --for.")
    path = options.output or place_of(options.files[0])
    pids: list[int] = []
    if options.command:
        exe = options.program or _executable(options.command[0])
    elif options.seconds is None:
        raise UsageError("what runs for long is learned for some time", remedy="--for 10m")
    else:
        pids = options.pid or find_processes(exe=options.exe, cgroup=options.cgroup)
        exe = options.program or options.exe or executable_of(pids[0])
    # What would be refused is refused now, and not when all has been recorded.
    machine, program = os.uname().machine, program_of(exe, options.cgroup)
    with suppress(SourceNotFoundError):
        load(path).check_same(program, machine)
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    with Stop() as stop:
        catch_signals(stop)
        if options.command:
            runs = record_command(
                options.command,
                1 if options.seconds is not None else options.runs or _RUNS,
                seconds=options.seconds,
                stdout=2,
                user=None if options.as_root else invoking_user(),
                stop=stop,
            )
        else:
            runs = record_processes(pids, options.seconds, stop=stop)
    lost = sum(run.lost for run in runs)
    sys.stderr.write(f"skep: {len(runs)} runs or stretches of it, {lost} holes\n")
    profile = learn(runs, machine, program)
    # Somebody else may learn the same name, and be done now.
    with alone(path):
        with suppress(SourceNotFoundError):
            profile = load(path) + profile
        save(profile, path)
    return profile, path


def _executable(name: str) -> str:
    from shutil import which

    found = which(name)
    if found is None:
        raise UsageError(f"{name!r} cannot be executed: it is in no folder of PATH", remedy="A command follows --.")
    return os.path.realpath(found)


def watch(options: argparse.Namespace) -> int:
    """Watches until it is told to end."""
    from skep.guard.live.guarding import Guard
    from skep.guard.state import ago, place_of
    from skep.guard.telling import alarm_lines
    from skep.kernel.command import Command
    from skep.session.stop import Stop

    run = shlex.split(options.handler) if options.handler else []
    if run:
        from skep.cli.handler import Handler

        run[0] = _executable(run[0])
    paths = [place_of(name) for name in options.names]
    chosen = bool(options.command or options.pid or options.exe or options.cgroup)
    if len(paths) > 1 and chosen:
        raise UsageError("who is watched is said of one profile", remedy="Start one watch for each, or say nobody.")
    user = None if options.as_root else invoking_user()
    command = Command(options.command, stdout=1 if os.isatty(1) else 2, user=user) if options.command else None
    handler = None
    with Stop() as stop:
        catch_signals(stop)
        try:
            subjects = {path: _subjects(path, options, command, chosen=chosen) for path in paths}
            with Guard(
                subjects, false_alarms=options.false_alarms, without=options.without, force=options.force
            ) as guard:
                for name, until in zip(options.names, guard.gaps.values(), strict=True):
                    if until is not None:
                        sys.stderr.write(f"skep: {name}: nobody watched for {ago(max(time.time() - until, 0))}\n")
                for name, path in zip(options.names, paths, strict=True):
                    if path in guard.rebuilt:
                        sys.stderr.write(
                            f"skep: {name}: it runs another build than any that was learned from: what that does "
                            f"otherwise is told; skep guard learn {name} -p PID --for 10m adds it\n"
                        )
                # Nobody may run yet; or it is not whom the user means.
                threads = f"{guard.watched() or 'none'} of whose threads run now"
                sys.stderr.write(f"skep: watching {', '.join(options.names)}, {threads}; Ctrl-C ends\n")
                if run:
                    handler = Handler(run)
                guard.wake(stop.fd)
                if command is not None:
                    guard.wake(command.fd)
                    command.start()
                for alarm in guard.alarms(
                    options.seconds, lambda: stop.requested or (command is not None and command.ended())
                ):
                    text = json.dumps(alarm) + "\n"
                    lines = [text] if options.output == "json" else [f"{escape(line)}\n" for line in alarm_lines(alarm)]
                    sys.stdout.writelines(lines)
                    sys.stdout.flush()
                    if handler is not None:
                        handler.take(text)
                if not guard.watched() and not guard.lasting:
                    sys.stderr.write("skep: all that was watched has ended\n")
                for name, counts in zip(options.names, guard.counts(), strict=True):
                    lost = sum(counts.untold)
                    sys.stderr.write(
                        f"skep: {name}: {counts.unseen} sequences that were never learned; {lost} reports lost, "
                        f"{counts.unwatched} tasks not watched\n"
                    )
        finally:
            if handler is not None:
                handler.close()
            if command is not None:
                command.close()
    return 0


def _subjects(path: str, options: argparse.Namespace, command: Any, *, chosen: bool) -> Sequence[Subject]:
    from skep.guard.live.watcher import Subject
    from skep.guard.store import load

    if chosen:
        found = [Subject(pid=pid) for pid in (*options.pid, *([command.pid] if command is not None else []))]
        found += [Subject(exe=options.exe)] if options.exe else []
        return found + ([Subject(cgroup=options.cgroup)] if options.cgroup else [])
    program = load(path).program
    if program.cgroup:
        return [Subject(cgroup=program.cgroup)]
    if "/" in program.path:
        return [Subject(exe=program.path)]
    raise UsageError(f"{path} does not say whose it is", remedy="Say who is watched: -p, --exe, --cgroup, -- COMMAND.")


def status(options: argparse.Namespace) -> int:
    """Tells of all profiles, or some; of one that is damaged, that it is, and its exit code."""
    from skep.guard.live.watched import expected_alarms, loud_kinds
    from skep.guard.state import Log, folder, known_names, place_of
    from skep.guard.store import load
    from skep.guard.telling import status_line

    names = options.names or known_names()
    if not names:
        sys.stderr.write(f"skep: no profiles in {folder()}\nskep guard learn NAME -- COMMAND makes one.\n")
    code = 0
    for name in names:
        path = place_of(name)
        log = Log(path)
        try:
            profile, alarms, until = load(path), log.alarms(), log.watched_until()
        except (ProfileError, SourceNotFoundError) as error:
            # The others are as they were.
            sys.stderr.write(f"skep: {escape(error.message)}\n{error.remedy}\n")
            code = error.exit_code
            continue
        found = {
            "name": name,
            "program": profile.program.path,
            "runs": int(profile.runs.fused.total),
            "calls": profile.calls,
            "new_pairs_in_10000_calls": round(profile.unsettled, 2),
            "settled": profile.settled,
            "false_alarms_a_day": round(expected_alarms(profile), 1),
            "alarming_kinds": loud_kinds(profile),
            "reports_lost": sum(alarm["reports_lost"] for alarm in alarms.values()),
            "alarms": sorted(alarms),
            "watched_until": until,
        }
        sys.stdout.write((json.dumps(found) if options.output == "json" else escape(status_line(found))) + "\n")
    return code


def explain_alarm(options: argparse.Namespace) -> int:
    """Tells all of an alarm that was raised before."""
    from skep.guard.state import find_alarm
    from skep.guard.telling import alarm_lines

    alarm = find_alarm(options.profile)
    lines = [json.dumps(alarm)] if options.output == "json" else alarm_lines(alarm, whole=True)
    sys.stdout.writelines(f"{escape(line)}\n" for line in lines)
    return 0
