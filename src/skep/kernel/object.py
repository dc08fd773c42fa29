"""`Object`: a spec, loaded. It owns the file descriptors of its maps and programs until it is closed.

Minimum kernel: 5.2 for global variables. Source: tools/lib/bpf/libbpf.c (bpf_object__load).
"""

from __future__ import annotations

import errno
import os
import re
from mmap import mmap

from skep._native import ffi, lib, messages
from skep.base.errors import (
    MORE_DESCRIPTORS,
    NO_DESCRIPTORS,
    AttachError,
    BtfError,
    ClosedError,
    HookMissingError,
    LoadError,
    ObjectFormatError,
    UnsupportedError,
    UsageError,
)
from skep.base.nearest import nearest
from skep.kernel.alternatives import Plan
from skep.kernel.handlers import PROBES, readable
from skep.kernel.held import Held
from skep.kernel.link import Links, attach
from skep.kernel.map import open_map
from skep.kernel.program import Program
from skep.kernel.sizes import set_sizes
from skep.spec.objectspec import SCOPED, TREE
from skep.spec.targets import Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from skep.kernel.map import Map
    from skep.kernel.variable import Memory, Variable
    from skep.spec.fills import Entry, Fill
    from skep.spec.objectspec import MapSpec, ObjectSpec

__all__ = ["Object"]

# bpf_enable_stats(2): run time and run count of every program, while the file descriptor is open.
_STATS_RUN_TIME = 0
# Bytes of the verifier's log that are kept. Since 6.4 the kernel keeps the end of a longer one, which says why; before,
# its beginning.
_LOG = 64 << 20
# BPF_F_SLEEPABLE, include/uapi/linux/bpf.h: of sections that libbpf itself knows it sets this.
_SLEEPABLE = 1 << 4


class Object(Held):
    """A loaded spec: a context manager that closes its maps and programs.

    Args:
        spec: what to load; the values of its variables as they are now.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
        maps: maps, or their file descriptors, to use in place of the spec's own, by name.
        sizes: entries that maps get instead of what the source says (bytes, for ring buffers), by name.
        wanted: programs that are to be loaded whatever is preferred to them, or though their section starts with a ?.
        without: programs that are not to be loaded.
        targets: what sections leave open, and targets other than theirs.
        fill: what maps hold before the first program runs (`skep.spec.fills.entries`).
        pin_root: the folder of a bpffs in which maps are pinned, and found again, whose source says so
            (`LIBBPF_PIN_BY_NAME`); None for /sys/fs/bpf, and "" for none: what the source says of pins is ignored.
        log_level: what the verifier writes of programs that it accepts, too: 1 the last path, 2 all paths, 4 figures,
            or their sum. Of one that it refuses the last path is written in any case where this is 0.

    `left_out` holds, by name, why a program is not loaded, and `open` what one that is loaded needs to be attached.
    `losses_told` is how many of the losses that its programs count came with a batch, whichever reader gave it.

    Raises:
        UsageError: there is no such program or map, a map has no size, or what is given in place of one is none.
        PrivilegeError: a capability is missing.
        BtfError: the kernel has no BTF.
        UnsupportedError: the kernel lacks a hook or a kind of program.
        VerifierError: the verifier rejects a program.
        LoadError: a map or a program is refused for another reason, or a map that is given or pinned is another kind.
        PinError: what is pinned where a map should be is no map.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        *,
        btf: str | None = None,
        maps: Mapping[str, Map | int] | None = None,
        sizes: Mapping[str, int] | None = None,
        wanted: Collection[str] = (),
        without: Collection[str] = (),
        targets: Targets | None = None,
        fill: Fill | None = None,
        pin_root: str | None = None,
        log_level: int = 0,
    ) -> None:
        for name in (*(maps or ()), *(sizes or ())):
            if name not in spec.maps:
                raise UsageError(f"{spec.name} has no map {name}", remedy=nearest(name, spec.maps, "maps"))
        self.spec = spec
        contents = _contents(spec, fill) if fill else ()
        self._targets = targets or Targets()
        called = [entry.target for entry in contents]
        self._plan = Plan(spec, wanted, without, targets=self._targets, called=called)
        self._plan.check()
        self.left_out: Mapping[str, str] = self._plan.left_out
        self.open: Mapping[str, str] = self._plan.open
        self._handle = ffi.NULL
        # Those of maps, by the names that the source gives: where another map takes the place of one, libbpf goes over
        # to the name of the other.
        self._handles: list[tuple[str, Any]] = []
        self._failed = ""  # the program that libbpf complained of
        self.losses_told = 0
        self._statistics = -1
        self._log: Any = None
        self._log_level = log_level
        self._btf = btf
        self._ignores_pins = pin_root == ""
        # Each is a `Map`, with what can be done with one of its kind.
        self._maps: dict[str, Any] = {}
        self._programs: dict[str, Program] = {}
        self._variables: dict[str, Variable] | None = None
        self._memories: list[Memory] = []
        # libbpf reads the object where it lies: it has to live as long as the handle.
        self._data = ffi.from_buffer(readable(spec.data))
        while self._handle == ffi.NULL:
            try:
                self._open(btf, pin_root)
                self._prepare(maps or {}, sizes or {})
                self._load()
            except (LoadError, UnsupportedError) as error:
                self._release()
                # Without what cannot be loaded here, the others may still be of use.
                if isinstance(error, BtfError):
                    raise
                if not self._plan.excuse(self._failed, error.message.partition("\n")[0]) and not self._plan.refuse():
                    raise
                self._plan.check()
            except BaseException:
                self._release()
                raise
        self._hold()
        self._maps = {
            name: open_map(spec.maps[name], lib.bpf_map__fd(map_), lib.bpf_map__max_entries(map_))
            for name, map_ in self._handles
            if name in spec.maps
        }
        # Each goes to the first of its programs, which registers it.
        structs = dict(self._handles) if any(program.struct for program in spec.programs.values()) else {}
        self._programs = {
            name: Program(
                spec.programs[name],
                lib.bpf_program__fd(program),
                program,
                self._maps,
                structs.pop(spec.programs[name].struct, None),
            )
            for name, program in self._each_program()
            if name in spec.programs
        }
        if contents:
            self._fill(contents)

    def _told(self) -> str:
        return f"Object {self.spec.name}: {len(self._programs)} programs, {len(self._maps)} maps"

    @property
    def maps(self) -> Mapping[str, Any]:
        """Its maps, by name: each a `Map`, with what can be done with one of its kind.

        Raises:
            ClosedError: it is closed.
        """
        self.check()
        return self._maps

    @property
    def programs(self) -> Mapping[str, Program]:
        """Its programs, by name; those that are not loaded are in `left_out`, too.

        Raises:
            ClosedError: it is closed.
        """
        self.check()
        return self._programs

    @property
    def log(self) -> str:
        """What the verifier wrote of the program that it read last; "" unless that was asked for (`log_level`).

        Raises:
            ClosedError: it is closed.
        """
        self.check()
        return self._written()

    def _written(self) -> str:
        return ffi.string(self._log).decode("utf-8", "replace")  # type: ignore[no-any-return]

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Its globals, by name: `variables["dropped"].value` is what programs have counted until now.

        Raises:
            ClosedError: it is closed.

        Minimum kernel: 5.5. Source: kernel/bpf/arraymap.c (array_map_mmap).
        """
        self.check()
        if self._variables is None:
            self._variables = self._map_variables()
        return self._variables

    def _map_variables(self) -> dict[str, Variable]:
        from skep.kernel.variable import Memory, Variable

        sections: dict[str, Memory] = {}
        found = {}
        for spec in (*self.spec.globals.values(), *self.spec.variables.values()):
            if spec.section not in sections:
                # libbpf puts the object's name before that of a section without a name of its own.
                map_ = next((map_ for name, map_ in self._handles if name.endswith(spec.section)), None)
                if map_ is None:
                    continue
                memory = Memory(spec.section, lib.bpf_map__fd(map_), lib.bpf_map__value_size(map_))
                sections[spec.section] = memory
                self._memories.append(memory)
            found[spec.name] = Variable(spec, sections[spec.section])
        return found

    def _release(self) -> None:
        """Closes the maps and programs; what is still attached stays in the kernel as long as its link."""
        if self._handle != ffi.NULL:
            # Their file descriptors and libbpf's handles end here: nobody may use them any more.
            for memory in self._memories:
                memory.close()
            for map_ in self._maps.values():
                map_.close()
            for program in self._programs.values():
                program.fd = -1
                program.handle = ffi.NULL
            lib.bpf_object__close(self._handle)
            self._handle = ffi.NULL
            self._handles = []
        self._log = None
        if self._statistics >= 0:
            os.close(self._statistics)
            self._statistics = -1

    def _fill(self, contents: Sequence[Entry]) -> None:
        from skep.kernel.fill import fill_maps

        try:
            fill_maps(self._maps, self._programs, contents)
        except BaseException:
            self.close()
            raise

    def attach(self) -> Links:
        """Attaches every program to the hook that its section names.

        Raises:
            UnsupportedError: the kernel lacks a hook.
            AttachError: a hook refuses its program, or what one needs that is wanted or @required is not given.
        """
        self.check()
        left = {name: program for name, program in self._programs.items() if name not in {*self.left_out, *self.open}}
        unmet = [name for name in self.open if self._plan.hooks[name].needs and self._plan.is_needed(name)]
        if left and not unmet:
            needed = [name for name in left if self._plan.is_needed(name)]
            try:
                return attach(left.values(), self._plan.hooks, self._targets, needed=needed)
            except (AttachError, HookMissingError) as error:
                from skep.kernel.diagnosis import locate

                locate(error, self.spec, next((name for name in left if f"program {name}: " in error.message), ""))
                raise
        for name in (*unmet, *self.open):
            section = self.spec.programs[name].section
            raise AttachError(f"program {name} ({section}): {self.open[name]}", errno.EOPNOTSUPP)
        reasons = "".join(f"\nprogram {name}: {why}" for name, why in self.left_out.items())
        raise UsageError(f"no program is left to attach{reasons}")

    def enable_statistics(self) -> bool:
        """Lets the kernel count how often programs run, until the object is closed. It costs each run some 50 ns.

        Returns:
            False if it is not permitted (CAP_SYS_ADMIN).

        Minimum kernel: 5.8. Source: bpf(2), BPF_ENABLE_STATS.
        """
        self.check()
        if self._statistics < 0:
            self._statistics = lib.bpf_enable_stats(_STATS_RUN_TIME)
        return self._statistics >= 0

    def _open(self, btf: str | None, pin_root: str | None) -> None:
        messages()
        name = ffi.new("char[]", re.sub(r"\W", "_", self.spec.name).encode("ascii", "replace"))
        path = ffi.new("char[]", os.fsencode(btf)) if btf else ffi.NULL
        root = ffi.new("char[]", os.fsencode(pin_root)) if pin_root else ffi.NULL
        # libbpf's own would be doubled, and the program verified again, until a log of gigabytes fits. Pages that the
        # kernel does not write to cost nothing.
        self._log = ffi.from_buffer(mmap(-1, _LOG))
        options = ffi.new("struct bpf_object_open_opts *")
        options.sz = ffi.sizeof("struct bpf_object_open_opts")
        options.object_name = name
        options.btf_custom_path = path
        options.pin_root_path = root
        options.kernel_log_buf = self._log
        options.kernel_log_size = len(self._log)
        handle = lib.bpf_object__open_mem(self._data, len(self._data), options)
        if handle == ffi.NULL:
            number = ffi.errno
            from skep.kernel.refusals import first_message

            why = first_message(messages()) or os.strerror(number)
            raise ObjectFormatError(f"{self.spec.name} is not an object that libbpf can read: {why}")
        self._handle = handle
        map_ = lib.bpf_object__next_map(handle, ffi.NULL)
        while map_ != ffi.NULL:
            self._handles.append((_name(lib.bpf_map__name(map_)), map_))
            map_ = lib.bpf_object__next_map(handle, map_)

    def _each_program(self) -> list[tuple[str, Any]]:
        found, program = [], lib.bpf_object__next_program(self._handle, ffi.NULL)
        while program != ffi.NULL:
            found.append((_name(lib.bpf_program__name(program)), program))
            program = lib.bpf_object__next_program(self._handle, program)
        return found

    def _prepare(self, replaced: Mapping[str, Map | int], sizes: Mapping[str, int]) -> None:
        for name, program in self._each_program():
            lib.bpf_program__set_autoload(program, name not in self.left_out)
            lib.bpf_program__set_log_level(program, self._log_level)
            hook = self._plan.hooks.get(name)
            if hook is None:
                continue
            declared_hook = self.spec.programs[name].hook
            if (
                hook.by_type
                and hook.target != declared_hook.target
                and name not in self.left_out
                and lib.bpf_program__set_attach_target(program, 0, os.fsencode(hook.target))
            ):
                # It would be attached to what its section names.
                messages()
                self._failed = name
                raise HookMissingError(f"this kernel has no {hook}")
            if hook.family == "probe" and hook.kind != declared_hook.kind:
                lib.bpf_program__set_expected_attach_type(program, PROBES.get(hook.kind, 0))
            if hook.sleepable:
                lib.bpf_program__set_flags(program, lib.bpf_program__flags(program) | _SLEEPABLE)
        loaded = (program for name, program in self.spec.programs.items() if name not in self.left_out)
        structs = {program.struct for program in loaded if program.struct}
        if structs:
            from skep.kernel.link.struct_ops import map_flags

            flags = map_flags(structs, dict(self._handles))
        for name, map_ in self._handles:
            declared = self.spec.maps.get(name)
            error = 0
            if name in replaced:
                error = self._replace(map_, name, replaced[name], sizes)
            elif name == TREE and SCOPED in self.spec.variables:
                # The file includes skep.h, and nobody asks for its tree: it takes no room.
                error = lib.bpf_map__set_max_entries(map_, 1)
            elif declared is not None:
                error = set_sizes(map_, declared, sizes.get(name))
                if self._ignores_pins:
                    lib.bpf_map__set_pin_path(map_, ffi.NULL)
                _check_pin(map_, declared)
            elif name in structs:
                error = lib.bpf_map__set_map_flags(map_, flags)
            elif name.endswith(".rodata"):
                self._write_variables(map_)
            if error:
                raise LoadError(f"map {name} cannot be prepared: {os.strerror(-error)}", -error, log=messages())

    def _replace(self, map_: Any, name: str, other: Map | int, sizes: Mapping[str, int]) -> int:
        """Lets another map be the one of that name; 0, or a negative errno."""
        from skep.kernel.maps.opened import check_fits
        from skep.kernel.pin import kind_of

        fd = other if isinstance(other, int) else other.fd
        if fd < 0:
            raise ClosedError(f"{other!r} cannot be map {name}")
        if kind_of(fd) != "map":
            raise UsageError(f"{other!r} cannot be map {name}: it is no map, and no file descriptor of one")
        error = set_sizes(map_, self.spec.maps[name], sizes.get(name))
        check_fits(map_, self.spec.maps[name], fd, "that is given")
        return error or int(lib.bpf_map__reuse_fd(map_, fd))

    def _write_variables(self, map_: Any) -> None:
        size = ffi.new("size_t *")
        memory = lib.bpf_map__initial_value(map_, size)
        data = ffi.buffer(memory, size[0])
        for variable in self.spec.variables.values():
            if variable.offset + len(variable.data) > size[0]:
                raise ObjectFormatError(f"variable {variable.name} lies outside of its section")
            data[variable.offset : variable.offset + len(variable.data)] = variable.data

    def _load(self) -> None:
        error = lib.bpf_object__load(self._handle)
        if error:
            log = messages()
            if -error in NO_DESCRIPTORS:
                # Nothing more can be opened: no module either.
                message = f"{self.spec.name} cannot be loaded: {os.strerror(-error)}"
                raise LoadError(message, -error, log=log, remedy=MORE_DESCRIPTORS)
            from skep.kernel.refusals import not_loaded

            named = re.search(r"prog '(\w+)': ", log)
            self._failed = named[1] if named else ""
            entries = {name: lib.bpf_map__max_entries(map_) for name, map_ in self._handles}
            verified = self._written()
            if -error == errno.ENOSPC and self._log_level:
                # What was to be told of a program that may well be right.
                raise LoadError(f"{self.spec.name}: the verifier's log is too long", -error, log=verified)
            raise not_loaded(self.spec, -error, log, verified, entries, self._btf)


def _check_pin(map_: Any, declared: MapSpec) -> None:
    """What libbpf would only call a mismatch, or a wrong path."""
    path = lib.bpf_map__pin_path(map_)
    if path == ffi.NULL:
        return
    from skep.kernel.maps.opened import check_fits
    from skep.kernel.pin import check_bpffs, open_pin

    where = os.fsdecode(ffi.string(path))
    check_bpffs(os.path.dirname(where))
    if os.path.lexists(where):
        fd = open_pin(where, "map")
        try:
            check_fits(map_, declared, fd, f"pinned at {where}")
        finally:
            os.close(fd)


def _contents(spec: ObjectSpec, fill: Fill) -> Sequence[Entry]:
    """Read before anything is loaded: what is written wrong is found at once."""
    from skep.spec.fills import entries

    return entries(spec, fill)


def _name(text: Any) -> str:
    """A name that libbpf gives, as `skep.spec.elf` reads it."""
    return ffi.string(text).decode("utf-8", "replace")  # type: ignore[no-any-return]
