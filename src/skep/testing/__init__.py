"""A plugin of pytest: fixtures with which kernel files are tested. pytest finds it by itself where skep is installed.

    def test_opens_are_seen(run_command, assert_event):
        run = run_command("opens.bpf.c", ["cat", "/etc/hostname"])

        assert_event(run.events, comm="cat", filename="/etc/hostname")

    def test_a_short_packet_is_dropped(test_run):
        assert test_run("filter.bpf.c", "packet", data=bytes(20)).returned == 1

A source is a path from the folder of the test, or what `skep run` takes. Loading needs root, as ever: a test fails
without, and says what is missing.
"""

from __future__ import annotations

import os

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from skep.kernel.program import TestRun
    from skep.session.api import Spec
    from skep.session.loaded import Object
    from skep.session.summary import Summary

__all__ = ["CommandRun", "assert_event", "load", "run_command", "test_run"]

# Seconds.
_PATIENCE = 60.0


class CommandRun:
    """What came of a command that was run under a kernel file.

    Args:
        events: what the kernel file sent, as rows.
        output: what the command wrote to its standard output.
        returncode: the command's exit status; negative: a signal.
        summary: the account of the run: what was lost, and what was out of scope.
    """

    __slots__ = ("events", "output", "returncode", "summary")

    def __init__(self, events: list[Any], output: str, returncode: int, summary: Summary) -> None:
        self.events = events
        self.output = output
        self.returncode = returncode
        self.summary = summary

    def __repr__(self) -> str:
        return f"<CommandRun {self.returncode}, {len(self.events)} events>"


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Iterator[Callable[..., Object]]:
    """Loads a kernel file until the end of the test: ``load(source, variables={...}, **options)``.

    `source` is a path, a tool, or a spec; `variables` what its variables are set to: in a spec of yours they stay so.
    The options are those of `Spec.load`. What is attached to it by the test is to be closed by the test.
    """
    loaded: list[Object] = []

    def load(source: str | Spec, *, variables: Mapping[str, object] | None = None, **options: Any) -> Object:
        with _Told():
            loaded.append(_spec(request, source, variables).load(**options))
        return loaded[-1]

    yield load
    for each in reversed(loaded):
        each.close()


@pytest.fixture
def run_command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CommandRun]:
    """Runs a command under a kernel file: ``run_command(source, command, variables={...}, timeout=60, **options)``.

    As `skep run SOURCE -- COMMAND`: everything is attached before the command starts, and the events are those of it
    and of its descendants. The options are those of `skep.Run`; a command that takes longer than `timeout` seconds is
    ended, and the test fails.
    """

    def run_command(
        source: str | Spec,
        command: Sequence[str],
        *,
        variables: Mapping[str, object] | None = None,
        timeout: float = _PATIENCE,
        **options: Any,
    ) -> CommandRun:
        import time

        from skep.session.run import Run

        path = tmp_path_factory.mktemp("command") / "output"
        with path.open("w") as output, _Told():
            spec = _spec(request, source, variables)
            started = time.monotonic()
            with Run(spec, command=command, stdout=output.fileno(), **options) as run:
                events = [row for batch in run.batches(duration=timeout) for row in batch.rows()]
                summary = run.summary()
        if time.monotonic() - started >= timeout:
            pytest.fail(f"{command[0]} ran for more than {timeout:g} seconds")
        assert summary.command is not None
        return CommandRun(events, path.read_text(errors="replace"), summary.command[1], summary)

    return run_command


@pytest.fixture
def assert_event() -> Callable[..., Any]:
    """Fails unless one of the events has these values, and returns it: ``assert_event(events, **fields)``.

    A value may also be a function, which is asked: ``assert_event(events, ret=lambda ret: ret >= 0)``. The failure
    shows the event that comes nearest, and in what it differs.
    """
    return _assert_event


@pytest.fixture
def test_run(load: Callable[..., Object]) -> Callable[..., TestRun]:
    """Runs one program by itself: ``test_run(source, program, data=..., ctx=..., repeat=..., **options)``.

    The arguments are those of `Program.test_run`, the options those of `load`. Nothing is attached.
    """

    def test_run(
        source: str | Spec,
        program: str,
        data: bytes | None = None,
        *,
        ctx: bytes | Sequence[int] | None = None,
        repeat: int | None = None,
        **options: Any,
    ) -> TestRun:
        loaded = load(source, **options)
        with _Told():
            return loaded.programs[program].test_run(data, ctx=ctx, repeat=repeat)

    return test_run


class _Told:
    """What skep advises becomes a part of what pytest shows."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        remedy = getattr(error, "remedy", None)
        if error is not None and remedy:
            error.add_note(remedy)


def _spec(request: pytest.FixtureRequest, source: str | Spec, variables: Mapping[str, object] | None) -> Spec:
    from skep.base.errors import UsageError
    from skep.base.nearest import nearest
    from skep.session.api import read_spec

    if isinstance(source, str):
        beside = os.path.join(request.path.parent, source)
        spec = read_spec(beside if os.path.exists(beside) else source)
    else:
        spec = source
    for name, value in (variables or {}).items():
        if name not in spec.variables:
            raise UsageError(f"there is no variable {name}", remedy=nearest(name, spec.variables, "variables"))
        spec.variables[name].value = value
    return spec


def _assert_event(events: Iterable[Any], **fields: Any) -> Any:
    __tracebackhide__ = True
    nearest, least = None, len(fields) + 1
    seen = list(events)
    for event in seen:
        wrong = [name for name, value in fields.items() if not _fits(event, name, value)]
        if not wrong:
            return event
        if len(wrong) < least:
            nearest, least = event, len(wrong)
    if nearest is None:
        pytest.fail("there are no events at all")
    shown = [f"{name}: {getattr(nearest, name, 'no such field')!r}" for name in fields]
    pytest.fail(f"none of {len(seen)} events has {fields}\nthe nearest has {', '.join(shown)}\n{nearest}")


def _fits(event: Any, name: str, value: Any) -> bool:
    if not hasattr(event, name):
        return False
    has = getattr(event, name)
    return bool(value(has)) if callable(value) else bool(has == value)
