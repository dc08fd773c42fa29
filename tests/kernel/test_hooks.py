"""One program on each hook that libbpf attaches by itself: from the built object to a typed row of the right task."""

from __future__ import annotations

import pytest

from skep.base.errors import UnsupportedError
from skep.session.run import Run

# The hooks that the development machine's kernel lacks may be skipped there: the virtual machines have them.
HERE = ["tracepoint", "raw_tracepoint", "tp_btf", "uprobe", "uretprobe"]
ELSEWHERE = ["kprobe", "kretprobe", "fentry", "fexit", "lsm", "ksyscall"]
RETURNS = {"kretprobe": -2, "fexit": -2, "uretprobe": -1}


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("hook", HERE + ELSEWHERE)
def test_a_program_on_a_hook_sends_a_typed_row(program, hook, tmp_path):
    # A file that is not there: what the hook sees is the call, and on return -ENOENT, or -1 from the C library.
    path = tmp_path / "missing"
    path.write_text("x") if hook == "lsm" else None
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
