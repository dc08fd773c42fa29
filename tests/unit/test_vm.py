"""skep.vm without a guest: names, command lines, the archive, and the handling of processes with small real ones."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skep.base.errors import PrivilegeError, UsageError, VmError
from skep.vm import boot, initramfs, kernels, machine, run

META_PACKAGE = """\
Package: linux-image-cloud-amd64
Source: linux-signed-amd64 (6.1.192+2)
Version: 6.1.192-2
Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)
Description: Linux for x86-64 cloud (meta-package)
"""

# Stand in for Debian's programs: one package, which holds one kernel. Each download adds a line to a log.
DEBIAN = {
    "apt-cache": f"cat <<'END'\n{META_PACKAGE}END",
    "apt-get": 'sleep 0.2; echo "$@" >> "$DOWNLOADS"; touch package.deb',
    "dpkg": 'mkdir -p "$3/boot" "$3/lib"; touch "$3/boot/vmlinuz-6.1.0-56-cloud-amd64"',
    "depmod": 'touch "$2/lib/depmod-$3"',
}


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in DEBIAN.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


class TestKernels:
    def test_the_meta_package_names_the_package(self) -> None:
        assert kernels.package_name("6.1", META_PACKAGE) == "linux-image-6.1.0-56-cloud-amd64"

    def test_a_meta_package_of_another_series_is_an_error(self) -> None:
        with pytest.raises(VmError, match=r"linux-image-6\.12-cloud-amd64 does not give a kernel 6\.12"):
            kernels.package_name("6.12", META_PACKAGE)

    def test_an_unknown_series_is_an_error_that_names_the_known(self) -> None:
        with pytest.raises(UsageError, match=r"no kernel '2\.4'; there are 6\.12, 6\.1"):
            kernels.fetch("2.4")

    def test_a_kernel_is_delivered_whole(self, debian: Path) -> None:
        kernel = kernels.fetch("6.1")

        assert kernel.release == "6.1.0-56-cloud-amd64"
        assert kernel.image.exists()
        assert (kernel.folder / "lib" / "depmod-6.1.0-56-cloud-amd64").exists()
        assert os.listdir(debian / "cache" / "skep" / "kernels") == ["6.1"]

    def test_what_a_killed_run_left_is_replaced(self, debian: Path) -> None:
        left = debian / "cache" / "skep" / "kernels" / "6.1.partial" / "left.deb"
        left.parent.mkdir(parents=True)
        left.touch()
        kernels.fetch("6.1")

        assert os.listdir(debian / "cache" / "skep" / "kernels") == ["6.1"]

    def test_runs_at_the_same_time_download_once(self, debian: Path) -> None:
        found: list[kernels.Kernel] = []
        runs = [threading.Thread(target=lambda: found.append(kernels.fetch("6.1"))) for _ in range(3)]
        for one in runs:
            one.start()
        for one in runs:
            one.join()

        assert len(found) == 3
        assert len(set(found)) == 1
        assert (debian / "downloads").read_text() == "download linux-image-6.1.0-56-cloud-amd64\n"

    def test_a_failed_download_says_why_and_leaves_no_kernel(self, debian: Path) -> None:
        (debian / "bin" / "apt-get").write_text("#!/bin/sh\necho 'E: 404  Not Found' >&2\nexit 100\n")
        with pytest.raises(VmError, match="E: 404  Not Found") as caught:
            kernels.fetch("6.1")

        assert caught.value.remedy is not None
        assert "package sources" in caught.value.remedy
        assert not (debian / "cache" / "skep" / "kernels" / "6.1").exists()

    def test_a_new_machine_gets_its_package_lists_first(self, debian: Path) -> None:
        lists = debian / "lists"
        (debian / "bin" / "apt-cache").write_text(f"#!/bin/sh\ntest -e {lists} && cat <<'END'\n{META_PACKAGE}END\n")
        (debian / "bin" / "apt-get").write_text(
            f"#!/bin/sh\ncase $1 in download) touch x.deb;; *) touch {lists};; esac\n"
        )

        assert kernels.fetch("6.1").image.exists()

    def test_a_machine_without_apt_is_told_what_is_needed(self, debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(debian / "nowhere"))
        with pytest.raises(VmError, match="apt-get is missing"):
            kernels.fetch("6.1")

    def test_modules_come_in_the_order_of_their_dependencies(self, tmp_path: Path) -> None:
        folder = tmp_path / "lib" / "modules" / "6.1.0"
        folder.mkdir(parents=True)
        (folder / "modules.dep").write_text(
            "drivers/pci.ko: drivers/modern.ko drivers/virtio.ko drivers/ring.ko\n"
            "drivers/modern.ko:\n"
            "drivers/virtio.ko: drivers/ring.ko\n"
            "drivers/ring.ko:\n"
            "fs/virtiofs.ko: fs/fuse.ko drivers/virtio.ko drivers/ring.ko\n"
            "fs/fuse.ko:\n"
        )
        modules = kernels.Kernel("6.1", tmp_path, "6.1.0").modules(["pci", "virtiofs", "built_in"])

        assert [module.stem for module in modules] == ["ring", "virtio", "modern", "pci", "fuse", "virtiofs"]


class TestInitramfs:
    @pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox, to read the archive with its cpio")
    def test_cpio_reads_it(self, tmp_path: Path) -> None:
        files = {"program": b"odd", "one.ko": b"first", "two.ko": b"second!"}
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        archive = initramfs.build(tmp_path / "program", [tmp_path / "two.ko", tmp_path / "one.ko"])
        root = tmp_path / "root"
        root.mkdir()
        subprocess.run(["busybox", "cpio", "-i"], input=archive, cwd=root, check=True, capture_output=True)

        assert (root / "bin" / "busybox").read_bytes() == b"odd"
        assert os.access(root / "init", os.X_OK)
        assert {file.name: file.read_bytes() for file in (root / "modules").iterdir()} == {
            "00-two.ko": b"second!",
            "01-one.ko": b"first",
        }


class TestMachine:
    def test_missing_tools_are_named_with_the_line_that_installs_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "TOOLS", {"sh": "dash", "nonesuch": "some-package"})
        with pytest.raises(VmError, match="missing on this machine: nonesuch") as caught:
            machine.find_tools()

        assert caught.value.remedy == "apt-get install some-package"

    def test_the_init_script_is_quoted_and_last(self) -> None:
        assert machine.kernel_command_line(Path("/a b/init.sh")).endswith('init=/bin/sh -- "/a b/init.sh"')

    def test_a_shared_folder_is_a_device_each(self) -> None:
        sockets = {"root": Path("/s/root"), "results": Path("/s/results")}
        command = machine.qemu_command("qemu", Path("/k"), None, sockets, 512)

        assert command[0] == "qemu"
        assert "socket,id=results,path=/s/results" in command
        assert "vhost-user-fs-pci,chardev=root,tag=root" in command
        assert "memory-backend-memfd,id=memory,size=512M,share=on" in command
        assert "-initrd" not in command

    def test_an_initramfs_is_passed_on(self) -> None:
        command = machine.qemu_command("qemu", Path("/k"), Path("/i"), {}, 512)

        assert command[-2:] == ["-initrd", "/i"]

    def test_a_process_ends_with_its_context(self) -> None:
        with open(os.devnull, "wb") as log, machine.running(["sleep", "1000"], log) as process:
            assert process.poll() is None

        assert process.returncode == -signal.SIGKILL

    def test_a_process_ends_with_a_killed_parent(self) -> None:
        program = """
import os, sys, time
from skep.vm import machine
with machine.running(["sh", "-c", "echo $$; exec sleep 1000"], sys.stdout.buffer):
    time.sleep(1000)
"""
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
            assert parent.stdout
            child = int(parent.stdout.readline())
            parent.kill()

        assert gone(child)


class TestBoot:
    def test_only_a_chosen_part_of_the_environment_is_passed_on(self) -> None:
        variables = {"PATH": "/bin", "HOME": "/root", "SKEP_TRACE": "1", "SECRET": "x", "SKEPTIC": "y"}

        assert boot.guest_environment(variables) == {"PATH": "/bin", "HOME": "/root", "SKEP_TRACE": "1"}

    @pytest.mark.parametrize(
        ("command", "status"),
        [
            (["true"], 0),
            (["sh", "-c", "exit 7"], 7),
            (["nonesuch"], 127),
            (["/etc/passwd"], 126),
            (["sh", "-c", "kill -9 $$"], -signal.SIGKILL),
        ],
    )
    def test_the_status_of_the_script_is_the_command_s(self, command: list[str], status: int) -> None:
        script = boot.guest_command(command, Path("/"), {"PATH": os.environ["PATH"]})

        assert subprocess.run(["sh", "-c", script], check=False, capture_output=True).returncode == status

    def test_the_command_gets_its_arguments_folder_and_variables_untouched(self, tmp_path: Path) -> None:
        folder = tmp_path / "it's a $HOME"
        folder.mkdir()
        variables = {"PATH": os.environ["PATH"], "SKEP_A": "two\nlines", "SKEP_B": "'\"$x"}
        program = "import os, sys; print(ascii((os.getcwd(), dict(os.environ), sys.argv[1:])))"
        script = boot.guest_command([sys.executable, "-c", program, "a b", "", "*"], folder, variables)
        done = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True, env={"OTHER": "x"})
        where, environment, arguments = eval(done.stdout)

        assert where == str(folder)
        assert arguments == ["a b", "", "*"]
        assert {name: environment.get(name) for name in variables} == variables
        assert "OTHER" not in environment

    def test_a_folder_that_the_guest_does_not_have_is_no_status_of_the_command(self) -> None:
        script = boot.guest_command(["true"], Path("/nonesuch"), {})

        assert subprocess.run(["sh", "-c", script], check=False, capture_output=True).returncode == boot.NO_STATUS

    def test_a_folder_below_one_that_the_guest_hides_is_brought_back(self) -> None:
        script = boot.guest_command(["true"], Path("/tmp/a b/c"), {})

        assert script.startswith("mkdir '/tmp/a b' && mount --bind /run/root'/tmp/a b' '/tmp/a b'\ncd '/tmp/a b/c' ||")

    def test_output_is_followed_to_its_last_byte(self, tmp_path: Path) -> None:
        script = "for i in 1 2 3; do head -c 300000 /dev/zero; echo $i >&2; sleep 0.06; done; printf 'end\\r\\n'"
        files = {tmp_path / "out": io.BytesIO(), tmp_path / "err": io.BytesIO()}
        with subprocess.Popen(["sh", "-c", f"({script}) > {tmp_path}/out 2> {tmp_path}/err"]) as process:
            assert boot.follow(process, files, timeout=60)

        assert files[tmp_path / "out"].getvalue() == bytes(900_000) + b"end\r\n"
        assert files[tmp_path / "err"].getvalue() == b"1\n2\n3\n"

    def test_the_time_limit_ends_the_following(self, tmp_path: Path) -> None:
        output = io.BytesIO()
        before = time.monotonic()
        with subprocess.Popen(["sh", "-c", f"echo early > {tmp_path}/out; exec sleep 1000"]) as process:
            ended = boot.follow(process, {tmp_path / "out": output}, timeout=0.3)
            process.kill()

        assert not ended
        assert 0.3 <= time.monotonic() - before < 10
        assert output.getvalue() == b"early\n"

    def test_only_root_can_boot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(PrivilegeError, match="needs root"):
            run(["true"])
