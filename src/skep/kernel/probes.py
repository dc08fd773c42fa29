"""What the running kernel has for eBPF, found by trying: programs, maps, helpers, functions, hooks, links, and more.

Each is asked for where nothing can come of it; nothing stays loaded. What is found is kept until the next boot.

Minimum kernel: none. Source: kernel/bpf/syscall.c, kernel/bpf/verifier.c (check_helper_call, fetch_kfunc_meta).
"""

from __future__ import annotations

import os
import struct

from skep._native import ffi, lib
from skep.base.abi.helpers import HELPERS
from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import SkepError
from skep.kernel.attempts import KINDS, LINKS, attempt, kernel_types, type_of
from skep.kernel.features import missing_capabilities
from skep.kernel.releases import BTF_KINDS, HOOKS, INSTRUCTIONS, MAPS, PROGRAMS
from skep.kernel.releases import LINKS as LINKS_SINCE
from skep.kernel.verifier.environment import release_of_function, release_of_helper
from skep.spec import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skep.kernel.releases import ProgramTrial

__all__ = ["Feature", "features", "try_map"]

# enum bpf_cmd, include/uapi/linux/bpf.h
_MAP_CREATE, _BTF_LOAD = 0, 18
# By enum skep_answer.
_ANSWERS = (("no", ""), ("yes", ""), ("unknown", ""), ("no", "only in a program that is bound to a device"))
# It returns 0.
_END = bytes.fromhex("b7000000000000009500000000000000")
_NOT_SUPPORTED = 524  # ENOTSUPP: what is asked for is known, but not made so
_MOST_FUNCTIONS = 4096
# One type, int, to give a map's key and value.
_INT = ((1, 1 << 24, 4, 0x20),)
_UNTOLD = "this kernel's types do not tell which functions programs may call; those of Linux 6.10 and newer do"
# What the cache holds: a change here makes what it holds stale.
_FORMAT = 2


class Feature:
    """One thing that a kernel may have.

    Args:
        name: such as ``ringbuf``.
        state: ``yes``, ``no``, or ``unknown`` where it could not be told.
        why: what the kernel said, where the state is not ``yes``; or where it is.
        since: the Linux release that brought it; "" where that is not known.

    Minimum kernel: none. Source: kernel/bpf/syscall.c (bpf_prog_load, map_create).
    """

    __slots__ = ("name", "since", "state", "why")

    def __init__(self, name: str, state: str, why: str = "", since: str = "") -> None:
        self.name = name
        self.state = state
        self.why = why
        self.since = since

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.state}>"


def features(*, fresh: bool = False) -> Mapping[str, Sequence[Feature]]:
    """What the running kernel has for eBPF.

    Args:
        fresh: whether to try again, though this has been found out since the last boot.

    Returns:
        By group: ``program types``, ``map types``, ``hooks``, ``links``, ``instructions``, ``BTF``; and, for each
        program type, what it may call: ``helpers of xdp``, ``functions of xdp``.

    Minimum kernel: none. Source: kernel/bpf/syscall.c (bpf_prog_load, map_create), kernel/bpf/verifier.c.
    """
    path = _path()
    if not fresh and path is not None and (known := _read(path)) is not None:
        return known
    found = _probe()
    # What this process may not ask, another may.
    if path is not None and not missing_capabilities("CAP_NET_ADMIN"):
        _write(path, found)
    return found


def _path() -> str | None:
    """Where what is found is kept: of this boot, and of what this process may do."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return os.path.join(cache.cache_folder("features"), f"{boot}.{_FORMAT}.json")
    except (OSError, SkepError):
        return None


def _read(path: str) -> Mapping[str, Sequence[Feature]] | None:
    import json

    try:
        known = json.loads(cache.read(path) or b"")
        return {group: [Feature(*map(str, each)) for each in found] for group, found in known.items()}
    except (ValueError, TypeError, AttributeError):
        return None


def _write(path: str, found: Mapping[str, Sequence[Feature]]) -> None:
    import json

    known = {
        group: [(each.name, each.state, each.why, each.since) for each in group_found]
        for group, group_found in found.items()
    }
    try:
        cache.trim(os.path.dirname(path))
        cache.write(path, json.dumps(known).encode())
    except (OSError, SkepError):
        # Then it is found out again.
        return


def _probe() -> Mapping[str, Sequence[Feature]]:
    from threading import Thread

    missing = missing_capabilities("CAP_NET_ADMIN")
    why = f"needs {', '.join(missing)}" if missing else ""
    prober = _Prober(why)
    found = prober.kinds()
    programs = {each.name: PROGRAMS[each.name] for each in found["program types"] if each.state != "no"}
    # Most of the time is the kernel's: threads have more than one CPU, and to detach is to wait.
    beside: dict[str, list[Feature]] = {}
    threads = [
        Thread(target=lambda: beside.update(_hooks(_Prober(why)))),
        Thread(target=lambda: beside.update(_called(_Prober(why), programs))),
    ]
    for thread in threads:
        thread.start()
    helpers = [(name, release_of_helper(number) or "5.10 or before", number) for number, name in HELPERS.items()]
    for name, trial in programs.items():
        found[f"helpers of {name}"] = prober.calls(trial, helpers)
    for thread in threads:
        thread.join()
    kernel_types.cache_clear()
    type_of.cache_clear()
    return found | beside


def _hooks(prober: _Prober) -> dict[str, list[Feature]]:
    opened: list[int] = []
    found = {"hooks": [prober.ask(kind, since, _attempted, kind, opened) for kind, since in HOOKS.items()]}
    for fd in opened:
        os.close(fd)
    return found


def _called(prober: _Prober, programs: Mapping[str, ProgramTrial]) -> dict[str, list[Feature]]:
    """The functions of the kernel that programs may call."""
    found: dict[str, list[Feature]] = {}
    functions = [(name, release_of_function(name) or "", number) for name, number in _functions().items()]
    untold = [Feature("functions of the kernel", "unknown", _UNTOLD, "")]
    for name, trial in programs.items():
        found[f"functions of {name}"] = prober.calls(trial, functions, are_functions=True) if functions else untold
    return found


def _there(name: str, since: str, path: str) -> Feature:
    return Feature(name, "yes" if os.path.exists(path) else "no", path, since)


def _attempted(kind: str, opened: list[int]) -> None:
    opened += attempt(kind, KINDS)


def _linked(kind: str) -> None:
    for fd in attempt(kind, LINKS):
        os.close(fd)


def _functions() -> Mapping[str, int]:
    """The functions of the kernel that programs may call, and their types: as far as BTF tells (6.10)."""
    try:
        types = kernel_types()
    except OSError:
        return {}
    found = ffi.new(f"struct skep_kfunc[{_MOST_FUNCTIONS}]")
    count = lib.skep_kfuncs(types, found, _MOST_FUNCTIONS)
    return {ffi.string(each.name).decode(): each.id for each in found[0:count]}


class _Prober:
    """Loads small programs.

    Args:
        missing: what this process lacks to load any; "" if nothing.
    """

    def __init__(self, missing: str) -> None:
        self._missing = missing
        self._options = ffi.new("struct bpf_prog_load_opts *")
        self._options.sz = ffi.sizeof("struct bpf_prog_load_opts")

    def kinds(self) -> dict[str, list[Feature]]:
        """What there is of each kind, but for hooks."""
        nothing = PROGRAMS["socket_filter"]
        return {
            "program types": [self.ask(name, trial.since, self.load, trial, _END) for name, trial in PROGRAMS.items()],
            "map types": [self.ask(name, trial.since, try_map, name) for name, trial in MAPS.items()],
            "hooks": [],
            "links": [self.ask(kind, since, _linked, kind) for kind, since in LINKS_SINCE.items()],
            "instructions": [
                self.ask(name, since, self.load, nothing, bytes.fromhex(code))
                for name, (since, code) in INSTRUCTIONS.items()
            ],
            "BTF": [
                _there("vmlinux", "5.4", "/sys/kernel/btf/vmlinux"),
                *(self.ask(name, since, _types, types) for name, (since, types) in BTF_KINDS.items()),
            ],
        }

    def ask(self, name: str, since: str, trial: Callable[..., None], *arguments: object) -> Feature:
        """What comes of a trial."""
        if self._missing:
            return Feature(name, "unknown", self._missing, since)
        try:
            trial(*arguments)
        except OSError as error:
            return Feature(name, "no", error.strerror or str(error), since)
        return Feature(name, "yes", "", since)

    def load(self, trial: ProgramTrial, code: bytes) -> None:
        """Loads a program, and lets go of it."""
        instructions = ffi.cast("struct bpf_insn *", ffi.from_buffer(code))
        options = self._options
        options.expected_attach_type = trial.attach_type
        options.attach_btf_id = self._target(trial)
        options.prog_flags = trial.flags
        fd = int(lib.bpf_prog_load(trial.number, b"trial", b"GPL", instructions, len(code) // 8, options))
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd))
        os.close(fd)

    def calls(
        self, trial: ProgramTrial, asked: Sequence[tuple[str, str, int]], *, are_functions: bool = False
    ) -> list[Feature]:
        """Which of these helpers, or functions, a program of a type may call: name, release and number of each."""
        why = self._missing
        try:
            target = self._target(trial) if not why else 0
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            return [Feature(name, "unknown", why, since) for name, since, _ in asked]
        caller = ffi.new("struct skep_caller *", (trial.number, trial.attach_type, target, trial.flags, are_functions))
        answers = ffi.new("uint8_t[]", len(asked))
        lib.skep_may_call(caller, [number for _, _, number in asked], len(asked), answers)
        return [
            Feature(name, *_ANSWERS[answer], since) for (name, since, _), answer in zip(asked, answers, strict=True)
        ]

    def _target(self, trial: ProgramTrial) -> int:
        return type_of(trial.attach_type, trial.target.encode()) if trial.target else 0


def try_map(name: str) -> None:
    """Makes a map of a type, and lets go of it.

    Args:
        name: of the type, one of `MAPS`.

    Raises:
        OSError: what the kernel said.
    """
    trial = MAPS[name]
    number = next(number for number, known in MAP_TYPES.items() if known == name)
    inner = _create(2, 4, 4, 1) if trial.inner else 0
    types = _btf(_INT) if trial.typed else 0
    try:
        # One of a struct of operations needs a type of the kernel's, and none is number 1.
        value_type = 1 if name == "struct_ops" else 0
        fd = _create(
            number,
            trial.key,
            trial.value,
            trial.entries,
            flags=trial.flags,
            inner=inner,
            types=types,
            kernel_type=value_type,
        )
        os.close(fd)
    except OSError as error:
        if name != "struct_ops" or error.errno != _NOT_SUPPORTED:
            raise
    finally:
        for fd in (inner, types):
            if fd:
                os.close(fd)


def _create(
    number: int,
    key: int,
    value: int,
    entries: int,
    *,
    flags: int = 0,
    inner: int = 0,
    types: int = 0,
    kernel_type: int = 0,
) -> int:
    # union bpf_attr: map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node, map_name,
    # map_ifindex, btf_fd, btf_key_type_id, btf_value_type_id, btf_vmlinux_value_type_id.
    typed = 1 if types else 0
    sizes = (number, key, value, entries, flags, inner, 0)
    return _bpf(_MAP_CREATE, struct.pack("=7I16s5I", *sizes, b"trial", 0, types, typed, typed, kernel_type))


def _types(types: Sequence[Sequence[int]]) -> None:
    """Loads types, and lets go of them."""
    os.close(_btf(types))


def _btf(types: Sequence[Sequence[int]]) -> int:
    """Loads types."""
    data = b"".join(struct.pack(f"={len(each)}I", *each) for each in types)
    names = b"\0a\0"
    text = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(data), len(data), len(names)) + data + names
    held = ffi.from_buffer(text)
    return _bpf(_BTF_LOAD, struct.pack("=QQIIII", int(ffi.cast("uintptr_t", held)), 0, len(text), 0, 0, 0))


def _bpf(command: int, attributes: bytes) -> int:
    size = ffi.cast("unsigned int", len(attributes))
    fd = lib.syscall(lib.SYS_bpf, ffi.cast("int", command), ffi.from_buffer(attributes), size)
    if fd < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return int(fd)
