"""Stacks of calls, from programs whose functions are known: in events, in maps, in recordings."""

import json
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "programs" / "stacks.bpf.o"
# Libraries are built without frame pointers, by which stacks are walked: what is called here makes its calls itself.
SOURCE = """
#include <sys/syscall.h>
#include <time.h>
static volatile unsigned long turns;
static inline long call(long number, void *argument)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(argument), "S"(0l) : "rcx", "r11", "memory");
    return result;
}
void work(void) { for (int i = 0; i < 100000; i++) turns += i; }
void nap(void)
{
    struct timespec time = {.tv_nsec = 300000000};
    call(SYS_nanosleep, &time);
}
void ask(void) { call(SYS_getpgid, 0); }
/* In time of the CPU, so that a busy machine changes nothing. */
void spin(void) { while (clock() < CLOCKS_PER_SEC / 2) work(); }
int main(int count, char **arguments)
{
    switch (arguments[1][0]) {
    case 's': spin(); break;
    case 'n': nap(); break;
    case 'a': ask(); break;
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def hive(tmp_path_factory):
    """A program that does what its argument says: `spin`, `nap` or `ask`, in functions of these names."""
    folder = tmp_path_factory.mktemp("hive")
    (folder / "hive.c").write_text(SOURCE)
    flags = ["-O0", "-fno-omit-frame-pointer", "-Wl,--build-id"]
    subprocess.run(["gcc", *flags, "-o", folder / "hive", folder / "hive.c"], check=True)
    return folder / "hive"


@pytest.fixture
def run(skep, uses):
    """run(*arguments): what a verb of skep prints."""

    def printed(*arguments):
        if arguments[0] == "run":
            uses(str(arguments[1]))
        finished = subprocess.run(
            [*skep, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return printed


def weights(folded):
    """Stack, outermost first -> what it weighs."""
    lines = [line.rpartition(" ") for line in folded.splitlines()]
    return {tuple(stack.split(";")): int(weight) for stack, _, weight in lines}


def test_profile_shows_who_keeps_a_cpu_busy(run, hive):
    found = weights(run("run", "profile", "-o", "folded", "--freq", "199", "--", hive, "spin"))

    known = sum(weight for stack, weight in found.items() if "spin" in stack)
    assert known > 0.8 * sum(found.values())
    assert all(stack[0] == "hive" for stack in found if "spin" in stack)
    whole = next(stack for stack in found if stack[-1] == "work")
    assert whole[whole.index("main") :] == ("main", "spin", "work")


def test_profile_shows_one_part_of_stacks_and_is_silent_about_others(run, hive):
    user = weights(run("run", "profile", "-o", "folded", "--user-only", "--", hive, "spin"))

    assert sum(weight for stack, weight in user.items() if "spin" in stack) > 0
    assert not any("asm_sysvec_apic_timer_interrupt" in stack or "do_syscall_64" in stack for stack in user)
    assert not any(
        "spin" in stack for stack in weights(run("run", "profile", "-o", "folded", "--kernel-only", "--", hive, "spin"))
    )
    assert run("run", "profile", "-o", "folded", "--pid-target", "1", "--", hive, "spin") == ""


def test_offcputime_shows_what_was_waited_for(run, hive):
    found = weights(run("run", "offcputime", "-o", "folded", "--min-us", "100ms", "--", hive, "nap"))

    ((stack, slept),) = found.items()
    # The timer is set, for 0.3 s, before the thread leaves its CPU.
    assert slept >= 290_000_000
    assert stack[0] == "hive"
    assert stack.index("main") < stack.index("nap") < stack.index("hrtimer_nanosleep") < stack.index("schedule")
    assert stack[-1] in {"__schedule", "schedule"}


def test_offcputime_is_silent_about_others_and_about_short_sleeps(run, hive):
    assert run("run", "offcputime", "-o", "folded", "--min-us", "1h", "--", hive, "nap") == ""
    assert run("run", "offcputime", "-o", "folded", "--pid-target", "1", "--", hive, "nap") == ""


def test_records_hold_stacks_by_number_by_address_and_by_file(run, hive):
    (line,) = run("run", PROGRAM, "-o", "json", "--", hive, "ask").splitlines()
    event = json.loads(line)

    assert event["user_stack_id_frames"] == event["ustack_frames"]
    for stack in ("user_stack_id", "ustack", "file_stack"):
        assert event[f"{stack}_frames"][:3] == ["call", "ask", "main"], stack


def test_a_recording_shows_its_stacks_anywhere(run, hive, tmp_path, monkeypatch):
    recorded = tmp_path / "asked.parquet"
    run("record", PROGRAM, "--to", recorded, "--", hive, "ask", "twice")
    hive.rename(hive.with_name("gone"))
    try:
        (stack,) = weights(run("replay", recorded, "-o", "folded", "--filter", "comm == hive"))
        run("replay", recorded, "--to", tmp_path / "flame.html")
    finally:
        hive.with_name("gone").rename(hive)

    assert stack[0] == "hive"
    assert stack.index("main") < stack.index("ask")
    assert '"ask"' in (tmp_path / "flame.html").read_text()


def test_what_is_no_stack_cannot_be_a_flame_graph(skep):
    finished = subprocess.run(
        [*skep, "run", "opensnoop", "-o", "flame", "--", "true"], capture_output=True, text=True, check=False
    )

    assert finished.returncode == 2
    assert "no record holds a stack of calls" in finished.stderr
