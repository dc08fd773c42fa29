"""The options of ``skep run``: skep's own, its words for what a kernel file filters by, and the file's variables.

Apart from the verb, since ``skep info`` tells them too, and starts without what a run needs.
"""

from __future__ import annotations

from argparse import SUPPRESS, BooleanOptionalAction

from skep.cli.parser import EVENT, Parser, duration, positive
from skep.cli.showing import add_options
from skep.spec.targets import open_words
from skep.spec.words import WORDS, questions, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Iterable, Mapping

    from skep.spec.objectspec import ObjectSpec
    from skep.spec.variables import VariableSpec

__all__ = ["COUNTED", "option_names", "run_parser"]

COUNTED = 0
"""What `--count` without a number gives: the records are to be counted."""

_PID = "only this process and its later children"
# What an option takes, in help: by meaning or else by kind of type.
_METAVARS = {
    "ipv4": "ADDRESS",
    "ipv6": "ADDRESS",
    "ip": "ADDRESS",
    "port_be": "PORT",
    "duration_ns": "TIME",
    "duration_us": "TIME",
    "duration_ms": "TIME",
    "int": "NUMBER",
    "float": "NUMBER",
    "enum": "NAME",
    "text": "TEXT",
    "array": "A,B",
}
_MOST_NAMES = 8  # of an enum

_RUN = """\
  skep run opensnoop -- ls /            what does a command open?
  skep run opensnoop -p 1234            what does a running process open?
  skep run my.bpf.c --help              the options of a kernel file of your own
"""
_RECORD = """\
  skep record opensnoop --to ls.parquet -- ls /      keep what a command opens
  skep replay ls.parquet --group-by comm --count     look at it later
"""
_VERBS = {
    "run": ("Runs a kernel file and shows what it sees.", _RUN),
    "record": ("Runs a kernel file and keeps what it sees in a file.", _RECORD),
}


def run_parser(spec: ObjectSpec | None = None, verb: str = "run") -> tuple[Parser, list[Action]]:
    """The parser of ``skep run`` without SOURCE, and those of its options that every SOURCE has.

    Args:
        spec: whose variables are options too; None as long as the kernel file is not known.
        verb: the same for ``skep record``.
    """
    words = _words(spec) if spec is not None else {}
    description, examples = _VERBS[verb]
    parser = Parser(verb, description, f"examples:\n{examples}")
    parser.usage = f"skep {verb} SOURCE [options] [-- COMMAND ...]"
    add = parser.add_argument
    actions = [
        *add_options(add),
        add("-p", "--pid", type=positive, action="append", default=[], help=words.pop("pid", _PID)),
        add("--system", action="store_true", help="the events of all processes, with a command or --pid too"),
        add("--duration", type=duration, metavar="TIME", help="end after this time (10s, 5m)"),
        add(
            "--interval",
            type=duration,
            metavar="TIME",
            help="read iterators, and show what is counted, so often (default: as @sample says, or once)",
        ),
        add(
            "--count",
            type=positive,
            nargs="?",
            const=COUNTED,
            metavar="N",
            help="end after so many events; without N: count them, all or those of each group",
        ),
        add("--set", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the kernel file"),
        add("--map", action="append", default=[], metavar="NAME.max_entries=N", help="set the size of a map"),
        add("--fill", action="append", default=[], metavar="MAP=KEY[:VALUE]", help="put an entry into a map"),
        add("--event", **EVENT),
        add(
            "--with",
            action="append",
            default=[],
            dest="wanted",
            metavar="PROGRAM",
            help="load this program, whatever is preferred to it",
        ),
        add("--without", action="append", default=[], metavar="PROGRAM", help="do not load this program"),
        add("--attach", action="append", default=[], metavar="PROGRAM=TARGET", help="attach this program elsewhere"),
        add("--pin", metavar="FOLDER", help="pin programs and maps in this folder of a bpffs: they stay attached"),
        add("--pin-root", metavar="FOLDER", help="where maps with LIBBPF_PIN_BY_NAME are (default: /sys/fs/bpf)"),
        add("--btf", metavar="FILE", help="the kernel's type information, where /sys/kernel/btf/vmlinux is not there"),
        add("--log", metavar="FILE", help="where to write what the verifier says, whole, if it refuses a program"),
        add("--as-root", action="store_true", help="under sudo, run the command as root, not as the user who called"),
        add("-q", "--quiet", action="store_true", help="events and errors only"),
    ]
    if spec is not None:
        if spec.description:
            parser.description = _printable(spec.description)
        _add_words(parser, words)
        _add_variables(parser, spec, option_names(spec, actions), actions)
    return parser, actions


def option_names(spec: ObjectSpec, actions: Iterable[Action]) -> dict[str, str]:
    """The variables that are options: name -> option, in the order of the file.

    An option is called what @cmdarg says, or as the variable. A name that is one of skep's words keeps skep's meaning;
    --set reaches such a variable.

    Args:
        spec: the kernel file.
        actions: skep's own options, as `run_parser` gives them.
    """
    taken = {"--help", *(option for action in actions for option in action.option_strings)}
    taken |= {f"--{word}" for word in _words(spec)}
    names = {}
    for variable in spec.variables.values():
        # A name that C would not take comes from nowhere good.
        if not variable.is_option or not variable.name.isidentifier():
            continue
        for option in filter(None, (variable.long, f"--{variable.name.replace('_', '-')}")):
            forms = {option, f"--no-{option[2:]}"}
            if not forms & taken:
                taken |= forms
                names[variable.name] = option
                break
    return names


def _words(spec: ObjectSpec) -> dict[str, str]:
    """The words that have something to fill in this file, or to ask: word -> its help."""
    filled = words_of(spec)
    told = dict(questions(spec))
    told |= {word: f"fills {', '.join(names)}" for word, names in filled.items()}
    for word in open_words(spec.programs.values()):
        told[word] = f"{told[word]}; attaches programs" if word in filled else "attaches programs"
    return {word: _escaped(f"{WORDS[word]} ({told[word]})") for word in WORDS if word in told}


def _add_words(parser: Parser, words: Mapping[str, str]) -> None:
    if words:
        group = parser.add_argument_group("what it filters by")
        for word, text in words.items():
            group.add_argument(f"--{word}", default=SUPPRESS, dest=f"word {word}", metavar=word.upper(), help=text)


def _add_variables(parser: Parser, spec: ObjectSpec, names: Mapping[str, str], actions: Iterable[Action]) -> None:
    letters = {"-h", *(option for action in actions for option in action.option_strings)}
    group = parser.add_argument_group(f"options of {_printable(spec.name)}")
    for name, option in names.items():
        variable = spec.variables[name]
        options = [option] if not variable.short or variable.short in letters else [variable.short, option]
        letters |= set(options)
        default = "" if variable.type.kind == "array" else f", default: {_default(variable)}"
        text = f"{variable.help} ({_type(variable)}{default})".lstrip()
        text = _escaped(text)
        destination = f"variable {name}"
        if variable.type.kind == "bool":
            group.add_argument(*options, action=BooleanOptionalAction, default=SUPPRESS, dest=destination, help=text)
        else:
            meaning = "" if variable.codec.each else variable.meaning or ""
            metavar = _METAVARS.get(meaning) or _METAVARS[variable.type.kind]
            group.add_argument(*options, default=SUPPRESS, dest=destination, metavar=metavar, help=text)


def _type(variable: VariableSpec) -> str:
    names = list((variable.type.enum or {}).values())
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{variable.type.name}: {shown}" if names else variable.type.name


def _default(variable: VariableSpec) -> str:
    value = variable.value
    if variable.type.kind == "enum" and isinstance(value, int):
        return (variable.type.enum or {}).get(value, str(value))
    return repr(value) if variable.type.kind == "text" else str(value)


def _escaped(text: str) -> str:
    """Text as help of an option: there a percent sign stands for a value of argparse's own."""
    return _printable(text).replace("%", "%%")


def _printable(text: str) -> str:
    """A kernel file may be anybody's: what would act on the terminal is left out."""
    return "".join(character for character in text if character.isprintable() or character == "\n")
