"""BCC's dialect of C, translated to the C that libbpf loads: with CO-RE, and without headers of the kernel.

    preprocessor    words of the dialect (BPF_HASH, TRACEPOINT_PROBE ...) and the text's own macros are expanded
    libclang        reads what comes of it: types, and by them which pointers lead outside (`skep.bcc.tracking`)
    rewriting       methods of tables become helpers, reads of memory outside become probe reads

What a text includes of the kernel's headers is in the kernel's types already (vmlinux.h).
"""

from __future__ import annotations

import os
import re
from contextlib import nullcontext, suppress
from functools import cache
from types import MappingProxyType

from skep.base.errors import CompileError
from skep.bcc.places import ASIDE, MARKER, diagnostic, marker_of, name_in_markers, tell_in_own_lines
from skep.spec.compiler import Compiler, run
from skep.spec.compiling import CODE, INCLUDE, flags
from skep.spec.libclang import Libclang

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from clang.cindex import Diagnostic as Found

    from skep.bcc.tables import Table

__all__ = ["Translation", "translate"]

_INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")
_KERNELS = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*(?:<[^>\n]*>|"vmlinux\.h")[^\n]*$', re.MULTILINE)
# Those that are for programs, too: the kernel's own include them.
_UAPI = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*<(?:uapi/)?((?:linux|asm)/[\w/.-]+\.h)>", re.MULTILINE)
# A function that a text defines: what stands in front of its name is a type.
_FUNCTION = re.compile(rb"^[ \t]*\w[\w\s*]{,200}[\s*](?!BPF_)(\w+)[ \t]*\([^;{}()]*\)\s*\{", re.MULTILINE)
_NO_CODE = re.compile(rb'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_ENUM = re.compile(rb"\benum\b[^(){};]*\{([^{}]*)\}")
_ENUMERATOR = re.compile(rb"(?:^|,)\s*(\w+)")
# A variable or a member; behind it may be what the compiler is told of it (__packed).
_VARIABLE = re.compile(rb"\b(?!(?:return|case|goto|else)\b)\w+[ \t]+(?!__)(\w+)[ \t]*[;=,\[]")
_CALLED = re.compile(rb"\b(\w+)\s*\(")
_DEFINED = re.compile(r"-D\s*(\w+)")
_PACKETS = re.compile(r"#[ \t]*include[ \t]*<bcc/proto\.h>")
# Headers that are the kernel's alone, and those for programs that such headers include; BCC itself includes the first.
_OWN = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*<(?:linux|net|asm)/", re.MULTILINE)
_ALWAYS = (b"linux/if_packet.h",)
_BROUGHT = b"""
    linux/errno.h linux/fcntl.h linux/stat.h linux/limits.h linux/capability.h linux/if_ether.h linux/in.h linux/in6.h
    linux/mman.h linux/sched.h asm/signal.h asm/socket.h asm/unistd.h asm/unistd_64.h
""".split()
# Those that have <net/sock.h>, and are it.
_SOCKETS = re.compile(r"#[ \t]*include[ \t]*<(?:net/|linux/(?:tcp|udp|ipv6)\.h>)")
# What stands before the text.
_HEAD = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
"""
_LICENSE = "skep_bcc_licence"
# What the preprocessor says of a header that it found among those of the system.
_OF_SYSTEM = " 3"
_NUL = "a text in C has no byte 0"
_MEMBER = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)*(?::\s*\w+\s*)?[;,]")
_MOST_CONFLICTS = 16
# What libclang calls the types of keys and values, by the names that it reads.
_OF_TABLE = re.compile(r"'skep_(key|value)_of_(\w+)' \(aka ('[^']+')\)")
# The same name twice: of structs, unions and enums behind that word, of all else by itself.
_CONFLICT = re.compile(r"(?:typedef )?redefinition (?:of|with) ")
_OF_WORDS = re.compile(r"typedef |redefinition of enumerator |.* as different kind of symbol$")


class Translation:
    """A text, translated.

    Args:
        source: in C. The section of each program is a placeholder, since it is known only when it is attached.
        programs: the type of the first parameter, by name.
        tables: what BCC calls the kind of each, by name.
        shared: how tables are shared that are not of this text alone, by name (`skep.bcc.shared`).
    """

    __slots__ = ("programs", "shared", "source", "tables")

    def __init__(
        self, source: str, programs: Mapping[str, str], tables: Mapping[str, str], shared: Mapping[str, str]
    ) -> None:
        self.source = source
        self.programs = programs
        self.tables = tables
        self.shared = shared

    def with_sections(self, sections: Mapping[str, str]) -> str:
        """The C, with sections for its programs.

        Args:
            sections: of each program, by name.
        """
        return re.sub(r'SEC\("\?(\w+)@"\)', lambda found: f'SEC("{sections[found[1]]}")', self.source)


def translate(
    text: str,
    *,
    file: str,
    make_header: Callable[[], str],
    compiler: Compiler,
    narrow: Callable[[Iterable[str]], bytes] | None = None,
    tracefs: str = "",
    arguments: Sequence[str] = (),
    public: Mapping[str, str] = MappingProxyType({}),
    libclang: Libclang | None = None,
) -> Translation:
    """Translates a text.

    Args:
        text: in BCC's dialect.
        file: what messages call it.
        make_header: gives the folder of vmlinux.h; called only where `narrow` does not do.
        compiler: as from `find_compiler`.
        narrow: gives a vmlinux.h with what a text of these words can ask for (`skep.spec.narrowing`).
        tracefs: where tracefs is mounted: the structs of tracepoints are read there.
        arguments: for the compiler, as a script gives them: ``-DNAME=1``.
        public: the kinds of tables that other texts have made public, by name.
        libclang: to read the text with; None for one of its own.

    Raises:
        CompileError: it is wrong. Its lines are the text's own.
        HookMissingError: this kernel has no such tracepoint.
        UnsupportedError: the compiler cannot be run.
    """
    try:
        with Libclang() if libclang is None else nullcontext(libclang) as reader:
            return _translate(text, file, make_header, narrow, compiler, tracefs, arguments, public, reader)
    except CompileError as error:
        title = f"{os.path.basename(file)} does not compile"
        tell_in_own_lines(error, text, file, os.path.dirname(os.path.abspath(file)), title)
        raise


def _translate(
    text: str,
    file: str,
    make_header: Callable[[], str],
    narrow: Callable[[Iterable[str]], bytes] | None,
    compiler: Compiler,
    tracefs: str,
    arguments: Sequence[str],
    public: Mapping[str, str],
    libclang: Libclang,
) -> Translation:
    if "\0" in text:
        before = text.partition("\0")[0].encode("utf-8", "surrogateescape")
        data = os.fsencode(marker_of(file)) + before
        raise CompileError(_NUL, diagnostics=[diagnostic(data, len(data), _NUL)])
    libclang.start()
    expanded, licence = _expand(text, file, compiler, arguments)
    headers = ["runtime.h", "packet.h"] if _PACKETS.search(text) else ["runtime.h"]
    head = [_HEAD]
    for name in headers:
        with open(os.path.join(_INCLUDE, name), encoding="utf-8") as ours:
            head.append(ours.read())
    if "bpf_usdt_arg(" in expanded:
        head.insert(1, "#include <bpf/usdt.bpf.h>\n")
    from skep.bcc.tracepoints import find_structs, struct_of

    head += [struct_of(category, event, tracefs) + "\n" for category, event in find_structs(expanded)]

    def read(folder: str) -> Translation:
        whole = [*CODE, *flags(folder, (), compiler)]
        header = os.path.join(folder, "vmlinux.h")
        source, *found = libclang.do(_read, "".join(head), expanded, whole, header, dict(public))
        return Translation(f'{source}\nchar LICENSE[] SEC("license") = "{licence}";\n', *found)

    if narrow is not None:
        from skep.spec.narrowing import narrowed, words_of

        # Whatever is wrong, it is said of the text with the whole header.
        with suppress(CompileError), narrowed(narrow, words_of("".join([*head, expanded]), [INCLUDE])) as folder:
            return read(folder)
    return read(make_header())


def _expand(text: str, file: str, compiler: Compiler, arguments: Sequence[str]) -> tuple[str, str]:
    """The text without macros, and its licence."""
    from skep.spec.rejection import rejection

    ours = os.path.join(_INCLUDE, "dialect.h")
    # Only the macros of libbpf's headers are wanted here, which take the kernel's types as given.
    command = ["-E", "-w", "-D__VMLINUX_H__", "-DBPF_NO_KFUNC_PROTOTYPES", *flags(INCLUDE, (), compiler)]
    # <linux/if.h> for programs would have libc's <sys/socket.h>, which has numbers of its own for the same names.
    command += ["-D__KERNEL__", "-D_SYS_SOCKET_H"]
    data = text.encode("utf-8", "surrogateescape")
    headers = [*_ALWAYS, *(_BROUGHT if _OWN.search(data) else ()), *_UAPI.findall(data)]
    macros = b"".join(b"#if __has_include(<%s>)\n#include <%s>\n#endif\n" % (name, name) for name in headers)
    # Where the kernel itself says otherwise than for programs, it is in our words, which come later.
    macros += b'#include "%s"\n' % os.fsencode(ours)
    data = _KERNELS.sub(b"", data)
    # What is a macro of ours, and of some header of the kernel, may be a function, or a value, of the text's own.
    asked = {name.encode() for name in _DEFINED.findall(" ".join(arguments))}
    macros += b"".join(b"#undef %s\n" % name for name in sorted(_declared(data) - asked))
    given = b"%s%s%s\n%s BPF_LICENSE\n" % (macros, marker_of(file).encode(), data, _LICENSE.encode())
    folder = os.path.dirname(os.path.abspath(file))
    # What headers of the kernel say of this machine.
    major, minor, patch = (int(number) for number in [*re.findall(r"\d+", os.uname().release), "0"][:3])
    code = major << 16 | minor << 8 | min(patch, 255)
    command += [f"-DLINUX_VERSION_CODE={code}", f"-Dbpf_num_cpus()={os.cpu_count()}"]
    command += ["-DSKEP_BCC_SOCKETS"] if _SOCKETS.search(text) else []
    finished = run(compiler, [*command, *arguments, "-x", "c", "-"], given, folder)
    if finished.returncode:
        raise rejection(os.path.join(folder, os.path.basename(file)), finished.stderr, _INCLUDE)
    kept, begun, wanted, licence = [], False, False, "GPL"
    for line in finished.stdout.decode("utf-8", "surrogateescape").split("\n"):
        marker = MARKER.fullmatch(line)
        if marker:
            # Before the text come our own words; and headers of the system say what the kernel's types say, too.
            begun = begun or marker[2] == name_in_markers(file)
            wanted = begun and _OF_SYSTEM not in marker[3]
            if wanted:
                kept.append(f'# {marker[1]} "{marker[2]}"')
        elif line.startswith(_LICENSE):
            licence = line.removeprefix(_LICENSE).strip().strip('"')
        elif wanted:
            kept.append(line)
    return "\n".join(kept), "GPL" if licence in {"", "BPF_LICENSE"} else licence


def _declared(text: bytes) -> set[bytes]:
    """What a text declares, and a header that it does not include has a macro for: `enum { READ, WRITE }`, `min()`."""
    code = _NO_CODE.sub(b" ", text)
    values = {name for each in _ENUM.findall(code) for name in _ENUMERATOR.findall(each)}
    # Beside a variable `min`, min() is what it was.
    variables = {*_VARIABLE.findall(code)} - {*_CALLED.findall(code)}
    return values | variables | {*_FUNCTION.findall(code)}


def _read(
    head: str, text: str, arguments: Sequence[str], header: str, public: Mapping[str, str]
) -> tuple[str, dict[str, str], dict[str, str], dict[str, str]]:
    """The C, the programs and the tables of a text, and how these are shared."""
    from clang.cindex import CursorKind, Index, TranslationUnitLoadError
    from clang.cindex import Diagnostic as FoundInSource

    from skep.bcc.rewriting import rewrite
    from skep.bcc.tables import find_tables

    begin = len(head.encode("utf-8", "surrogateescape"))
    for _ in range(_MOST_CONFLICTS):
        tables = {table.name: table for table in find_tables(text, public)}
        seen = text
        for table in reversed(tables.values()):
            seen = seen[: table.place[0]] + table.seen() + seen[table.place[1] :]
        data = (head + seen).encode("utf-8", "surrogateescape")
        name = "skep-bcc.c"
        command = [os.fsencode(argument) for argument in ["-xc", "-w", *arguments]]
        try:
            unit = Index.create(excludeDecls=True).parse(name, args=command, unsaved_files=[(name, data)])
        except TranslationUnitLoadError as error:
            raise CompileError(f"libclang cannot read the text: {error}") from error
        errors = [found for found in unit.diagnostics if found.severity >= FoundInSource.Error]
        aside = _without_conflicts(text, data, errors, tables, header)
        if aside == text:
            break
        text = aside
    if errors:
        raise _rejected(data, errors)
    functions = [
        cursor
        for cursor in unit.cursor.get_children()
        if cursor.kind == CursorKind.FUNCTION_DECL
        and cursor.is_definition()
        and cursor.location.file.name == name
        and cursor.location.offset >= begin
    ]
    shift = begin
    for table in tables.values():
        first, last = table.place
        before = len(text[:first].encode("utf-8", "surrogateescape"))
        length = len(table.seen().encode("utf-8", "surrogateescape"))
        table.place = (before + shift, before + shift + length)
        shift += length - len(text[first:last].encode("utf-8", "surrogateescape"))
    written, programs = rewrite(data, functions, tables)
    kinds = {each.name.removesuffix(ASIDE): each.kind for each in tables.values()}
    shared = {each.name: each.shared for each in tables.values() if each.shared}
    return written.decode("utf-8", "surrogateescape"), programs, kinds, shared


def _without_conflicts(
    text: str, data: bytes, errors: Sequence[Found], tables: Mapping[str, Table], header: str
) -> str:
    """The text, with names of its own for what is called as something of the kernel's; as it was if nothing is."""
    told = [each for each in errors if _CONFLICT.match(each.spelling)]
    found = {_word_at(data, each): bool(_OF_WORDS.match(each.spelling)) for each in told}
    taken = next((tables[name] for name in found if name in tables), None)
    if taken is not None:
        return _set_aside(text, taken)
    for name, is_word in found.items():
        if not is_word:
            text = _renamed(text, name, header)
        elif not re.search(rf"\b{name}\s*\(", text):  # scripts ask for programs by their names
            text = re.sub(rf"(?<![\w.>])(?<!struct )(?<!union )(?<!enum ){name}\b", f"{name}{ASIDE}", text)
    return text


def _word_at(data: bytes, found: Found) -> str:
    """The name that a message points at."""
    word = re.compile(rb"\w*").match(data, found.location.offset)
    return word[0].decode() if word else ""


def _set_aside(text: str, table: Table) -> str:
    """A table that has the name of a type of the kernel's, or of a value: `config`."""
    start, end = table.place
    name = re.compile(rf"(?<![\w.>]){table.name}\b")
    uses = re.compile(rf"{name.pattern}(?=\s*\.)")
    declared = name.sub(table.name + ASIDE, text[start:end], count=1)
    return uses.sub(table.name + ASIDE, text[:start]) + declared + uses.sub(table.name + ASIDE, text[end:])


def _renamed(text: str, name: str, header: str) -> str:
    """A struct of the kernel's that a text declares for itself, or one of its own that happens to have such a name.

    Of the kernel's, CO-RE finds the places of members by what is before the ___.
    """
    text = re.sub(rf"\b(struct|union|enum)\s+{name}\b", rf"\1 {name}{ASIDE}", text)
    own = _members(text, f"{name}{ASIDE}")
    # What is left out of the kernel's, or was in that of another release, is no reason to take it for another.
    if 2 * len(own & _members(_contents(header), name)) < len(own):
        return text
    return re.sub(
        rf"\b(struct|union) ({name}{ASIDE})\s*\{{", r"\1 __attribute__((preserve_access_index)) \2 {", text, count=1
    )


def _members(text: str, name: str) -> set[str]:
    """The names of the members of a struct or union, and of those within it."""
    found = re.search(rf"\b(?:struct|union)\s+{name}\s*\{{(.*?)\n?\}}[^{{}};]*;(?!\s*\}})", text, re.DOTALL)
    return set(_MEMBER.findall(found[1])) if found else set()


@cache
def _contents(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _rejected(data: bytes, errors: Sequence[Found]) -> CompileError:
    from skep.bcc.rewriting import unknown_method

    found = [
        diagnostic(data, each.location.offset, _OF_TABLE.sub(r"\3, the \1 of table \2", each.spelling), said)
        for each in errors
        for said in [unknown_method(each.spelling)]
    ]
    return CompileError(f"{found[0].file} does not compile", remedy=found[0].suggestion, diagnostics=found)
