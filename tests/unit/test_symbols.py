"""Names of functions: from executables, processes, compilers at run time and the kernel; and their demangling."""

import ctypes
import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.stream.batch import Batch
from skep.stream.names import Names
from skep.stream.stacks import Stacks, stack_maps
from skep.stream.symbols.arrivals import Arrival, Arrivals, _told
from skep.stream.symbols.compiled import Compiled, _functions
from skep.stream.symbols.demangling import demangled
from skep.stream.symbols.executable import Executable
from skep.stream.symbols.files import Files
from skep.stream.symbols.kernel import KernelSymbols
from skep.stream.symbols.mappings import Mapped, Mappings, read_mappings
from skep.stream.symbols.opening import open_regular
from skep.stream.symbols.process import Process

SOURCE = """
void plain(void) {}
static void hidden(void) { plain(); }
void mangled(void) __asm__("_ZN5hives5swarmEi");
void mangled(void) { hidden(); }
int main(void) { mangled(); for (;;) __asm__("pause"); }
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a program: as it is (`whole`), without its full table of symbols (`bare`), and for 32 bits."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "hive.c"
    source.write_text(SOURCE)
    for name, flags in (("whole", ["-Wl,--build-id=0xabcdef"]), ("bare", ["-s", "-rdynamic", "-Wl,--build-id=none"])):
        subprocess.run(["gcc", "-O0", "-o", folder / name, source, *flags], check=True)
    subprocess.run(
        ["gcc", "-m32", "-O0", "-nostdlib", "-static", "-e", "main", "-o", folder / "small", source], check=True
    )
    return folder


def executable(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return Executable(fd)
    finally:
        os.close(fd)


def offsets(path):
    """Function -> its place in the file, as nm(1) tells its address."""
    told = subprocess.run(
        ["nm", *(["-D"] if path.name == "bare" else []), path], capture_output=True, text=True, check=True
    )
    return {line.split()[2]: int(line.split()[0], 16) for line in told.stdout.splitlines() if len(line.split()) == 3}


@pytest.mark.parametrize("name", ["whole", "bare", "small"])
def test_functions_are_found_by_their_place_in_the_file(built, name):
    found, places = executable(built / name), offsets(built / name)
    assert found.memory > 0
    # Code lies in the file where it lies in memory, less a whole number of pages.
    base = 0x8048000 if name == "small" else 0

    for function in ("plain", "_ZN5hives5swarmEi", "main", *(["hidden"] if name != "bare" else [])):
        assert found.function(places[function] - base + 1) == function
    assert found.function(0) is None
    assert found.function(1 << 40) is None
    assert found.build_id == ("abcdef" if name == "whole" else found.build_id if name == "small" else "")


def test_a_place_behind_a_function_is_not_in_it(built):
    found, places = executable(built / "whole"), offsets(built / "whole")

    # Behind the last of its section.
    assert found.function(places["_fini"] + 0x100) is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"#!" + data[2:], id="a script"),
        pytest.param(lambda data: data[:40], id="cut short"),
        pytest.param(lambda data: data[:58] + b"\x10\x00" + data[60:], id="sections of another size"),
        pytest.param(lambda data: data[:40] + b"\xff" * 8 + data[48:], id="sections where no file reaches"),
        pytest.param(lambda data: data[:5] + b"\x02" + data[6:], id="the other byte order"),
    ],
)
def test_a_damaged_file_has_no_functions_or_is_refused(built, tmp_path, change):
    path = tmp_path / "damaged"
    path.write_bytes(change((built / "whole").read_bytes()))

    try:
        found = executable(path)
    except ValueError:
        return
    assert found.function(0x1000) is None


def test_a_table_larger_than_any_program_has_is_refused(built, tmp_path):
    data = bytearray((built / "whole").read_bytes())
    start, count = int.from_bytes(data[40:48], "little"), int.from_bytes(data[60:62], "little")
    for section in range(start, start + 64 * count, 64):
        if int.from_bytes(data[section + 4 : section + 8], "little") == 2:
            data[section + 32 : section + 40] = (1 << 40).to_bytes(8, "little")
    path = tmp_path / "huge"
    path.write_bytes(data)

    with pytest.raises(ValueError, match="more than any program has"):
        executable(path)


def test_names_of_cpp_and_rust_are_written_as_they_were():
    assert demangled("_ZN5hives5swarmEi") == "hives::swarm(int)"
    assert demangled("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE") == "core::fmt::Formatter::pad"
    assert demangled("_RNvCskwGfYPst2Cb_3foo16example_function") == "foo::example_function"
    for name in ("main", "_Zn", "_ZN", "_Z" + "N" * 10_000, "_R\udcff"):
        assert demangled(name) == name


def test_without_the_package_names_stay_as_they_are(monkeypatch):
    from skep.stream.symbols import demangling

    demangling._demangler.cache_clear()
    monkeypatch.setitem(sys.modules, "demangle", None)
    try:
        assert demangled("_ZN5hives5swarmEi") == "_ZN5hives5swarmEi"
    finally:
        demangling._demangler.cache_clear()


def lines_of(pid):
    return Path(f"/proc/{pid}/maps").read_bytes().split(b"\n")


def wait_for(pid, path):
    """Until a process maps its own file, and not any more that of Python."""
    while not any(b" r-xp " in line and line.endswith(os.fsencode(path)) for line in lines_of(pid)):
        pass


@pytest.fixture
def running(built):
    """The program `whole`, which runs until the test is over."""
    with subprocess.Popen([built / "whole"]) as program:
        wait_for(program.pid, built / "whole")
        yield program
        program.kill()


def start_of(pid, path):
    lines = map(os.fsdecode, lines_of(pid))
    line = next(line for line in lines if line.endswith(str(path)) and line.split()[2] == "00000000")
    return int(line.partition("-")[0], 16)


def test_functions_of_a_process_are_known_even_once_it_has_ended(running, built):
    complaints: list[str] = []
    process = Process(running.pid, Files(complaints.append))
    assert process.look()
    start, places = start_of(running.pid, built / "whole"), offsets(built / "whole")
    process.look()
    running.kill()
    running.wait()

    assert process.function(start + places["_ZN5hives5swarmEi"] + 4) == "hives::swarm(int)"
    assert process.function(start + places["main"]) == "main"
    assert process.function(0x10) == "[unknown 0x10]"
    assert complaints == []


def test_of_a_file_that_cannot_be_read_the_place_is_shown_and_it_is_said_once(running, built, tmp_path):
    complaints: list[str] = []
    files = Files(complaints.append)
    process = Process(running.pid, files)
    process.look()
    for mapping in process._now:
        mapping.path, mapping.inode = str(tmp_path / "damaged"), 0
    (tmp_path / "damaged").write_bytes(b"\x7fELF" + b"\xff" * 100)
    inode = (tmp_path / "damaged").stat().st_ino
    for mapping in process._now:
        mapping.inode = inode
    at = next(iter(process._now)).start

    for _ in range(2):
        assert process.function(at).startswith("[unknown damaged+0x")
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{tmp_path}/damaged: its functions have no names: ")


def test_another_file_of_the_same_path_is_not_taken(running, built, tmp_path):
    process = Process(running.pid, Files(pytest.fail))
    process.look()
    for mapping in process._now:
        mapping.path = str(built / "bare")

    assert process.function(next(iter(process._now)).start).startswith("[unknown bare+0x")


@pytest.fixture
def compiled():
    """The address of memory that this process may execute, and the file in which its functions are named."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    view = ctypes.c_char.from_buffer(memory)
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    yield ctypes.addressof(view), path
    del view
    memory.close()
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


def test_functions_of_a_compiler_at_run_time_are_found_in_its_map(compiled):
    address, path = compiled
    path.write_text(f"nonsense\n{address + 16:x} 20 LInterpreter;::run\n{address + 0x40:x} zz broken\n")
    process = Process(os.getpid(), Files(lambda _: None))
    process.look()

    assert process.function(address + 16) == "LInterpreter;::run"
    assert process.function(address + 47) == "LInterpreter;::run"
    assert process.function(address + 48).startswith("[unknown zero")
    assert process.function(address).startswith("[unknown zero")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_only_looks_like_such_a_map_is_not_read(compiled, tmp_path, kind):
    address, path = compiled
    if kind == "link":
        (tmp_path / "secret").write_text(f"{address:x} 20 secret\n")
        path.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    process = Process(os.getpid(), Files(lambda _: None))
    process.look()
    opened = os.listdir("/proc/self/fd")

    assert process.function(address).startswith("[unknown zero")
    assert os.listdir("/proc/self/fd") == opened


def test_functions_of_this_process_are_found_in_its_libraries():
    process = Process(os.getpid(), Files(lambda _: None))
    process.look()
    getpid = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert getpid is not None

    assert process.function(getpid).strip("_") == "getpid"


@pytest.fixture
def ended():
    """The number of a process that was."""
    with subprocess.Popen(["true"]) as program:
        pass
    return program.pid


def mapped(path, start):
    told = path.stat()
    device = os.major(told.st_dev), os.minor(told.st_dev)
    return Mapped(start, start + 0x10000, 0, device, told.st_ino, str(path))


def test_files_that_claim_one_build_id_keep_their_own_names(built, ended, tmp_path):
    other = tmp_path / "other"
    source = tmp_path / "other.c"
    source.write_text("void impostor(void) {}\nint main(void) { return 0; }\n")
    subprocess.run(["gcc", "-O0", "-o", other, source, "-Wl,--build-id=0xabcdef"], check=True)
    process = Process(ended, Files(pytest.fail))
    process.map(mapped(other, 0x100000))
    process.map(mapped(built / "whole", 0x200000))

    assert process.function(0x100000 + offsets(other)["impostor"]) == "impostor"
    assert process.function(0x200000 + offsets(built / "whole")["hidden"]) == "hidden"


def test_a_file_that_cannot_be_reached_may_be_later(built, ended, tmp_path):
    process = Process(ended, Files(pytest.fail))
    place = shutil.copy(built / "whole", tmp_path / "moving")
    process.map(mapped(place, 0x100000))
    main = 0x100000 + offsets(built / "whole")["main"]
    place.rename(tmp_path / "away")
    assert process.function(main).startswith("[unknown moving+0x")
    (tmp_path / "away").rename(place)

    assert process.function(main) == "main"


def test_all_files_together_have_one_limit_that_is_told_once(built, ended, monkeypatch):
    monkeypatch.setattr("skep.stream.symbols.files._BUDGET", 1 << 20)
    monkeypatch.setattr("skep.stream.symbols.files._EACH", 600 << 10)
    complaints: list[str] = []
    files = Files(complaints.append)
    process = Process(ended, files)
    for number in range(3):
        each = mapped(built / "whole", number << 20)
        process.map(each)
        assert (process.function(each.start + offsets(built / "whole")["main"]) == "main") == (number < 2)
        # As if they were several.
        files._read.clear()

    assert complaints == ["the functions of more files have no names: those of others take 1 MiB"]


def test_files_of_one_path_and_number_on_two_devices_are_two(built, tmp_path):
    files = Files(pytest.fail)
    copy = shutil.copy(built / "whole", tmp_path / "copy")
    one, other = mapped(copy, 0x100000), mapped(copy, 0x100000)
    other.device = (other.device[0], other.device[1] + 1)
    assert files.of(one, "/") is not None
    copy.unlink()

    assert files.of(one, "/") is not None
    assert files.of(other, "/") is None


def test_files_of_a_container_are_read_while_it_lives(running, tmp_path):
    files = Files(pytest.fail)
    process = Process(running.pid, files)
    process._root = str(tmp_path)
    process.look()

    assert files._read


def test_ten_files_are_complained_of(ended, tmp_path):
    complaints: list[str] = []
    process = Process(ended, Files(complaints.append))
    for number in range(15):
        path = tmp_path / f"script{number}"
        path.write_text("#!")
        process.map(mapped(path, number << 20))
        process.function(number << 20)

    assert len(complaints) == 11
    assert complaints[9].startswith(f"{tmp_path}/script9: its functions have no names: ")
    assert "one by one" in complaints[10]


def test_files_are_read_when_they_are_asked_for(running):
    files = Files(pytest.fail)
    process = Process(running.pid, files)
    process.look()
    assert not files._read
    process.read_files()

    assert files._read


def test_samples_of_the_program_before_keep_their_names(built, ended):
    process = Process(ended, Files(pytest.fail))
    whole, bare = offsets(built / "whole"), offsets(built / "bare")
    process.map(mapped(built / "whole", 0x100000))
    process.executed()
    process.map(mapped(built / "bare", 0x200000))

    assert process.function(0x100000 + whole["main"]) == "main"
    assert process.function(0x200000 + bare["plain"]) == "plain"


def test_where_two_programs_of_a_process_differ_nothing_is_said(built, ended):
    process = Process(ended, Files(pytest.fail))
    main = 0x100000 + offsets(built / "whole")["main"]
    process.map(mapped(built / "whole", 0x100000))
    process.executed()
    process.map(mapped(built / "whole", 0x100000))
    assert process.function(main) == "main"

    process.executed()
    process.map(mapped(built / "bare", 0x100000))
    assert process.function(main) == f"[unknown {main:#x}]"


def test_what_a_child_only_has_from_its_parent_makes_nothing_ambiguous(built, ended):
    files = Files(pytest.fail)
    parent, child = Process(ended, files), Process(ended, files)
    parent.map(mapped(built / "bare", 0x100000))
    child.inherit(parent)
    assert child.function(0x100000 + offsets(built / "bare")["plain"]) == "plain"
    child.executed()
    child.map(mapped(built / "whole", 0x100000))

    assert child.function(0x100000 + offsets(built / "whole")["main"]) == "main"
    # The parent's are its own.
    assert parent.function(0x100000 + offsets(built / "bare")["plain"]) == "plain"


def test_another_process_of_the_same_number_is_another(built, running):
    process = Process(running.pid, Files(lambda _: None))
    process.look()
    process._began = b"1"
    process.map(mapped(built / "bare", 0x100000))
    process.look()

    assert process._now.at(0x100000) is None
    assert process.function(0x100000 + offsets(built / "bare")["plain"]) == "plain"


def test_what_is_mapped_over_a_part_leaves_the_rest():
    mappings = Mappings([Mapped(0x1000, 0x5000, 0x100, (8, 1), 7, "old"), Mapped(0x6000, 0x7000, 0, (8, 1), 7, "next")])
    mappings.map(Mapped(0x2000, 0x3000, 0, (8, 1), 8, "new"))
    assert [(each.start, each.end, each.offset, each.path) for each in mappings] == [
        (0x1000, 0x2000, 0x100, "old"),
        (0x2000, 0x3000, 0, "new"),
        (0x3000, 0x5000, 0x2100, "old"),
        (0x6000, 0x7000, 0, "next"),
    ]
    mappings.map(Mapped(0x1800, 0x6800, 0, (8, 1), 9, "wide"))
    assert [(each.start, each.end, each.path) for each in mappings] == [
        (0x1000, 0x1800, "old"),
        (0x1800, 0x6800, "wide"),
        (0x6800, 0x7000, "next"),
    ]
    assert mappings.at(0x1800) is not None
    assert mappings.at(0x7000) is None


@given(st.lists(st.binary(max_size=60) | st.from_regex(rb"[0-9a-f]{1,4}-[0-9a-f]{0,4} r-xp [0-9a-fx]+ 8:1 [0-9]* .")))
def test_whatever_lines_tell_nothing_breaks(lines):
    told = b"\n".join(lines)

    assert len(list(read_mappings(told))) <= told.count(b"\n") + 1
    assert len(_functions(told)) <= told.count(b"\n") + 1


def test_a_process_has_as_many_mappings_as_the_kernel_gives_it():
    mappings = Mappings()
    for page in range((1 << 16) + 10):
        mappings.map(Mapped(page << 13, (page << 13) + 4096, 0, (0, 0), 0, ""))

    assert len(list(mappings)) == 1 << 16


def test_a_name_with_a_carriage_return_is_one_name(built, tmp_path):
    """Of a file and of a function: it begins no line of its own, whatever stands behind it."""
    path = tmp_path / "a\rx 1000-2000 x\r7f0000000000-7f0000001000 r-xp 00000000 00:00 7 planted"
    shutil.copy(built / "whole", path)
    with subprocess.Popen([path]) as program:
        try:
            wait_for(program.pid, path)
            process = Process(program.pid, Files(lambda _: None))
            process.look()
            start, places = start_of(program.pid, "planted"), offsets(built / "whole")

            assert process.function(start + places["main"]) == "main"
            assert process.function(0x7F0000000000) == "[unknown 0x7f0000000000]"
        finally:
            program.kill()


def test_such_a_map_is_read_again_when_it_has_grown(compiled, monkeypatch):
    monkeypatch.setattr("skep.stream.symbols.compiled._PAUSE", 0)
    address, path = compiled
    path.write_text(f"{address:x} 10 first\n")
    process = Process(os.getpid(), Files(lambda _: None))
    assert process.function(address) == "first"
    assert process.function(address + 0x10).startswith("[unknown zero")
    with path.open("a") as file:
        file.write(f"{address + 0x10:x} 10 second\n")

    assert process.function(address + 0x10) == "second"


def test_such_a_map_of_a_stranger_or_of_a_process_before_is_not_believed(compiled):
    address, path = compiled
    path.write_text(f"{address:x} 10 planted\n")
    process = Process(os.getpid(), Files(lambda _: None))
    assert process.function(address) == "planted"

    os.utime(path, (1, 1))
    process.executed()
    assert process.function(address).startswith("[unknown zero")
    os.utime(path)
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
    of_stranger = Compiled(f"/proc/{os.getpid()}", os.getpid(), frozenset({os.getuid() + 1}), 0)
    assert of_stranger.function(address) is None
    assert Compiled("/proc/self", os.getpid(), frozenset({path.stat().st_uid}), 0).function(address) == "planted"


def test_of_such_a_map_half_a_million_lines_are_read(compiled):
    address, path = compiled
    path.write_text("nonsense\n" * 499_999 + f"{address:x} 10 last\n{address + 0x10:x} 10 beyond\n")
    found = Compiled("/proc/self", os.getpid(), frozenset({os.getuid()}), 0)

    assert found.function(address) == "last"
    assert found.function(address + 0x10) is None


def test_a_function_with_a_carriage_return_plants_no_other(compiled):
    address, path = compiled
    path.write_bytes(b"%x 10 one\r%x 10 planted\n" % (address, address + 0x10))
    process = Process(os.getpid(), Files(lambda _: None))

    assert process.function(address).startswith("one\r")
    assert process.function(address + 0x10).startswith("[unknown zero")


def test_files_are_opened_within_their_root_alone(tmp_path):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "own").write_text("own")
    (tmp_path / "secret").write_text("secret")
    (root / "absolute").symlink_to("/etc/own")
    (root / "leaving").symlink_to("../secret")
    (root / "outside").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "pipe")

    fd = open_regular(str(root), "/absolute")
    assert os.read(fd, 10) == b"own"
    os.close(fd)
    for name in ("leaving", "outside", "pipe", "etc", "missing"):
        with pytest.raises(OSError, match=r"No such file|no regular file"):
            open_regular(str(root), f"/{name}")
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(str(root), "/absolute", links=False)


def kallsyms(tmp_path, monkeypatch, text):
    path = tmp_path / "kallsyms"
    path.write_text(text)
    monkeypatch.setattr("skep.stream.symbols.kernel._PATH", str(path))


SYMBOLS = "ffffffff81000000 T _stext\nffffffff81000100 D jiffies\nffffffff81000200 t schedule\n"
MODULE = "ffffffffc0000000 t nft_do_chain\t[nf_tables]\n"


def test_functions_of_the_kernel_and_its_modules(tmp_path, monkeypatch):
    kallsyms(tmp_path, monkeypatch, MODULE + SYMBOLS)
    symbols = KernelSymbols()

    assert symbols.function(0xFFFFFFFF81000150) == "_stext"
    assert symbols.function(0xFFFFFFFF81000200) == "schedule"
    assert symbols.function(0xFFFFFFFFC0000001) == "nft_do_chain [nf_tables]"
    assert symbols.function(1 << 63) is None
    # The last reaches to no other.
    assert symbols.function(0xFFFFFFFFC0200000) is None
    assert not symbols.hidden


BYTE, WORD = Type("int", 1, "u8"), Type("int", 8, "u64")
FIELDS = (Field("pid", 0, 4, Type("int", 4, "u32")), Field("kernel_stack", 4, 4, Type("int", 4, "u32")))
RECORDS = with_meanings(Schema("record", 8, FIELDS), ())


def batch(*rows):
    data = b"".join(number.to_bytes(4, "little") for row in rows for number in row)
    return Batch(memoryview(data), len(rows), stride=8, offsets=None, schema=RECORDS, lost=0, source="", cpu=None)


def test_stacks_get_their_names_once(tmp_path, monkeypatch):
    kallsyms(tmp_path, monkeypatch, SYMBOLS)
    names = Names()
    asked = []

    class Map:
        def get(self, number):
            asked.append(number)
            return (0xFFFFFFFF81000201,) if number == 1 else None

    stacks = Stacks(names, {"kernel_stack": Map()})
    records = batch((7, 1), (7, 1), (7, 2), (7, (1 << 32) - 14))

    assert stacks.add(records) == []
    assert stacks.add(records) == []
    assert asked == [1, 2]
    assert names.stacks == {("kernel_stack", 1): (0xFFFFFFFF81000201,)}
    assert names.frames == {(0, 0xFFFFFFFF81000201): "schedule"}
    stacks.close()


def test_functions_are_found_by_build_ids_that_records_pad(running, built):
    names = Names()
    build_id = bytes.fromhex("abcdef").ljust(20, b"\0")
    number, octets = Type("int", 4, "s32", signed=True), Type("array", 20, "u8[20]", element=BYTE, count=20)
    places = (Field("status", 0, 4, number), Field("build_id", 4, 20, octets), Field("offset", 24, 8, WORD))
    entry = Type("struct", 32, "struct bpf_stack_build_id", fields=(*places, Field("ip", 24, 8, WORD)))
    stack = Field("user_stack", 4, 32, Type("array", 32, "struct bpf_stack_build_id[1]", element=entry, count=1))
    schema = with_meanings(Schema("record", 36, (FIELDS[0], stack)), ())
    at = offsets(built / "whole")["_ZN5hives5swarmEi"]
    data = struct.pack("=Ii20sQ", running.pid, 1, build_id, at)
    stacks = Stacks(names, {})
    stacks.add(Batch(memoryview(data), 1, stride=36, offsets=None, schema=schema, lost=0, source="", cpu=None))

    assert names.frames[build_id.hex(), at] == "hives::swarm(int)"
    stacks.close()


def test_the_oldest_process_is_forgotten_first(monkeypatch):
    monkeypatch.setattr("skep.stream.stacks._PROCESSES", 2)
    stacks = Stacks(Names(), {})
    stacks.look([os.getpid()])
    known = stacks._process(os.getpid())
    stacks.look([1 << 30])
    assert stacks._process(os.getpid()) is known
    stacks.look([(1 << 30) + 1])

    assert stacks._process(os.getpid()) is not known
    stacks.close()


def test_names_are_found_again_once_another_program_is_executed(built, ended):
    names = Names()
    plain, main = (offsets(built / "whole")[name] for name in ("plain", "main"))
    stacks = Stacks(names, {"user_stack": {1: (0x100000 + plain,), 2: (0x300000 + main,)}})
    schema = with_meanings(Schema("record", 8, (FIELDS[0], Field("user_stack", 4, 4, FIELDS[1].type))), ())
    data = struct.pack("=4I", ended, 1, ended, 2)
    records = Batch(memoryview(data), 2, stride=8, offsets=None, schema=schema, lost=0, source="", cpu=None)
    coming = [Arrival(ended, mapped=mapped(built / "whole", start)) for start in (0x100000, 0x300000)]

    class Later:
        def drain(self):
            arrived, coming[:] = coming[:], []
            return arrived

        def close(self):
            pass

    stacks._arrivals = cast("Arrivals", Later())
    stacks.add(records)
    assert names.frames[ended, 0x100000 + plain] == "plain"
    coming[:] = [Arrival(ended), Arrival(ended, mapped=mapped(built / "bare", 0x100000))]
    stacks.add(records)

    # What is there now is another file; what is not there any more was in no other.
    assert names.frames[ended, 0x100000 + plain] == f"[unknown {0x100000 + plain:#x}]"
    assert names.frames[ended, 0x300000 + main] == "main"
    stacks.close()


def test_where_it_was_lost_what_processes_map_they_are_looked_at(running, built):
    class Lost:
        def drain(self):
            return [*_told(2, 0, bytes(16))]

        def close(self):
            pass

    stacks = Stacks(Names(), {})
    process = stacks._process(running.pid)
    stacks._arrivals = cast("Arrivals", Lost())
    stacks.look([])

    assert process._now.at(start_of(running.pid, built / "whole") + offsets(built / "whole")["main"]) is not None
    stacks.close()


def test_that_the_kernel_hides_its_addresses_is_said_once(tmp_path, monkeypatch):
    kallsyms(tmp_path, monkeypatch, "0000000000000000 T _stext\n0000000000000000 t schedule\n")
    stacks = Stacks(Names(), {"kernel_stack": {1: (1 << 63,), 2: ((1 << 63) + 5,)}})

    assert len(stacks.add(batch((7, 1), (7, 2)))) == 1
    assert stacks.add(batch((8, 1))) == []


def test_which_map_holds_the_stacks_of_a_field():
    user = with_meanings(Schema("x", 4, (Field("user_stack", 0, 4, FIELDS[0].type),)), ())

    assert stack_maps([RECORDS, user], ["stacks"]) == ({"kernel_stack": "stacks", "user_stack": "stacks"}, [])
    assert stack_maps([RECORDS, user], ["user_stacks", "kernel_map"])[0] == {
        "kernel_stack": "kernel_map",
        "user_stack": "user_stacks",
    }
    found, questions = stack_maps([RECORDS], ["one", "other"])
    assert (found, len(questions)) == ({}, 1)
    assert stack_maps([RECORDS], []) == ({}, [])
