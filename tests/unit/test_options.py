"""The command line of `skep run SOURCE`: what a kernel file's variables and skep's words become."""

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Type
from skep.cli.options import option_names, run_parser
from skep.spec.annotations import read_note
from skep.spec.objectspec import ObjectSpec
from skep.spec.variables import VariableSpec

U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
BOOL = Type("bool", 1, "bool")
MODE = Type("enum", 4, "enum mode", enum={0: "IDLE", 1: "BUSY"})


def spec_of(*variables: tuple[str, Type, str], description: str = "") -> ObjectSpec:
    return ObjectSpec(
        "made",
        b"",
        programs={},
        maps={},
        variables={
            name: VariableSpec(name, ".rodata", 0, type_, bytes(type_.size), read_note(note))
            for name, type_, note in variables
        },
        globals={},
        events={},
        formats=(),
        prints=False,
        description=description,
    )


def names_of(spec: ObjectSpec) -> dict[str, str]:
    return option_names(spec, run_parser()[1])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param([("min_us", U64, "")], {"min_us": "--min-us"}, id="its name"),
        pytest.param([("bound", U32, '@cmdarg {"long": "at-most"}')], {"bound": "--at-most"}, id="what @cmdarg says"),
        pytest.param([("bound", U32, '@cmdarg {"long": "count"}')], {"bound": "--bound"}, id="a name that skep has"),
        pytest.param([("count", U32, "")], {}, id="a variable of a name that skep has"),
        pytest.param([("uid", U32, "")], {}, id="a variable that a word fills"),
        pytest.param([("uid", U32, "@format bytes")], {"uid": "--uid"}, id="a variable that no word fills"),
        pytest.param(
            [("bound", U32, '@cmdarg {"long": "other"}'), ("other", U32, "")], {"bound": "--other"}, id="taken before"
        ),
        pytest.param([("verbose", BOOL, ""), ("no_verbose", BOOL, "")], {"verbose": "--verbose"}, id="its negation"),
        pytest.param([("odd\x1b[2Jname", U32, "")], {}, id="a name that C would not take"),
    ],
)
def test_option_names(variables, expected: dict[str, str]) -> None:
    assert names_of(spec_of(*variables)) == expected


def parsed(spec: ObjectSpec, *arguments: str) -> dict[str, object]:
    return vars(run_parser(spec)[0].parse(arguments))


def test_a_short_option_is_taken_where_it_is_free() -> None:
    spec = spec_of(
        ("bound", U32, '@cmdarg {"short": "l"}'),
        ("least", U32, '@cmdarg {"short": "l"}'),
        ("target", U32, '@cmdarg {"short": "p"}'),
        ("verbose", BOOL, '@cmdarg {"short": "v"}'),
    )

    found = parsed(spec, "-l", "5", "-v", "-p", "7")

    assert found["variable bound"] == "5"
    assert found["variable verbose"] is True
    assert found["pid"] == [7]
    assert "variable least" not in found


def test_words_are_options_only_where_they_fill_something() -> None:
    assert parsed(spec_of(("targ_uid", U32, "")), "--uid", "root")["word uid"] == "root"
    with pytest.raises(UsageError) as raised:
        parsed(spec_of(("bound", U32, "")), "--uid", "root")
    assert str(raised.value) == "there is no option --uid"


def test_an_unknown_option_comes_back_with_the_nearest() -> None:
    with pytest.raises(UsageError) as raised:
        parsed(spec_of(("min_us", U64, "")), "--min-sus=1")

    assert raised.value.remedy == "Did you mean --min-us?"


def test_help_tells_types_defaults_and_what_words_fill() -> None:
    spec = spec_of(
        ("mode", MODE, "What it does, in 100% of cases."),
        ("saddr", U32, ""),
        ("min_ns", U64, '@cmdarg {"default": 5, "help": "Only \\u001b[31mlonger."}'),
        ("targ_uid", U32, ""),
        ("target_pid", U32, ""),
        ("sport", Type("int", 2, "u16"), ""),
        ("dport", Type("int", 2, "u16"), ""),
        description="Says \x1b[2Jmore.",
    )

    words = " ".join(run_parser(spec)[0].format_help().split())

    assert "--mode NAME What it does, in 100% of cases. (enum mode: IDLE, BUSY, default: IDLE)" in words
    assert "--saddr ADDRESS (u32, default: 0.0.0.0)" in words
    assert "--min-ns TIME Only [31mlonger. (u64, default: 5)" in words
    assert "--uid UID only this user: a number or a name (fills targ_uid)" in words
    assert "only this process (fills target_pid)" in words
    assert "--port PORT only this port (it could mean sport (u16) or dport (u16))" in words
    assert "Says [2Jmore." in words
