"""BCC's scripts on skep: the dialect as one more source of objects, and the Python API that the scripts expect.

`skep bcc script.py` answers ``import bcc`` with this. Only cli imports it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOMES = {
    "BPF": "bpf",
    "USDT": "usdt",
    "USDTException": "usdt",
    "ArgString": "utils",
    "get_online_cpus": "utils",
    "get_possible_cpus": "utils",
    "printb": "utils",
    "StrcmpRewrite": "utils",
    "lib": "libbcc",
    "Perf": "perf",
    "PerfEventArray": "buffers",
    "RingBuf": "buffers",
    "SymbolCache": "symbols",
    "_get_num_open_probes": "attaching",
    **dict.fromkeys(
        (
            "BPFAttachType",
            "BPFProgType",
            "DEBUGFS",
            "DEBUG_BPF",
            "DEBUG_BPF_REGISTER_STATE",
            "DEBUG_BTF",
            "DEBUG_LLVM_IR",
            "DEBUG_PREPROCESSOR",
            "DEBUG_SOURCE",
            "PerfEventSampleFormat",
            "PerfHWConfig",
            "PerfSWConfig",
            "PerfType",
            "TRACEFS",
            "XDPAction",
            "XDPFlags",
        ),
        "constants",
    ),
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - as the mapping says
from skep.bcc.version import __version__  # noqa: E402, F401 - scripts ask for it


def __getattr__(name: str) -> Any:
    import os

    # Whoever imports asks for a module in this way first.
    if os.path.exists(os.path.join(os.path.dirname(__file__), f"{name}.py")):
        raise AttributeError(name)
    from skep.bcc.refusing import answer_for

    return answer_for("bcc", _HOMES)(name)
