"""What `tests/bcc/all` does under the kernel that the tools are to run on: `inside.py asked|seen FOLDER [NAME ...]`.

asked   writes which texts the tools would compile, and what of this kernel a compilation depends on: the tools are
        started, and ended as soon as they have said it. A guest is emulated: what is compiled, is compiled outside.
seen    runs each tool beside a workload that does what the tool is for, until its output shows that.

Both leave FOLDER/asked.json or FOLDER/seen.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.bcc.tools import TOOLS, Tool  # noqa: E402

SKEP = [sys.executable, "-c", "from skep.cli import main; raise SystemExit(main())", "bcc"]
GUEST = "SKEP_VM_KERNEL" in os.environ
# What a tool prints that has not done its work, whatever else it shows.
_FAILED = re.compile(r"^skep: |^Traceback|Failed to", re.MULTILINE)
# Seconds for a tool to show what it is for, and to end.
LIMIT, END = (80, 20) if GUEST else (15, 10)


def asked(folder: Path, package: Path, tools: Sequence[Tool]) -> None:
    """Writes what the tools would compile."""
    from skep.kernel import btf
    from skep.kernel.features import mount_tracefs, tracefs

    # Once, and not by each tool.
    import_module("skep.bcc.bpf")
    with _places(package) as places:
        texts = [text for tool in tools if (text := _asked(package, tool, places["SKEP_DISK"]))]
    mount_tracefs()
    events = Path(tracefs() or "") / "events"
    wanted = set(re.findall(r"\w+", " ".join(str(each[1]) for each in texts)))
    formats = {
        str(path.relative_to(events)): path.read_text()
        for path in events.glob("*/*/format")
        if path.parent.name in wanted or any(word.endswith(f"__{path.parent.name}") for word in wanted)
    }
    (folder / "btf").write_bytes(Path(btf.VMLINUX).read_bytes())
    system = os.uname()
    found = {"build id": btf._build_id(), "uname": tuple(system), "cpus": os.cpu_count(), "formats": formats}
    (folder / "asked.json").write_text(json.dumps({**found, "texts": texts}))


def _asked(package: Path, tool: Tool, disk: str) -> list[object]:
    """A tool, and what makes up its first text; nothing if it has none."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _ask(package, tool, disk, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return [tool.name, *json.loads(said)] if said else []


def _ask(package: Path, tool: Tool, disk: str, writer: int) -> None:
    """In a process of its own: runs a tool as far as its first text."""
    from skep.bcc.scripts import run_script

    class Asked:
        def __init__(self, *text: object) -> None:
            os.write(writer, json.dumps(text).encode())
            os._exit(0)

    with contextlib.suppress(BaseException), open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        signal.alarm(LIMIT)
        import_module("skep.bcc.bpf").Module = Asked  # type: ignore[attr-defined]
        run_script(str(_path(package, tool)), _arguments(tool, os.getpid(), disk))
    os._exit(1)


def seen(folder: Path, package: Path, tools: Sequence[Tool]) -> None:
    """Runs tools, and writes what came of each; of those that are not run, what came of them before stays."""
    note, release = folder / "seen.json", os.uname().release
    before = json.loads(note.read_text()) if note.exists() else {}
    found = before["tools"] if before.get("release") == release else {}
    with _places(package) as places:
        env = {**os.environ, **places, "PYTHONUNBUFFERED": "1"}
        for tool in tools:
            begin = time.monotonic()
            if tool.alone and not GUEST:
                found[tool.name] = ["no", "not tried on a machine that others use, too"]
            else:
                found[tool.name] = [*show(package, tool, env, folder)]
            print(f"{tool.name:18}{time.monotonic() - begin:6.1f} s  {': '.join(found[tool.name])}", flush=True)
            note.write_text(json.dumps({"release": release, "tools": found}))


@contextlib.contextmanager
def _places(package: Path) -> Iterator[dict[str, str]]:
    """A disk, file systems on others, and a certificate; all is gone at the end."""
    if not Path("/dev/loop-control").exists():
        subprocess.run([Path("/proc/sys/kernel/modprobe").read_text().strip(), "loop"], check=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        disk = _disk(Path(folder) / "disk", stack)
        for kind in ("ext4", "btrfs", "xfs"):
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                _file_system(kind, Path(folder), package, stack)
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=workload", "-days", "2"]
        files = ["-keyout", f"{folder}/key", "-out", f"{folder}/certificate"]
        subprocess.run([*request, *files], check=True, capture_output=True)
        yield {"SKEP_DISK": disk, "SKEP_MOUNT": folder, "SKEP_SECRETS": folder}


def _disk(path: Path, stack: contextlib.ExitStack, megabytes: int = 64) -> str:
    """A disk that is a file."""
    path.write_bytes(b"")
    os.truncate(path, megabytes << 20)
    disk = subprocess.check_output(["losetup", "--find", "--show", path], text=True).strip()
    stack.callback(lambda: subprocess.run(["losetup", "--detach", disk], check=True))
    return disk


def _file_system(kind: str, folder: Path, package: Path, stack: contextlib.ExitStack) -> None:
    """A file system, where this kernel and this machine know it."""
    disk = _disk(folder / f"{kind}.disk", stack, 320)
    made = shutil.which(f"mkfs.{kind}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin:{package}/sbin:{package}/usr/sbin")
    libraries = {**os.environ, "LD_LIBRARY_PATH": f"{package}/lib/x86_64-linux-gnu:{package}/usr/lib/x86_64-linux-gnu"}
    subprocess.run([str(made), "-q", disk], check=True, env=libraries)
    mounted = folder / kind
    mounted.mkdir()
    subprocess.run(["mount", "-t", kind, disk, mounted], check=True)
    stack.callback(lambda: subprocess.run(["umount", mounted], check=True))


def show(
    package: Path, tool: Tool, env: Mapping[str, str], folder: Path, command: Sequence[str] = SKEP
) -> tuple[str, str]:
    """What came of a tool: ``checked``, or ``no`` and the reason.

    Args:
        package: the folder that it lies in.
        tool: which.
        env: its environment, and that of its workload.
        folder: gets what it prints, as NAME.out.
        command: what runs scripts.
    """
    provoke = [sys.executable, str(HERE / "workloads.py"), tool.workload]
    workload = subprocess.Popen(provoke, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    arguments = [str(_path(package, tool)), *_arguments(tool, workload.pid, env.get("SKEP_DISK", ""))]
    with (folder / f"{tool.name}.out").open("w+b") as output:
        started = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            # Started in the background, a process may ignore what Ctrl-C sends.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        try:
            printed = _printed(started, output.fileno(), tool)
        finally:
            started.kill()
            started.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(workload.pid, signal.SIGKILL)
            workload.wait()
    if re.search(tool.pattern, printed, re.MULTILINE) and not _FAILED.search(printed):
        return "checked", ""
    return "no", f"needs {tool.needs}" if tool.needs else _reason(printed)


def _printed(started: subprocess.Popen[bytes], output: int, tool: Tool) -> str:
    """What a tool prints until that shows what it is for, or the time is over."""

    def so_far() -> str:
        return os.pread(output, 10 << 20, 0).decode("utf-8", "replace")

    end, interrupt = time.monotonic() + LIMIT, time.monotonic() + LIMIT / 3
    while started.poll() is None and time.monotonic() < end:
        if tool.interrupt:
            if time.monotonic() > interrupt:
                break
        elif re.search(tool.pattern, so_far(), re.MULTILINE):
            break
        time.sleep(0.2)
    if started.poll() is None:
        started.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(END)
    return so_far()


def _reason(printed: str) -> str:
    """Why a tool did not show what it is for, in one line."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = next((line.removeprefix("skep: ") for line in lines if line.startswith("skep: ")), "")
    return (told or (f"it ends with: {lines[-1]}" if lines else "it shows nothing"))[:200]


def _path(package: Path, tool: Tool) -> Path:
    names = (package / "usr/sbin" / name for name in (f"{tool.name}-bpfcc", tool.name))
    return next(path for path in names if path.exists())


def _arguments(tool: Tool, pid: int, disk: str) -> list[str]:
    words = {"pid": str(pid), "disk": disk.removeprefix("/dev/")}
    return [word.format(**words) if "{" in word else word for word in shlex.split(tool.arguments)]


if __name__ == "__main__":
    step, into, unpacked, *names = sys.argv[1:]
    by_name = {tool.name: tool for tool in TOOLS}
    chosen = [by_name[name] for name in names or by_name]
    {"asked": asked, "seen": seen}[step](Path(into), Path(unpacked), chosen)
