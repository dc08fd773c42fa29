"""A filter by container, as BCC's scripts import it from `bcc.containers`: text that comes before their own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["filter_by_containers"]

# Where nobody asks, the compiler leaves nothing of it.
_NONE = "static inline int {name}() {{ return 0; }}\n"
_CGROUPS = """
BPF_TABLE_PINNED("hash", u64, u64, skep_cgroups, 1024, "{path}");
static inline int skep_other_cgroup() {{
    u64 number = bpf_get_current_cgroup_id();
    return !skep_cgroups.lookup(&number);
}}
"""
# A script may bring the struct itself, unless this says that it is there: the kernel's own is in its types.
_NAMESPACES = """
#define MNT_NAMESPACE_DEFINED
BPF_TABLE_PINNED("hash", u64, u32, skep_namespaces, 1024, "{path}");
static inline int skep_other_namespace() {{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    u64 number = task->nsproxy->mnt_ns->ns.inum;
    return !skep_namespaces.lookup(&number);
}}
"""
_BOTH = """
static inline int container_should_be_filtered() {
    return skep_other_cgroup() || skep_other_namespace();
}
"""


def filter_by_containers(args: Any) -> str:
    """The text of ``container_should_be_filtered()``, which says whether the current task is to be left out.

    Args:
        args: a script's options: `cgroupmap` and `mntnsmap` are paths of pinned hashes whose keys are to be kept, the
            numbers of cgroups and of mount namespaces; None for all.
    """
    cgroups, namespaces = getattr(args, "cgroupmap", None), getattr(args, "mntnsmap", None)
    return "".join(
        (
            _CGROUPS.format(path=cgroups) if cgroups else _NONE.format(name="skep_other_cgroup"),
            _NAMESPACES.format(path=namespaces) if namespaces else _NONE.format(name="skep_other_namespace"),
            _BOTH,
        )
    )
