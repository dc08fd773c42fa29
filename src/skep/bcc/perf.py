"""`Perf`: a perf event as the kernel describes it, as BCC's scripts import it; `BPF.attach_perf_event_raw` takes one.

Source: include/uapi/linux/perf_event.h (struct perf_event_attr), perf_event_open(2).
"""

from __future__ import annotations

import ctypes

from skep.base.errors import UnsupportedError
from skep.bcc.refusing import Refusing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Perf"]

# Each a bit, from the lowest; precise_ip has two.
_FLAGS = (
    "disabled",
    "inherit",
    "pinned",
    "exclusive",
    "exclude_user",
    "exclude_kernel",
    "exclude_hv",
    "exclude_idle",
    "mmap",
    "comm",
    "freq",
    "inherit_stat",
    "enable_on_exec",
    "task",
    "watermark",
    "precise_ip",
    "mmap_data",
    "sample_id_all",
    "exclude_host",
    "exclude_guest",
    "exclude_callchain_kernel",
    "exclude_callchain_user",
    "mmap2",
    "comm_exec",
    "use_clockid",
    "context_switch",
    "write_backward",
    "namespaces",
)
_u16, _u32, _u64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


def _either(*members: tuple[str, type]) -> type:
    return type("either", (ctypes.Union,), {"_fields_": list(members)})


class _Attributes(ctypes.Structure):
    """struct perf_event_attr, up to its sixth version (Linux 5.5)."""

    _anonymous_ = ("rate", "wakeup", "address", "length")
    _fields_ = (
        ("type", _u32),
        ("size", _u32),
        ("config", _u64),
        ("rate", _either(("sample_period", _u64), ("sample_freq", _u64))),
        ("sample_type", _u64),
        ("read_format", _u64),
        *((name, _u64, 2 if name == "precise_ip" else 1) for name in _FLAGS),
        ("reserved_1", _u64, 63 - len(_FLAGS)),
        ("wakeup", _either(("wakeup_events", _u32), ("wakeup_watermark", _u32))),
        ("bp_type", _u32),
        ("address", _either(("bp_addr", _u64), ("config1", _u64))),
        ("length", _either(("bp_len", _u64), ("config2", _u64))),
        ("branch_sample_type", _u64),
        ("sample_regs_user", _u64),
        ("sample_stack_user", _u32),
        ("clockid", ctypes.c_int32),
        ("sample_regs_intr", _u64),
        ("aux_watermark", _u32),
        ("sample_max_stack", _u16),
        ("reserved_2", _u16),
        ("aux_sample_size", _u32),
        ("reserved_3", _u32),
    )

    def __init__(self, **given: int) -> None:
        super().__init__(**{"size": ctypes.sizeof(type(self)), **given})


class Perf(Refusing):
    """What describes an event, and its numbers. Events are opened by `BPF.attach_perf_event_raw`."""

    perf_event_attr = _Attributes
    PERF_TYPE_HARDWARE, PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT, PERF_TYPE_HW_CACHE = range(4)
    PERF_SAMPLE_RAW = 1024
    PERF_FLAG_FD_CLOEXEC = 8
    PERF_EVENT_IOC_SET_FILTER = 0x40082406
    PERF_EVENT_IOC_ENABLE = 0x2400

    @staticmethod
    def perf_event_open(*_: object, **__: object) -> NoReturn:
        """Refused."""
        raise UnsupportedError(
            "skep has no Perf.perf_event_open() of BCC's",
            remedy="BPF.attach_perf_event() and open_perf_event() of a table take a type and an event.",
        )
