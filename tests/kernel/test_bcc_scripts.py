"""How scripts of BCC's end, and what becomes of what is wrong with them: each is run as `skep bcc` runs it."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

HEAD = """
import os, signal, sys
from bcc import BPF
text = '''
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID)
        return 0;
    u64 number = 7;
    events.perf_submit(args, &number, sizeof(number));
    ring.ringbuf_output(&number, sizeof(number), 0);
    return 0;
}
int probe(struct pt_regs *ctx) { return 0; }
'''
b = BPF(text=text, cflags=[f"-DPID={os.getpid()}"])
def called(*record):
    raise ValueError("raised in a callback")
"""


@pytest.fixture
def script(tmp_path, skep):
    """Runs a script behind the head that all share; what it printed, and what it ended with."""

    def run(body: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "script.py"
        path.write_text(HEAD + body)
        return subprocess.run([*skep, "bcc", str(path)], capture_output=True, text=True, check=False, timeout=120)

    return run


def test_a_callback_that_raises_is_told_without_our_own_lines(script):
    finished = script("b['ring'].open_ring_buffer(called)\nos.getppid()\nb.ring_buffer_poll()\n")

    files = [line.split('"')[1] for line in finished.stderr.splitlines() if line.startswith("  File ")]
    assert [os.path.basename(file) for file in files] == ["script.py"] * 2
    assert finished.stderr.endswith("ValueError: raised in a callback\n")
    assert finished.returncode == 1


# Ctrl-C that a script waits for; a handler that sets a variable, which whoever polls for ever looks at; a poll that
# ends by itself; and a script that cleans up twice.
POLLS = """
b['events'].open_perf_buffer(called)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
try:
    while True:
        b.perf_buffer_poll()
except KeyboardInterrupt:
    done = []
    signal.signal(signal.SIGALRM, lambda *_: done.append(1))
while not done:
    b.perf_buffer_poll()
signal.setitimer(signal.ITIMER_REAL, 0)
b.perf_buffer_poll(timeout=1)
b.kprobe_poll(1)
for flag in (1, 2, 16, 32):
    BPF(text='int f(void *ctx) { return 0; }', debug=flag).cleanup()
b.cleanup()
b.cleanup()
print('bye')
"""


@pytest.mark.parametrize(
    ("body", "out", "err", "code"),
    [
        ("sys.exit(7)", "", "", 7),
        ("sys.exit('because')", "", "because\n", 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", "", "", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGINT); b.perf_buffer_poll()", "", "", 130),
        (POLLS, "bye\n", "", 0),
    ],
    ids=["exit", "exit with words", "signal", "Ctrl-C", "polls"],
)
def test_ends(script, body, out, err, code):
    finished = script(body + "\n")

    assert (finished.stdout, finished.stderr, finished.returncode) == (out, err, code)


@pytest.mark.parametrize(
    ("body", "said", "code"),
    [
        ("BPF(text='int f(void *ctx) {\\n\\treturn nothing;\\n}')", "BPF-text:2:9: use of undeclared identifier", 1),
        ("BPF(src_file='/no/such.c')", "/no/such.c cannot be read", 2),
        ("b.attach_tracepoint(tp='sched:no_such', fn_name='probe')", "this kernel has no", 3),
        ("b.load_func('prob', BPF.KPROBE)", "Unknown program prob", 2),
    ],
)
def test_what_is_wrong_is_told_without_a_traceback(script, body, said, code):
    finished = script(body + "\n")

    assert finished.stderr.startswith("skep: ")
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.returncode == code


def test_an_interrupt_at_the_end_is_not_told(script):
    interrupt = "os.kill(os.getpid(), signal.SIGINT)"
    finished = script(f"detach = b._detach_all\nb._detach_all = lambda: ({interrupt}, detach())\n")

    assert (finished.returncode, finished.stderr) == (0, "")


def test_nothing_is_said_where_nobody_reads_the_output_any_more(tmp_path, skep):
    path = tmp_path / "script.py"
    path.write_text(f"{HEAD}while True:\n    print('line', flush=True)\n")

    with subprocess.Popen([*skep, "bcc", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert (running.stderr.read(), running.wait(60)) == (b"", 0)


def test_a_text_has_a_name_and_quotes_and_nothing_runs_a_shell(tmp_path, skep):
    trap = tmp_path / "trap"
    path = tmp_path / "script.py"
    names = [f"$(touch {trap})", f"`touch {trap}`", f"; touch {trap};", f'" -include {trap} "']
    path.write_text(
        "from bcc import BPF\n"
        f"for name in {names!r}:\n"
        "    quoted = name.replace('\"', '\\\\\"')\n"
        "    text = 'int f(void *ctx) { char wanted[] = \"' + quoted + '\"; return wanted[1]; }'\n"
        "    with BPF(text=text, cflags=['-DNAME=' + name]) as b:\n"
        "        print(len(b.dump_func('f')) > 0)\n"
    )

    finished = subprocess.run([*skep, "bcc", str(path)], capture_output=True, text=True, check=False, timeout=120)

    assert (finished.stdout, finished.stderr) == ("True\n" * len(names), "")
    assert not trap.exists()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "cache"] == ["script.py"]
