"""From source to the types of records, and to doc comments."""

import contextlib
import re
import textwrap

import pytest

from skep.base.errors import CompileError, ObjectFormatError, ProgramError, UsageError
from skep.spec.objectspec import ObjectSpec
from skep.spec.reading import read_source

EVENT = "struct event { u32 pid; char comm[16]; u64 ts; };\n"
EVENT_FIELDS = ["pid", "comm", "ts"]
RING = 'struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");\n'
PERF = (
    "struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __type(key, u32); __type(value, u32); }"
    ' events SEC(".maps");\n'
)
HASH = (
    "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, struct event); }"
    ' state SEC(".maps");\n'
)


def program(body: str) -> str:
    return f'SEC("tp/a/b") int handle(void *ctx)\n{{\n{textwrap.dedent(body)}\nreturn 0;\n}}\n'


def reserve(statement: str) -> str:
    """A program that reserves by that statement, and submits what `e` points to."""
    return EVENT + RING + program(f"{statement}\nif (e) bpf_ringbuf_submit(e, 0);")


STRUCT = {
    "reserve in the declaration": reserve("struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);"),
    "reserve assigned later": reserve("struct event *e; e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);"),
    "reserve assigned in a condition": reserve(
        "struct event *e; if (!(e = bpf_ringbuf_reserve(&events, sizeof(*e), 0))) return 0;"
    ),
    "reserve with a cast": reserve("void *e = (struct event *)bpf_ringbuf_reserve(&events, 28, 0);"),
    "reserve with a cast to void *": reserve("struct event *e = (void *)bpf_ringbuf_reserve(&events, 32, 0);"),
    "reserve into void *, sizeof the type": reserve("void *e = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);"),
    "reserve into char *, sizeof the type": reserve("char *e = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);"),
    "reserve with the size as a number": reserve("struct event *e = bpf_ringbuf_reserve(&events, 32, 0);"),
    "reserve into a const volatile pointer": reserve(
        "const volatile struct event *const e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);"
    ).replace("submit(e", "submit((void *)e"),
    "reserve into the head of a larger struct": "struct head { u32 pid; };\n"
    + reserve("struct head *e = bpf_ringbuf_reserve(&events, sizeof(struct event), 0);"),
    "reserve with a cast map argument": reserve(
        "struct event *e = bpf_ringbuf_reserve((void *)(&events), (sizeof(*e)), 0);"
    ),
    "reserve through a macro": "#define SEND(map, T) T *e = bpf_ringbuf_reserve(&map, sizeof(T), 0)\n"
    + reserve("SEND(events, struct event);"),
    "reserve through skep_reserve": '#include "skep.h"\n'
    + reserve("struct event *e = skep_reserve(&events, struct event);"),
    "reserve in a helper that returns the record": EVENT
    + RING
    + "static struct event *start(void) { return bpf_ringbuf_reserve(&events, sizeof(struct event), 0); }\n"
    + program("struct event *e = start(); if (e) bpf_ringbuf_submit(e, 0);"),
    "reserve with typeof": reserve("struct event one; __typeof__(one) *e = bpf_ringbuf_reserve(&events, 32, 0);"),
    "output of a local": EVENT + RING + program("struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);"),
    "output with casts": EVENT
    + RING
    + program("struct event e = {}; bpf_ringbuf_output(&events, (char *)(void *)&e, sizeof(e), 0);"),
    "output of a const local": EVENT
    + RING
    + program("const struct event e = { .pid = 1 }; bpf_ringbuf_output(&events, (void *)&e, sizeof(e), 0);"),
    "output of a buffer, cast to the type": EVENT
    + RING
    + program("char b[32] = {}; bpf_ringbuf_output(&events, (struct event *)b, sizeof(b), 0);"),
    "output from void *, sizeof the type": EVENT
    + RING
    + program("struct event e = {}; void *p = &e; bpf_ringbuf_output(&events, p, sizeof(struct event), 0);"),
    "output of the value of a map": EVENT
    + RING
    + HASH
    + program(
        "u32 k = 0; struct event *e = bpf_map_lookup_elem(&state, &k);"
        "if (e) bpf_ringbuf_output(&events, e, sizeof(*e), 0);"
    ),
    "output without the tail": EVENT
    + RING
    + program("struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e) - sizeof(e.ts), 0);"),
    "output of an element of an array": EVENT
    + RING
    + program("struct event e[2] = {}; bpf_ringbuf_output(&events, e, sizeof(e[0]), 0);"),
    "output of a member": EVENT
    + "struct outer { u64 key; struct event inner; };\n"
    + RING
    + program("struct outer o = {}; bpf_ringbuf_output(&events, &o.inner, sizeof(o.inner), 0);"),
    "perf event output": EVENT
    + PERF
    + program(
        "struct event e = {}; bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e));",
    ),
    "the type of the map's values, which nothing else tells": EVENT
    + RING.replace("} events", "__type(value, struct event); } events")
    + program("char b[32] = {}; bpf_ringbuf_output(&events, b, sizeof(b), 0);"),
    "an annotation, which overrules the type of the map's values": EVENT
    + "/// @event struct event\n"
    + RING.replace("} events", "__type(value, u64); } events")
    + program("u64 b = 0; bpf_ringbuf_output(&events, &b, sizeof(b), 0);"),
    "an annotation among other words": EVENT
    + "/** What happens.\n * @event struct event\n * and more. */\n"
    + RING
    + program("char b[32] = {}; bpf_ringbuf_output(&events, b, sizeof(b), 0);"),
    "an annotation that overrules a type without a name": EVENT
    + "/// @event struct event\n"
    + RING
    + program("struct { u64 a; } e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);"),
    "a typedef of the same struct is the same type": EVENT
    + "typedef struct event event_t;\n"
    + RING
    + program(
        "struct event e = {}; event_t f = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);"
        "bpf_ringbuf_output(&events, &f, sizeof(f), 0);"
    ),
    "reserve in a helper that takes the size": EVENT
    + RING
    + "static void *reserve_buf(__u64 size) { return bpf_ringbuf_reserve(&events, size, 0); }\n"
    + program("struct event *e = reserve_buf(sizeof(*e)); if (e) bpf_ringbuf_submit(e, 0);"),
    "reserve in a helper of a helper, the map given": EVENT
    + RING
    + "static void *inner(void *map, __u64 size) { void *p = bpf_ringbuf_reserve(map, size, 0); return p; }\n"
    + "static void *outer(void *map) { return inner(map, 32); }\n"
    + program("void *p = outer(&events); struct event *e; if (!p) return 0; e = p; bpf_ringbuf_submit(e, 0);"),
    "reserve into void *, which becomes a typed pointer later": reserve(
        "void *e = bpf_ringbuf_reserve(&events, 32, 0); struct event *typed = e; if (typed) typed->pid = 1;"
    ),
    "reserve into void *, which a function takes as a typed pointer": EVENT
    + RING
    + "static void fill(struct event *e) { e->pid = 1; }\n"
    + program("void *e = bpf_ringbuf_reserve(&events, 32, 0); if (!e) return 0; fill(e); bpf_ringbuf_submit(e, 0);"),
    "reserve into void *, which a function takes as void * and casts": EVENT
    + RING
    + "static void fill(void *p) { ((struct event *)p)->pid = 1; }\n"
    + program("void *e = bpf_ringbuf_reserve(&events, 32, 0); if (!e) return 0; fill(e); bpf_ringbuf_submit(e, 0);"),
    "output in a helper that takes anything": EVENT
    + RING
    + "static void submit(void *ctx, void *data, __u64 size) { bpf_ringbuf_output(&events, data, size, 0); }\n"
    + program("struct event e = {}; submit(ctx, &e, sizeof(e));"),
    "output in a helper, the map given to it by another": EVENT
    + PERF
    + "static long last(void *ctx, void *map, void *data, int size)"
    + "{ return bpf_perf_event_output(ctx, map, BPF_F_CURRENT_CPU, data, size); }\n"
    + "static long first(void *ctx, void *data, int size) { return last(ctx, &events, data, size); }\n"
    + program("struct event e = {}; first(ctx, &e, sizeof(e));"),
    "output of what one of two pointers leads to": EVENT
    + RING
    + program(
        "struct event a = {}, b = {}; void *p = ctx ? (void *)&a : (void *)&b;"
        "bpf_ringbuf_output(&events, p, sizeof(a), 0);"
    ),
    "output of the value of a map, kept in void *": EVENT
    + RING
    + HASH
    + program("u32 k = 0; void *p = bpf_map_lookup_elem(&state, &k); if (p) bpf_ringbuf_output(&events, p, 32, 0);"),
    "output through a macro with a statement expression": EVENT
    + RING
    + "#define SEND(x) ({ __typeof__(x) *p = &(x); bpf_ringbuf_output(&events, p, sizeof(*p), 0); })\n"
    + program("struct event e = {}; SEND(e);"),
    "output of a buffer that was filled as the type": EVENT
    + RING
    + program(
        "char b[64] = {}; struct event *e = (void *)b; e->pid = 1; bpf_ringbuf_output(&events, b, sizeof(b), 0);"
    ),
    "output of the type and more, by its size": EVENT
    + RING
    + program("void *p = ctx; u32 n = 4; bpf_ringbuf_output(&events, p, sizeof(struct event) + n, 0);"),
    "output of the start of the type, by an offset": EVENT
    + RING
    + program("void *p = ctx; bpf_ringbuf_output(&events, p, __builtin_offsetof(struct event, ts), 0);"),
    "a recursion that is never left": EVENT
    + RING
    + "static __attribute__((noinline)) int again(void *map, void *p, int n)"
    + "{ if (n) return again(map, p, n - 1); return bpf_ringbuf_output(map, p, 32, 0); }\n"
    + program("struct event e = {}; again(&events, &e, 3);"),
    "a program written by BPF_PROG": "#include <bpf/bpf_tracing.h>\n"
    + EVENT
    + RING
    + 'SEC("tp_btf/x") int BPF_PROG(handle, int a)\n'
    + "{ struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0); return 0; }\n",
    "a callback, which no call names": EVENT
    + RING
    + "static long each(u32 index, void *data)"
    + "{ struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0); return 0; }\n"
    + program("bpf_loop(3, each, 0, 0);"),
    "dynptr, written": EVENT
    + RING
    + program(
        "struct event e = {}; struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&events, 32, 0, &d);"
        "bpf_dynptr_write(&d, 0, &e, sizeof(e), 0); bpf_ringbuf_submit_dynptr(&d, 0);"
    ),
    "dynptr, whose start is looked at": EVENT
    + RING
    + program(
        "struct bpf_dynptr d; bpf_ringbuf_reserve_dynptr(&events, 32, 0, &d);"
        "struct event *e = bpf_dynptr_data(&d, 0, 32); if (e) e->pid = 1; bpf_ringbuf_submit_dynptr(&d, 0);"
    ),
    "dynptr, reserved and written by helpers": EVENT
    + RING
    + "static void start(struct bpf_dynptr *d, u32 size) { bpf_ringbuf_reserve_dynptr(&events, size, 0, d); }\n"
    + "static void end(struct bpf_dynptr *d, void *p, u32 size) { bpf_dynptr_write(d, 0, p, size, 0); }\n"
    + program(
        "struct event e = {}; struct bpf_dynptr d; start(&d, 32); end(&d, &e, sizeof(e));"
        "bpf_ringbuf_submit_dynptr(&d, 0);"
    ),
    "a ring in a map of maps": EVENT
    + RING
    + "struct ring { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); };\n"
    + "struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, int);"
    + '__array(values, struct ring); } rings SEC(".maps") = { .values = { (void *)&events } };\n'
    + program(
        "u32 k = 0; void *map = bpf_map_lookup_elem(&rings, &k); struct event e = {};"
        "if (map) bpf_ringbuf_output(map, &e, sizeof(e), 0);"
    ),
    "a ring that comes from nowhere, the only one": EVENT
    + RING
    + program("struct event e = {}; void *map = ctx; bpf_ringbuf_output(map, &e, sizeof(e), 0);"),
    "the type that an unused pointer keeps": EVENT
    + RING
    + "const struct event *unused __attribute__((unused));\n"
    + program("char *b = bpf_ringbuf_reserve(&events, 32, 0); if (b) bpf_ringbuf_submit(b, 0);"),
    "the type that a pointer of another loader keeps": EVENT
    + RING
    + "const volatile struct event * __eunomia_dummy_event_ptr  __attribute__((unused));\n"
    + program("char *b = bpf_ringbuf_reserve(&events, 32, 0); if (b) bpf_ringbuf_submit(b, 0);"),
    "a struct within the function": RING
    + program(
        "struct event { u32 pid; char comm[16]; u64 ts; } e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);"
    ),
    "a function that nothing calls and that returns nothing": EVENT
    + RING
    + "static __attribute__((used)) void late(void *e) { bpf_ringbuf_output(&events, (struct event *)e, 32, 0); }\n",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in STRUCT.items()])
def test_the_struct_that_a_ring_carries_is_found(text: str, spec_of) -> None:
    spec = spec_of(text)

    assert [field.name for field in spec.events["events"].schemas[0].fields] == EVENT_FIELDS
    assert spec.events["events"].schemas[0].name in {"event", "event_t"}
    assert spec.events["events"].schemas[0].size == 32


@pytest.mark.parametrize(
    ("declared", "body", "name", "fields"),
    [
        pytest.param(
            "typedef struct { u32 a; } event_t;",
            "event_t *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0); if (e) bpf_ringbuf_submit(e, 0);",
            "event_t",
            [("a", "u32")],
            id="typedef of a struct without a name",
        ),
        pytest.param(
            "typedef struct tag { u32 a; } event_t;",
            "event_t e = {}; bpf_ringbuf_output(&events, &e, sizeof(event_t), 0);",
            "event_t",
            [("a", "u32")],
            id="typedef of a struct with a name",
        ),
        pytest.param(
            "typedef struct { u32 a; } event_t; typedef event_t *event_ptr;",
            "event_ptr e = bpf_ringbuf_reserve(&events, sizeof(*e), 0); if (e) bpf_ringbuf_submit(e, 0);",
            "event_t",
            [("a", "u32")],
            id="typedef of a pointer",
        ),
        pytest.param(
            "union either { u32 a; u64 b; };",
            "union either e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);",
            "either",
            [("a", "u32"), ("b", "u64")],
            id="union",
        ),
        pytest.param(
            "",
            "char text[24] = {}; bpf_ringbuf_output(&events, text, sizeof(text), 0);",
            "events",
            [("value", "char[24]")],
            id="char array",
        ),
        pytest.param(
            "",
            "char text[24] = {}; bpf_ringbuf_output(&events, &text, 24, 0);",
            "events",
            [("value", "char[24]")],
            id="address of a char array",
        ),
        pytest.param(
            "",
            "u64 n = 1; bpf_ringbuf_output(&events, &n, sizeof(n), 0);",
            "events",
            [("value", "u64")],
            id="number with a typedef",
        ),
        pytest.param(
            "",
            "unsigned int n = 1; bpf_ringbuf_output(&events, &n, sizeof(n), 0);",
            "events",
            [("value", "unsigned int")],
            id="number of a built-in type",
        ),
        pytest.param(
            "",
            "u8 n = 1; bpf_ringbuf_output(&events, &n, sizeof(n), 0);",
            "events",
            [("value", "u8")],
            id="single byte",
        ),
        pytest.param(
            "enum kind { A, B };",
            "enum kind k = B; bpf_ringbuf_output(&events, &k, sizeof(k), 0);",
            "events",
            [("value", "enum kind")],
            id="enum",
        ),
        pytest.param(
            "struct point { u32 x, y; };",
            "struct point line[2][3] = {}; bpf_ringbuf_output(&events, line, sizeof(line), 0);",
            "events",
            [("value", "struct point[2][3]")],
            id="array of arrays of structs",
        ),
        pytest.param(
            "",
            "void *p = ctx; bpf_ringbuf_output(&events, &p, 8, 0);",
            "events",
            [("value", "void *")],
            id="pointer",
        ),
    ],
)
def test_records_that_are_no_plain_struct(
    declared: str, body: str, name: str, fields: list[tuple[str, str]], spec_of
) -> None:
    schema = spec_of(declared + "\n" + RING + program(body)).events["events"].schemas[0]

    assert schema.name == name
    assert [(field.name, field.type.name) for field in schema.fields] == fields


def test_a_type_and_a_helper_of_local_headers_are_found(spec_of) -> None:
    headers = {
        "common/event.h": EVENT,
        "common/send.h": "static void send(void)"
        "{ struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0); }\n",
    }
    text = '#include "../common/event.h"\n' + RING + '#include "../common/send.h"\n' + program("send();")

    spec = spec_of(text, name="a/b.bpf.c", headers=headers)

    assert [field.name for field in spec.events["events"].schemas[0].fields] == EVENT_FIELDS


def test_each_ring_has_its_own_type(spec_of) -> None:
    spec = spec_of(
        "struct one { u32 a; }; struct two { u64 b; };\n"
        + RING
        + RING.replace("events", "more")
        + program(
            "struct one a = {}; struct two b = {}; bpf_ringbuf_output(&events, &a, sizeof(a), 0);"
            "bpf_ringbuf_output(&more, &b, sizeof(b), 0);"
        )
    )

    assert {ring: event.schemas[0].name for ring, event in spec.events.items()} == {"events": "one", "more": "two"}


def test_a_parameter_named_like_a_ring_is_the_ring_that_is_given(spec_of) -> None:
    spec = spec_of(
        EVENT
        + RING
        + RING.replace("events", "more")
        + "static __attribute__((noinline)) int send(void *events, struct event *e)"
        + "{ return bpf_ringbuf_output(events, e, sizeof(*e), 0); }\n"
        + program("struct event e = {}; send(&more, &e);")
    )

    assert spec.events["more"].schemas[0].name == "event"
    assert spec.events["events"].question


def test_a_local_pointer_named_like_a_ring_is_not_the_ring(spec_of) -> None:
    spec = spec_of(
        EVENT
        + RING
        + RING.replace("events", "more")
        + program("struct event e = {}; void *more = &events; bpf_ringbuf_output(more, &e, sizeof(e), 0);")
    )

    assert spec.events["events"].schemas[0].name == "event"
    assert spec.events["more"].question


def test_a_perf_event_array_that_nothing_is_sent_through_carries_no_events(spec_of) -> None:
    spec = spec_of(PERF + program("return bpf_perf_event_read(&events, 0);"))

    assert list(spec.maps) == ["events"]
    assert spec.events == {}


@pytest.mark.parametrize(
    ("text", "question"),
    [
        pytest.param(
            "struct one { u32 a; }; struct two { u32 b; };\n"
            + RING
            + program(
                "struct one a = {}; struct two b = {}; bpf_ringbuf_output(&events, &a, sizeof(a), 0);"
                "bpf_ringbuf_output(&events, &b, sizeof(b), 0);"
            ),
            "which of struct one, struct two events carries cannot be told: "
            "--event 'events=struct one', or before the map: /// @event struct one",
            id="several types of one size on one ring",
        ),
        pytest.param(
            RING + program("char *b = bpf_ringbuf_reserve(&events, 64, 0); if (b) bpf_ringbuf_submit(b, 0);"),
            "the type of the records of events cannot be told: "
            "--event 'events=struct event', or before the map: /// @event struct event",
            id="a buffer of bytes",
        ),
        pytest.param(
            RING
            + program("char *b = bpf_ringbuf_reserve(&events, sizeof(char[64]), 0); if (b) bpf_ringbuf_submit(b, 0);"),
            "the type of the records of events cannot be told",
            id="sizeof an array type, which libclang does not show",
        ),
        pytest.param(
            PERF + program("void *p = ctx; bpf_perf_event_output(ctx, &events, 0, p, 32);"),
            "the type of the records of events cannot be told",
            id="void * through a perf event array, whose value is a file descriptor",
        ),
    ],
)
def test_what_cannot_be_told_is_bytes_and_a_question(text: str, question: str, spec_of) -> None:
    event = spec_of(text).events["events"]

    assert event.question.startswith(question)
    assert [schema.is_raw for schema in event.schemas] == [True]
    assert event.schemas[0].decode(b"\1\2\3") == (b"\1\2\3",)


@pytest.mark.parametrize(
    ("text", "error", "message", "remedy"),
    [
        pytest.param(
            EVENT + "/// @event struct evnt\n" + RING,
            CompileError,
            "program.bpf.c:5:.*: @event struct evnt: there is no such type",
            "Did you mean struct event?",
            id="an annotation with a misspelt type",
        ),
        pytest.param(
            EVENT + "/// @event event\n" + RING,
            CompileError,
            "@event event: there is no such type",
            "Did you mean struct event?",
            id="an annotation without the word struct",
        ),
        pytest.param(
            "struct unknown;\n/// @event struct unknown\n" + RING,
            CompileError,
            "@event struct unknown: there is no such type",
            "",
            id="an annotation with a struct that has no members",
        ),
    ],
)
def test_a_wrong_annotation_is_an_error_that_says_what_to_write(
    text: str, error: type[ProgramError], message: str, remedy: str, spec_of
) -> None:
    with pytest.raises(error, match=message) as raised:
        spec_of(text)

    assert type(raised.value) is error
    assert remedy in str(raised.value.remedy)


def test_an_annotation_with_a_built_in_type(spec_of) -> None:
    spec = spec_of("/// @event unsigned long long\n" + RING)

    assert spec.events["events"].schemas[0].fields[0].type.name == "unsigned long long"


def test_an_object_whose_types_were_taken_away_is_refused(build) -> None:
    data = build(STRUCT["output of a local"]).replace(b"__skep_struct_20event", b"__skep_struct_20evenu")

    with pytest.raises(ObjectFormatError, match=r"its \.skep section does not fit: its BTF has no struct event"):
        ObjectSpec.read(data, "x.o")


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        pytest.param("/// How many.", "How many.", id="one line"),
        pytest.param("/// How many.\n/// At most.", "How many.\nAt most.", id="several lines"),
        pytest.param("/** How many. */", "How many.", id="a block on one line"),
        pytest.param("/**\n * How many.\n * At most.\n */", "How many.\nAt most.", id="a block on several lines"),
        pytest.param("//! How many.", "How many.", id="the other way of documentation tools"),
        pytest.param("/*! How many. */", "How many.", id="the other way, a block"),
        pytest.param("// How many.", "", id="not a doc comment"),
        pytest.param("/* How many. */", "", id="a block that is no doc comment"),
        pytest.param("/// a * b */ c // d", "a * b */ c // d", id="marks within the words"),
    ],
)
def test_a_doc_comment_is_the_help_of_a_variable(comment: str, words: str, spec_of) -> None:
    spec = spec_of(f"{comment}\nconst volatile u32 limit = 3;\n")

    assert spec.variables["limit"].help == words


def test_a_doc_comment_behind_a_variable_is_its_help_too(spec_of) -> None:
    assert spec_of("const volatile u32 limit = 3; ///< How many.\n").variables["limit"].help == "How many."


def test_a_doc_comment_on_a_struct_is_not_that_of_its_variables(spec_of) -> None:
    spec = spec_of("/// Settings.\nstruct settings { u32 a; };\nconst volatile struct settings settings = {};\n")

    assert spec.variables["settings"].help == ""


def test_a_doc_comment_on_a_struct_and_its_variable_is_that_of_the_variable(spec_of) -> None:
    spec = spec_of("/// Settings.\nconst volatile struct { u32 a; } settings = {};\n")

    assert spec.variables["settings"].help == "Settings."


def test_the_comment_on_the_licence_describes_the_program(spec_of) -> None:
    spec = spec_of('/// Counts things.\nchar LICENSE[] SEC("license") = "GPL";\n')

    assert spec.description == "Counts things."


def test_several_types_on_one_ring_are_told_apart_by_their_sizes(spec_of) -> None:
    spec = spec_of(
        "struct one { u32 a; }; struct two { u64 b; u64 c; };"
        + RING
        + program(
            "struct one a = {}; struct two b = {}; bpf_ringbuf_output(&events, &a, sizeof(a), 0);"
            "bpf_ringbuf_output(&events, &b, sizeof(b), 0);"
        )
    )
    events = spec.events["events"]

    assert [schema.name for schema in events.schemas] == ["one", "two"]
    assert [events.sent_size(schema) for schema in events.schemas] == [4, 16]
    assert events.tag is None


def test_types_of_one_size_are_told_apart_by_what_programs_store(spec_of) -> None:
    spec = spec_of(
        "enum { OPEN = 3, CLOSE = 7, GONE };\n"
        "struct opened { u32 pid; u32 kind; u32 fd; }; struct closed { u32 pid; u32 kind; u32 code; };\n"
        + RING
        + "static void end(struct closed *c, u32 kind) { c->kind = kind; }\n"
        + program(
            "struct opened o = {}; o.pid = bpf_get_smp_processor_id(); o.kind = OPEN;"
            "bpf_ringbuf_output(&events, &o, sizeof(o), 0);"
            "struct closed *c = bpf_ringbuf_reserve(&events, sizeof(*c), 0); if (!c) return 0;"
            "c->pid = bpf_get_smp_processor_id(); end(c, ctx ? CLOSE : GONE); bpf_ringbuf_submit(c, 0);"
        )
    )
    event = spec.events["events"]

    assert [schema.name for schema in event.schemas] == ["opened", "closed"]
    assert (event.tag.field.name, event.tag.field.offset, event.tag.field.size) == ("kind", 4, 4)
    assert {value: schema.name for value, schema in event.tag.schemas.items()} == {
        3: "opened",
        7: "closed",
        8: "closed",
    }
    assert event.question == ""


HEAD = "struct head { u8 version; s8 kind; };"
HEAD += "struct one { struct head head; u32 a; }; struct two { struct head head; u32 b; };"
TAGGED = {
    "through the head that both start with": (
        HEAD,
        "struct one a = {}; struct two b = {}; struct head *h = &a.head; h->kind = 1; ((struct head *)&b)->kind = -1;",
        ("head.kind", 1),
    ),
    "by a helper that takes the head": (
        HEAD + "static void mark(struct head *h, s8 kind) { h->version = 1; h->kind = kind; }",
        "struct one a = {}; struct two b = {}; mark(&a.head, 1); mark(&b.head, -1);",
        ("head.kind", 1),
    ),
    "by initial values with names": (
        "struct one { u16 x; s8 kind; }; struct two { u16 y; s8 kind; };",
        "struct one a = { .x = 3, .kind = 1 }; struct two b = { .kind = -1 };",
        ("kind", 2),
    ),
    "by initial values without names": (
        "struct one { s8 kind; u16 x; }; struct two { s8 kind; u16 y; };",
        "struct one a = { 1, 2 }; struct two b = { -1, 2 };",
        ("kind", 0),
    ),
    "by a compound literal": (
        "struct one { s8 kind; u16 x; }; struct two { s8 kind; u16 y; };",
        "struct one a = {}; struct two b = {}; a = (struct one){ .kind = 1 }; b = (struct two){ .kind = -1 };",
        ("kind", 0),
    ),
    "in a union without a name": (
        "struct one { u32 x; union { s8 kind; u16 both; }; }; struct two { u32 y; union { s8 kind; u16 both; }; };",
        "struct one a = {}; struct two b = {}; a.kind = 1; b.kind = -1;",
        ("kind", 4),
    ),
}


@pytest.mark.parametrize(
    ("declared", "body", "place"), [pytest.param(*values, id=name) for name, values in TAGGED.items()]
)
def test_a_tag_is_found(declared: str, body: str, place: tuple[str, int], spec_of) -> None:
    send = "bpf_ringbuf_output(&events, &a, sizeof(a), 0); bpf_ringbuf_output(&events, &b, sizeof(b), 0);"
    tag = spec_of(declared + "\n" + RING + program(body + send)).events["events"].tag

    assert (tag.field.name, tag.field.offset) == place
    assert {value: schema.name for value, schema in tag.schemas.items()} == {1: "one", 255: "two"}


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        pytest.param("u32 kind;", "a.kind = 1; b.kind = 1;", id="one value for both"),
        pytest.param("u32 kind;", "a.kind = 1; b.kind = 2; b.kind = 1;", id="one value among those of both"),
        pytest.param("u32 kind;", "a.kind = 1;", id="a value for one only"),
        pytest.param("u32 kind;", "a.kind = 1; b.kind = bpf_get_smp_processor_id();", id="a value that is no constant"),
        pytest.param("u32 kind;", "a.kind = 1; b.kind = 2; b.kind++;", id="a value that is counted up"),
        pytest.param("u32 kind;", "a.kind = 1; b.kind = 2; b.kind |= 1;", id="a value that is computed on"),
        pytest.param(
            "u32 kind;",
            "a.kind = 1; b.kind = 2; bpf_probe_read(&b.kind, 4, ctx);",
            id="a value that another function writes",
        ),
        pytest.param("u32 kind:8;", "a.kind = 1; b.kind = 2;", id="a bitfield"),
        pytest.param("u64 *kind;", "a.kind = 0; b.kind = (u64 *)8;", id="a pointer"),
    ],
)
def test_what_is_no_tag_leaves_a_question(fields: str, body: str, spec_of) -> None:
    send = "bpf_ringbuf_output(&events, &a, sizeof(a), 0); bpf_ringbuf_output(&events, &b, sizeof(b), 0);"
    event = spec_of(
        f"struct one {{ {fields} }}; struct two {{ {fields} }};\n"
        + RING
        + program(f"struct one a = {{}}; struct two b = {{}}; {body} {send}")
    ).events["events"]

    assert event.tag is None
    assert event.question.startswith("which of struct one, struct two events carries cannot be told")


def test_members_in_different_places_are_no_tag(spec_of) -> None:
    event = spec_of(
        "struct one { u32 kind; u32 x; }; struct two { u32 x; u32 kind; };\n"
        + RING
        + program(
            "struct one a = {}; struct two b = {}; a.kind = 1; b.kind = 2;"
            "bpf_ringbuf_output(&events, &a, sizeof(a), 0); bpf_ringbuf_output(&events, &b, sizeof(b), 0);"
        )
    ).events["events"]

    assert event.question


LAYOUT = (
    "{ u8 a; u64 b __attribute__((packed)); u32 c:3, d:5; struct { u16 e; u32 f[2][3]; } g; pair h; enum mode k;"
    "union { u32 i; u8 j; struct { u16 p, q, r; } s; }; u64 l __attribute__((aligned(64))); u8 o; u8 t[]; }"
)


def test_a_struct_within_a_function_keeps_its_layout(spec_of) -> None:
    """That of the same struct outside, as the compiler lays it out."""
    spec = spec_of(
        f"enum mode {{ IDLE, BUSY }}; typedef int pair[2]; struct outside {LAYOUT};\n"
        + RING
        + RING.replace("events", "more")
        + program(
            f"struct inside {LAYOUT} *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0); if (!e) return 0;"
            "bpf_ringbuf_submit(e, 0); struct outside *f = bpf_ringbuf_reserve(&more, sizeof(*f), 0);"
            "if (f) bpf_ringbuf_submit(f, 0);"
        )
    )
    inside, outside = (spec.events[ring].schemas[0] for ring in ("events", "more"))

    assert (inside.name, outside.name) == ("inside", "outside")
    assert inside.size == outside.size == 128
    assert [(field.name, field.offset, field.type.name, field.bits) for field in inside.fields] == [
        (field.name, field.offset, field.type.name, field.bits) for field in outside.fields
    ]
    assert len(inside.fields) == 13


def test_what_only_a_function_knows_is_restated(spec_of) -> None:
    spec = spec_of(
        RING
        + program(
            "enum inner { A = -1 }; struct local { enum inner a; struct local *b; union { u8 c; u16 d; } e; } e = {};"
            "bpf_ringbuf_output(&events, &e, sizeof(e), 0);"
        )
    )
    schema = spec.events["events"].schemas[0]

    assert [(field.name, field.offset, field.type.name) for field in schema.fields] == [
        ("a", 0, "int"),
        ("b", 8, "void *"),
        ("e", 16, "union {...}"),
    ]
    assert [field.name for field in schema.fields[2].type.fields] == ["c", "d"]


def test_a_struct_without_a_name_has_that_of_its_ring(spec_of) -> None:
    spec = spec_of(
        RING
        + program(
            "struct { u64 a; } e = {}; struct { u32 b; } f = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);"
            "bpf_ringbuf_output(&events, &f, sizeof(f), 0);"
        )
    )

    found = {schema.name: [field.name for field in schema.fields] for schema in spec.events["events"].schemas}
    assert found == {"events": ["a"], "events_1": ["b"]}


def test_the_user_overrules_the_source(spec_of) -> None:
    text = EVENT + "struct other { u64 a; };\n/// @event struct event\n" + RING
    text += program("struct event e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);")

    assert spec_of(text).events["events"].schemas[0].name == "event"
    found = spec_of(text, events={"events": ["struct other", "u32"]}).events["events"].schemas
    assert [schema.name for schema in found] == ["other", "events"]


@pytest.mark.parametrize(
    ("events", "message", "remedy"),
    [
        pytest.param(
            {"events": ["struct evnt"]}, "struct evnt: there is no such type", "Did you mean struct event?", id="a type"
        ),
        pytest.param(
            {"events": ["event"]}, "event: there is no such type", "Did you mean struct event?", id="no struct"
        ),
        pytest.param({"evnts": ["u32"]}, "no perf event array evnts", "Did you mean events?", id="a ring"),
        pytest.param({"state": ["u32"]}, "no perf event array state", "There are: events.", id="a map that is no ring"),
    ],
)
def test_what_the_user_names_and_is_not_there(events: dict[str, list[str]], message: str, remedy: str, spec_of) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        spec_of(EVENT + RING + HASH, events=events)

    assert raised.value.remedy == remedy


def test_what_a_field_means_may_be_said(spec_of) -> None:
    spec = spec_of(
        "struct part { u32 where; /**< @format ipv4 */ };\n"
        "typedef struct {\n/// @format duration_us\nu64 ts;\nstruct part part;\n"
        "union {\n/// @format errno\nint a;\nint b;\n};\n} event_t;\n"
        + RING
        + program("event_t e = {}; bpf_ringbuf_output(&events, &e, sizeof(e), 0);")
    )
    fields = {field.name: field for field in spec.events["events"].schemas[0].fields}

    assert {name: field.meaning for name, field in fields.items()} == {
        "ts": "duration_us",
        "part": None,
        "a": "errno",
        "b": None,
    }
    assert fields["part"].type.fields[0].meaning == "ipv4"


def test_a_source_with_errors_is_read_as_far_as_it_goes(header) -> None:
    """Whatever word is missing: the compiler says what is wrong."""
    preamble = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
    text = preamble + STRUCT["output in a helper, the map given to it by another"]
    words = [word for word in re.finditer(r"\w+|[^\w\s]", text) if word.start() > len(preamble)]
    arguments = ["--target=bpfel", f"-I{header}"]
    for word in words[::3]:
        broken = text[: word.start()] + text[word.end() :]
        with contextlib.suppress(CompileError):
            reading = read_source("broken.bpf.c", broken.encode(), arguments)
            assert set(reading.events) <= {"events"}


def test_calls_that_branch_without_end_are_followed_so_far(spec_of) -> None:
    """Each of ten functions calls the next one six times: sixty million calls."""
    functions = ["static __attribute__((noinline)) int f0(void *p) { return bpf_ringbuf_output(&events, p, 32, 0); }\n"]
    for number in range(1, 11):
        calls = " + ".join([f"f{number - 1}(p)"] * 6)
        functions.append(f"static __attribute__((noinline)) int f{number}(void *p) {{ return {calls}; }}\n")
    body = "struct event e = {}; f2(&e); f10(&e);"

    assert spec_of(EVENT + RING + "".join(functions) + program(body)).events["events"].schemas[0].name == "event"
