"""What is pinned outlives its object and its process, and is found again; what does not fit is told whole."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

import skep

pytestmark = pytest.mark.floors("6.1")


@pytest.fixture
def skep_cli(request):
    """The command; the fixture of the package's name would hide the package."""
    return request.getfixturevalue("skep")


@pytest.fixture
def counting(program, bpffs):
    """counting(**options): the spec of pinned.bpf.c, which counts the system calls of this process, loaded."""

    def load(**options):
        spec = program("pinned")
        spec.variables["pid_filter"].value = os.getpid()
        return spec.load(pin_root=str(bpffs), **options)

    return load


def test_a_map_is_found_again_with_its_types(counting, bpffs):
    with counting() as loaded:
        loaded.maps["counts"][7] = {"calls": 3, "last": "abc"}
        number = loaded.maps["counts"].info.id
        loaded.maps["counts"].pin(f"{bpffs}/mine")

    with skep.Map.from_pin(f"{bpffs}/mine") as found:
        assert found[7] == (3, "abc")
        assert (found.name, found.info.id, found.max_entries) == ("counts", number, 16)
    with skep.Map.from_id(number) as found:
        found[8] = (1, "x")
        assert len(found) == 2
    with pytest.raises(skep.ClosedError):
        found[8]
    os.unlink(f"{bpffs}/mine")


def test_a_program_is_found_again_and_runs(program, bpffs):
    with program("rewrite").load() as loaded:
        difference = loaded.programs["difference"]
        number = difference.id
        difference.pin(f"{bpffs}/mine")

    with skep.Program.from_pin(f"{bpffs}/mine") as found, skep.Program.from_id(number) as same:
        assert (found.name, found.id, same.id) == ("difference", number, number)
        assert found.test_run(ctx=[5, 7]).returned == -2
        assert repr(found) == "<Program 'difference'>"
    with pytest.raises(skep.ClosedError):
        found.test_run(ctx=[5, 7])
    os.unlink(f"{bpffs}/mine")


def test_a_source_that_says_so_has_its_map_pinned_and_gets_it_again(counting, bpffs):
    with counting() as loaded, loaded.attach():
        os.getppid()
    assert (bpffs / "totals").exists()
    with counting() as loaded:
        seen = loaded.maps["totals"][0]
        assert seen > 0
        with loaded.attach():
            os.getppid()
        assert loaded.maps["totals"][0] > seen


def test_pins_can_be_ignored(program, bpffs):
    with program("pinned").load(pin_root="") as loaded, program("pinned_otherwise").load(pin_root="") as other:
        assert (loaded.maps["totals"].kind, other.maps["totals"].kind) == ("array", "hash")
    assert not (bpffs / "totals").exists()


def test_a_pin_that_differs_is_told_with_every_difference(counting, program, bpffs):
    counting().close()

    with pytest.raises(skep.LoadError) as raised:
        program("pinned_otherwise").load(pin_root=str(bpffs))

    assert raised.value.message == (
        f"map totals cannot be the one pinned at {bpffs}/totals, which has type array instead of hash, "
        "key size 4 instead of 8, value size 8 instead of 4, max_entries 4 instead of 8, flags 0 instead of 1"
    )


def test_a_pin_of_another_kind_is_refused(program, bpffs):
    with program("rewrite").load() as loaded:
        loaded.programs["difference"].pin(f"{bpffs}/totals")

    with pytest.raises(skep.PinError, match="totals is the pin of a program, not of a map"):
        program("pinned").load(pin_root=str(bpffs))
    with pytest.raises(skep.PinError, match="is the pin of a program, not of a link"):
        skep.Link.from_pin(f"{bpffs}/totals")
    with pytest.raises(skep.PinError, match="nothing is pinned at"):
        skep.Map.from_pin(f"{bpffs}/nothing")
    with pytest.raises(skep.PinError, match="is a folder, not a pin"):
        skep.Map.from_pin(str(bpffs))


@pytest.mark.parametrize("number", [-1, 0, 1 << 31, 1 << 32])
@pytest.mark.parametrize("kind", [skep.Map, skep.Program, skep.Link])
def test_what_has_no_such_id_is_told(kind, number):
    with pytest.raises(skep.PinError, match=f"the kernel has no {kind.__name__.lower()} {number}$"):
        kind.from_id(number)


def test_without_file_descriptors_nothing_is_called_missing(counting, bpffs):
    with counting() as loaded:
        number = loaded.maps["totals"].info.id
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            for use in (lambda: skep.Map.from_id(number), lambda: skep.Map.from_pin(f"{bpffs}/totals")):
                with pytest.raises(skep.PinError, match="cannot be opened: Too many open files") as raised:
                    use()
                assert raised.value.remedy == "ulimit -n 1024"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_objects_share_maps_and_what_does_not_fit_is_refused(counting, program):
    with counting() as loaded, counting(maps={"counts": loaded.maps["counts"]}) as other:
        other.maps["counts"][1] = (5, "")
        assert loaded.maps["counts"][1].calls == 5

        with pytest.raises(skep.LoadError, match="map counts cannot be the one that is given, which has type array"):
            counting(maps={"counts": loaded.maps["totals"]})
        for options in ({"maps": {"count": loaded.maps["counts"]}}, {"sizes": {"count": 1}}):
            with pytest.raises(skep.UsageError, match="pinned has no map count"):
                counting(**options)
        for given in (loaded.programs["count"], 0, 1 << 20):
            with pytest.raises(skep.UsageError, match="cannot be map counts: it is no map"):
                counting(maps={"counts": given})
        for size in (-1, 0, 1 << 32):
            with pytest.raises(skep.UsageError, match=f"map counts cannot have {size} entries"):
                counting(sizes={"counts": size})
        closed = other.maps["counts"]
    with pytest.raises(skep.ClosedError, match="cannot be map counts"):
        counting(maps={"counts": closed})


def test_a_map_of_values_laid_out_otherwise_is_told_by_member(counting, program):
    with counting() as loaded:
        with pytest.raises(skep.LoadError) as raised:
            program("pinned_reordered").load(maps={"counts": loaded.maps["counts"]})
        assert raised.value.message == (
            "map counts cannot be the one that is given, which has value.last at byte 8 (8 bytes) instead of byte 0 "
            "(8 bytes), value.calls at byte 0 (8 bytes) instead of byte 8 (4 bytes), "
            "no value.errors at byte 12 (4 bytes)"
        )
        # Names are the source's own affair.
        with program("pinned_reordered").load(maps={"others": loaded.maps["counts"]}) as other:
            other.maps["others"][1] = (5, "x")
            assert loaded.maps["counts"][1] == (5, "x")


def test_what_is_pinned_goes_on_without_its_process_until_it_is_unpinned(bpffs):
    script = f"""
import os, sys, skep
spec = skep.open({os.path.abspath("tests/programs/pinned.bpf.o")!r})
spec.variables["pid_filter"].value = {os.getpid()}
with spec.load(pin_root={str(bpffs)!r}) as loaded, loaded.attach():
    loaded.pin({str(bpffs / "deep/here")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)

    with (
        skep.Map.from_pin(f"{bpffs}/deep/here/maps/totals") as totals,
        skep.Link.from_pin(f"{bpffs}/deep/here/links/count") as link,
    ):
        assert (link.name, link.info().kind) == ("count", "raw_tracepoint")
        before = totals[0]
        os.getppid()
        assert totals[0] > before
        assert sorted(skep.unpin(f"{bpffs}/deep/here")) == ["links/count", "maps/counts", "maps/totals"]
        link.close()
        last = totals[0]
        os.getppid()
        assert totals[0] == last
    assert not (bpffs / "deep/here").exists()
    with pytest.raises(skep.PinError, match="there is no folder"):
        skep.unpin(f"{bpffs}/deep/here")


def test_half_done_pins_are_removed(counting, bpffs):
    with counting() as loaded, loaded.attach():
        # A map is in the way: of what was pinned before it, nothing is to stay.
        os.makedirs(bpffs / "mine/maps")
        loaded.maps["counts"].pin(f"{bpffs}/mine/maps/totals")

        with pytest.raises(skep.PinError, match="mine/maps/totals is there already"):
            loaded.pin(f"{bpffs}/mine")

    left = {str(path.relative_to(bpffs)) for path in bpffs.rglob("*")}
    # A kernel with CONFIG_BPF_PRELOAD puts two iterators into every bpffs.
    assert left - {"maps.debug", "progs.debug"} == {"mine", "mine/maps", "mine/maps/totals", "totals"}


def test_where_nothing_can_be_pinned_it_says_how(counting, tmp_path):
    with counting() as loaded:
        for path, message in (
            (f"{tmp_path}/mine", "is not on a bpffs: nothing can be pinned there"),
            (f"{tmp_path}/bpffs/a.b", "the kernel takes none with a dot"),
            (f"{tmp_path}/bpffs/no/mine", "there is no folder"),
        ):
            with pytest.raises(skep.SkepError, match=message):
                loaded.maps["counts"].pin(path)
        os.symlink("nowhere", tmp_path / "bpffs/astray")
        with loaded.attach(), pytest.raises(skep.PinError, match="bpffs/astray is a link that leads nowhere"):
            loaded.pin(f"{tmp_path}/bpffs/astray/mine")


def test_what_others_have_beside_the_pins_stays(counting, bpffs):
    with counting() as loaded, loaded.attach():
        loaded.pin(f"{bpffs}/mine")
        os.mkdir(bpffs / "mine/maps/theirs")

    assert skep.unpin(f"{bpffs}/mine") == ["links/count", "maps/counts", "maps/totals"]
    assert os.listdir(bpffs / "mine") == ["maps"]
    with pytest.raises(skep.PinError, match=r"nothing in .* was pinned by skep"):
        skep.unpin(f"{bpffs}/mine")


def test_without_a_bpffs_it_says_how_to_mount_one(tmp_path, skep_cli):
    command = ["unshare", "--mount", "sh", "-c", 'umount -a -t bpf; exec "$@"', "sh", *skep_cli]
    pinned = subprocess.run(
        [*command, "run", "tests/programs/pinned.bpf.o", "--pin-root", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert pinned.returncode == 3
    assert f"{tmp_path} is not on a bpffs" in pinned.stderr
    assert "sudo mount -t bpf bpf /sys/fs/bpf" in pinned.stderr


def test_what_is_not_permitted_names_the_capability_and_reusing_a_pin_needs_no_more_than_loading(bpffs):
    script = f"""
import os, skep
from skep.kernel.privileges import drop
spec = skep.open({os.path.abspath("tests/programs/pinned.bpf.o")!r})
with spec.load(pin_root={str(bpffs)!r}) as loaded:
    number = loaded.maps["totals"].info.id
    drop(["CAP_BPF", "CAP_PERFMON", "CAP_DAC_OVERRIDE"])
    before = len(os.listdir("/proc/self/fd"))
    for use in (
        lambda: skep.Map.from_id(number),
        lambda: skep.Map.from_pin({f"{bpffs}/totals"!r}),
        lambda: skep.Link.from_id(1),
    ):
        try:
            use()
        except skep.PrivilegeError as error:
            print(error, "and advises", error.remedy.count("\\n") + 1)
        assert len(os.listdir("/proc/self/fd")) == before
    with spec.load(pin_root={str(bpffs)!r}) as other:
        print(other.maps["totals"].info.id == number)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)

    *refused, reused = done.stdout.splitlines()
    # To be root, and nothing that is meant for tracefs or for hooks.
    lacking = "CAP_SYS_ADMIN and advises 1"
    assert [line.partition(" is not permitted: this process lacks ")[2] for line in refused] == [lacking] * 3
    assert reused == "True"


def test_run_pins_and_unpin_removes_without_python(bpffs, skep_cli):
    folder = str(bpffs / "run")
    options = ["--pin", folder, "--pin-root", str(bpffs), "--pid-filter", str(os.getpid()), "--duration", "0"]
    run = [*skep_cli, "run", "tests/programs/pinned.bpf.o", *options]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"1 program attached, and pinned in {folder}" in done.stderr

    with skep.Map.from_pin(f"{bpffs}/totals") as totals:
        before = totals[0]
        os.getppid()
        assert totals[0] > before
    again = subprocess.run(run, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"{folder}/links/count is there already" in again.stderr
    scoped = subprocess.run([*run, "--", "true"], capture_output=True, text=True, check=False)
    assert scoped.returncode == 2

    gone = subprocess.run([*skep_cli, "unpin", folder], capture_output=True, text=True, check=False)
    assert gone.stderr == f"skep: {folder}: removed links/count, maps/counts, maps/totals\n"
    assert not os.path.exists(folder)
    gone = subprocess.run([*skep_cli, "unpin", str(bpffs)], capture_output=True, text=True, check=False)
    assert gone.returncode == 1
    assert "was pinned by skep" in gone.stderr
