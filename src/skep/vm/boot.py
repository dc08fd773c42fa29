"""Boots a kernel under QEMU, runs one command in it, and brings back its output, its results and its exit status.

The guest sees three folders of the host over virtiofs: `root` (the host's /, mounted read-only), `results` (the
caller's, read and write) and `channel`, through which the two sides speak. The host leaves `command`, `modprobe` and
`boot` there; the guest writes `stdout`, `stderr` and, last of all, `status`. Files are the channel because what was
written to them has reached the host, even if the guest panics in the next moment; the serial console carries only the
kernel's own messages.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

from skep.base.errors import PrivilegeError
from skep.base.scratch import Scratch
from skep.vm import initramfs, machine
from skep.vm.kernels import fetch

__all__ = ["NO_STATUS", "TIMED_OUT", "follow", "guest_command", "guest_environment", "run"]

TIMED_OUT = 124
"""Exit status of a run that reached its time limit, the same as timeout(1) gives."""

NO_STATUS = 125
"""Exit status of a run whose guest ended without giving one: it panicked, or did not come up."""

# Folders of the guest's own (init.fstab), which hide those of the host.
HIDDEN = (Path("/tmp"), Path("/run"), Path("/dev/shm"))  # noqa: S108 - named, not used

# Seconds between two looks at what the guest has written.
POLL = 0.05
CONSOLE_LINES = 100


def run(
    command: Sequence[str],
    *,
    kernel: str = "6.12",
    timeout: float = 600,
    memory: int = 2048,
    results: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command under another kernel, on this machine's files, and give its exit status.

    The command runs as root in a guest with two CPUs. Its root file system is the host's, read-only, but /tmp, /run
    and /dev/shm are its own and empty, but for the folder there that `cwd` lies in. `SKEP_RESULTS` names a folder
    whose content comes back. The network is `lo`; tracefs, debugfs, securityfs, bpffs and the whole cgroup2 tree are
    mounted; modules that the kernel asks for are found. stdout and stderr are copied to this process's as they come,
    stdin is empty. The environment is PATH, HOME, LANG, VIRTUAL_ENV and every SKEP_* of this process, and
    `SKEP_VM_KERNEL`, which is `kernel`. Processes that the command leaves behind end with it. Everything takes 10 to
    20 times longer than on the host.

    Args:
        command: program and arguments; the program is looked up in PATH.
        kernel: the release series, a key of `KERNELS`; downloaded on first use.
        timeout: limit for boot and command together, in seconds.
        memory: the guest's memory, in MiB.
        results: the host's folder behind `SKEP_RESULTS`, made if missing; a temporary one if not given.
        cwd: where the command runs; the current folder if not given.
        env: variables to set besides those above.

    Returns:
        The command's exit status: 127 if there is no such command, 128 + N if signal N ended it. `TIMED_OUT` (124) at
        the time limit and `NO_STATUS` (125) if the guest ended without a status; stderr says so in both cases.

    Raises:
        VmError: a tool of the host is missing, or the kernel cannot be fetched.
        UsageError: there is no such kernel.
        PrivilegeError: the caller is not root.
    """
    if os.geteuid():
        raise PrivilegeError("booting a kernel needs root, for virtiofsd to serve the root file system")
    tools = machine.find_tools()
    fetched = fetch(kernel)
    variables = guest_environment(os.environ)
    variables |= {"SKEP_VM_KERNEL": kernel, "SKEP_RESULTS": "/run/results", **(env or {})}

    with ExitStack() as stack:
        folder = Path(stack.enter_context(Scratch(gettempdir(), "skep-guest-")).path)
        collected = results.absolute() if results else folder / "results"
        shares = {"root": Path("/"), "results": collected, "channel": folder / "channel"}
        for share in shares.values():
            share.mkdir(parents=True, exist_ok=True)
        channel = shares["channel"]
        (channel / "command").write_text(guest_command(command, cwd or Path.cwd(), variables))
        (channel / "boot").write_text(str(fetched.image.parent))
        modprobe = channel / "modprobe"
        modprobe.write_text(f'#!/bin/sh\nexec modprobe --dirname {shlex.quote(str(fetched.folder))} "$@"\n')
        modprobe.chmod(0o755)
        # On 6.12 all of it is built in (CONFIG_VIRTIO_PCI=y, CONFIG_VIRTIO_FS=y) and the root is mounted directly.
        modules = fetched.modules(["virtio_pci", "virtiofs"])
        first_files = folder / "initramfs" if modules else None
        if first_files:
            first_files.write_bytes(initramfs.build(Path(tools["busybox"]), modules))

        log = stack.enter_context((folder / "console").open("a+b"))
        sockets = {tag: folder / f"{tag}.socket" for tag in shares}
        for tag, share in shares.items():
            stack.enter_context(machine.shared(tools["virtiofsd"], share, sockets[tag], log))
        emulator = machine.qemu_command(tools["qemu-system-x86_64"], fetched.image, first_files, sockets, memory)
        guest = stack.enter_context(machine.running(emulator, log))

        sinks = {channel / "stdout": sys.stdout.buffer, channel / "stderr": sys.stderr.buffer}
        if not follow(guest, sinks, timeout):
            _complain(f"time limit of {timeout:g} s reached, the guest was ended")
            return TIMED_OUT
        status = channel / "status"
        if not status.exists():
            log.seek(0)
            last_lines = log.read().decode(errors="replace").splitlines()[-CONSOLE_LINES:]
            _complain("the guest ended without an exit status; the last lines of its console:", *last_lines)
            return NO_STATUS
        return int(status.read_text())


def guest_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables that the guest's command gets from an environment.

    Args:
        variables: the environment to choose from.
    """
    chosen = {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}
    return {name: value for name, value in variables.items() if name in chosen or name.startswith("SKEP_")}


def guest_command(command: Sequence[str], cwd: Path, variables: Mapping[str, str]) -> str:
    """Give the shell script that runs a command in a folder, with exactly the variables given.

    Args:
        command: program and arguments.
        cwd: where it runs.
        variables: its environment.
    """
    settings = [f"{name}={value}" for name, value in variables.items()]
    lines = [f"cd {shlex.quote(str(cwd))} || exit {NO_STATUS}"]
    for hidden in HIDDEN:
        if hidden in cwd.parents:
            # The guest's own folder lies over the host's: what is needed of that is put into it.
            top = shlex.quote(str(hidden / cwd.relative_to(hidden).parts[0]))
            lines.insert(0, f"mkdir {top} && mount --bind /run/root{top} {top}")
    # env(1) gives the exit statuses of a shell: 126 for a program that cannot be executed, 127 for none.
    lines.append(f"exec {shlex.join(['env', '-i', *settings, *command])}")
    return "\n".join(lines) + "\n"


def follow(process: subprocess.Popen[bytes], sinks: Mapping[Path, BinaryIO], timeout: float) -> bool:
    """Copy files that grow while a process runs, until it has ended.

    Args:
        process: what makes them grow.
        sinks: file, which may not exist yet, to where its content goes.
        timeout: the longest that this may take, in seconds.

    Returns:
        Whether the process ended within the time limit. Everything that was written by then has been copied.
    """
    deadline = time.monotonic() + timeout
    with ExitStack() as stack:
        sources = []
        for path, sink in sinks.items():
            path.touch()
            sources.append((stack.enter_context(path.open("rb")), sink))
        while True:
            # Asked before the files are read: what it wrote last is then among what is read last.
            ended = process.poll() is not None
            late = time.monotonic() >= deadline
            for source, sink in sources:
                shutil.copyfileobj(source, sink)
                sink.flush()
            if ended or late:
                return ended
            time.sleep(POLL)


def _complain(*lines: str) -> None:
    sys.stderr.write("skep vm: " + "\n".join(lines) + "\n")
    sys.stderr.flush()
