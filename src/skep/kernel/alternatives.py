"""Decides which programs of a kernel file are loaded and attached, and says of each other one why not.

Programs on the same kernel function or tracepoint, in different kinds, are alternatives: fentry and fexit come before
kprobe.multi, kprobe and ksyscall, tp_btf before raw_tp and tp: the former are cheaper, and typed. Which of them this
kernel takes is found by trial before anything is loaded, since libbpf refuses a whole object when the function of one
fentry program is missing. What stands on the entry of a function is no alternative to what stands on its return.

Programs that share a map are one family and use one kind: an entry that one kind records is not left to another kind's
return. A map that only carries records to user space ties nobody. Programs without a rival stay.

Annotations and the user say more: of a group (@oneof) the first that this kernel takes is loaded; what the user wants
is loaded, whatever it is a rival of; what is wanted or @required is never left out for want of its hook.
"""

from __future__ import annotations

from skep._native import ffi, lib
from skep.base.errors import HookMissingError, ProgramError, UsageError
from skep.base.nearest import nearest
from skep.kernel.features import UNTRIED
from skep.kernel.handlers import known_to_libbpf
from skep.spec.objectspec import PROG_ARRAY, TREE
from skep.spec.sections import no_hook
from skep.spec.targets import Targets, hook_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from skep.spec.objectspec import ObjectSpec
    from skep.spec.sections import Hook

    Ladder = Sequence[Collection[str]]

__all__ = ["Plan"]

# Kinds for the same, better ones first.
_FUNCTIONS: Ladder = (
    {"fentry", "fexit"},
    {"kprobe.multi", "kretprobe.multi"},
    {"kprobe", "kretprobe"},
    {"ksyscall", "kretsyscall"},
)
_TRACEPOINTS: Ladder = ({"tp_btf"}, {"raw_tp", "raw_tp.w"}, {"tp"})
# What architectures put before the name of a system call, in that of the function that it enters by.
_ENTRIES = ("__x64_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_")


class Plan:
    """Which programs of an object are not to be loaded, and which of the others not attached.

    Args:
        spec: the object.
        wanted: programs that are loaded whatever is preferred to them, or though their section starts with a ?.
        without: programs that are not loaded.
        targets: what the user says of hooks.
        called: programs that maps are filled with.
        why_not: why this kernel takes no program on a hook, "" if it does; None: it is tried.

    `hooks` holds, by name, what each program is for, with what the user says of it; `left_out` why a program is not
    loaded; `open` what one that is loaded needs to be attached.

    Raises:
        UsageError: there is no program of a name, one is both wanted and not, or a target is none for its program.
    """

    def __init__(
        self,
        spec: ObjectSpec,
        wanted: Collection[str] = (),
        without: Collection[str] = (),
        *,
        targets: Targets | None = None,
        called: Collection[str] = (),
        why_not: Callable[[Hook], str] | None = None,
    ) -> None:
        targets = targets or Targets()
        _check_names(spec, [*wanted, *targets.attach], without)
        self._spec = spec
        self._wanted = wanted
        self._called = {*called, *(name for name, program in spec.programs.items() if program.array)}
        self._why_not = why_not
        self.hooks = {name: hook_of(program, targets, spec.maps) for name, program in spec.programs.items()}
        self._answers: dict[str, str] = {}
        self._wrong: list[str] = []
        self._missing: list[str] = []
        self.left_out: dict[str, str] = dict.fromkeys(without, "not wanted")
        self.open: dict[str, str] = {}
        for name in self._undecided():
            self._place(name, spec.programs[name].section)
        for group in _groups(spec, self._undecided()):
            self._choose_one(group)
        single = {name: self.hooks[name] for name in self._undecided() if not self._marked(name, "oneof")}
        for ladder in (_FUNCTIONS, _TRACEPOINTS):
            for family in _families(spec, single, ladder):
                self._choose_kind(family, ladder)

    def check(self) -> None:
        """Stops what must not be run.

        Raises:
            ProgramError: a section names no hook.
            HookMissingError: the kernel lacks the hook of a program that is wanted or @required, or those of all.
            UsageError: several programs are for a place that has room for one.
        """
        for name in self._wrong:
            raise ProgramError(f"program {name}: {self.left_out[name]}")
        self._check_places()
        needed = [name for name in self._missing if self.is_needed(name)]
        if self.left_out.keys() >= self._spec.programs.keys():
            needed += self._missing
        for name in needed:
            from skep.kernel.diagnosis import locate
            from skep.kernel.link.symbols import advice

            error = HookMissingError(
                f"program {name} has nothing to attach to: {self.left_out[name]}", remedy=advice(self.hooks[name])
            )
            locate(error, self._spec, name)
            raise error

    def _check_places(self) -> None:
        places: dict[str, str] = {}
        for name in self._undecided():
            place = self.hooks[name].place
            first = places.setdefault(place, name)
            if place and first != name:
                ways = [f"Leave one out: --without {name}"]
                ways += [f"attach it elsewhere: --attach {name}=INTERFACE"] if "xdp" in place else []
                arrays = [map_.name for map_ in self._spec.maps.values() if map_.type == PROG_ARRAY]
                ways += [f"have {first} call it: --fill {array}=INDEX:{name}" for array in arrays]
                raise UsageError(
                    f"programs {first} and {name} are both for {place}, which runs one at a time",
                    remedy=f"{', or '.join(ways)}.",
                )

    def is_needed(self, name: str) -> bool:
        """Whether it is an error that this kernel lacks the hook of a program.

        Args:
            name: of the program.
        """
        return name in self._wanted or self._marked(name, "required")

    def refuse(self) -> bool:
        """Leaves out the programs that cannot be loaded here, since this kernel lacks what their hook is.

        To be asked once libbpf has refused the object: a trial takes some 10 ms, which most starts can do without.

        Returns:
            Whether there is any such program.
        """
        before = len(self._missing)
        for name, hook in self.hooks.items():
            if name not in self.left_out and hook.told_by_loading and (why := self._refusal(name)):
                self._leave(name, why)
        return len(self._missing) > before

    def excuse(self, name: str, why: str) -> bool:
        """Leaves out a program that cannot be loaded, if it is @optional and nobody asked for it.

        Args:
            name: of the program that libbpf complained of.
            why: what it said.

        Returns:
            Whether it is left out.
        """
        if name not in self._undecided() or not self._marked(name, "optional") or name in self._wanted:
            return False
        self.left_out[name] = why
        return True

    def outlook(self) -> dict[str, tuple[bool | None, str]]:
        """What attaching would tell, as far as it can be told before, or as this process may ask.

        Returns:
            For each program: whether it would be attached, None where nobody can tell; and why not.
        """
        found: dict[str, tuple[bool | None, str]] = {}
        for name in self.hooks:
            why = self.left_out.get(name) or self.open.get(name) or self._ask(name)
            found[name] = (None if why.startswith(UNTRIED) else not why, why)
        return found

    def _undecided(self) -> list[str]:
        return [name for name in self.hooks if name not in self.left_out and name not in self.open]

    def _marked(self, name: str, word: str) -> bool:
        return word in self._spec.programs[name].note.marks

    def _place(self, name: str, section: str) -> None:
        """Settles what the section alone decides."""
        hook = self.hooks[name]
        known = section.removeprefix("?")
        if known != section and name not in self._wanted:
            self.left_out[name] = f"its section starts with a ?: --with {name} loads it"
        elif not known_to_libbpf(known) and hook.kind:
            self.left_out[name] = f"libbpf {ffi.string(lib.libbpf_version_string()).decode()} has no section {known}"
        elif not known_to_libbpf(known):
            self.left_out[name] = no_hook(known)
            self._wrong.append(name)
        elif hook.kind == "struct_ops" and not self._spec.programs[name].struct:
            self.left_out[name] = "it is in no struct of operations"
        elif not hook.loads:
            self.left_out[name] = hook.needs
        elif hook.place and name in self._called and name not in self._wanted:
            # There is room for one, which calls the others.
            self.open[name] = "a program array holds it"
        elif hook.needs:
            self.open[name] = hook.needs
        elif self._spec.programs[name].note.value("link") is False and name not in self._wanted:
            self.open[name] = "@link false"

    def _choose_one(self, group: Sequence[str]) -> None:
        """Of a group, the first that this kernel takes."""
        chosen = [name for name in group if name in self._wanted]
        for name in group:
            if chosen and name not in chosen:
                self.left_out[name] = f"in favour of {', '.join(chosen)}"
            elif not chosen and (why := self._refusal(name)):
                self._leave(name, why)
            elif not chosen:
                chosen = [name]

    def _choose_kind(self, family: Sequence[str], ladder: Ladder) -> None:
        """Of a family, the programs of the best kind that this kernel takes for all of them."""
        rungs = [names for kinds in ladder if (names := [name for name in family if self.hooks[name].kind in kinds])]
        targets = {_target(self.hooks[name]) for name in family}
        whole = [names for names in rungs if {_target(self.hooks[name]) for name in names} == targets] or rungs
        kept = next((names for names in whole if any(name in self._wanted for name in names)), None)
        # The last is what remains: that it is refused too is told when it is attached.
        kept = kept or next((names for names in whole[:-1] if not any(map(self._refusal, names))), whole[-1])
        for names in rungs:
            refused = {name: why for name in names if name in self._answers and (why := self._refusal(name))}
            for name in names if names is not kept else ():
                if name in refused:
                    self._leave(name, refused[name])
                elif name not in self._wanted:
                    self.left_out[name] = next(iter(refused.values()), f"in favour of {', '.join(kept)}")

    def _leave(self, name: str, why: str) -> None:
        self._missing.append(name)
        self.left_out[name] = why

    def _refusal(self, name: str) -> str:
        """Why this kernel does not take a program; "" if it does, or if this process may not ask."""
        answer = self._ask(name)
        return "" if answer.startswith(UNTRIED) else answer

    def _ask(self, name: str) -> str:
        if self._why_not is None:
            # Most files have nothing to try.
            from skep.kernel.trial import Trial

            self._why_not = Trial().why_not
        if name not in self._answers:
            self._answers[name] = self._why_not(self.hooks[name])
        return self._answers[name]


def _check_names(spec: ObjectSpec, wanted: Collection[str], without: Collection[str]) -> None:
    for name in (*wanted, *without):
        if name not in spec.programs:
            raise UsageError(f"there is no program {name}", remedy=nearest(name, spec.programs, "programs"))
        if name in wanted and name in without:
            raise UsageError(f"program {name} is wanted, and not wanted")


def _groups(spec: ObjectSpec, names: Iterable[str]) -> Iterable[list[str]]:
    """The programs of each @oneof, in the order of the file."""
    groups: dict[str, list[str]] = {}
    for name in names:
        for group in spec.programs[name].note.marks.get("oneof", ())[-1:]:
            groups.setdefault(group, []).append(name)
    return groups.values()


def _target(hook: Hook) -> str:
    """What alternatives have in common, though each kind has its own words for it."""
    if "syscall" in hook.kind:
        return f"syscall {hook.target}"
    if hook.kind == "tp":
        return hook.target.partition("/")[2]
    entry = next((entry for entry in _ENTRIES if hook.target.startswith(entry)), "")
    return f"syscall {hook.target.removeprefix(entry)}" if entry else hook.target


def _families(spec: ObjectSpec, hooks: Mapping[str, Hook], ladder: Ladder) -> list[list[str]]:
    """Programs that have a rival, tied by what they hook and by the maps that they share."""
    rungs = {kind: rung for rung, kinds in enumerate(ladder) for kind in kinds}
    hooks = {name: hook for name, hook in hooks.items() if hook.kind in rungs}
    seen: dict[tuple[str, bool], set[int]] = {}
    for hook in hooks.values():
        seen.setdefault((_target(hook), hook.is_return), set()).add(rungs[hook.kind])
    contested = {target for (target, _), found in seen.items() if len(found) > 1}
    # These tie nobody: maps that only carry records, and the one that every file with skep.h shares.
    loose = {name for name, map_ in spec.maps.items() if map_.is_stream} | {TREE}
    families: list[tuple[list[str], set[tuple[str, str]]]] = []
    for name, hook in hooks.items():
        if _target(hook) not in contested:
            continue
        shared = spec.programs[name].symbols & spec.maps.keys() - loose
        names, ties = [name], {("target", _target(hook)), *(("map", map_) for map_ in shared)}
        for family in [family for family in families if family[1] & ties]:
            families.remove(family)
            names = family[0] + names
            ties |= family[1]
        families.append((names, ties))
    return [names for names, _ in families]
