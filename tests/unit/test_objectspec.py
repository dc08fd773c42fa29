"""What an object holds, as plain data; and that no bytes whatever do more than raise."""

import io
import json
import resource
import struct
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skep.base.errors import ObjectFormatError, SkepError, UsageError
from skep.spec.document import Document, Tag
from skep.spec.elf import STT_FUNC, Elf
from skep.spec.objectspec import PERF_EVENT_ARRAY, RINGBUF, ObjectSpec

TEXT = """
struct event { u64 ts; u32 pid; u32 tid; char comm[16]; long ret; };
enum mode { IDLE, BUSY };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10);
	__type(key, u32);
	__type(value, struct event);
} state SEC(".maps");

/// How many.
const volatile u32 limit = 3;
const volatile char name[8] = "abc";
const volatile enum mode mode = BUSY;
const volatile u8 key[4] = { 1, 2, 3, 4 };
static const volatile bool hidden = true;
const u32 table[4] = { 1, 2, 3, 4 };
__u64 seen;
__u32 small;

static __attribute__((noinline)) int help(void *ctx)
{
	__sync_fetch_and_add(&seen, 1);
	small = table[limit & 3];
	bpf_printk("twice %d", limit);
	return hidden + name[limit & 7] + mode + key[limit & 3];
}

SEC("tp/a/enter")
int enter(void *ctx)
{
	bpf_printk("once %d", limit);
	return help(ctx);
}

SEC("kprobe/leave")
int leave(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return help(ctx);
	event->ts = bpf_ktime_get_boot_ns();
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("kprobe/other")
int other(void *ctx)
{
	return 0;
}

/// Counts.
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory, header) -> bytes:
    """One object that has some of everything."""
    from skep.spec.compiling import compile_source, find_compiler

    folder = tmp_path_factory.mktemp("object")
    (folder / "a.bpf.c").write_text('#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n' + TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        return compile_source(str(folder / "a.bpf.c"), "id", lambda: header, find_compiler())


@pytest.fixture
def spec(data) -> ObjectSpec:
    return ObjectSpec.read(data, "/some/where/name.bpf.o")


def test_the_name_is_that_of_the_file(spec: ObjectSpec, data: bytes) -> None:
    assert spec.name == "name"
    assert spec.data is data
    assert repr(spec) == "<ObjectSpec name: 3 programs, 2 maps>"
    assert spec.description == "Counts."


def test_programs_are_the_functions_with_a_section(spec: ObjectSpec) -> None:
    assert [(name, program.name, program.section) for name, program in spec.programs.items()] == [
        ("enter", "enter", "tp/a/enter"),
        ("leave", "leave", "kprobe/leave"),
        ("other", "other", "kprobe/other"),
    ]


def test_programs_know_the_helpers_that_they_and_their_functions_call(spec: ObjectSpec) -> None:
    assert {name: set(program.helpers) for name, program in spec.programs.items()} == {
        "enter": {6},
        "leave": {131, 125, 132, 6},
        "other": set(),
    }
    assert spec.prints


def test_maps_have_type_size_and_value(spec: ObjectSpec) -> None:
    found = {name: (map_.type, map_.max_entries, map_.value and map_.value.name) for name, map_ in spec.maps.items()}

    assert found == {"events": (RINGBUF, 4096, None), "state": (1, 10, "struct event")}
    assert [(map_.is_stream, map_.is_ring) for map_ in spec.maps.values()] == [(True, True), (False, False)]


def test_variables_are_the_const_volatile_globals(spec: ObjectSpec) -> None:
    assert {name: variable.value for name, variable in spec.variables.items()} == {
        "limit": 3,
        "name": "abc",
        "mode": 1,
        "key": b"\1\2\3\4",
        "hidden": True,
    }
    assert spec.variables["limit"].help == "How many."
    assert spec.variables["mode"].type.enum == {0: "IDLE", 1: "BUSY"}


def test_a_constant_that_libbpf_does_not_find_is_refused(spec_of) -> None:
    text = """
    static const u32 table[4] = { 1, 2, 3, 4 };

    SEC("tracepoint/syscalls/sys_enter_close") int handle(void *context)
    {
        return table[bpf_get_smp_processor_id() & 3];
    }
    """
    with pytest.raises(ObjectFormatError, match="the constant table where") as refused:
        spec_of(text)
    assert refused.value.remedy == "Declare it const volatile."
    spec_of(text.replace("const", "const volatile"))


def test_variables_lie_where_the_object_has_them(spec: ObjectSpec, data: bytes) -> None:
    section = bytes(Elf(data, "x.o").by_name[".rodata"].data)

    for variable in spec.variables.values():
        assert section[variable.offset : variable.offset + len(variable.data)] == variable.data


def test_globals_that_programs_write_are_known_with_their_place(spec: ObjectSpec, data: bytes) -> None:
    places = {symbol.name: symbol.value for symbol in Elf(data, "x.o").symbols}

    assert {name: (one.section, one.offset, one.type.name) for name, one in spec.globals.items()} == {
        "seen": (".bss", places["seen"], "__u64"),
        "small": (".bss", places["small"], "__u32"),
    }


def test_events_have_meanings_by_the_clocks_of_all_programs(spec: ObjectSpec) -> None:
    fields = {field.name: field.meaning for field in spec.events["events"].schemas[0].fields}

    assert spec.events["events"].map == "events"
    assert fields == {"ts": "time_boot", "pid": "pid", "tid": "tid", "comm": "comm", "ret": "result"}


def test_formats_are_the_texts_of_bpf_printk(spec: ObjectSpec) -> None:
    assert sorted(spec.formats) == [b"once %d", b"twice %d"]


def test_an_object_that_prints_nothing(spec_of) -> None:
    spec = spec_of('SEC("tp/a/b") int handle(void *ctx) { return 0; }\n')

    assert (spec.prints, spec.formats) == (False, ())


def test_a_perf_event_array_is_a_stream_and_no_ring(spec_of) -> None:
    spec = spec_of(
        "struct event { u32 a; };\n"
        "struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4); }"
        ' out SEC(".maps");\n'
        'SEC("tp/a/b") int handle(void *ctx) { struct event e = {};'
        " return bpf_perf_event_output(ctx, &out, BPF_F_CURRENT_CPU, &e, sizeof(e)); }\n"
    )

    assert (spec.maps["out"].type, spec.maps["out"].is_stream, spec.maps["out"].is_ring) == (
        PERF_EVENT_ARRAY,
        True,
        False,
    )
    assert spec.events["out"].schemas[0].name == "event"


def test_maps_of_maps_know_what_they_hold(spec_of) -> None:
    spec = spec_of(
        "struct shard { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __uint(map_flags, BPF_F_NO_PREALLOC);"
        " __type(key, u32); __type(value, u64); };\n"
        "struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, u32);"
        ' __array(values, struct shard); } shards SEC(".maps");\n'
        'SEC("tp/a/b") int handle(void *ctx) { u32 key = 0; return !!bpf_map_lookup_elem(&shards, &key); }\n'
    )
    inner = spec.maps["shards"].inner

    assert inner is not None
    assert (inner.name, inner.type, inner.max_entries, inner.flags) == ("shards[]", 1, 4, 1)
    assert (repr(inner.key), repr(inner.value), inner.inner) == ("<Type u32>", "<Type u64>", None)
    assert (spec.maps["shards"].max_entries, spec.maps["shards"].flags) == (2, 0)


def foreign(text: str) -> bytes:
    """An object of another builder: without a `.skep` section."""
    preamble = (
        "typedef unsigned int u32; typedef unsigned long long u64;\n"
        "#define SEC(name) __attribute__((section(name), used))\n"
        "#define __uint(name, val) int (*name)[val]\n#define __type(name, val) typeof(val) *name\n"
        "static long (*output)(void *, void *, u64, u64) = (void *)130;\n"
    )
    command = ["clang", "-target", "bpf", "-g", "-O2", "-x", "c", "-c", "-", "-o", "-"]
    return subprocess.run(command, input=(preamble + text).encode(), check=True, capture_output=True).stdout


SEND = 'SEC("tp/a/b") int handle(void *ctx) { u64 e[4] = {}; return output(&ring, e, 32, 0); }\n'


def test_an_object_of_another_builder_that_states_its_type() -> None:
    text = "struct event { u64 a, b, c, d; };\n"
    text += 'struct { __uint(type, 27); __uint(max_entries, 4096); __type(value, struct event); } ring SEC(".maps");\n'

    assert ObjectSpec.read(foreign(text + SEND), "x.o").events["ring"].schemas[0].name == "event"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('struct { __uint(type, 27); } ring SEC(".maps");\n', id="no type"),
        pytest.param(
            'struct empty {}; struct { __uint(type, 27); __type(value, struct empty); } ring SEC(".maps");\n',
            id="a type without size",
        ),
    ],
)
def test_a_ring_of_another_builder_that_nothing_is_known_of_is_open(text: str) -> None:
    event = ObjectSpec.read(foreign(text + SEND), "x.o").events["ring"]

    assert event.question.startswith("the type of the records of ring cannot be told: --event 'ring=struct event'")
    assert event.schemas[0].is_raw


RINGS = 'struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");\n'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("struct event { u64 a; }; const struct event *unused;\n", id="a struct"),
        pytest.param("typedef struct { u64 a; } event; event *keep __attribute__((unused));\n", id="a typedef"),
        pytest.param("struct event { u64 a; }; const struct event *const volatile unused = 0;\n", id="a constant"),
        pytest.param(
            "struct event { u64 a; }; struct event *unused; struct more { u64 b; }; struct more data;\n",
            id="beside a struct that is data",
        ),
    ],
)
def test_what_an_unused_pointer_keeps_is_the_record(text: str) -> None:
    event = ObjectSpec.read(foreign(text + RINGS + SEND), "x.o").events["ring"]

    assert [(schema.name, [field.name for field in schema.fields]) for schema in event.schemas] == [("event", ["a"])]
    assert event.question == ""


def test_a_pointer_that_code_uses_keeps_nothing() -> None:
    text = "struct event { u64 a; }; struct event *current;\n" + RINGS
    text += 'SEC("tp/a/b") int handle(void *ctx) { u64 e[4] = {}; return output(&ring, e, 32, 0) + !current; }\n'

    assert ObjectSpec.read(foreign(text), "x.o").events["ring"].schemas[0].is_raw


def test_several_structs_that_pointers_keep_are_told_apart_by_size() -> None:
    text = "struct one { u32 a; }; struct one *unused1; struct two { u64 b; }; struct two *unused2;\n"

    event = ObjectSpec.read(foreign(text + RINGS + SEND), "x.o").events["ring"]

    assert {schema.name for schema in event.schemas} == {"one", "two"}


@pytest.mark.parametrize(
    ("text", "rings"),
    [
        pytest.param(
            "struct one { u64 a; }; struct one *unused1; struct two { u64 b; }; struct two *unused2;\n" + RINGS,
            ["ring"],
            id="two structs of one size",
        ),
        pytest.param(
            "struct one { u64 a; }; struct one *unused1; struct two { u32 b; }; struct two *unused2;\n"
            + RINGS
            + RINGS.replace("} ring", "} more"),
            ["ring", "more"],
            id="two rings",
        ),
    ],
)
def test_what_pointers_keep_is_asked_for_where_it_does_not_suffice(text: str, rings: list[str]) -> None:
    events = ObjectSpec.read(foreign(text + SEND), "x.o").events

    assert list(events) == rings
    for ring, event in events.items():
        assert event.question == (
            f"which of struct one, struct two {ring} carries cannot be told: "
            f"--event '{ring}=struct one', or before the map: /// @event struct one"
        )


def test_the_only_struct_that_is_kept_for_nothing_is_the_record() -> None:
    """As a compiler keeps it that does not drop what no code uses: it is put into BTF by hand here."""
    struct_ = type_(4, 8, struct.pack("=IIIIII", VALUE, 1, 0, TYPE_NAME, 1, 32), name=RODATA, vlen=2)
    names = NAMES.replace(b".rodata", b"event__")

    event = ObjectSpec.read(ring_of(INT + struct_, 2, names, typed=False), "x.o").events["value"]

    assert [(schema.name, schema.size) for schema in event.schemas] == [("event__", 8)]


def test_a_type_of_the_kernel_that_a_relocation_names_is_no_record() -> None:
    text = "struct task { int pid; } __attribute__((preserve_access_index));\n" + RINGS
    text += 'SEC("tp/a/b") int handle(void *ctx) { u64 e[4] = {}; struct task *task = ctx;\n'
    text += "return output(&ring, e, 32, 0) + task->pid; }\n"

    event = ObjectSpec.read(foreign(text), "x.o").events["ring"]

    assert event.schemas[0].is_raw
    assert "struct task" not in event.question


def asked(*types: str, ring: str = "ring") -> Document:
    return Document({ring: list(types)}, {}, "")


KEPT = "struct event { u64 a, b; }; struct event *used; typedef u32 number; number count; enum mode { A } mode;\n"
KEPT += "union either { u32 a; u64 b; } either; unsigned long long plain;\n"


@pytest.mark.parametrize(
    ("name", "size"),
    [("struct event", 16), ("number", 4), ("u32", 4), ("enum mode", 4), ("union either", 8), ("u64", 8)],
)
def test_what_is_said_from_outside_is_looked_up_by_its_name_in_c(name: str, size: int) -> None:
    event = ObjectSpec.read(foreign(KEPT + RINGS + SEND), "x.o", document=asked(name)).events["ring"]

    assert [schema.size for schema in event.schemas] == [size]


@pytest.mark.parametrize(
    ("document", "message", "remedy"),
    [
        (
            asked("struct evnt"),
            "x.o: ring cannot carry struct evnt: there is no such type",
            "Did you mean struct event?",
        ),
        (asked("event"), "x.o: ring cannot carry event: there is no such type", "Did you mean struct event?"),
        (asked("struct mode"), "x.o: ring cannot carry struct mode", "Did you mean"),
        (
            asked("u32", ring="rnig"),
            "x.o: there is no ring buffer, perf event array or iterator rnig",
            "Did you mean ring?",
        ),
        (
            asked("u32", ring="xyz"),
            "x.o: there is no ring buffer, perf event array or iterator xyz",
            "There are: ring.",
        ),
    ],
)
def test_what_is_said_from_outside_and_is_not_there(document: Document, message: str, remedy: str) -> None:
    with pytest.raises(UsageError) as raised:
        ObjectSpec.read(foreign(KEPT + RINGS + SEND), "x.o", document=document)

    assert str(raised.value).startswith(message)
    assert str(raised.value.remedy).startswith(remedy)


def test_what_is_said_from_outside_overrules_the_object(spec_of, build) -> None:
    data = build(
        "struct one { u64 a; }; struct two { u64 b; }; struct two kept;\n"
        'struct { __uint(type, BPF_MAP_TYPE_RINGBUF); } ring SEC(".maps");\n'
        'SEC("tp/a/b") int handle(void *ctx)'
        " { struct one e = {}; kept.b = 1; return bpf_ringbuf_output(&ring, &e, sizeof(e), 0); }\n"
    )

    assert ObjectSpec.read(data, "x.o").events["ring"].schemas[0].name == "one"
    assert ObjectSpec.read(data, "x.o", document=asked("struct two")).events["ring"].schemas[0].name == "two"


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        pytest.param(Tag("missing", {"struct one": [1], "struct two": [2]}), "have no field missing", id="no field"),
        pytest.param(
            Tag("a", {"struct one": [1], "struct two": [2]}), "have no field a in one place", id="of one only"
        ),
        pytest.param(Tag("text", {"struct one": [1], "struct two": [2]}), "have no field text", id="no number"),
        pytest.param(Tag("k", {"struct one": [1], "struct two": [1]}), "k does not tell", id="the same for both"),
        pytest.param(Tag("k", {"struct one": [1], "struct two": [257]}), "k does not tell", id="the same byte"),
        pytest.param(Tag("k", {"struct one": [1], "struct two": []}), "k does not tell", id="nothing for one"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tag: Tag, message: str) -> None:
    text = "struct one { u8 k; char text[3]; u32 a; } one; struct two { u8 k; char text[3]; u32 b; } two;\n"
    document = Document({"ring": ["struct one", "struct two"]}, {}, "", tags={"ring": tag})
    text = text.replace("u8", "unsigned char")

    with pytest.raises(ObjectFormatError, match=message):
        ObjectSpec.read(foreign(text + RINGS + SEND), "x.o", document=document)


def test_a_tag_that_does_not_know_all_types_tells_nothing() -> None:
    text = "struct one { u32 k; } one; struct two { u32 k; } two;\n"
    tags = {"ring": Tag("k", {"struct one": [1]})}
    document = Document({"ring": ["struct one", "struct two"]}, {}, "", tags=tags)

    event = ObjectSpec.read(foreign(text + RINGS + SEND), "x.o", document=document).events["ring"]

    assert event.tag is None
    assert event.question


def test_a_perf_event_array_may_hint_at_a_struct() -> None:
    perf = RINGS.replace("27", "4").replace("__uint(max_entries, 4096);", "__type(value, {});")
    text = "struct event { u64 a; };\n"
    send = SEND.replace("output(&ring, e, 32, 0)", "perf(ctx, &ring, 0, e, 32)")
    text += "static long (*perf)(void *, void *, u64, void *, u64) = (void *)25;\n"

    hinted = ObjectSpec.read(foreign(text + perf.replace("{}", "struct event") + send), "x.o")
    plain = ObjectSpec.read(foreign(text + perf.replace("{}", "u32") + send), "x.o")

    assert hinted.events["ring"].schemas[0].name == "event"
    assert plain.events["ring"].schemas[0].is_raw


def test_an_event_type_of_a_gigabyte_is_refused() -> None:
    text = 'struct { __uint(type, 27); __type(value, char[1 << 30]); } ring SEC(".maps");\n'

    with pytest.raises(ObjectFormatError, match="records of 1073741824 bytes"):
        ObjectSpec.read(foreign(text + SEND), "x.o")


def test_an_object_without_type_information_is_refused() -> None:
    data = subprocess.run(
        ["clang", "-target", "bpf", "-x", "c", "-c", "-", "-o", "-"], input=b"int x;", check=True, capture_output=True
    ).stdout

    with pytest.raises(ObjectFormatError, match=r"x\.o has no BTF") as raised:
        ObjectSpec.read(data, "x.o")

    assert raised.value.remedy == "Compile it with -g."


def decode(spec: ObjectSpec) -> None:
    """Uses everything that a spec describes, as a run would."""
    for event in spec.events.values():
        event.schemas[0].decode(b"\1" * 40)
    for variable in spec.variables.values():
        assert len(variable.data) == variable.type.size or variable.type.kind == "struct"
        _ = variable.value


def read_hostile(data: bytes) -> str:
    """What is said of it, "" if it is read: only SkepErrors come out, and soon. Fuzzing holds it to a second."""
    start = time.process_time()
    message = ""
    try:
        decode(ObjectSpec.read(data, "x.o"))
    except SkepError as error:
        message = str(error) or "nothing is said"
    assert time.process_time() - start < 10
    return message


def test_an_object_that_is_cut_short_anywhere_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 7):
        with pytest.raises(ObjectFormatError):
            ObjectSpec.read(data[:length], "x.o")


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300), magic=st.booleans())
def test_arbitrary_bytes(noise: bytes, *, magic: bool) -> None:
    header = b"\x7fELF\2\1\1" + bytes(11) + struct.pack("=H", 247) if magic else b""
    read_hostile(header + noise)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.data())
def test_an_object_with_changed_bytes(data: bytes, changes) -> None:
    """Mostly where the format lies: in headers, symbols, types and the document."""
    elf = Elf(data, "x.o")
    changed = bytearray(data)
    spans = [(0, 64), (len(data) - 64 * len(elf.sections), len(data))]
    for name in (".symtab", ".BTF", ".skep", ".strtab", "tp/a/enter"):
        start = data.index(bytes(elf.by_name[name].data))
        spans.append((start, start + elf.by_name[name].size))
    for start, end in changes.draw(st.lists(st.sampled_from(spans), min_size=1, max_size=4)):
        place = changes.draw(st.integers(start, end - 4))
        value = changes.draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF))
        size = changes.draw(st.sampled_from([1, 2, 4]))
        changed[place : place + size] = struct.pack("=I", value)[:size]
    read_hostile(bytes(changed))


def btf(types: bytes, strings: bytes) -> bytes:
    return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def elf(*sections: tuple[bytes, int, int, bytes, int]) -> bytes:
    """An object made of sections: name, type, flags, bytes, link. Section 1 is first, the names are last."""
    names, body, headers = io.BytesIO(b"\0"), b"", [bytes(64)]
    names.seek(1)
    for name, kind, flags, contents, link in sections:
        place = names.tell()
        names.write(name + b"\0")
        headers.append(struct.pack("=IIQQQQIIQQ", place, kind, flags, 0, 64 + len(body), len(contents), link, 0, 8, 0))
        body += contents
    headers.append(struct.pack("=IIQQQQIIQQ", 0, 3, 0, 0, 64 + len(body), len(names.getvalue()), 0, 0, 1, 0))
    body += names.getvalue()
    ident = b"\x7fELF\2" + (b"\1" if sys.byteorder == "little" else b"\2") + b"\1" + bytes(9)
    rest = struct.pack(
        "=HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return ident + rest + body + b"".join(headers)


def type_(kind: int, size: int, rest: bytes = b"", *, name: int = 0, vlen: int = 0) -> bytes:
    return struct.pack("=III", name, kind << 24 | vlen, size) + rest


VALUE, RING_NAME, TYPE_NAME, RODATA = 1, 7, 13, 18
NAMES = b"\0value\0.maps\0type\0.rodata\0"


def ring_of(record: bytes, number: int, names: bytes = NAMES, *, typed: bool = True) -> bytes:
    """Types of `record`, and a ring `value` whose value is the type of that number, the last of them; or has none."""
    ring = type_(3, 0, struct.pack("=III", 1, 1, RINGBUF))
    ring += type_(2, number + 1) + type_(2, number if typed else 1)
    second = VALUE if typed else RING_NAME
    ring += type_(4, 16, struct.pack("=IIIIII", TYPE_NAME, number + 2, 0, second, number + 3, 64), vlen=2)
    ring += type_(14, number + 4, struct.pack("=I", 1), name=VALUE)
    ring += type_(15, 16, struct.pack("=III", number + 5, 0, 16), name=RING_NAME, vlen=1)
    call = struct.pack("=BBhi", 0x85, 0, 0, 130)
    # A static function, whose name is the empty one.
    function = struct.pack("=IBBHQQ", 0, STT_FUNC, 0, 2, 0, len(call))
    types = (b".BTF", 1, 0, btf(record + ring, names), 0)
    return elf(types, (b"code", 1, 6, call, 0), (b".symtab", 2, 0, bytes(24) + function, 4))


INT = type_(1, 4, struct.pack("=I", 32))


def many_maps() -> bytes:
    """One struct of 60,000 members, which 60,000 maps have as their type."""
    names = b"".join(b"m%05d\0" % index for index in range(60_000))
    types = INT + type_(4, 8, struct.pack("=III", 1, 1, 0) * 60_000, vlen=60_000)
    types += b"".join(type_(14, 2, struct.pack("=I", 1), name=len(NAMES) + 7 * index) for index in range(60_000))
    entries = b"".join(struct.pack("=III", 3 + index, 0, 8) for index in range(60_000))
    types += type_(15, 0, entries, name=RING_NAME, vlen=60_000)
    return elf((b".BTF", 1, 0, btf(types, NAMES + names), 0))


def many_structs() -> bytes:
    """50,000 structs that nothing needs, beside a ring of which nothing is known."""
    members = struct.pack("=IIIIII", VALUE, 1, 0, TYPE_NAME, 1, 32)
    return ring_of(INT + type_(4, 8, members, name=VALUE, vlen=2) * 50_000, 50_001, typed=False)


def many_documents() -> bytes:
    content = {"version": 2, "events": {}, "tags": {}, "formats": {}, "digest": ""}
    content["notes"] = {str(index): "x" for index in range(1000)}
    document = json.dumps(content).encode() + b"\0"
    return elf((b".BTF", 1, 0, btf(INT, NAMES), 0), (b".skep", 1, 0, document * 100, 0))


def many_sections_over_one() -> bytes:
    data = bytearray(elf(*[(b"code", 1, 6, b"", 0)] * 60_000))
    headers = len(data) - 64 * 60_002
    for index in range(1, 60_001):
        data[headers + 64 * index + 24 : headers + 64 * index + 40] = struct.pack("=QQ", 0, 4_000_000)
    return bytes(data)


def wide_names() -> bytes:
    """A record of 4000 fields whose names make rules of meaning look twice at each of their 500 letters."""
    names = NAMES + b"a_" * 250 + b"\0"
    members = b"".join(struct.pack("=III", len(NAMES) + index % 100, 1, 32 * index) for index in range(4000))
    return ring_of(INT + type_(4, 16_000, members, vlen=4000), 2, names)


def tower(kind: int) -> bytes:
    types = INT
    for number in range(1, 61):
        types += type_(kind, 4, struct.pack("=IIIIII", VALUE, number, 0, TYPE_NAME, number, 0), vlen=2)
    return ring_of(types, 61)


def deep_arrays() -> bytes:
    """Arrays of arrays, 60 deep, of 2^32 each: 2^1920 elements."""
    types = INT
    for number in range(1, 61):
        types += type_(3, 0, struct.pack("=III", number, 1, 0xFFFFFFFF))
    return ring_of(types, 61)


def empty_arrays() -> bytes:
    return ring_of(INT + type_(4, 0) + type_(3, 0, struct.pack("=III", 2, 1, 0xFFFFFFFF)), 3)


def huge_array_of_nothing_in_a_struct() -> bytes:
    types = INT + type_(4, 0) + type_(3, 0, struct.pack("=III", 2, 1, 0xFFFFFFFF))
    return ring_of(types + type_(4, 4, struct.pack("=IIIIII", VALUE, 3, 0, TYPE_NAME, 1, 0), vlen=2), 4)


def deep_structs() -> bytes:
    types = INT
    for number in range(1, 60):
        types += type_(4, 4 * (number + 1), struct.pack("=IIIIII", VALUE, number, 32, TYPE_NAME, 1, 0), vlen=2)
    return ring_of(types, 60)


def large_record() -> bytes:
    """The largest record that is read: an array of 4 million numbers."""
    return ring_of(INT + type_(3, 0, struct.pack("=III", 1, 1, 1 << 22)), 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (many_maps, "more than 4096 variables"),
        (many_structs, ""),
        (many_documents, ""),
        (many_sections_over_one, "its sections overlap"),
        (wide_names, ""),
        pytest.param(lambda: tower(4), "more than 4096 members", id="structs that hold another twice"),
        pytest.param(lambda: tower(5), "more than 4096 members", id="unions that hold another twice"),
        (deep_arrays, "cannot be sent"),
        (empty_arrays, ""),
        (huge_array_of_nothing_in_a_struct, ""),
        (deep_structs, ""),
        (large_record, ""),
    ],
)
def test_hostile_objects_take_neither_time_nor_memory(make, message: str) -> None:
    """Those without a message are read: it is only that there is much of everything."""
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # coverage.py would take its own time and memory.
    tracer = sys.gettrace()
    sys.settrace(None)

    try:
        said = read_hostile(data)
    finally:
        sys.settrace(tracer)

    assert message in said
    assert bool(message) == bool(said)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"
