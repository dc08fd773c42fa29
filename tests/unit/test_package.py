"""Packages of eunomia-bpf: what they say becomes a spec, and what is wrong with one is an error that names it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.base.errors import ObjectFormatError, SkepError
from skep.cli.main import main
from skep.session import api
from skep.spec.package import read_package

# As people write it for eunomia-bpf, whose compiler adds the pointer.
SOURCE = """
struct other { u64 a; u64 b; u64 c; };
struct event { u64 ts; int pid; char comm[16]; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} rb SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} hists SEC(".maps");
const volatile int pid_target = 0;
const volatile bool targ_failed = false;
const volatile struct event *__eunomia_dummy_event_ptr __attribute__((unused));
const volatile struct other *__eunomia_dummy_other_ptr __attribute__((unused));
SEC("tp/syscalls/sys_enter_openat")
int handle(void *ctx)
{
	u32 key = pid_target;
	u64 one = 1;
	void *record;

	bpf_map_update_elem(&hists, &key, &one, 0);
	record = bpf_ringbuf_reserve(&rb, 32, 0);
	if (!record)
		return targ_failed;
	__builtin_memset(record, 0, 32);
	bpf_ringbuf_submit(record, 0);
	return 0;
}
SEC("tc")
int ingress(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
SECOND_RING = 'struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb2 SEC(".maps");\n'
META: dict[str, Any] = {
    "eunomia_version": "0.3.3",
    "bpf_skel": {
        "obj_name": "opens_bpf",
        "doc": {"description": "Traces opens.", "version": "0.1"},
        "data_sections": [
            {
                "name": ".rodata",
                "variables": [
                    {"name": "pid_target", "type": "int", "description": "Process ID to trace"},
                    {
                        "name": "targ_failed",
                        "type": "bool",
                        "description": "trace only failed events",
                        "value": None,
                        "cmdarg": {"default": False, "short": "f", "long": "failed", "help": None},
                    },
                ],
            },
            {"name": ".bss", "variables": [{"name": "__eunomia_dummy_event_ptr", "type": "struct event *"}]},
        ],
        "maps": [
            {"name": "rb", "ident": "rb"},
            {
                "name": "hists",
                "ident": "hists",
                "sample": {"interval": 1000, "type": "log2_hist", "unit": "(unit)", "clear_map": False},
            },
            {"name": "opens_bp.rodata", "ident": "rodata", "mmaped": True},
        ],
        "progs": [
            {"name": "handle", "attach": "tp/syscalls/sys_enter_openat", "link": True},
            {
                "name": "ingress",
                "attach": "tc",
                "link": False,
                "tchook": {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"},
                "tcopts": {"handle": 1, "priority": 1},
            },
        ],
    },
    "export_types": [{"name": "event", "size": 32, "type_id": 7, "members": [{"name": "ts", "type": "u64"}]}],
}


@pytest.fixture(scope="session")
def compile_foreign(header, tmp_path_factory) -> Callable[[str], bytes]:
    """Compiles a kernel file as eunomia-bpf does, with nothing of skep in the object."""

    def compile_(text: str) -> bytes:
        path = tmp_path_factory.mktemp("foreign") / "opens.bpf.o"
        command = ["clang", "-g", "-O2", "-target", "bpf", f"-I{header}", "-x", "c", "-c", "-", "-o", str(path)]
        text = f'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n{text}'
        subprocess.run(command, input=text.encode(), check=True)
        strip = shutil.which("llvm-strip")
        if strip is not None:
            subprocess.run([strip, "-g", str(path)], check=True)
        data: bytes = path.read_bytes()
        return data

    return compile_


@pytest.fixture(scope="session")
def foreign(compile_foreign: Callable[[str], bytes]) -> bytes:
    return compile_foreign(SOURCE)


def pack(data: bytes, meta: object = META, **changes: object) -> bytes:
    content = {
        "bpf_object": base64.b64encode(zlib.compress(data)).decode(),
        "bpf_object_size": len(data),
        "meta": meta,
    } | changes
    return json.dumps({key: value for key, value in content.items() if value is not ...}).encode()


def changed(**changes: object) -> dict[str, Any]:
    """META with other parts, some within its bpf_skel."""
    inner = {key: value for key, value in changes.items() if key in META["bpf_skel"]}
    outer = {key: value for key, value in changes.items() if key not in inner}
    return {**META, "bpf_skel": {**META["bpf_skel"], **inner}, **outer}


@pytest.fixture
def open_package(tmp_path) -> Callable[[bytes], api.Spec]:
    def open_(text: bytes, name: str = "package.json") -> api.Spec:
        path = tmp_path / name
        path.write_bytes(text)
        return api.read_spec(str(path))

    return open_


def test_a_package_is_read_as_its_source_would_be(foreign, open_package):
    spec = open_package(pack(foreign))

    assert spec.name == "opens"
    assert spec.data == foreign
    assert spec.description == "Traces opens."
    assert [schema.name for schema in spec.events["rb"].schemas] == ["event"]
    assert spec.variables["pid_target"].help == "Process ID to trace"
    failed = spec.variables["targ_failed"]
    assert failed.help == "trace only failed events"
    assert failed.note.object("cmdarg") == {"default": False, "short": "f", "long": "failed"}
    assert spec.maps["hists"].note.object("sample")["interval"] == 1000
    ingress = spec.programs["ingress"].note
    assert ingress.object("tchook") == {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}
    assert ingress.object("tcopts") == {"handle": 1, "priority": 1}
    assert ingress.value("link") is False
    assert spec.programs["handle"].note.value("link") is True


def test_open_reads_a_package_too(foreign, tmp_path):
    path = tmp_path / "package.json"
    path.write_bytes(pack(foreign))

    assert api.open(str(path)).name == "opens"


def test_a_package_is_known_by_its_contents(foreign, open_package):
    assert open_package(b" \n" + pack(foreign), "opens").name == "opens"


def test_info_tells_of_a_package(foreign, tmp_path, capsys):
    path = tmp_path / "package.json"
    path.write_bytes(pack(foreign))

    assert main(["info", str(path), "-o", "json"]) == 0

    assert json.loads(capsys.readouterr().out)["name"] == "opens"


def test_a_package_without_a_name_has_that_of_its_file(foreign, open_package):
    assert open_package(pack(foreign, changed(obj_name=None)), "mine.json").name == "mine"
    assert open_package(pack(foreign, changed(obj_name="a/../b\n")), "mine.json").name == "mine"


def test_what_is_null_or_missing_says_nothing(foreign, open_package):
    skeleton = dict.fromkeys(("obj_name", "doc", "data_sections", "maps", "progs"))

    metas: list[object] = [{"bpf_skel": skeleton, "export_types": None}, {"bpf_skel": {}}, {}, None]
    for meta in metas:
        spec = open_package(pack(foreign, meta))
        assert list(spec.programs) == ["handle", "ingress"]
        assert spec.variables["pid_target"].help == ""


def test_the_oldest_form_states_no_size_and_names_structs(foreign, open_package):
    meta = changed(export_types={"export_btf": "n+sBABgAAAA=", "structs": [{"id": 2, "name": "event"}]})

    spec = open_package(pack(foreign, meta, bpf_object_size=...))

    assert [schema.name for schema in spec.events["rb"].schemas] == ["event"]


def test_a_value_is_the_default_of_its_option(foreign, open_package):
    variables = [
        {"name": "pid_target", "value": 7},
        {"name": "targ_failed", "value": True, "cmdarg": {"default": False}},
    ]

    spec = open_package(pack(foreign, changed(data_sections=[{"name": ".rodata", "variables": variables}])))

    assert spec.variables["pid_target"].note.object("cmdarg") == {"default": 7}
    assert spec.variables["targ_failed"].note.object("cmdarg") == {"default": False}


@pytest.mark.parametrize(
    "text",
    ["Two\nlines.\n@ifindex 3", '"quoted"', "100", "null", "@tchook {}", "tab\there", "a \\ b", "größe", " "],
)
def test_any_description_reaches_people_as_it_stands(text, foreign, open_package):
    variables = [{"name": "pid_target", "description": text}]

    note = open_package(pack(foreign, changed(data_sections=[{"variables": variables}]))).variables["pid_target"].note

    assert note.text == text.strip()
    assert list(note.marks) == ["description"]


def test_annotations_of_skep_travel_in_packages_too(foreign, open_package):
    """That compiler writes every word into the JSON, whatever it means."""
    programs = [{"name": "handle", "oneof": "entry", "required": ""}]
    variables = [{"name": "pid_target", "format": "pid"}]

    spec = open_package(pack(foreign, changed(progs=programs, data_sections=[{"variables": variables}])))

    assert spec.programs["handle"].note.value("oneof") == "entry"
    assert "required" in spec.programs["handle"].note.marks
    assert spec.variables["pid_target"].note.value("format") == "pid"


def exporting(*configured: object) -> dict[str, Any]:
    maps = [{"name": name, "export_config": config} for name, config in zip(("rb", "rb2"), configured, strict=False)]
    return changed(maps=maps, enable_multiple_export_types=True)


@pytest.fixture(scope="session")
def two_rings(compile_foreign: Callable[[str], bytes]) -> bytes:
    used = SOURCE.replace("record = bpf", "bpf_ringbuf_output(&rb2, &one, 8, 0);\n\trecord = bpf")
    return compile_foreign(SECOND_RING + used)


def number_of(data: bytes, name: str) -> int:
    from skep.spec.btf import STRUCT, Btf
    from skep.spec.elf import Elf

    elf = Elf(data, "x.o")
    return Btf(elf.by_name[".BTF"].data, "<", "x.o").find(STRUCT, name) or 0


def stated(text: bytes) -> dict[str, list[str]]:
    return dict(read_package(text, "package.json").document.events)


def test_each_ring_carries_what_its_configuration_says(two_rings):
    other = number_of(two_rings, "other")

    assert stated(pack(two_rings, exporting("default", {"btf_type_id": other}))) == {
        "rb": ["struct event"],
        "rb2": ["struct other"],
    }


@pytest.mark.parametrize(
    "configured",
    [
        pytest.param("no_export", id="it is not exported"),
        pytest.param(None, id="nothing"),
        pytest.param({"custom_members": [{"name": "comm?", "offset": 8, "btf_type_id": 5}]}, id="member by member"),
        pytest.param({"btf_type_id": 0}, id="void"),
        pytest.param({"btf_type_id": True}, id="no number"),
        pytest.param({"btf_type_id": -1}, id="a negative number"),
        pytest.param(["btf_type_id"], id="a list"),
    ],
)
def test_a_configuration_that_names_no_type_states_none(configured, two_rings):
    assert stated(pack(two_rings, exporting("default", configured))) == {"rb": ["struct event"]}


def test_the_default_is_nobodys_where_there_are_several_rings(two_rings):
    assert stated(pack(two_rings)) == {}


def test_only_streams_carry_records(foreign):
    maps = [{"name": name, "export_config": "default"} for name in ("hists", "nowhere", "rb")]

    assert stated(pack(foreign, changed(maps=maps, enable_multiple_export_types=True))) == {"rb": ["struct event"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"{", "its JSON cannot be read: Expecting property name", id="no JSON"),
        pytest.param(b"[" * 100_000, "its JSON cannot be read", id="nested too deep"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "its JSON cannot be read", id="a number too long"),
        pytest.param(b'{"a": "\\ud800"}', "its JSON cannot be read", id="half a character"),
        pytest.param(b"\xff\xfe\xff", "its JSON cannot be read", id="no text"),
        pytest.param(b"[]", "it is no JSON object", id="a list"),
        pytest.param(b"", "its JSON cannot be read", id="nothing"),
        pytest.param(b"{}", "is no package of eunomia-bpf: it has no bpf_object", id="another JSON file"),
        pytest.param(b'{"name": "skep", "version": "1"}', "is no package of eunomia-bpf", id="a package of npm"),
        pytest.param(pack(b"x", bpf_object=7), "bpf_object is 7", id="an object that is a number"),
        pytest.param(pack(b"x", bpf_object="?"), "its object cannot be unpacked", id="no base64"),
        pytest.param(pack(b"x", bpf_object="aGVsbG8gd29ybGQ="), "its object cannot be unpacked", id="no zlib"),
        pytest.param(pack(b"x", bpf_object="ä"), "its object cannot be unpacked", id="base64 with an umlaut"),
        pytest.param(pack(b"x", bpf_object=None), "it states an object of 1 bytes and holds 0", id="null"),
        pytest.param(pack(b"x", bpf_object_size="1"), "bpf_object_size is '1'", id="a size that is text"),
        pytest.param(pack(b"x", bpf_object_size=True), "bpf_object_size is True", id="a size that is true"),
        pytest.param(pack(b"x", bpf_object_size=1.5), "bpf_object_size is 1.5", id="a size with a fraction"),
        pytest.param(pack(b"x", bpf_object_size=-1), "bpf_object_size is -1", id="a negative size"),
        pytest.param(pack(b"x", bpf_object_size=1 << 40), "bpf_object_size is 1099511627776", id="a huge size"),
        pytest.param(pack(b"x", bpf_object_size=10**30), "bpf_object_size is a huge number", id="huger"),
        pytest.param(pack(b"xy", bpf_object_size=1), "it states an object of 1 bytes and holds more", id="too large"),
        pytest.param(pack(b"x", bpf_object_size=2), "it states an object of 2 bytes and holds 1", id="too small"),
        pytest.param(
            pack(b"", bpf_object=base64.b64encode(zlib.compress(bytes(1000))[:-4]).decode(), bpf_object_size=1000),
            "it is cut short",
            id="cut short",
        ),
        pytest.param(
            pack(b"", bpf_object=base64.b64encode(zlib.compress(b"x") + b"more").decode(), bpf_object_size=1),
            "something stands behind it",
            id="something behind it",
        ),
        pytest.param(pack(b"not an object"), "is not an ELF object", id="no ELF"),
        pytest.param(pack(b"x", meta=7), "meta is 7", id="meta that is a number"),
        pytest.param(pack(b"x", meta={"bpf_skel": []}), r"bpf_skel is \[\]", id="a skeleton that is a list"),
    ],
)
def test_damaged_packages(text, message, open_package):
    with pytest.raises(ObjectFormatError, match=message):
        open_package(text)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        pytest.param(changed(progs={}), "progs is {}", id="programs that are no list"),
        pytest.param(changed(progs=[7]), "progs holds 7", id="a program that is a number"),
        pytest.param(changed(progs=[{"name": 7}]), "name is 7", id="a name that is a number"),
        pytest.param(
            changed(progs=[{"name": "handle", "ifindex": "lo"}]), "'handle': @ifindex takes a number", id="ifindex"
        ),
        pytest.param(
            changed(progs=[{"name": "handle", "tchook": 3}]), "'handle': @tchook takes a JSON object", id="tchook"
        ),
        pytest.param(changed(progs=[{"name": "handle", "link": 1}]), "'handle': @link takes true or false", id="link"),
        pytest.param(
            changed(maps=[{"name": "rb", "sample": {"type": "cubic"}}]), "'type' of @sample takes one of", id="sample"
        ),
        pytest.param(changed(data_sections=[{"variables": 7}]), "variables is 7", id="variables that are a number"),
        pytest.param(changed(data_sections=[{"variables": [{"cmdarg": 7}]}]), "cmdarg is 7", id="cmdarg"),
        pytest.param(
            changed(data_sections=[{"variables": [{"name": "x", "value": [1]}]}]), "'default' of @cmdarg", id="value"
        ),
        pytest.param(changed(doc=[]), r"doc is \[\]", id="doc"),
        pytest.param(changed(export_types=7), "structs is 7", id="export types that are a number"),
        pytest.param(changed(export_types=[{"name": "evnt"}]), "its object has no struct 'evnt'", id="a struct"),
        pytest.param(changed(export_types=[{"name": "x" * 99}]), "its object has no struct 'xxx.*[.]{3}", id="long"),
        pytest.param(changed(enable_multiple_export_types=1), "enable_multiple_export_types is 1", id="no boolean"),
        pytest.param(
            {**exporting({"btf_type_id": 1 << 40})}, "its BTF is damaged: type 1099511627776 does not exist", id="type"
        ),
    ],
)
def test_damaged_descriptions(meta, message, foreign, open_package):
    with pytest.raises(ObjectFormatError, match=message):
        open_package(pack(foreign, meta))


def test_a_bomb_is_not_unpacked(open_package):
    """A gigabyte of zeros takes a megabyte: it is refused by what it states, and by what is unpacked."""
    unpacked = zlib.compressobj()
    bomb = b"".join(unpacked.compress(bytes(1 << 24)) for _ in range(5)) + unpacked.flush()
    encoded = base64.b64encode(bomb).decode()

    with pytest.raises(ObjectFormatError, match="and holds more"):
        open_package(pack(b"", bpf_object=encoded, bpf_object_size=4096))
    with pytest.raises(ObjectFormatError, match="its object has more than"):
        open_package(pack(b"", bpf_object=encoded, bpf_object_size=...))


def test_other_forms_of_packages_are_named(open_package):
    with pytest.raises(ObjectFormatError, match="is a package in YAML, which skep does not read") as raised:
        open_package(b"bpf_object: eJzt\nbpf_object_size: 7\n", "package.yaml")
    assert "as JSON" in str(raised.value.remedy)
    with pytest.raises(ObjectFormatError, match="is a tar archive, which skep does not read") as raised:
        open_package(bytes(512), "opens.tar")
    assert "package.json" in str(raised.value.remedy)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FULL = {**exporting("default", {"btf_type_id": 3}), "perf_buffer_pages": 64}


@FUZZ
@given(st.sampled_from(places(FULL)), json_values)
def test_whatever_stands_in_a_description_a_spec_or_an_error_comes_of_it(foreign, place, value):
    text = pack(foreign, replaced(FULL, place, value))

    with suppress(SkepError):
        package = read_package(text, "package.json")
        api.Spec.read(package.data, "package.json", document=package.document)


@FUZZ
@given(st.data())
def test_whatever_bytes_are_damaged_a_spec_or_an_error_comes_of_it(foreign, data):
    text = bytearray(pack(foreign))
    start = data.draw(st.integers(0, len(text)))
    text[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))

    with suppress(SkepError):
        read_package(bytes(text), "package.json")


@FUZZ
@given(st.binary(max_size=200))
def test_any_object_in_a_package_is_a_spec_or_an_error(data):
    with pytest.raises(SkepError):
        read_package(pack(data), "package.json")
