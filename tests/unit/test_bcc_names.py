"""The public names of BCC's Python (Debian's python3-bpfcc 0.26): each is there, or is refused by its name.

A script that asks for one never gets an AttributeError.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from types import SimpleNamespace

import pytest

from skep.base.errors import UnsupportedError
from skep.bcc import BPF, buffers, kinds, table
from skep.bcc.usdt import USDT, USDTProbe, USDTProbeArgument, USDTProbeLocation

# Module -> what it has, and what it refuses.
MODULES = {
    "": (
        """BPF BPFAttachType BPFProgType DEBUGFS DEBUG_BPF DEBUG_BPF_REGISTER_STATE DEBUG_BTF DEBUG_LLVM_IR
        DEBUG_PREPROCESSOR DEBUG_SOURCE Perf PerfEventArray PerfEventSampleFormat PerfHWConfig PerfSWConfig PerfType
        RingBuf SymbolCache TRACEFS USDT USDTException XDPAction XDPFlags ArgString StrcmpRewrite __version__
        _get_num_open_probes get_online_cpus lib printb""",
        "Table bcc_stacktrace_build_id bcc_symbol bcc_symbol_option decode_map disassemble_prog",
    ),
    ".containers": ("filter_by_containers", ""),
    ".libbcc": (
        "lib",
        """bcc_ip_offset_union bcc_perf_buffer_opts bcc_stacktrace_build_id bcc_symbol bcc_symbol_option bcc_usdt
        bcc_usdt_argument bcc_usdt_location BCC_USDT_ARGUMENT_FLAGS""",
    ),
    ".perf": ("Perf", ""),
    ".syscall": ("syscall_name syscalls", ""),
    ".table": (
        """Array BPF_MAP_TYPE_ARRAY BPF_MAP_TYPE_HASH BPF_MAP_TYPE_PERF_EVENT_ARRAY BPF_MAP_TYPE_QUEUE
        BPF_MAP_TYPE_RINGBUF BPF_MAP_TYPE_STACK BPF_MAP_TYPE_TASK_STORAGE CgroupArray HashTable LpmTrie LruHash
        LruPerCpuHash MapInMapArray MapInMapHash PerCpuArray PerCpuHash PerfEventArray ProgArray QueueStack RingBuf
        StackTrace TableBase""",
        """ArrayBase CpuMap DevMap FileDesc Table XskMap get_table_type_name linear_index_max log2_index_max
        map_type_name stars_max""",
    ),
    ".tcp": (
        """flags2str tcpstate TCPHDR_FIN TCPHDR_SYN TCPHDR_RST TCPHDR_PSH TCPHDR_ACK TCPHDR_URG TCPHDR_ECE
        TCPHDR_CWR""",
        "",
    ),
    ".usdt": ("USDT USDTException USDTProbe USDTProbeArgument USDTProbeLocation", "bcc_usdt_argument"),
    ".utils": (
        "ArgString StrcmpRewrite detect_language get_online_cpus get_possible_cpus printb",
        "FILESYSTEMENCODING warn_with_traceback",
    ),
    ".version": ("__version__", ""),
}


@pytest.mark.parametrize("module", MODULES)
def test_modules(module):
    found = import_module(f"skep.bcc{module}")
    has, refuses = MODULES[module]

    for name in has.split():
        assert getattr(found, name) is not None
    for name in refuses.split():
        with pytest.raises(UnsupportedError, match=name):
            getattr(found, name)


CONSTANTS = """
SOCKET_FILTER KPROBE SCHED_CLS SCHED_ACT TRACEPOINT XDP PERF_EVENT CGROUP_SKB CGROUP_SOCK LWT_IN LWT_OUT LWT_XMIT
SOCK_OPS SK_SKB CGROUP_DEVICE SK_MSG RAW_TRACEPOINT CGROUP_SOCK_ADDR TRACING LSM XDP_ABORTED XDP_DROP XDP_PASS
XDP_TX XDP_REDIRECT XDP_FLAGS_UPDATE_IF_NOEXIST XDP_FLAGS_SKB_MODE XDP_FLAGS_DRV_MODE XDP_FLAGS_HW_MODE
XDP_FLAGS_REPLACE
"""
METHODS = """
Function attach_func attach_kfunc attach_kprobe attach_kretfunc attach_kretprobe attach_lsm attach_perf_event
attach_perf_event_raw attach_raw_socket attach_raw_tracepoint attach_tracepoint attach_uprobe attach_uretprobe
attach_xdp cleanup close detach_func detach_kfunc detach_kprobe detach_kretfunc detach_kretprobe detach_lsm
detach_perf_event detach_raw_tracepoint detach_tracepoint detach_uprobe detach_uretprobe donothing dump_func
find_exe find_library fix_syscall_fnname free_bcc_memory generate_auto_includes get_kprobe_functions get_probe_limit
get_syscall_fnname get_syscall_prefix get_table get_tracepoints get_user_addresses get_user_functions
get_user_functions_and_addresses kernel_struct_has_field kprobe_poll ksym ksymname load_func load_funcs
monotonic_time num_open_kprobes num_open_tracepoints num_open_uprobes perf_buffer_consume perf_buffer_poll
remove_xdp ring_buffer_consume ring_buffer_poll support_kfunc support_lsm support_raw_tracepoint
support_raw_tracepoint_in_module sym trace_fields trace_open trace_print trace_readline tracepoint_exists
"""
REFUSED = """
CLOCK_MONOTONIC Table add_module add_prefix decode_table detach_kprobe_event detach_kprobe_event_by_fn
detach_uprobe_event disassemble_func str2ctype timespec
"""


def test_what_a_bpf_has_and_what_it_refuses():
    bpf = object.__new__(BPF)

    for name in CONSTANTS.split():
        assert isinstance(getattr(BPF, name), int)
    for name in METHODS.split():
        assert callable(getattr(BPF, name))
    for name in REFUSED.split():
        for asked in (BPF, bpf):
            with pytest.raises(UnsupportedError, match=name):
                getattr(asked, name)


ALL = """
get_fd key_sprintf leaf_sprintf key_scanf leaf_scanf itervalues iteritems items values clear items_lookup_batch
items_delete_batch items_update_batch items_lookup_and_delete_batch zero iter keys next decode_c_struct
print_json_hist print_log2_hist print_linear_hist
"""
NOT_THERE = {"decode_c_struct"}
# Class -> what it has beside what all have.
TABLES = {
    table.HashTable: "",
    table.LruHash: "",
    table.Array: "clearitem",
    table.LpmTrie: "",
    kinds.ProgArray: "clearitem",
    kinds.CgroupArray: "clearitem",
    kinds.PerCpuHash: "getvalue sum max average total_cpu sLeaf reducer",
    kinds.PerCpuArray: "getvalue sum max average total_cpu sLeaf reducer",
    kinds.LruPerCpuHash: "getvalue sum max average",
    kinds.StackTrace: "walk",
    kinds.MapInMapArray: "",
    kinds.MapInMapHash: "",
    buffers.PerfEventArray: "event open_perf_buffer open_perf_event",
}
WITHOUT_KEYS = {
    kinds.QueueStack: "get_fd leaf_sprintf leaf_scanf push pop peek itervalues values",
    buffers.RingBuf: "get_fd event open_ring_buffer",
}


def _made(kind):
    """A table without a map: enough to see what it has."""
    made = object.__new__(kind)
    made.map = SimpleNamespace(name="counts")
    made.raw = SimpleNamespace(cpus=2)
    made.Leaf = made.sLeaf = ctypes.c_int
    return made


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_what_tables_have_and_what_they_refuse(kind):
    made = _made(kind)

    for name in [*ALL.split(), *TABLES[kind].split()]:
        if name in NOT_THERE:
            with pytest.raises(UnsupportedError, match=rf"counts: skep has no {name}\(\)"):
                getattr(made, name)
        else:
            getattr(made, name)


@pytest.mark.parametrize("kind", WITHOUT_KEYS, ids=lambda kind: kind.__name__)
def test_what_tables_without_keys_have(kind):
    made = _made(kind)

    for name in WITHOUT_KEYS[kind].split():
        assert callable(getattr(made, name))
    for name in ("decode_c_struct", "items_lookup_batch"):
        with pytest.raises(UnsupportedError, match=name):
            getattr(made, name)


def test_what_probes_have():
    for kind, names in (
        (
            USDT,
            """enable_probe enable_probe_or_bail get_text get_probe_arg_ctype enumerate_probes attach_uprobes
            enumerate_active_probes""",
        ),
        (USDTProbe, "short_name get_location"),
        (USDTProbeLocation, "get_argument"),
        (USDTProbeArgument, "__str__"),
    ):
        for name in names.split():
            assert callable(getattr(kind, name))
        with pytest.raises(UnsupportedError, match=rf"{kind.__name__}\.get_context"):
            object.__new__(kind).get_context  # noqa: B018


def test_flags_of_perf_events_lie_where_the_kernel_has_them():
    attributes = import_module("skep.bcc").Perf.perf_event_attr(type=1, config=2)
    attributes.sample_period = 3
    attributes.exclude_kernel = attributes.inherit = 1
    attributes.precise_ip = 2
    attributes.wakeup_events = 9

    words = (ctypes.c_uint64 * 16).from_buffer_copy(bytes(attributes).ljust(128, b"\0"))
    assert (attributes.size, words[0], words[1], words[2]) == (120, 120 << 32 | 1, 2, 3)
    assert words[5] == 1 << 1 | 1 << 5 | 2 << 15
    assert words[6] & 0xFFFFFFFF == 9
    assert attributes.sample_freq == 3
    with pytest.raises(UnsupportedError, match=r"Perf\.ioctl"):
        import_module("skep.bcc").Perf().ioctl  # noqa: B018
