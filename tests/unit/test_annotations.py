"""Annotations: what a doc comment says to people and to skep, and what is said of a wrong one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import CompileError, ObjectFormatError
from skep.base.meaning import MEANINGS
from skep.spec.annotations import Note, mistake, read_note

PROGRAM = 'SEC("tp/syscalls/sys_enter_openat")\nint watch(void *ctx) { return 0; }\n'
MAP = """struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");
"""
VARIABLE = "const volatile u32 limit = 3;\n"
LICENSE = 'char LICENSE[] SEC("license") = "GPL";\n'


@pytest.mark.parametrize(
    ("comment", "text", "marks"),
    [
        pytest.param("", "", {}, id="nothing"),
        pytest.param("How many.", "How many.", {}, id="text"),
        pytest.param("How many.\nAt most.", "How many.\nAt most.", {}, id="text of two lines"),
        pytest.param("@optional", "", {"optional": [""]}, id="a word alone"),
        pytest.param("@ifindex 2", "", {"ifindex": ["2"]}, id="a number"),
        pytest.param("@ifindex 2\n@flags 0", "", {"ifindex": ["2"], "flags": ["0"]}, id="two words"),
        pytest.param(
            "Watches.\n@oneof entry\nAll of it.", "Watches.\nAll of it.", {"oneof": ["entry"]}, id="amid text"
        ),
        pytest.param("@event struct a\n@event struct b", "", {"event": ["struct a", "struct b"]}, id="a word twice"),
        pytest.param('@tcopts {"handle":1}', "", {"tcopts": ['{"handle":1}']}, id="an object"),
        pytest.param(
            '@sample {"interval": 9,\n  "unit": "us"}\nWaits.',
            "Waits.",
            {"sample": ['{"interval": 9,\n  "unit": "us"}']},
            id="an object of two lines",
        ),
        pytest.param('@tcopts {"handle":\nmore', "more", {"tcopts": ['{"handle":']}, id="half an object"),
        pytest.param('@description "Process"', "Process", {"description": ['"Process"']}, id="text as a JSON string"),
        pytest.param("@description Process", "Process", {"description": ["Process"]}, id="text as it stands"),
        pytest.param("@description 1e5", "1e5", {"description": ["1e5"]}, id="text that JSON takes for a number"),
        pytest.param("@description null", "null", {"description": ["null"]}, id="text that JSON takes for nothing"),
        pytest.param("@brief One.\nTwo.", "One.\nTwo.", {"brief": ["One.\nTwo."]}, id="text reaches to the next word"),
        pytest.param("@brief One.\n@details Two.", "One.\nTwo.", {"brief": ["One."], "details": ["Two."]}, id="texts"),
        pytest.param("@version 0.1", "", {"version": ["0.1"]}, id="a version is no text"),
        pytest.param("@param a the first", "param: a the first", {"param": ["a the first"]}, id="a word of Doxygen"),
        pytest.param("mail to me@home", "mail to me@home", {}, id="an address"),
        pytest.param("see the @ifindex", "see the @ifindex", {}, id="a word amid a line is text"),
        pytest.param("@foo:bar", "@foo:bar", {}, id="a colon makes it something else"),
        pytest.param("  @optional", "", {"optional": [""]}, id="an indented word"),
    ],
)
def test_a_comment_is_text_and_annotations(comment: str, text: str, marks: dict[str, list[str]]) -> None:
    note = read_note(comment)

    assert note.text == text
    assert {word: list(arguments) for word, arguments in note.marks.items()} == marks


def test_a_note_gives_the_values_of_its_annotations() -> None:
    note = read_note('@ifindex 2\n@tcopts {"handle": 1}\n@oneof entry\n@event struct a\n@event struct b\n@link false')

    assert (note.value("ifindex"), note.value("oneof"), note.value("link")) == (2, "entry", False)
    assert note.value("event") == "struct b"
    assert note.object("tcopts") == {"handle": 1}
    assert note.value("flags") is None
    assert note.object("sample") == {}


def test_an_annotation_that_is_no_object_is_an_error_where_one_is_needed() -> None:
    """As in an object that somebody else made."""
    with pytest.raises(ObjectFormatError, match="@tcopts takes a JSON object, not 3"):
        read_note("@tcopts 3").object("tcopts")


GOOD = {
    "program": [
        '@tchook {"ifindex":1, "attach_point":"BPF_TC_INGRESS"}',
        '@tchook {"ifindex":1, "attach_point":"BPF_TC_EGRESS"}',
        '@tcopts {"handle":1, "priority":1}',
        '@xdpopts {"old_prog_fd":0}',
        "@ifindex 1",
        "@flags 0",
        "@link false",
        "@oneof entry",
        "@optional",
        "@required",
        "@description any",
        "@param ctx whatever",
    ],
    "map": [
        '@sample {"interval": 1000, "type": "log2_hist"}',
        '@sample {"interval": 1000, "type": "linear_hist", "unit": "us", "clear_map": true}',
        '@sample {"interval": 1000, "type": "default_kv"}',
        '@intepreter {"stack_trace": {"field_map": {"pid": "id"}, "with_symbols": true}}',
        "@event struct event",
        "@event unsigned long long",
        "@required",
    ],
    "variable": [
        '@cmdarg {"default": 0, "short": "p", "long": "pid", "help": "Only this process"}',
        '@cmdarg {"default": "bash"}',
        '@cmdarg {"default": null}',
        '@cmdarg {"default": 0.5}',
        "@format ipv4",
    ],
    "field": [f"@format {word}" for word in sorted(MEANINGS)],
    "struct": ["@event struct event", "@format ipv4", "@brief any"],
}


@pytest.mark.parametrize(("kind", "comment"), [(kind, comment) for kind in GOOD for comment in GOOD[kind]])
def test_annotations_that_are_right(kind: str, comment: str) -> None:
    assert mistake(read_note(comment), kind) is None


@pytest.mark.parametrize(
    ("kind", "comment", "message", "remedy"),
    [
        ("program", "@optionl", "there is no annotation @optionl", "Did you mean @optional?"),
        ("program", "@tc_hook {}", "there is no annotation @tc_hook", "Did you mean @tchook?"),
        ("program", "@desciption x", "there is no annotation @desciption", "Did you mean @description?"),
        ("program", "@quux", "there is no annotation @quux", "Those of a program are: @tchook, "),
        ("variable", "@quux", "there is no annotation @quux", "Those of a variable are: @cmdarg, @format, @required."),
        ("map", '@interpreter {"stack_trace": {}}', "there is no annotation @interpreter", "Did you mean @intepreter?"),
        ("map", "@tchook {}", "@tchook says nothing of a map", "It belongs before a program."),
        ("variable", '@sample {"interval": 1}', "@sample says nothing of a variable", "It belongs before a map."),
        ("program", "@format ipv4", "@format says nothing of a program", "It belongs before a variable or a field."),
        ("struct", "@ifindex 1", "@ifindex says nothing of a struct", "It belongs before a program."),
        ("program", "@ifindex lo", "@ifindex takes a number, not 'lo'", ""),
        ("program", "@ifindex -1", "@ifindex takes a number, not '-1'", ""),
        ("program", "@ifindex true", "@ifindex takes a number, not 'true'", ""),
        ("program", f"@flags {1 << 32}", f"@flags takes a number, not '{1 << 32}'", ""),
        ("program", "@link maybe", "@link takes true or false, not 'maybe'", ""),
        ("program", "@optional often", "@optional takes nothing, not 'often'", ""),
        ("program", "@oneof", "@oneof takes a name, not ''", ""),
        ("program", "@oneof a b", "@oneof takes a name, not 'a b'", ""),
        ("program", "@tchook ingress", "@tchook takes a JSON object, not 'ingress'", ""),
        ("program", '@tchook {"ifindex":1', "@tchook takes a JSON object, not '{\"ifindex\":1'", ""),
        ("program", '@tchook {"index":1}', "@tchook has no 'index'", "Did you mean ifindex?"),
        ("program", '@tcopts {"x":1}', "@tcopts has no 'x'", "It has: handle, priority."),
        ("program", '@tchook {"ifindex":"lo"}', "'ifindex' of @tchook takes a number, not 'lo'", ""),
        (
            "program",
            '@tchook {"attach_point":"INGRESS"}',
            "'attach_point' of @tchook takes one of BPF_TC_INGRESS, BPF_TC_EGRESS, BPF_TC_CUSTOM, not 'INGRESS'",
            "",
        ),
        (
            "map",
            '@sample {"type": []}',
            "'type' of @sample takes one of log2_hist, linear_hist, default_kv, not []",
            "",
        ),
        ("map", '@sample {"clear_map": 1}', "'clear_map' of @sample takes true or false, not 1", ""),
        ("map", '@intepreter {"stack_trace": 1}', "'stack_trace' of @intepreter takes a JSON object, not 1", ""),
        ("map", "@event", "@event takes text, not ''", ""),
        ("variable", '@cmdarg {"short": "pid"}', "'short' of @cmdarg takes a letter, not 'pid'", ""),
        ("variable", '@cmdarg {"short": 1}', "'short' of @cmdarg takes a letter, not 1", ""),
        ("variable", '@cmdarg {"long": ""}', "'long' of @cmdarg takes text, not ''", ""),
        ("variable", '@cmdarg {"default": [1]}', "'default' of @cmdarg takes a value, not [1]", ""),
        ("field", "@format ipv5", "@format takes a meaning, not 'ipv5'", "The meanings are: "),
    ],
)
def test_annotations_that_are_wrong(kind: str, comment: str, message: str, remedy: str) -> None:
    found = mistake(read_note(comment), kind)

    assert found is not None
    assert found.message == message
    assert (found.suggestion or "").startswith(remedy)


@given(st.text())
def test_any_comment_can_be_read(comment: str) -> None:
    note = read_note(comment)

    assert isinstance(note, Note)
    for word in note.marks:
        note.value(word)
        assert word.isidentifier() or word[0].isdigit()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
WORDS = ["tchook", "tcopts", "xdpopts", "ifindex", "flags", "link", "oneof", "optional", "event", "sample", "cmdarg"]


@given(st.sampled_from(["program", "map", "variable", "field", "struct"]), st.sampled_from(WORDS), json_values)
def test_any_argument_is_right_or_a_diagnostic(kind: str, word: str, value: object) -> None:
    note = read_note(f"@{word} {json.dumps(value)}")

    assert list(note.marks) == [word]
    found = mistake(note, kind)
    assert found is None or word in found.message


@given(st.dictionaries(st.text(), json_values), st.text("abc .\n", max_size=20))
def test_an_object_is_read_to_its_end_whatever_stands_in_it(value: dict[str, object], behind: str) -> None:
    note = read_note(f"@sample {json.dumps(value, indent=1)}\n{behind}")

    assert note.object("sample") == value
    assert note.text == behind.strip()


# How a comment may be written. What stands in it is the same.
FORMS = {
    "lines": "/// Only some.\n/// {word} {argument}\n{declaration}",
    "lines with a mark": "//! Only some.\n//! {word} {argument}\n{declaration}",
    "no blank": "///Only some.\n///{word} {argument}\n{declaration}",
    "block": "/** Only some.\n * {word} {argument}\n */\n{declaration}",
    "block with a mark": "/*! Only some.\n {word} {argument} */\n{declaration}",
    "an empty line": "/// Only some.\n/// {word} {argument}\n\n{declaration}",
    "the word first": "/// {word} {argument}\n/// Only some.\n{declaration}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "word", "argument", "declaration"),
    [
        pytest.param("programs", "@ifindex", "1", PROGRAM, id="program"),
        pytest.param("maps", "@sample", '{"interval": 1000, "type": "log2_hist"}', MAP, id="map"),
        pytest.param("variables", "@cmdarg", '{"long": "most"}', VARIABLE, id="variable"),
    ],
)
def test_a_comment_may_be_written_in_every_form(form, kind, word, argument, declaration, spec_of) -> None:
    spec = spec_of(FORMS[form].format(word=word, argument=argument, declaration=declaration))

    (found,) = getattr(spec, kind).values()
    assert found.note.text == "Only some."
    assert found.note.value(word[1:]) == json.loads(argument)


def test_the_comment_behind_a_variable_counts(spec_of) -> None:
    spec = spec_of("const volatile u32 limit = 3; ///< @format bytes\n")

    assert spec.variables["limit"].note.value("format") == "bytes"


def test_a_program_that_a_macro_declares_has_its_comment(spec_of) -> None:
    spec = spec_of(
        "#define BPF_KPROBE_LIKE(name, args...) name(void *ctx);"
        "static __attribute__((always_inline)) int ____##name(void *ctx, ##args);"
        "int name(void *ctx) { return ____##name(ctx, 0); }"
        "static __attribute__((always_inline)) int ____##name(void *ctx, ##args)\n"
        '/// Watches removals.\n/// @oneof entry\nSEC("kprobe/do_unlinkat")\n'
        "int BPF_KPROBE_LIKE(removed, int dfd)\n{\n\treturn 0;\n}\n"
    )

    assert spec.programs["removed"].note.text == "Watches removals."
    assert spec.programs["removed"].note.value("oneof") == "entry"


def test_the_comment_of_a_field_gives_its_meaning(build) -> None:
    from skep.spec.document import read_document
    from skep.spec.elf import Elf

    data = build(
        "struct event {\n\t/// @format ipv4\n\tu32 address;\n\tu32 limit; ///< @format bytes\n"
        "\t/// How many.\n\tu32 plain;\n};\n"
        '/// @event struct event\nstruct { __uint(type, BPF_MAP_TYPE_RINGBUF); } events SEC(".maps");\n'
    )

    document = read_document(Elf(data, "x.o").by_name[".skep"].data, "x.o")
    assert document.formats == {"struct event": {"address": "ipv4", "limit": "bytes"}}


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        pytest.param(
            "/// @ifindx 1\n" + PROGRAM, "program.bpf.c:5:5: there is no annotation @ifindx", "Did you mean @i"
        ),
        pytest.param(
            "/// @sampel {}\n" + MAP, "program.bpf.c:4:1: there is no annotation @sampel", "Did you mean @sam"
        ),
        pytest.param("/// @cmdargs {}\n" + VARIABLE, "program.bpf.c:4:20: there is no annotation @cmdargs", "Did you"),
        pytest.param(
            "struct event {\n\tu32 a; ///< @format hexx\n};\n",
            "program.bpf.c:4:6: @format takes a meaning",
            "The meanings",
        ),
        pytest.param(
            '/// @tchook {"ifindex": 1}\nstruct header { u32 a; };\n',
            "program.bpf.c:4:8: @tchook says nothing of a struct",
            "It belongs before a program.",
        ),
    ],
)
def test_a_wrong_annotation_is_an_error_with_its_place(text: str, message: str, remedy: str, spec_of) -> None:
    with pytest.raises(CompileError) as raised:
        spec_of(text)

    assert message in str(raised.value)
    assert str(raised.value.remedy).startswith(remedy)
    (found,) = raised.value.diagnostics
    assert found.file is not None
    assert found.file.endswith("program.bpf.c")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("/** @brief Adds.\n * @quux 1 */\n" + PROGRAM, id="a word of another tool in a block"),
        pytest.param("// @quux 1\n" + PROGRAM, id="not a doc comment"),
        pytest.param(
            "/// @quux 1\nstatic int add(int a) { return a + 1; }\n" + PROGRAM.replace("return 0", "return add(1)"),
            id="a static function is no program",
        ),
    ],
)
def test_what_is_not_meant_for_skep_is_let_pass(text: str, spec_of) -> None:
    assert list(spec_of(text).programs) == ["watch"]


# Sources as people write them for eunomia-bpf: annotations of each kind, and where they end up.


def test_a_source_with_options_works_as_it_stands(spec_of) -> None:
    spec = spec_of(
        "/// Process ID to trace\nconst volatile int pid_target = 0;\n\n"
        '/// @description "Thread ID to trace"\nconst volatile int tgid_target = 0;\n\n'
        "/// trace only failed events\n"
        '/// @cmdarg {"default": false, "short": "f", "long": "failed"}\nconst volatile bool targ_failed = false;\n\n'
        + PROGRAM
        + '/// @description "Trace open family syscalls."\n'
        + LICENSE
    )

    assert [variable.help for variable in spec.variables.values()] == [
        "Process ID to trace",
        "Thread ID to trace",
        "trace only failed events",
    ]
    assert spec.variables["targ_failed"].note.object("cmdarg") == {"default": False, "short": "f", "long": "failed"}
    assert spec.description == "Trace open family syscalls."


def test_a_source_with_a_sampled_map_works_as_it_stands(spec_of) -> None:
    spec = spec_of(
        "#define MAX_SLOTS 26\n#define TASK_COMM_LEN 16\n"
        "struct hist { __u32 slots[MAX_SLOTS]; char comm[TASK_COMM_LEN]; };\nstatic struct hist zero;\n"
        '/// @sample {"interval": 1000, "type": "log2_hist"}\n'
        + MAP.replace("u64", "struct hist").replace("counts", "hists")
        + PROGRAM.replace("return 0", "u32 key = 0; bpf_map_update_elem(&hists, &key, &zero, 0); return 0")
        + LICENSE
    )

    assert spec.maps["hists"].note.object("sample") == {"interval": 1000, "type": "log2_hist"}


def test_a_source_for_the_network_works_as_it_stands(spec_of) -> None:
    spec = spec_of(
        '/// @tchook {"ifindex":1, "attach_point":"BPF_TC_INGRESS"}\n/// @tcopts {"handle":1, "priority":1}\n'
        'SEC("tc")\nint tc_ingress(void *ctx) { return 0; }\n\n'
        '/// @ifindex 1\n/// @flags 0\n/// @xdpopts {"old_prog_fd":0}\n'
        'SEC("xdp")\nint xdp_pass(void *ctx) { return 2; }\n' + LICENSE
    )

    ingress, passing = spec.programs["tc_ingress"].note, spec.programs["xdp_pass"].note
    assert ingress.object("tchook") == {"ifindex": 1, "attach_point": "BPF_TC_INGRESS"}
    assert ingress.object("tcopts") == {"handle": 1, "priority": 1}
    assert (passing.value("ifindex"), passing.value("flags")) == (1, 0)
    assert passing.object("xdpopts") == {"old_prog_fd": 0}
