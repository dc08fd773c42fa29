"""The modules that BCC's scripts import, and what they are told of what is not there."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import skep.bcc
from skep.base.errors import SourceNotFoundError, UnsupportedError
from skep.bcc import constants
from skep.bcc.containers import filter_by_containers
from skep.bcc.libbcc import lib
from skep.bcc.module import _is_certain, _section
from skep.bcc.printing import _LINE
from skep.bcc.scripts import run_script
from skep.bcc.syscall import syscall_name
from skep.bcc.tcp import flags2str, state2str, tcpstate
from skep.bcc.utils import ArgString, StrcmpRewrite, as_bytes, printb


@pytest.mark.parametrize(
    ("name", "context", "expected", "certain"),
    [
        ("kprobe__vfs_read", "struct pt_regs *", "kprobe", True),
        ("kretprobe__vfs_read", "void *", "kprobe", True),
        ("handle", "struct pt_regs *", "kprobe", True),
        ("handle", "void *", "kprobe", False),
        ("tracepoint__sched__sched_switch", "struct tracepoint__sched__sched_switch *", "tp", True),
        ("handle", "struct tracepoint__sched__sched_switch *", "tp", True),
        ("raw_tracepoint__sched_switch", "struct bpf_raw_tracepoint_args *", "raw_tp", True),
        ("kfunc__vmlinux__vfs_read", "unsigned long long *", "fentry/vfs_read", True),
        ("kretfunc__nfs__nfs_open", "unsigned long long *", "fexit/nfs_open", True),
        ("lsm__file_open", "unsigned long long *", "lsm/file_open", True),
        ("on_sample", "struct bpf_perf_event_data *", "perf_event", True),
        ("drop", "struct xdp_md *", "xdp", True),
        ("filter", "struct __sk_buff *", "socket", False),
    ],
)
def test_names_and_contexts_tell_what_a_program_is(name, context, expected, certain):
    assert _section(name, context) == expected
    assert _is_certain(name, context) == certain


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            b"            bash-1234    [001] d..31  4242.123456: bpf_trace_printk: Hello, World!",
            (b"bash", b"1234", b"001", b"d..31", b"4242.123456", b"Hello, World!"),
        ),
        (
            b"     a name-2 x-77      [000] ...1.   1.000001: 0x00000001: a: b",
            (b"a name-2 x", b"77", b"000", b"...1.", b"1.000001", b"a: b"),
        ),
        (
            b"           <...>-9       (-------) [003] d... 5.500000: bpf_trace_printk: ",
            (b"<...>", b"9", b"003", b"d...", b"5.500000", b""),
        ),
    ],
)
def test_a_printed_line_has_six_parts(line, expected):
    found = _LINE.fullmatch(line)

    assert found is not None
    assert found.groups() == expected


def test_system_calls_have_names():
    assert syscall_name(0 if os.uname().machine == "x86_64" else 63) == b"read"
    assert syscall_name(100_000) == b"[unknown: 100000]"


def test_tcp_has_names():
    assert (tcpstate[1], state2str(10), state2str(99)) == ("ESTABLISHED", "LISTEN", "99")
    assert (flags2str(0), flags2str(18)) == ("", "SYN|ACK")


def test_arguments_are_text_and_bytes():
    argument = ArgString("é")

    assert (str(argument), bytes(argument), as_bytes(argument), as_bytes(b"x")) == (
        "é",
        "é".encode(),
        "é".encode(),
        b"x",
    )


def test_bytes_are_printed_as_they_are():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    stream.write("before ")
    printb(b"\xff", stream)
    printb(b"end", stream, nl=0)

    assert raw.getvalue() == b"before \xff\nend"


@pytest.mark.parametrize(
    ("binary", "of_user", "known", "call"),
    [
        (False, False, [], 'wanted[] = "a)b"'),
        (True, True, [], "wanted[] = a)b"),
        (False, False, ["arg1"], "bpf_probe_read_user("),
        (False, False, ["arg2"], "bpf_probe_read_kernel("),
    ],
)
def test_comparisons_become_functions(binary, of_user, known, call):
    found = StrcmpRewrite.rewrite_expr('STRCMP("a)b", arg1) && x', binary, of_user, known, "/* first */", 3)

    assert found["expr"] == 'streq_3("a)b", arg1) && x'
    assert found["probeid"] == 4
    assert found["streq_functions"].startswith("/* first */")
    assert call in found["streq_functions"]


@pytest.mark.parametrize("pins", [{}, {"cgroupmap": "/sys/fs/bpf/a"}, {"mntnsmap": "/sys/fs/bpf/b"}])
def test_a_filter_by_container_uses_what_is_pinned(pins):
    text = filter_by_containers(SimpleNamespace(**{"cgroupmap": None, "mntnsmap": None, **pins}))

    assert [path for path in ("/sys/fs/bpf/a", "/sys/fs/bpf/b") if path in text] == list(pins.values())
    assert "int container_should_be_filtered()" in text


def test_what_is_not_there_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"lib\.bpf_attach_xdp"):
        lib.bpf_attach_xdp()
    with pytest.raises(UnsupportedError, match="BPFQL"):
        skep.bcc.BPFQL  # noqa: B018
    with pytest.raises(UnsupportedError, match="perf_event_open"):
        skep.bcc.Perf.perf_event_open()


def test_every_name_of_the_module_is_there():
    assert all(getattr(skep.bcc, name) is not None for name in skep.bcc.__all__)
    assert skep.bcc.XDPFlags.DRV_MODE == constants.XDPFlags.DRV_MODE == 4


def test_scripts_import_ours_under_its_names(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, bcc, bcc.utils\nfrom bcc import BPF\nfrom bcc.tcp import tcpstate\n"
        "print(sys.argv[1:], __name__, bcc.__name__, BPF.__module__, bcc.utils.__name__)\n"
        "try:\n    import bcc.nothing\nexcept ImportError as error:\n    print(error)\nsys.exit(7)\n"
    )

    command = [sys.executable, "-m", "skep", "bcc", str(script), "-x", "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.stdout == (
        "['-x', '--help'] __main__ skep.bcc skep.bcc.bpf skep.bcc.utils\nskep has no module bcc.nothing of BCC's\n"
    )
    assert finished.returncode == 7


def test_what_a_script_raises_is_told_from_its_own_line_on(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import bcc\n1 / 0\n")

    finished = subprocess.run(
        [sys.executable, "-m", "skep", "bcc", str(script)], capture_output=True, text=True, check=False
    )

    assert finished.stderr.count("File ") == 1
    assert f'File "{script}", line 2' in finished.stderr
    assert finished.returncode == 1


def test_a_script_that_cannot_be_read_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "no_such.py"):
        with pytest.raises(SourceNotFoundError, match="cannot be read"):
            run_script(str(path), [])


def test_a_script_that_is_no_python_is_told_by_its_line(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import bcc\ndef broken(:\n")

    finished = subprocess.run(
        [sys.executable, "-m", "skep", "bcc", str(script)], capture_output=True, text=True, check=False
    )

    assert finished.stderr.startswith(f'  File "{script}", line 2\n')
    assert finished.returncode == 1
