"""Structs of operations: congestion controls of TCP, used by connections of the tests' own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from skep.base.errors import AttachError, HookMissingError, UnsupportedError
from skep.session.run import Run

LINKED = Path(__file__).parents[1] / "programs" / "struct_ops_link.bpf.o"
AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
pytestmark = pytest.mark.floors("6.12", "6.1")


@pytest.mark.parametrize(("name", "control"), [("struct_ops", "skep_written"), ("struct_ops_link", "skep_linked")])
def test_the_programs_of_a_struct_run(program, name, control):
    with (
        Run(program(name)) as run,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client,
    ):
        assert control in AVAILABLE.read_text().split()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        client.connect(server.getsockname())
        ports = [row.port for batch in run.batches(count=1, duration=60) for row in batch.rows()]

        assert ports == [client.getsockname()[1]]
        assert run.attached == ["begins", "threshold", "undone", "avoids"]
    assert control not in AVAILABLE.read_text().split()


def test_a_struct_that_is_registered_already_is_told(program):
    told = "struct written cannot be registered: one of its name is registered already; of its type there is "
    with (
        Run(program("struct_ops")),
        pytest.raises(AttachError, match=rf"{told}map \d+ \(written\), of \S+ \(pid {os.getpid()}\)$"),
        Run(program("struct_ops")),
    ):
        pass


def test_a_struct_that_the_kernel_registers_for_nobody_is_told(program):
    told = "this kernel registers no struct of the type of untaken"
    if os.environ.get("SKEP_VM_KERNEL") == "6.1":
        told = "this kernel has no member test_sleepable in the type of struct untaken"
    with (
        pytest.raises(UnsupportedError, match=told),
        program("struct_ops_untaken").load() as loaded,
    ):
        loaded.attach()


def test_structs_of_both_sections_are_refused_by_name(program):
    """libbpf before 1.3, which the floors have, reads those of one."""
    with pytest.raises(UnsupportedError, match=r"libbpf v1\.1 does not read struct (written|linked)") as caught:
        program("struct_ops_both").load()

    assert caught.value.remedy == 'Put all structs into SEC(".struct_ops.link").'


def test_a_struct_that_this_kernel_lacks_is_named(program):
    with pytest.raises(HookMissingError, match="this kernel has no struct skep_operations, which the kernel file"):
        program("struct_ops_missing").load()


def test_a_struct_with_a_link_goes_with_the_process(skep, program):
    with program("struct_ops_link").load() as loaded, loaded.attach() as links:
        linked = bool(links["begins"].fds)
    if not linked:
        pytest.skip("this kernel has no links for structs: they came with Linux 6.4")
    process = subprocess.Popen([*skep, "run", str(LINKED)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("attached" in line for line in process.stderr)
    assert "skep_linked" in AVAILABLE.read_text()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 10
    while "skep_linked" in AVAILABLE.read_text() and time.monotonic() < end:
        time.sleep(0.01)

    assert "skep_linked" not in AVAILABLE.read_text()
