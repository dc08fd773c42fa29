"""The `.skep` section: from the words of a source to the object and back, and what is said of a damaged one."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import ObjectFormatError
from skep.spec.document import Document, embedded_digest, read_document, type_variable, wrap_source
from skep.spec.elf import Elf
from skep.spec.objectspec import ObjectSpec

GOOD = {
    "version": 2,
    "events": {"ring": ["struct event"]},
    "tags": {"ring": {"field": "kind", "values": {"struct event": [1]}}},
    "formats": {"struct event": {"address": "ipv4"}},
    "notes": {"x": "words"},
    "digest": "abc",
}


def section(*contents: object) -> memoryview:
    return memoryview(b"".join(json.dumps(content).encode() + b"\0" for content in contents))


def test_a_document_is_read() -> None:
    document = read_document(section(GOOD), "x.o")

    assert (document.events, document.notes, document.digest) == ({"ring": ["struct event"]}, {"x": "words"}, "abc")


def test_an_object_without_one_says_nothing() -> None:
    document = read_document(memoryview(b""), "x.o")

    assert (document.events, document.notes, document.digest) == ({}, {}, "")


def test_the_documents_of_linked_objects_are_merged() -> None:
    events = {"ring": ["struct other", "struct event"], "b": ["u32"]}

    document = read_document(section(GOOD, {**GOOD, "events": events, "notes": {"y": ""}, "digest": "def"}), "x.o")

    assert document.events == {"ring": ["struct event", "struct other"], "b": ["u32"]}
    assert document.notes == {"x": "words", "y": ""}
    assert document.digest == "abcdef"


def test_the_tags_of_linked_objects_are_joined() -> None:
    tags = {"ring": {"field": "kind", "values": {"struct other": [2]}}, "b": {"field": "x", "values": {}}}

    document = read_document(section(GOOD, {**GOOD, "tags": tags}), "x.o")

    assert {ring: (tag.field, tag.values) for ring, tag in document.tags.items()} == {
        "ring": ("kind", {"struct event": [1], "struct other": [2]}),
        "b": ("x", {}),
    }


def test_of_linked_objects_with_different_tags_the_last_counts() -> None:
    tags = {"ring": {"field": "type", "values": {"struct other": [2]}}}

    (tag,) = read_document(section(GOOD, {**GOOD, "tags": tags}), "x.o").tags.values()

    assert (tag.field, tag.values) == ("type", {"struct other": [2]})


def test_what_is_said_from_outside_overrules_ring_by_ring() -> None:
    own = read_document(section({**GOOD, "events": {"ring": ["struct event"], "b": ["u32"]}}), "x.o")

    document = own.overruled_by(Document({"ring": ["u64"]}, {"y": "more"}, "", formats={"struct x": {"a": "pid"}}))

    assert document.events == {"ring": ["u64"], "b": ["u32"]}
    assert document.notes == {"x": "words", "y": "more"}
    assert document.tags == {}
    assert document.formats == {"struct event": {"address": "ipv4"}, "struct x": {"a": "pid"}}
    assert document.digest == "abc"


def test_padding_between_documents_is_skipped() -> None:
    data = bytes(section(GOOD)) + b"\0\0\0" + bytes(section({**GOOD, "digest": "d"})) + b"\0"

    assert read_document(memoryview(data), "x.o").digest == "abcd"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"{", "is damaged", id="half of JSON"),
        pytest.param(b"\xff\xfe{}", "is damaged", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "is damaged", id="100,000 brackets"),
        pytest.param(b'{"version":' + b"9" * 5000 + b"}", "is damaged", id="a number of 5000 digits"),
        pytest.param(b"[]", "it has no version", id="a list"),
        pytest.param(b"5", "it has no version", id="a number"),
        pytest.param(b"{}", "it has no version", id="nothing in it"),
        pytest.param(section({**GOOD, "version": 3}), "another version than 2", id="a later version"),
        pytest.param(section({**GOOD, "version": "1"}), "another version than 2", id="a version that is text"),
        pytest.param(section({**GOOD, "version": [1]}), "another version than 2", id="a version that is a list"),
        *(
            pytest.param(section({**GOOD, key: value}), "missing, or of the wrong type", id=f"{key} that are {kind}")
            for key in ("events", "tags", "formats", "notes", "digest")
            for kind, value in {"missing": None, "a number": 5, "a list": ["a"], "wrong inside": {"a": 5}}.items()
        ),
        pytest.param(section({**GOOD, "events": {"a": "text"}}), "wrong type", id="a type that is no list"),
        pytest.param(section({**GOOD, "events": {"a": [["b"]]}}), "wrong type", id="a type that is a list of lists"),
        pytest.param(section({**GOOD, "notes": {"a": "\ud800"}}), "wrong type", id="half a character"),
        pytest.param(section({**GOOD, "tags": {"a": {"field": "b"}}}), "wrong type", id="a tag without values"),
        pytest.param(
            section({**GOOD, "tags": {"a": {"field": "b", "values": {"c": [True]}}}}), "wrong type", id="a tag's value"
        ),
    ],
)
def test_a_damaged_document_is_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(ObjectFormatError, match=message) as raised:
        read_document(memoryview(data), "x.o")

    assert str(raised.value).startswith("x.o: its .skep section")
    assert str(raised.value.remedy).startswith("Build it again")


keys = st.sampled_from(["version", "events", "tags", "formats", "notes", "digest", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.just(1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=6,
)


@given(st.binary() | st.dictionaries(keys, values).map(lambda value: json.dumps({**GOOD, **value}).encode()))
def test_nothing_but_format_errors_comes_out(data: bytes) -> None:
    try:
        document = read_document(memoryview(data), "x.o")
    except ObjectFormatError:
        return
    assert all(isinstance(name, str) for names in document.events.values() for name in names)
    assert all(isinstance(note, str) for note in document.notes.values())
    assert isinstance(document.digest, str)


NOTES = {
    "quotes": "say \"this\" and 'that'",
    "backslashes": "a\\b \\n \\",
    "newlines": "one\ntwo\r\nthree\t.",
    "not ASCII": "naïve — 蜂 🐝",
    "trigraphs": "what??/ ??( ??= ????/",
    "NUL": "a\0b",
    "control characters": "\x01\x1b[31m\x7f",
    "the end of a comment": "*/ int x; /*",
    "percent": "%s %n",
    "digits behind an escape": "\n123\0" + "7",
    "universal character names": "\\u00e9 \\U0001f41d",
    "more than 4 KB": "words and more " * 1000,
    "a macro of the source": "EVIL used section",
}


def compile_c(text: bytes) -> bytes:
    command = ["clang", "-target", "bpf", "-g", "-trigraphs", "-x", "c", "-c", "-", "-o", "-"]
    return subprocess.run(command, input=text, check=True, capture_output=True).stdout


@pytest.mark.parametrize("words", [pytest.param(text, id=name) for name, text in NOTES.items()])
def test_all_text_survives_the_compiler(words: str) -> None:
    source = b"#define EVIL 1\n#define used 2\n#define section 3\n#define words 4\n"

    elf = Elf(compile_c(wrap_source("/a.c", source, Document({}, {words: words}, "d"))), "x.o")

    assert read_document(elf.by_name[".skep"].data, "x.o").notes == {words: words}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("plain", id="plain"),
        pytest.param("with blanks", id="blanks"),
        pytest.param('with "quotes"', id="quotes"),
        pytest.param("it's", id="an apostrophe"),
        pytest.param("back\\slash\\n", id="backslashes"),
        pytest.param("näme-蜂", id="not ASCII"),
        pytest.param("what??(", id="a trigraph"),
        pytest.param("new\nline", id="a newline"),
        pytest.param("100%d", id="a percent sign"),
        pytest.param("-g", id="a dash in front"),
    ],
)
def test_a_folder_and_a_file_of_any_name_can_be_compiled(name: str, build) -> None:
    """And its own headers are found, its comments kept, its name written into the debug information."""
    data = build(
        '#include "../local.h"\n/// Words.\nconst volatile u32 limit = LIMIT;\n'
        'SEC("tp/a/b") int handle(void *c) { return limit; }\n',
        name=f"{name}/x/{name}.bpf.c",
        headers={f"{name}/local.h": "#define LIMIT 7\n"},
    )

    spec = ObjectSpec.read(data, "x.o")

    assert (spec.variables["limit"].value, spec.variables["limit"].help) == (7, "Words.")
    assert f"/{name}/x/{name}.bpf.c".encode() in bytes(Elf(data, "x.o").by_name[".BTF"].data)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("int x;", id="without a newline at its end"),
        pytest.param("int x; // \\", id="with a backslash at its end"),
        pytest.param("int x;\\", id="with a backslash at its end, behind code"),
        pytest.param("int x;\\\n", id="with a backslash and a newline at its end"),
        pytest.param("\ufeffint x;\n", id="with a byte order mark"),
        pytest.param("int x;\r\nint y;\r\n", id="with line ends of Windows"),
        pytest.param("", id="empty"),
        pytest.param("/// @event u32\n", id="of a comment only"),
    ],
)
def test_a_source_that_ends_or_begins_oddly_is_followed_by_its_document(text: str, build) -> None:
    assert embedded_digest(build(text, preamble=""))


@given(st.lists(st.text(st.sampled_from("ab_ *[]\n0é"), min_size=1), min_size=2, max_size=2, unique=True))
def test_two_types_never_share_a_variable(names: list[str]) -> None:
    first, second = map(type_variable, names)

    assert first != second
    assert first.isidentifier()
    assert first.isascii()


def test_an_object_without_a_document_has_no_digest() -> None:
    assert embedded_digest(compile_c(b"int x;")) == ""
