"""One program on each hook that libbpf attaches by itself: from the built object to a typed row of the right task."""

from __future__ import annotations

import pytest

from skep.base.errors import AttachError, HookMissingError, ProgramError, UnsupportedError
from skep.kernel.alternatives import Plan
from skep.session.run import Run
from skep.spec.targets import Targets

# The hooks that the development machine's kernel lacks may be skipped there: the virtual machines have them.
HERE = ["tracepoint", "raw_tracepoint", "tp_btf", "uprobe", "uretprobe"]
ELSEWHERE = ["kprobe", "kretprobe", "fentry", "fexit", "fmod_ret", "lsm", "ksyscall"]
RETURNS = {"kretprobe": -2, "fexit": -2, "uretprobe": -1}


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("hook", HERE + ELSEWHERE)
def test_a_program_on_a_hook_sends_a_typed_row(program, hook, tmp_path):
    # A file that is not there: what the hook sees is the call, and on return -ENOENT, or -1 from the C library.
    path = tmp_path / "missing"
    path.write_text("x") if hook in {"lsm", "fmod_ret"} else None
    spec = program(hook)
    try:
        with Run(spec, command=["rm", "-f", str(path)], stdout=2) as run:
            rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
            summary = run.summary()
    except UnsupportedError as error:
        if hook in HERE:
            raise
        pytest.skip(f"{hook}: {error}")

    assert [(row.comm, row.ret) for row in rows] == [("rm", RETURNS.get(hook, 0))]
    assert rows[0].pid == rows[0].tid
    assert rows[0].time > 0
    assert summary.command == ("rm", 0)
    assert summary.lost == 0
    assert summary.runs is not None
    assert summary.runs["hook"] >= 1


@pytest.mark.floors("6.1")
def test_a_program_whose_hook_is_missing_is_left_out(program):
    with Run(program("missing"), command=["rm", "-f", "/nowhere"], stdout=2) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]

        assert run.attached == ["hook"]
        assert any("other" in notice and "sys_enter_nosuchcall" in notice for notice in run.notices)

    assert len(rows) == 1


def test_nothing_to_attach_is_an_error(program):
    with pytest.raises(UnsupportedError, match="nosuchcall"), Run(program("nothing")):
        pass


@pytest.mark.floors("6.12", "6.1")
def test_what_cannot_be_attached_does_not_stop_the_others(program):
    with Run(program("partly"), command=["rm", "-f", "/nowhere"], stdout=2) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        summary = run.summary()

    reasons = summary.not_attached
    # Not every kernel takes fentry.
    assert set(run.spec.programs) - reasons.keys() - {"alone"} == {"hook", "end"}
    assert "takes no fentry" in reasons.get("alone", "takes no fentry")
    assert reasons["no_function"] == "this kernel has no no_such_function for fentry"
    assert reasons["no_tracepoint"] == "this kernel has no no_such_tracepoint for tp_btf"
    assert reasons["end_by_function"] in {"this kernel has no no_such_function", "this kernel has no kprobes"}
    assert reasons["end_by_category"] == "in favour of end"
    assert "no_such_function" in reasons["no_symbol"]
    assert reasons["rejected"] == "program rejected cannot be loaded: the verifier rejects it"
    assert reasons["packet"] == "needs an interface: --iface NAME"
    assert reasons["no_binary"] == "needs a binary: --binary PATH"
    assert reasons["no_program"] == "nothing in skep attaches this kind yet"
    assert "--with asked_for" in reasons["asked_for"]
    assert summary.runs is not None
    assert summary.runs.keys() == {*run.spec.programs} - reasons.keys()
    assert all(any(name in notice and why in notice for notice in run.notices) for name, why in reasons.items())
    assert [(row.comm, row.ret) for row in rows] == [("rm", 0)]


@pytest.mark.floors("6.1")
def test_what_is_told_before_is_what_happens(program):
    spec = program("partly")
    with spec.load() as loaded, loaded.attach() as links:
        attached = set(links)
    outlook = Plan(spec).outlook()

    # Nobody looks for the symbols of a binary, or asks the verifier, before.
    assert {name for name, (would, _) in outlook.items() if would} - {"no_symbol", "rejected"} == attached
    assert all(why for would, why in outlook.values() if not would)


def test_what_the_user_wants_is_attached(program):
    with Run(program("partly"), command=["rm", "-f", "/nowhere"], stdout=2, wanted=["asked_for"]) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]

    assert sorted(row.ret for row in rows) == [0, 1]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param("required", [], id="@required, at attach"),
        pytest.param("missing", ["other"], id="wanted, at attach"),
        pytest.param("partly", ["no_function"], id="wanted, at load"),
    ],
)
def test_a_needed_program_whose_hook_is_missing_is_an_error(program, name, wanted):
    with (
        pytest.raises(HookMissingError, match=r"this kernel has no|has nothing to attach to"),
        Run(program(name), wanted=wanted),
    ):
        pass


def test_where_the_only_program_is_left_open_nothing_runs(program):
    with pytest.raises(AttachError, match=r"program packet \(xdp\): needs an interface"), Run(program("interface")):
        pass


@pytest.mark.parametrize(
    ("only", "hook"), [("fields", "tp/syscalls/sys_enter_swapoff"), ("arguments", "raw_tp/sys_exit")]
)
def test_a_program_that_reads_more_than_its_tracepoint_has(program, only, hook):
    other = {"fields", "arguments"} - {only}
    with (
        pytest.raises(AttachError, match=f"{hook}: the program reads more of it than it has"),
        Run(program("greedy"), without=other),
    ):
        pass


@pytest.mark.parametrize("target", ["nosuch", "\udcff"])
@pytest.mark.parametrize("name", ["tp_btf", "raw_tracepoint", "tracepoint"])
def test_a_stated_hook_that_is_not_there_is_an_error(program, name, target):
    stated = f"syscalls/{target}" if name == "tracepoint" else target
    with (
        pytest.raises(HookMissingError, match=f"this kernel has no .*{target}"),
        program(name).load(targets=Targets(attach={"hook": stated})) as loaded,
    ):
        loaded.attach()


def test_a_section_that_names_no_hook_is_an_error(program):
    with pytest.raises(ProgramError, match=r"names no hook. Did you mean tracepoint\?"), Run(program("misspelt")):
        pass
