"""The options of ``skep run``: skep's own words, and those that a kernel file's variables become.

Apart from the verb, since ``skep info`` tells them too, and starts without what a run needs.
"""

from __future__ import annotations

from argparse import SUPPRESS, BooleanOptionalAction

from skep.cli.parser import Parser, duration, positive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action
    from collections.abc import Iterable

    from skep.spec.objectspec import ObjectSpec

__all__ = ["option_names", "run_parser"]

_EXAMPLES = """\
  skep run opensnoop -- ls /            what does a command open?
  skep run opensnoop -p 1234            what does a running process open?
  skep run my.bpf.c --help              the options of a kernel file of your own
"""


def run_parser(spec: ObjectSpec | None = None) -> tuple[Parser, list[Action]]:
    """The parser of ``skep run`` without SOURCE, and skep's own options in it.

    Args:
        spec: whose variables are options too; None as long as the kernel file is not known.
    """
    parser = Parser("run", "Runs a kernel file and shows what it sees.", f"examples:\n{_EXAMPLES}")
    parser.usage = "skep run SOURCE [options] [-- COMMAND ...]"
    add = parser.add_argument
    actions = [
        add("-o", "--output", choices=["table", "json"], default="table", help="how to show events (default: table)"),
        add("-p", "--pid", type=positive, action="append", default=[], help="only this process and its later children"),
        add("--system", action="store_true", help="the events of all processes, with a command or --pid too"),
        add("--duration", type=duration, metavar="TIME", help="end after this time (10s, 5m)"),
        add("--count", type=positive, metavar="N", help="end after so many events"),
        add("--set", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the kernel file"),
        add("--map", action="append", default=[], metavar="NAME.max_entries=N", help="set the size of a map"),
        add("--without", action="append", default=[], metavar="PROGRAM", help="do not load this program"),
        add("--btf", metavar="FILE", help="the kernel's type information, where /sys/kernel/btf/vmlinux is not there"),
        add("--as-root", action="store_true", help="under sudo, run the command as root, not as the user who called"),
        add("-q", "--quiet", action="store_true", help="events and errors only"),
    ]
    if spec is not None:
        _add_variables(parser, spec, option_names(spec, actions))
    return parser, actions


def option_names(spec: ObjectSpec, actions: Iterable[Action]) -> dict[str, str]:
    """The variables that are options: name -> option, in the order of the file.

    A name that is one of skep's words keeps skep's meaning; --set reaches such a variable.

    Args:
        spec: the kernel file.
        actions: skep's own options, as `run_parser` gives them.
    """
    taken = {"--help", *(option for action in actions for option in action.option_strings)}
    names = {}
    for variable in spec.variables.values():
        option = f"--{variable.name.replace('_', '-')}"
        forms = {option, f"--no-{option[2:]}"}
        if variable.is_option and not forms & taken:
            taken |= forms
            names[variable.name] = option
    return names


def _add_variables(parser: Parser, spec: ObjectSpec, names: dict[str, str]) -> None:
    if spec.description:
        parser.description = spec.description
    group = parser.add_argument_group(f"options of {spec.name}")
    for name, option in names.items():
        variable = spec.variables[name]
        text = f"{variable.help} " if variable.help else ""
        text = f"{text}({variable.type.name}, default: {variable.value!r})".replace("%", "%%")
        destination = f"variable {name}"
        if variable.type.kind == "bool":
            group.add_argument(option, action=BooleanOptionalAction, default=SUPPRESS, dest=destination, help=text)
        else:
            group.add_argument(option, default=SUPPRESS, dest=destination, metavar="VALUE", help=text)
