"""`Module`: a text of BCC's dialect, as objects in the kernel.

What a program is attached to, and so its type, is known only when a script says so, while its tables are used before.
So the first object makes the tables, and has the programs whose type is certain already; each of the others is loaded
when it is asked for, by an object of its own that shares the tables.

    $XDG_CACHE_HOME/skep/bcc/KEY.json           a text, translated for one kernel
    $XDG_CACHE_HOME/skep/bcc/KEY.SUM.bpf.c      the same in C, with sections for its programs
"""

from __future__ import annotations

import json
import os
import re

# As in skep.spec.compiling: hashlib would load OpenSSL.
from _blake2 import blake2b
from contextlib import contextmanager

from skep.base.errors import (
    CompileError,
    ProgramError,
    SourceNotFoundError,
    UnsupportedError,
    UsageError,
    VerifierError,
)
from skep.base.nearest import nearest
from skep.bcc.places import ASIDE, tell_in_own_lines
from skep.bcc.shared import given, offer, public, withdraw
from skep.kernel.btf import build, header_folder, identity, narrow_header
from skep.kernel.features import mount_tracefs, tracefs
from skep.kernel.held import Held
from skep.kernel.object import Object
from skep.spec import cache
from skep.spec.compiler import find_compiler
from skep.spec.libclang import Libclang
from skep.spec.objectspec import ObjectSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from skep.bcc.dialect import Translation
    from skep.kernel.program import Program

__all__ = ["Module", "compiled", "read_text", "sections_of", "translated"]

# How names of functions begin that say what they are for, and the section that this means: the rest is its target.
_PREFIXES = {
    "kprobe__": "kprobe",
    "kretprobe__": "kprobe",
    "syscall__": "kprobe",
    "tracepoint__": "tp",
    "raw_tracepoint__": "raw_tp",
    "kfunc__": "fentry/",
    "kretfunc__": "fexit/",
    "kmod_ret__": "fmod_ret/",
    "lsm__": "lsm/",
}
# What the context of a program says.
_CONTEXTS = {
    "struct pt_regs *": "kprobe",
    "struct bpf_perf_event_data *": "perf_event",
    "struct bpf_raw_tracepoint_args *": "raw_tp",
    "struct xdp_md *": "xdp",
}
_TRACEPOINT = "struct tracepoint__"
# Of others, the type that is tried first.
_UNCERTAIN = {"struct __sk_buff *": "socket"}
# libbpf's own for USDT: each object numbers its probes from 0.
_OF_ONE_OBJECT = "__bpf_usdt"
_HERE = os.path.dirname(os.path.abspath(__file__))
_LOCAL = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
# What a text becomes depends on these, too.
_TRANSLATORS = ("dialect.py", "places.py", "rewriting.py", "tables.py", "tracepoints.py", "tracking.py")


class Module(Held):
    """A text, translated, compiled and loaded: its tables, and its programs as they are asked for.

    Args:
        text: in BCC's dialect.
        file: its path, or what messages call it.
        flags: for the compiler, such as ``-DNAME=1``.

    `tables` holds, by name, what BCC calls the kind of each table.

    Raises:
        CompileError: it is wrong.
        HookMissingError: this kernel has no such tracepoint.
        LoadError: the kernel refuses a table.
        PrivilegeError: a capability is missing.
    """

    def __init__(self, text: str, file: str, flags: Sequence[str]) -> None:
        self._text, self._file = text, file
        # If anything has to be read, all of it is by one.
        with Libclang() as libclang:
            self._translation, self._key = translated(text, file, flags, libclang)
            self._sections = sections_of(self._translation)
            with self._told_of_the_text():
                spec = self._spec(self._sections, libclang)
        self.tables = self._translation.tables
        shared = self._translation.shared
        programs = self._translation.programs
        self._certain = [name for name, context in programs.items() if _is_certain(name, context)]
        self._loaded: dict[tuple[str, str], Program] = {}
        self._objects: list[Object] = []
        with self._told_of_the_text(), given(shared) as maps:
            try:
                self._objects.append(Object(spec, wanted=self._certain, maps=maps))
            except (ProgramError, UnsupportedError):
                if not self._certain:
                    raise
                # The one that is at fault may not be wanted at all; it is told of when it is.
                self._objects.append(Object(spec, maps=maps))
                self._certain = []
        self._hold()
        try:
            offer(shared, self.tables, self.maps)
        except BaseException:
            self.close()
            raise
        self._loaded = {(name, self._sections[name]): self._objects[0].programs[name] for name in self._certain}

    @property
    def source(self) -> str:
        """The C that the text became."""
        return self._translation.with_sections({name: f"?{section}" for name, section in self._sections.items()})

    @property
    def spec(self) -> ObjectSpec:
        """What the object that holds the tables is."""
        return self._objects[0].spec

    @property
    def object(self) -> Object:
        """The object that holds the tables.

        Raises:
            ClosedError: it is closed.
        """
        self.check()
        return self._objects[0]

    @property
    def maps(self) -> Mapping[str, Any]:
        """The tables, as maps, by the names that the text gives them."""
        return {name.removesuffix(ASIDE): map_ for name, map_ in self.object.maps.items()}

    @property
    def programs(self) -> Mapping[str, str]:
        """The functions that are programs, and the section of each, as far as it is known by now."""
        return self._sections

    def program(self, name: str, section: str = "") -> Program:
        """A program, which is loaded now if it is not yet.

        Args:
            name: of its function.
            section: which says its type; "": the one that its name or its context says.

        Raises:
            UsageError: there is no such function.
            VerifierError: the verifier rejects it.
            LoadError, UnsupportedError: the kernel refuses it for another reason.
        """
        self._check(name)
        section = section or self._sections[name]
        if (name, section) not in self._loaded:
            # Those that nothing tells apart from it are most likely of the same type: an object for all costs no more.
            alike = [
                each for each in self._sections if self._is_like(each, name) and (each, section) not in self._loaded
            ]
            with self._told_of_the_text():
                try:
                    self._load(alike, section)
                except (ProgramError, UnsupportedError):
                    if alike == [name]:
                        raise
                    self._load([name], section)
        return self._loaded[name, section]

    def instructions(self, name: str) -> bytes:
        """The instructions of a program, as they were compiled.

        Args:
            name: of its function.

        Raises:
            UsageError: there is no such function.
        """
        from skep.spec.elf import Elf

        self._check(name)
        elf = Elf(self.spec.data, self._file)
        return bytes(elf.data(next(symbol for symbol in elf.symbols if symbol.name == name)))

    def _check(self, name: str) -> None:
        if name not in self._sections:
            raise UsageError(f"Unknown program {name}", remedy=nearest(name, self._sections, "programs"))

    def _is_like(self, one: str, other: str) -> bool:
        programs = self._translation.programs
        certain = [each for each in (one, other) if _is_certain(each, programs[each])]
        return one == other or (not certain and programs[one] == programs[other])

    def _load(self, names: Sequence[str], section: str) -> None:
        """Loads programs as one type, by an object of their own that shares the tables."""
        spec = self._spec({**self._sections, **dict.fromkeys(names, section)})
        shared = {each: map_ for each, map_ in self.object.maps.items() if not each.startswith(_OF_ONE_OBJECT)}
        loaded = Object(spec, wanted=names, maps=shared)
        self._objects.append(loaded)
        self._loaded |= {(each, section): loaded.programs[each] for each in names}

    def _spec(self, sections: Mapping[str, str], libclang: Libclang | None = None) -> ObjectSpec:
        """The text, compiled with these sections. None is loaded unless it is asked for."""
        data = compiled(self._translation, self._key, sections, libclang)
        return ObjectSpec.read(data, re.sub(r"\W+", "_", os.path.basename(self._file)) or "bcc")

    @contextmanager
    def _told_of_the_text(self) -> Iterator[None]:
        """What the compiler and the verifier say of the C that the text became, they say of the text."""
        folder = cache.cache_folder("bcc")
        try:
            yield
        except (CompileError, VerifierError) as error:
            title = error.message.partition("\n")[0]
            if isinstance(error, CompileError):
                title = f"{os.path.basename(self._file)} does not compile"
            tell_in_own_lines(error, self._text, self._file, folder, title)
            raise

    def _told(self) -> str:
        return f"Module {self._file}"

    def _release(self) -> None:
        withdraw(self._objects[0].maps)
        for loaded in reversed(self._objects):
            loaded.close()

    def _abandon(self) -> None:
        """Each object does it itself."""


def sections_of(translation: Translation) -> dict[str, str]:
    """The section of each program, as far as its name or its context says it."""
    return {name: _section(name, context) for name, context in translation.programs.items()}


def _section(name: str, context: str) -> str:
    """The section of a program: what its name says, or its context."""
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    section = _PREFIXES.get(prefix, "")
    if section.endswith("/"):
        target = name.removeprefix(prefix)
        # Behind the name of a module, which is vmlinux for the kernel's own.
        return section + (target if prefix == "lsm__" else target.partition("__")[2] or target)
    if context.startswith(_TRACEPOINT):
        return "tp"
    return section or _CONTEXTS.get(context) or _UNCERTAIN.get(context, "kprobe")


def _is_certain(name: str, context: str) -> bool:
    """Whether a program can be of one type alone, and that type is nothing to be asked for."""
    return context in _CONTEXTS or context.startswith(_TRACEPOINT) or name.startswith(tuple(_PREFIXES))


def translated(text: str, file: str, flags: Sequence[str], libclang: Libclang | None = None) -> tuple[Translation, str]:
    """A text in C, from the cache if it was translated before, and what tells it from others.

    Args:
        text: in BCC's dialect.
        file: its path, or what messages call it.
        flags: for the compiler.
        libclang: to read it with; None for one of its own.

    Raises:
        CompileError: it is wrong.
        HookMissingError: this kernel has no such tracepoint.
    """
    from skep.bcc.dialect import Translation

    header, compiler = identity(), find_compiler()
    # Of a table that another text has made public, that text has said what kind it is.
    kinds = public() if "extern" in text else {}
    inputs = [json.dumps([text, file, *flags, kinds]), header, compiler.identity]
    inputs += [*_local_headers(text, file), *_translators()]
    key = _digest("\0".join(inputs).encode("utf-8", "surrogateescape"))
    folder = cache.cache_folder("bcc")
    path = os.path.join(folder, f"{key}.json")
    known = cache.read(path)
    if known is not None:
        return Translation(**json.loads(known)), key
    from skep.bcc.dialect import translate

    mount_tracefs()
    found = translate(
        text,
        file=file,
        make_header=lambda: header_folder(header),
        narrow=narrow_header,
        compiler=compiler,
        tracefs=tracefs() or "",
        arguments=flags,
        public=kinds,
        libclang=libclang,
    )
    parts = {name: getattr(found, name) for name in Translation.__slots__}
    cache.trim(folder)
    cache.write(path, json.dumps(parts).encode())
    return found, key


def compiled(
    translation: Translation, key: str, sections: Mapping[str, str], libclang: Libclang | None = None
) -> bytes:
    """The object that a text becomes, from the cache if it was made before.

    Args:
        translation: the text in C.
        key: what tells it from others.
        sections: of its programs. None is loaded unless it is asked for.
        libclang: to read it with; None for one of its own.

    Raises:
        CompileError: the compiler rejects it.
    """
    source = translation.with_sections({name: f"?{section}" for name, section in sections.items()}).encode()
    folder = cache.cache_folder("bcc")
    path = os.path.join(folder, f"{key}.{_digest(source)}.bpf.c")
    if cache.read(path) != source:
        cache.trim(folder)
        cache.write(path, source)
    return build(path, libclang=libclang)


def _local_headers(text: str, file: str) -> list[str]:
    """What the headers beside a text hold."""
    folder = os.path.dirname(os.path.abspath(file))
    paths = [os.path.join(folder, name) for name in _LOCAL.findall(text)]
    return [(cache.read(path) or b"").decode("utf-8", "surrogateescape") for path in paths]


def _translators() -> list[str]:
    include = os.path.join(_HERE, "include")
    paths = [os.path.join(_HERE, name) for name in _TRANSLATORS]
    paths += [os.path.join(include, name) for name in sorted(os.listdir(include))]
    return [(cache.read(path) or b"").decode("utf-8", "surrogateescape") for path in paths]


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=20).hexdigest()


def read_text(path: str) -> tuple[str, str]:
    """A file of BCC's dialect: its path, and what it says.

    Args:
        path: of it; beside the script, if it is not in the current folder.

    Raises:
        SourceNotFoundError: it cannot be read.
    """
    import sys

    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), path)
    for each in (path, beside):
        data = cache.read(each)
        if data is not None:
            return each, data.decode("utf-8", "surrogateescape")
    raise SourceNotFoundError(f"{path} cannot be read: it is neither here nor beside the script")
