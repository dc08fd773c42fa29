"""Which meaning a field has, by its type and name; and which clock its time is of."""

import pytest

from skep.base.meaning import MEANINGS
from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import CLOCKS, with_meanings

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
BE16 = Type("int", 2, "__be16")
MAC = Type("array", 6, "u8[6]", element=Type("int", 1, "u8"), count=6)
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
S32 = Type("int", 4, "int", signed=True)
S64 = Type("int", 8, "s64", signed=True)
U128 = Type("int", 16, "unsigned __int128")
TEXT = Type("text", 16, "char[16]", count=16)
BYTES = Type("array", 16, "u8[16]", element=U8, count=16)
POINTER = Type("pointer", 8, "void *")
ENUM = Type("enum", 4, "enum state", enum={0: "IDLE"})


def meaning(name: str, type_: Type, helpers: set[int] | None = None, *, beside: str = "other") -> str | None:
    fields = (Field(name, 0, type_.size, type_), Field(beside, type_.size, 2, U16))
    return with_meanings(Schema("event", type_.size + 2, fields), helpers or set()).fields[0].meaning


@pytest.mark.parametrize(
    ("name", "type_", "word"),
    [
        *((name, U8, "protocol") for name in ("protocol", "proto")),
        *((name, U32, "tcp_state") for name in ("oldstate", "newstate")),
        *((name, U64, "cgroup") for name in ("cgroup", "cgroup_id", "cgid")),
        *((name, U32, "namespace") for name in ("mnt_ns", "netns", "pid_ns_id", "target_userns")),
        *((name, U64, "namespace") for name in ("mntns", "net_ns_id")),
        *((name, U64, "duration_ns") for name in ("user_ns", "net_ns")),
        *((name, type_, "compat") for name in ("compat", "is_compat") for type_ in (U32, Type("bool", 1, "bool"))),
        *((name, MAC, "mac") for name in ("mac", "smac", "src_mac")),
        ("dev", U32, "device"),
        *((name, TEXT, "comm") for name in ("comm", "parent_comm", "COMM")),
        *((name, TEXT, "text") for name in ("filename", "command", "pid")),
        *(
            (name, U64, "time_monotonic")
            for name in ("ts", "timestamp", "time", "time_ns", "start_ts", "ktime", "start")
        ),
        *(
            (name, U64, "duration_ns")
            for name in ("delta", "delta_ns", "duration", "latency", "lat", "wait_ns", "age_ns")
        ),
        *((name, U64, "duration_us") for name in ("delta_us", "us", "usecs")),
        *((name, U32, "duration_ms") for name in ("delta_ms", "ms")),
        *((name, S32, "result") for name in ("ret", "retval", "result")),
        *((name, S64, "result") for name in ("ret",)),
        *((name, S32, "errno") for name in ("err", "errno", "error")),
        *((name, S32, "signal") for name in ("sig", "signo", "signal")),
        *((name, U32, "pid") for name in ("pid", "tgid", "target_pid")),
        *((name, U32, "tid") for name in ("tid", "prev_tid")),
        *((name, U32, "ppid") for name in ("ppid", "parent_pid")),
        *((name, U32, "uid") for name in ("uid", "new_uid")),
        *((name, U32, "gid") for name in ("gid",)),
        *((name, U16, "port") for name in ("port", "sport", "dport", "lport", "local_port")),
        *((name, BE16, "port_be") for name in ("port", "dport")),
        *((name, U32, "ipv4") for name in ("saddr", "daddr", "ip", "saddr_v4", "dst_ip", "daddr4")),
        *((name, BYTES, "ipv6") for name in ("saddr", "saddr_v6", "daddr6")),
        *((name, U128, "ipv6") for name in ("saddr_v6",)),
        *((name, U16, "family") for name in ("family", "af", "sa_family")),
        *((name, U64, "bytes") for name in ("bytes", "rx_bytes")),
        *((name, S32, "syscall") for name in ("syscall", "syscall_nr", "sysnr")),
        *((name, S32, "open_flags") for name in ("open_flags", "o_flags")),
        *((name, POINTER, "pointer") for name in ("sk", "anything")),
    ],
)
def test_a_field_means_what_its_type_and_name_agree_on(name: str, type_: Type, word: str) -> None:
    assert meaning(name, type_) == word
    assert word in MEANINGS


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        pytest.param("ts", U32, id="a time of 32 bits"),
        pytest.param("delta", U32, id="a span without a unit, of 32 bits"),
        pytest.param("pid", U64, id="a pid of 64 bits, which is pid and tid together"),
        pytest.param("pid", ENUM, id="an enum, whatever its name"),
        pytest.param("port", U32, id="a port of 32 bits"),
        pytest.param("status", U64, id="a name that only starts with one"),
        pytest.param("events", U64, id="a name that only ends with one"),
        pytest.param("rapid", U32, id="a name that holds one"),
        pytest.param("saddr", U64, id="an address of 64 bits"),
        pytest.param("count", U64, id="any other number"),
        pytest.param("ts_us", U64, id="a time in microseconds"),
        pytest.param("start_timestamp_ms", U64, id="a time in milliseconds"),
        pytest.param("exit_code", S32, id="the kernel's exit code, or the status taken out of it"),
    ],
)
def test_a_field_whose_type_or_name_does_not_fit_stays_a_number(name: str, type_: Type) -> None:
    assert meaning(name, type_) is None


def test_a_bitfield_stays_a_number() -> None:
    schema = Schema("event", 4, (Field("pid", 0, 4, U32, None, (0, 20)),))

    assert with_meanings(schema, set()).fields[0].meaning is None


def test_a_meaning_that_is_stated_stays() -> None:
    schema = Schema("event", 4, (Field("pid", 0, 4, U32, "tid"),))

    assert with_meanings(schema, set()).fields[0].meaning == "tid"


@pytest.mark.parametrize(
    ("name", "beside", "word"),
    [
        pytest.param("saddr", "family", "ip", id="with a family beside it"),
        pytest.param("saddr", "sa_family", "ip", id="with a family of another name"),
        pytest.param("saddr", "other", "ipv6", id="without a family"),
        pytest.param("saddr_v6", "family", "ipv6", id="with its version in its name"),
    ],
)
def test_an_address_of_16_bytes_is_of_the_family_beside_it(name: str, beside: str, word: str) -> None:
    assert meaning(name, BYTES, beside=beside) == word


@pytest.mark.parametrize(
    ("helpers", "word"),
    [
        pytest.param({5}, "time_monotonic", id="bpf_ktime_get_ns"),
        pytest.param({160}, "time_monotonic", id="bpf_ktime_get_coarse_ns"),
        pytest.param({5, 160}, "time_monotonic", id="two of one clock"),
        pytest.param({125, 14}, "time_boot", id="bpf_ktime_get_boot_ns"),
        pytest.param({208}, "time_tai", id="bpf_ktime_get_tai_ns"),
        pytest.param({5, 125}, "time_monotonic", id="two clocks"),
        pytest.param({14}, "time_monotonic", id="no clock"),
    ],
)
def test_a_time_is_of_the_clock_that_the_programs_read(helpers: set[int], word: str) -> None:
    assert meaning("ts", U64, helpers) == word


def test_the_clocks_are_words_of_the_vocabulary() -> None:
    assert set(CLOCKS.values()) <= set(MEANINGS)


def test_everything_but_the_meanings_stays_as_it_is() -> None:
    schema = Schema("event", 6, (Field("pid", 0, 4, U32), Field("bits", 4, 2, U16, None, (1, 3))))

    found = with_meanings(schema, set())

    assert (found.name, found.size) == (schema.name, schema.size)
    assert [(f.name, f.offset, f.size, f.type, f.bits) for f in found.fields] == [
        (f.name, f.offset, f.size, f.type, f.bits) for f in schema.fields
    ]


@pytest.mark.parametrize(
    ("name", "kind"), [("comm", "text"), ("file_name", "text"), ("saddr", "array"), ("key", "array")]
)
def test_bytes_that_are_called_text_are_text(name: str, kind: str) -> None:
    schema = with_meanings(Schema("event", 16, (Field(name, 0, 16, BYTES),)), set())

    assert schema.fields[0].type.kind == kind


def test_a_stated_meaning_makes_text_of_bytes() -> None:
    schema = with_meanings(Schema("event", 16, (Field("payload", 0, 16, BYTES, "text"),)), set())

    assert schema.decode(b"GET /".ljust(16, b"\0")).payload == "GET /"
