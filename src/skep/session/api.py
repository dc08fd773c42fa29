"""The Python API: `compile` or `open` a spec, `load` it, `attach` it, read its `events`.

spec = skep.compile("opensnoop.bpf.c")
spec.variables["pid_target"].value = 1234
with spec.load() as obj, obj.attach():
    for event in obj.events(timeout=5):
        print(event.comm, event.filename)
"""

from __future__ import annotations

import os

from skep.base.errors import SourceNotFoundError
from skep.base.nearest import nearest
from skep.spec.document import Document
from skep.spec.objectspec import ObjectSpec
from skep.spec.trust import refuse_untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from skep.kernel.checking import Verdict
    from skep.kernel.map import Map
    from skep.session.loaded import Object
    from skep.spec.fills import Fill
    from skep.spec.targets import Targets

__all__ = ["Spec", "compile", "find_source", "open", "read_spec", "tool_folder", "tool_names"]

# Bytes that tell what a file is.
_HEAD = 64
_TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools")


class Spec(ObjectSpec):
    """What a kernel file is, and the way to load it. Plain data until then; needs no root."""

    __slots__ = ()

    def load(
        self,
        *,
        btf: str | None = None,
        maps: Mapping[str, Map | int] | None = None,
        sizes: Mapping[str, int] | None = None,
        wanted: Collection[str] = (),
        without: Collection[str] = (),
        targets: Targets | None = None,
        fill: Fill | None = None,
        pin_root: str | None = None,
    ) -> Object:
        """Loads the maps and programs into the kernel, with the variables as they are now.

        Args:
            btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
            maps: maps, or their file descriptors, to use in place of the spec's own, by name: so do several objects
                share them.
            sizes: entries that maps get instead of what the source says (bytes, for ring buffers), by name.
            wanted: programs that are to be loaded whatever is preferred to them, or though their section starts with
                a ?.
            without: programs that are not to be loaded.
            targets: what sections leave open, and targets other than theirs.
            fill: what maps hold before the first program runs: by map, its keys and their values, or keys alone.
                Numbers, bytes, or text as on the command line.
            pin_root: the folder of a bpffs in which maps are pinned, and found again, whose source says so
                (`LIBBPF_PIN_BY_NAME`); None for /sys/fs/bpf, and "" for none: what the source says of pins is ignored.

        Raises:
            UsageError: there is no such map or program, or what is given in place of a map is none; a map has no room
                for what it is to hold, or its types do not take it; a variable has to be set, or a map to be
                filled (@required).
            PrivilegeError: a capability is missing.
            UnsupportedError: the kernel lacks something that the programs need.
            VerifierError: the verifier rejects a program.
            LoadError: a map or a program is refused for another reason, or a map that is given, or pinned, differs from
                what the source declares.
            PinError: what is pinned where a map should be is no map.

        Minimum kernel: 5.2; 5.8 for capabilities other than CAP_SYS_ADMIN. Source: tools/lib/bpf/libbpf.c
        (bpf_object__load).
        """
        from skep.session.loaded import Object

        self.check_required({*(fill or ()), *(maps or ())})
        return Object(
            self,
            btf=btf,
            maps=maps,
            sizes=sizes,
            wanted=wanted,
            without=without,
            targets=targets,
            fill=fill,
            pin_root=pin_root,
        )

    def check(self, *, btf: str | None = None) -> list[Verdict]:
        """Loads each program by itself, attaches none, and tells what the kernel says of it: nothing stays loaded.

        Args:
            btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.

        Returns:
            A verdict for each program: its `word` is ``accepted``, with `figures`; or ``refused``, ``unsupported``
            (this kernel lacks something) or ``untried`` (this process may not ask), with the `report` of why.
        """
        from skep.kernel.checking import check

        return check(self, btf=btf)


def compile(  # noqa: A001 - skep.compile is what a reader expects
    source: str, *, btf: str | None = None, events: Mapping[str, Sequence[str]] | None = None
) -> Spec:
    """Compiles a kernel file, or takes the object that the cache holds for exactly this source.

    Args:
        source: path of a .bpf.c file, or the name of a tool of the gallery.
        btf: path of the BTF to compile against; None for the running kernel's.
        events: the types of the records of rings, by name of the ring, as C calls them: they overrule the source.

    Raises:
        SourceNotFoundError: no such file or tool.
        UsageError: a ring or a type of `events` is not there.
        PrivilegeError: we are root, and every user may write to it.
        CompileError: the compiler rejects it.
        BtfError: there is no BTF.
    """
    from skep.kernel.btf import build

    path = find_source(source)
    refuse_untrusted(path)
    return Spec.read(build(path, btf=btf, events=events), path.removesuffix(".c") + ".o")


def open(  # noqa: A001 - skep.open is what a reader expects
    path: str, *, events: Mapping[str, Sequence[str]] | None = None
) -> Spec:
    """Reads a built object.

    Args:
        path: of a .bpf.o file, or of a package of eunomia-bpf (package.json).
        events: the types of the records of rings, by name of the ring, as C calls them: they overrule the object.

    Raises:
        SourceNotFoundError: it cannot be read.
        UsageError: a ring or a type of `events` is not there.
        PrivilegeError: we are root, and every user may write to it.
        ObjectFormatError: it is not an eBPF object, or a damaged one.
    """
    refuse_untrusted(path)
    data = _read(path)
    asked = Document({ring: list(names) for ring, names in (events or {}).items()}, {}, "")
    if not _is_package(path, data[:_HEAD]):
        return Spec.read(data, path, document=asked)
    from skep.spec.package import read_package

    package = read_package(data, path)
    spec = Spec.read(package.data, path, document=package.document.overruled_by(asked))
    spec.name = package.name
    return spec


def find_source(name: str) -> str:
    """The path of a kernel file: that of a tool of the gallery, or a path as it is.

    Raises:
        SourceNotFoundError: neither a file nor a tool.
    """
    # A tool's name is a tool, whatever lies in this folder: somebody else may have put it there for root to load.
    if name in tool_names():
        return os.path.join(tool_folder(name), f"{name}.bpf.c")
    if os.path.isfile(name):
        return name
    if os.path.exists(name):
        raise SourceNotFoundError(f"{name} is no regular file", remedy="Give a .bpf.c file: it is read more than once.")
    raise SourceNotFoundError(f"there is no file and no tool {name}", remedy=nearest(name, tool_names(), "tools"))


def tool_folder(name: str) -> str:
    """Where the kernel file and the page of a tool lie."""
    return os.path.join(_TOOLS, name)


def tool_names() -> list[str]:
    """The tools of the gallery."""
    return sorted(name for name in os.listdir(_TOOLS) if os.path.exists(f"{_TOOLS}/{name}/{name}.bpf.c"))


def read_spec(source: str, *, btf: str | None = None, events: Mapping[str, Sequence[str]] | None = None) -> Spec:
    """A spec from whatever SOURCE names: a .bpf.c file, a .bpf.o file, a package.json, or a tool of the gallery."""
    path = find_source(source)
    head = _read(path, _HEAD)
    # What is called an object and is none is told so; what a compiler says of it would not help.
    is_built = head.startswith(b"\x7fELF") or path.endswith(".o") or _is_package(path, head)
    return open(path, events=events) if is_built else compile(path, btf=btf, events=events)


def _read(path: str, size: int = -1) -> bytes:
    """A file, or its first bytes."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            return file.read(size)
    except OSError as error:
        raise SourceNotFoundError(f"{path} cannot be read: {error.strerror}") from error


def _is_package(path: str, head: bytes) -> bool:
    """Whether a file is a package of eunomia-bpf, or a form of one that `read_package` knows to refuse."""
    return path.endswith((".json", ".yaml", ".yml", ".tar")) or head.lstrip().startswith(b"{")
