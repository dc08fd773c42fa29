"""The host's side of a guest: the tools, the folders that it shares, and the emulator."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from skep.base.errors import VmError

__all__ = ["INIT", "find_tools", "kernel_command_line", "qemu_command", "running", "shared"]

INIT = Path(__file__).with_name("init.sh")

# Program and the package of Debian 12 that holds it.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "virtiofsd": "qemu-system-common",
    "busybox": "busybox-static",
    "depmod": "kmod",
}


def find_tools() -> dict[str, str]:
    """Find the host's programs.

    Returns:
        Name to absolute path.

    Raises:
        VmError: some are missing; the remedy is the line that installs them.
    """
    # virtiofsd is no user's command and lies outside PATH, as do the programs of /usr/sbin for most users.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/lib/qemu", "/usr/libexec"])
    found = {name: place for name in TOOLS if (place := shutil.which(name, path=path))}
    missing = [name for name in TOOLS if name not in found]
    if missing:
        packages = " ".join(TOOLS[name] for name in missing)
        raise VmError(f"missing on this machine: {', '.join(missing)}", remedy=f"apt-get install {packages}")
    return found


def kernel_command_line(init: Path) -> str:
    """Give the kernel's command line.

    Args:
        init: the script of the guest's first process.

    Source: Documentation/admin-guide/kernel-parameters.txt of the kernel.
    """
    return " ".join(
        [
            "console=ttyS0 quiet",
            # A panic ends the guest at once: it asks for a reboot, which QEMU takes for the end (-no-reboot).
            "panic=-1",
            "mitigations=off",
            # Under emulation a busy host delays timer interrupts, and the kernel's checks of its clocks then misjudge.
            "no_timer_check tsc=reliable",
            "rootfstype=virtiofs root=root ro",
            # The shell is named because a wheel does not promise to keep the script executable. What follows `--` goes
            # to it as arguments, past an initramfs too.
            f'init=/bin/sh -- "{init}"',
        ]
    )


def qemu_command(
    program: str, image: Path, initramfs: Path | None, sockets: Mapping[str, Path], memory: int
) -> list[str]:
    """Give QEMU's command line: two CPUs, the shared folders, the serial console on stdout, and nothing else.

    Args:
        program: QEMU.
        image: the kernel.
        initramfs: its first file system, if it needs one.
        sockets: virtiofs tag to the socket where its daemon listens.
        memory: the guest's memory, in MiB.

    Source: QEMU's manual, "Invocation"; the virtiofs project's "Standalone virtiofs usage": the daemons need memory
    that is shared with them.
    """
    command = [program, "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    # One thread emulates both CPUs: with a thread for each, QEMU 7.2 now and then goes on executing the int3 that the
    # kernel writes while it patches its code, after the kernel is done ("Oops: int3"). Probes patch code all the time.
    command += ["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", f"{memory}M"]
    # The default machine's interrupts are set up by ACPI programs, at 0.1 s a device under emulation; q35's are not.
    command += ["-machine", "q35"]
    command += ["-object", f"memory-backend-memfd,id=memory,size={memory}M,share=on", "-numa", "node,memdev=memory"]
    for tag, path in sockets.items():
        command += ["-chardev", f"socket,id={tag},path={path}", "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
    command += ["-kernel", str(image), "-append", kernel_command_line(INIT)]
    if initramfs:
        command += ["-initrd", str(initramfs)]
    return command


@contextmanager
def running(
    command: Sequence[str], log: BinaryIO, descriptors: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the context lasts, and no longer than this process lives.

    Args:
        command: program and arguments.
        log: where its stdout and stderr go.
        descriptors: file descriptors that it inherits.
    """
    process = subprocess.Popen(
        # SIGKILL leaves this process no time to end its children: the kernel does it.
        ["setpriv", "--pdeathsig", "KILL", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=descriptors,
        # Ctrl-C in the terminal is for this process, which ends the children in its own order.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def shared(program: str, folder: Path, path: Path, log: BinaryIO) -> Iterator[None]:
    """Serve a folder over virtiofs for as long as the context lasts.

    Args:
        program: virtiofsd.
        folder: what is served.
        path: where the socket is made.
        log: where the daemon's messages go.
    """
    options = [f"source={folder}", "cache=always", "sandbox=chroot", "log_level=err"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen(1)
        # Handed over as a descriptor: given a path, QEMU 7.2's virtiofsd leaves a lock file in /run/virtiofsd. It also
        # means that QEMU can connect at once, without waiting for the daemon.
        command = [program, "-f", f"--fd={listener.fileno()}", *(word for option in options for word in ("-o", option))]
        daemon = running(command, log, [listener.fileno()])
        with daemon:
            # The daemon's copy must be the only one, so that QEMU is refused where the daemon has died.
            listener.close()
            yield
