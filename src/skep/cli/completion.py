"""``skep completion bash|zsh|fish``: prints what makes a shell complete skep's verbs, options and tools."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from shlex import quote

from skep.cli.parser import Parser
from skep.session.api import tool_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["main"]

_EXAMPLES = """\
  skep completion bash > ~/.local/share/bash-completion/completions/skep
  skep completion zsh >> ~/.zshrc        after compinit
  skep completion fish > ~/.config/fish/completions/skep.fish
"""
# Verbs whose SOURCE may be a tool, or that take one.
_TOOLS = ("run", "record", "check", "info", "tools")
# In zsh, bash's own way of completing is understood once it is asked for. Behind -- stands a command.
_BASH = """\
_skep() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}" options= tools= each
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=( $(compgen -W %(verbs)s -- "$word") )
        return
    fi
    for each in "${COMP_WORDS[@]:0:$COMP_CWORD}"; do
        if [ "$each" = -- ]; then
            COMPREPLY=( $(compgen -c -- "$word"; compgen -f -- "$word") )
            return
        fi
    done
    case "${COMP_WORDS[1]}" in
%(cases)s
    esac
    case "$word" in
    -*) COMPREPLY=( $(compgen -W "$options" -- "$word") ) ;;
    *) COMPREPLY=( $(compgen -W "$tools" -- "$word"; compgen -f -- "$word") ) ;;
    esac
}
complete -o filenames -F _skep skep
"""
_ZSH = "autoload -Uz bashcompinit && bashcompinit\n"


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("completion", "Prints what makes a shell complete skep.", f"examples:\n{_EXAMPLES}")
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="for which shell")
    options = parser.parse(arguments)
    from skep.cli.main import VERBS

    known = {verb: _options(verb) for verb in VERBS if verb != "completion"}
    known["completion"] = ["--help"]
    if options.shell == "fish":
        sys.stdout.write(_fish(VERBS, known))
    else:
        sys.stdout.write((_ZSH if options.shell == "zsh" else "") + _bash(known))
    return 0


def _options(verb: str) -> list[str]:
    """The options of a verb: those of which its help tells."""
    text = StringIO()
    try:
        with redirect_stdout(text):
            import_module(f"skep.cli.{verb}").main(["--help"])
    except SystemExit:
        pass
    return sorted({"--help", *re.findall(r"(?<![\w-])--[a-z][\w-]*", text.getvalue())})


def _bash(known: Mapping[str, Sequence[str]]) -> str:
    def words(several: Sequence[str]) -> str:
        return quote("\n".join(several))

    cases = [
        f"    {verb}) options={words(options)}{f' tools={words(tool_names())}' if verb in _TOOLS else ''} ;;"
        for verb, options in known.items()
    ]
    return _BASH % {"verbs": words(list(known)), "cases": "\n".join(cases)}


def _fish(verbs: Mapping[str, str], known: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c skep -n __fish_use_subcommand -f -a {verb} -d {quote(text)}" for verb, text in verbs.items()]
    for verb, options in known.items():
        seen = f"-n '__fish_seen_subcommand_from {verb}'"
        lines += [f"complete -c skep {seen} -l {option.removeprefix('--')}" for option in options]
        if verb in _TOOLS:
            lines.append(f"complete -c skep {seen} -a {quote(' '.join(tool_names()))}")
    return "".join(f"{line}\n" for line in lines)
