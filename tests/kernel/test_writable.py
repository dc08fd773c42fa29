"""raw_tp.w: a program that writes to what its tracepoint is about; here to the answer to a test run of our own."""

from __future__ import annotations

import errno
import os

import pytest

from skep._native import ffi, lib


@pytest.mark.floors("6.12", "6.1")
def test_a_tracepoint_is_written_to(program):
    spec = program("writable")
    spec.variables["pid_filter"].value = os.getpid()
    options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
    packet = ffi.new("char[]", 64)
    options.data_in = packet
    options.data_size_in = 64
    with spec.load() as loaded:
        fd = loaded.programs["run"].fd
        untouched = lib.bpf_prog_test_run_opts(fd, options)
        with loaded.attach() as links:
            attached, changed = list(links), lib.bpf_prog_test_run_opts(fd, options)

    assert (untouched, attached, changed) == (0, ["change"], -errno.EPROTO)
