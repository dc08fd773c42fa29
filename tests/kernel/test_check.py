"""`skep check`: each program is judged by itself, on a live kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from skep import compile as compile_source
from tests.failing import FOLDER, LOST, marked


@pytest.fixture
def check(skep):
    """check(*arguments): the exit code, and what is written as JSON."""

    def run(*arguments, before=()):
        command = [*before, *skep, "check", *map(str, arguments), "-o", "json"]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert "Traceback" not in finished.stderr
        return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines()]

    return run


def _compiled(folder, text):
    source = folder / "x.bpf.c"
    source.write_text(
        f'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n{text}\nchar LICENSE[] SEC("license") = "GPL";\n'
    )
    return compile_source(str(source))


@pytest.mark.parametrize("file", ["maps", "packets"])
def test_each_refusal_is_reported(check, file):
    code, (found,) = check(FOLDER / f"{file}.bpf.o")
    programs = {program["name"]: program for program in found["programs"]}

    assert code == 1
    assert found["kernel"] == os.uname().release
    assert programs.keys() == {name for other, name in LOST if other == file}
    for name, program in programs.items():
        report = program["report"]

        assert program["verdict"] == "refused"
        assert (report["category"], report["line"]) == marked(file, name)
        assert report["id"] == report["category"]
        assert report["file"].endswith(f"{file}.bpf.c")
        assert LOST[file, name][0] in "\n".join([report["message"], *(span["message"] for span in report["path"])])
        assert LOST[file, name][1] in report["suggestion"]


def test_what_the_verifier_says_of_each_is_kept_whole(check, tmp_path):
    log = tmp_path / "log"
    check("tests/programs/partly.bpf.o", "--log", log)
    kept = dict(re.findall(r"^program (\w+) \(.*\)\n((?:(?!program ).*\n)*)", log.read_text(), re.MULTILINE))

    assert "R1 invalid mem access 'scalar'" in kept["rejected"]
    assert "processed" in kept["rejected"]
    assert "processed" in kept["asked_for"]


def test_nothing_is_pinned(check, bpffs):
    # The file system on which a map that its source wants pinned would be: it has nobody else's pins in it.
    there = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys/fs/bpf; "$@"', str(bpffs)]

    assert check("tests/programs/pinned.bpf.o", before=there)[0] == 0
    # A kernel with CONFIG_BPF_PRELOAD puts two iterators into every bpffs.
    assert {path.name for path in bpffs.iterdir()} <= {"maps.debug", "progs.debug"}


@pytest.mark.floors("6.12", "6.1")
def test_one_that_is_refused_hides_no_other(program):
    verdicts = {verdict.name: verdict for verdict in program("partly").check()}

    assert verdicts["rejected"].word == "refused"
    assert verdicts["rejected"].report.id == "not-a-pointer"
    assert verdicts["no_tracepoint"].word == "unsupported"
    assert verdicts["no_tracepoint"].report.id == "hook-missing"
    assert "tp_btf" in verdicts["no_tracepoint"].report.message
    # Nothing in skep attaches it, so that it is not loaded either.
    assert verdicts["no_program"].word == "untried"
    # Its section starts with a ?.
    assert verdicts["asked_for"].word == "accepted"
    assert verdicts["asked_for"].figures.instructions > 10


@pytest.mark.floors("6.12", "6.1")
def test_what_is_accepted_has_its_figures(program):
    (verdict,) = program("burst").check()
    figures = verdict.figures

    assert (verdict.name, verdict.word, verdict.report) == ("hook", "accepted", None)
    assert figures.instructions > 10
    assert figures.states > 0
    assert figures.microseconds > 0
    walked = [count for _, count in figures.lines]
    assert 0 < sum(walked) <= figures.instructions
    assert walked == sorted(walked, reverse=True)
    assert all(line.file.endswith("burst.bpf.c") for line, _ in figures.lines)


def test_the_stack_is_that_of_the_deepest_calls(tmp_path):
    bodies = "".join(
        f"static __noinline int {name}(void *ctx)\n"
        f"{{ char kept[{size}]; bpf_get_current_comm(kept, sizeof(kept)); return kept[3] + {calls}; }}\n"
        for name, size, calls in (("inner", 64, "0"), ("outer", 64, "inner(ctx)"), ("beside", 96, "0"))
    )
    spec = _compiled(
        tmp_path,
        f'{bodies}SEC("tp/syscalls/sys_enter_getppid") int hook(void *ctx) {{ return outer(ctx) + beside(ctx); }}',
    )
    (verdict,) = spec.check()

    # A call keeps up to 8 bytes more.
    assert 128 <= verdict.figures.peak_stack < 160


def test_the_costliest_line_is_that_of_the_loop(tmp_path):
    spec = _compiled(
        tmp_path,
        """SEC("tp/syscalls/sys_enter_getppid") int hook(void *ctx)
{
	volatile u32 sum = 0;
	for (int i = 0; i < 500; i++)
		sum += i;
	return sum > 3;
}""",
    )
    (verdict,) = spec.check()

    assert verdict.figures.instructions > 1500
    assert verdict.figures.lines[0][0].line in {6, 7}
    assert verdict.figures.lines[0][1] >= 500


def test_a_table_of_programs_asks_for_no_other(tmp_path):
    spec = _compiled(
        tmp_path,
        """int leaf(struct __sk_buff *skb);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(struct __sk_buff *));
} jumps SEC(".maps") = {.values = {[0] = &leaf}};
SEC("tc") int leaf(struct __sk_buff *skb) { return 0; }
SEC("tc") int root(struct __sk_buff *skb) { bpf_tail_call(skb, &jumps, 0); return 1; }""",
    )

    assert {verdict.name: verdict.word for verdict in spec.check()} == {"leaf": "accepted", "root": "accepted"}


def test_the_exit_code_tells_the_worst(check, program, tmp_path):
    assert check("opensnoop")[0] == 0
    program("sizeless")
    code, (found,) = check(FOLDER.parent / "sizeless.bpf.o")

    assert code == 3
    assert found["programs"][0]["verdict"] == "untried"
    assert found["programs"][0]["report"]["suggestion"] == "Say it: --map slots.max_entries=N"


def test_what_another_takes_the_place_of_is_not_needed(tmp_path):
    spec = _compiled(
        tmp_path,
        """SEC("tp_btf/no_such_tracepoint") int typed(u64 *ctx) { return 0; }
SEC("raw_tp/sched_process_exit") int raw(void *ctx) { return 0; }
""",
    )
    (tmp_path / "x.bpf.o").write_bytes(spec.data)

    assert {verdict.name: verdict.word for verdict in spec.check()} == {"typed": "unsupported", "raw": "accepted"}


def test_without_privileges_it_says_what_was_not_tried(check):
    nobody = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    code, (found,) = check("opensnoop", before=nobody)

    assert code == 3
    assert {program["verdict"] for program in found["programs"]} == {"untried"}
    assert all("CAP_BPF" in program["report"]["message"] for program in found["programs"])


_READS = """
struct task_struct___other {
	int exit_state, state_of_old;
	struct { int of_nobody; } part;
} __attribute__((preserve_access_index));
struct nowhere___here { int x; } __attribute__((preserve_access_index));
SEC("raw_tp/sched_process_exit") int reads(void *ctx) {
	struct task_struct___other *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, exit_state) + BPF_CORE_READ(task, part.of_nobody);
}
SEC("raw_tp/sched_process_exit") int type(void *ctx) { return BPF_CORE_READ((struct nowhere___here *)ctx, x); }
SEC("raw_tp/sched_process_exit") int asks(void *ctx) {
	struct task_struct___other *task = (void *)bpf_get_current_task();
	return bpf_core_field_exists(task->state_of_old) ? BPF_CORE_READ(task, state_of_old) : 0;
}
SEC("raw_tp/sched_process_exit") int counts(void *ctx) {
	struct task_struct *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, signal, live.counter) + BPF_CORE_READ(task, mm, pgd) +
		bpf_core_enum_value(enum bpf_func_id, BPF_FUNC_loop);
}"""


def test_types_are_asked_without_loading(check, tmp_path):
    spec = _compiled(tmp_path, f"#include <bpf/bpf_core_read.h>\n{_READS}")
    built = tmp_path / "x.bpf.o"
    built.write_bytes(spec.data)
    nobody = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    code, (found,) = check(built, "--btf", "/sys/kernel/btf/vmlinux", before=nobody)
    programs = {program["name"]: program for program in found["programs"]}

    assert code == 3
    assert found["kernel"] == "/sys/kernel/btf/vmlinux"
    assert {name: program["verdict"] for name, program in programs.items()} == {
        "reads": "unsupported",
        "type": "unsupported",
        "asks": "fits",
        "counts": "fits",
    }
    report = programs["reads"]["report"]
    assert report["category"] == "core-relocation"
    assert report["message"] == "this kernel's struct task_struct has no member part"
    assert "bpf_core_field_exists(((struct task_struct *)0)->part)" in report["suggestion"]
    lines = (tmp_path / "x.bpf.c").read_text().splitlines()
    assert "part.of_nobody" in lines[report["line"] - 1]
    assert programs["type"]["report"]["message"] == "this kernel has no struct nowhere"


def test_what_does_not_compile_is_reported_too(check, tmp_path):
    source = tmp_path / "x.bpf.c"
    source.write_text('#include "vmlinux.h"\nint broken = nothing;\n')
    code, (found,) = check(source)

    assert code == 1
    assert found["programs"] == []
    assert (found["report"]["category"], found["report"]["line"]) == ("compile", 2)
    assert found["report"]["source"] == "int broken = nothing;"


def test_a_btf_that_is_not_there(skep):
    command = [*skep, "check", "opensnoop", "--btf", "/nowhere"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 3
    assert "the BTF file /nowhere cannot be read" in finished.stderr


def test_what_has_changed_is_a_table(skep, program):
    for name in ("counted", "burst"):
        program(name)
    folder = FOLDER.parent
    command = [*skep, "check", str(folder / "burst.bpf.o"), "--against", str(folder / "counted.bpf.o")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "not there -> accepted" in finished.stdout
    assert "accepted -> not there" in finished.stdout


def test_other_kernels_are_asked(skep, check):
    if "SKEP_VM_KERNEL" in os.environ:
        pytest.skip("a guest boots no guest of its own")
    code, (found,) = check(FOLDER / "licence.bpf.o", "--kernel", "6.12")
    (program,) = found["programs"]

    assert code == 1
    assert found["kernel"] == "6.12"
    assert (program["report"]["category"], program["report"]["line"]) == marked("licence", "proprietary")
