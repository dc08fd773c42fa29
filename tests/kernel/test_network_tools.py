"""Each tool of the network: its event, in namespaces and cgroups of the test's own; and silence when it is filtered."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from skep.base.errors import UnsupportedError
from skep.session import api
from skep.session.run import Run
from tests.network import inside, ip

# To a server of this process, over both families; the server closes first.
CONNECTS = """
import socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.create_server((address, 8000), family=family) as server, socket.socket(family) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((address, 8001))
        client.connect((address, 8000))
        server.accept()[0].close()
        client.recv(1)
"""
# include/net/tcp_states.h
TCP_ESTABLISHED, TCP_CLOSE_WAIT = 1, 8
# The ends of such a connection, as its client sees them.
ENDS = [("AF_INET", "127.0.0.1", "127.0.0.1", 8001, 8000), ("AF_INET6", "::1", "::1", 8001, 8000)]


def ends(event: dict[str, Any]) -> tuple[object, ...]:
    """Both ends of a connection, of which the server's port may be in network byte order."""
    return tuple(event[name] for name in ("family_name", "saddr_ip", "daddr_ip", "sport", "dport"))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def tool(run):
    """tool(name, ..., code): the events of a tool while Python code runs, with those that the fixture's end brings."""

    def events(*words: str, code: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = run(*words, "--", *python(f"import socket\n{code}"))
        return found

    return events


@pytest.fixture
def probed(uses):
    """probed(name, work, ...): what a tool on kernel functions tells of this process while it works.

    Skipped where the kernel lets none be probed. Not by the command line, which takes seconds in a guest.
    """

    def rows(name: str, work: Callable[[], object], *, wanted: Sequence[str] = (), **variables: object) -> list[Any]:
        uses(name)
        spec = api.read_spec(name)
        for variable, value in {"pid_target": os.getpid(), **variables}.items():
            spec.variables[variable].value = value
        try:
            with Run(spec, wanted=wanted) as run:
                work()
                return [row for batch in run.batches(duration=0.3) for row in batch.rows()]
        except UnsupportedError as error:
            pytest.skip(str(error))

    return rows


SENDS = """
import socket
for family, address in ((socket.AF_INET, "10.99.0.2"), (socket.AF_INET6, "fd99::2")):
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind(("", 4322))
        sender.sendto(b"12345", (address, 4321))
"""


def test_pktsnoop_shows_packets_of_both_families(network, tool):
    network.add_ipv6()

    events = tool("pktsnoop", "--iface", "near", "--protocol-target", "UDP", "--port", "4321", code=SENDS)

    names = "direction_name protocol_name family_name vlan sport dport saddr_ip daddr_ip length"
    shown = [tuple(event[name] for name in names.split()) for event in events]
    assert shown == [
        ("OUT", "UDP", "AF_INET", 0, 4322, 4321, "10.99.0.1", "10.99.0.2", 14 + 20 + 8 + 5),
        ("OUT", "UDP", "AF_INET6", 0, 4322, 4321, "fd99::1", "fd99::2", 14 + 40 + 8 + 5),
    ]


@pytest.mark.parametrize("filtered", [["--protocol-target", "TCP"], ["--port-target", "4323"], ["--iface", "lo"]])
def test_pktsnoop_is_silent_about_others(network, tool, filtered):
    assert (
        tool("pktsnoop", "--iface", "near", *filtered, code="socket.socket(type=2).sendto(b'', ('10.99.0.2', 9))") == []
    )


@pytest.mark.floors("6.12")
def test_pktsnoop_tells_the_vlan(network, tool):
    for namespace, name, number in ((network.ours, "near", 1), (network.theirs, "far", 2)):
        try:
            ip("-n", namespace, "link", "add", "link", name, "name", "vlan7", "type", "vlan", "id", "7")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel has no VLANs: {error.stderr}")
        ip("-n", namespace, "address", "add", f"10.97.0.{number}/24", "dev", "vlan7")
        ip("-n", namespace, "link", "set", "vlan7", "up")

    events = tool("pktsnoop", "--iface", "near", code="socket.socket(type=2).sendto(b'', ('10.97.0.2', 9))")

    assert {(event["vlan"], event["daddr_ip"]) for event in events if event["dport"] == 9} == {(7, "10.97.0.2")}


def tagged(vlan: int) -> bytes:
    """A frame with a VLAN's tag in it: UDP from 10.96.0.1, port 1, to 10.96.0.2, port 2."""
    ethernet = bytes(12) + struct.pack(">HHH", 0x8100, vlan, 0x0800)
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes([10, 96, 0, 1]), bytes([10, 96, 0, 2]))
    return ethernet + header + struct.pack(">HHHH", 1, 2, 8, 0)


def test_pktsnoop_reads_behind_a_tag_that_is_still_in_the_packet(network, tool):
    code = f"s = socket.socket(17, 3); s.bind(('near', 0)); s.send(bytes.fromhex('{tagged(0x3007).hex()}'))"

    events = tool("pktsnoop", "--iface", "near", "--port-target", "2", code=code)

    assert [(event["vlan"], event["saddr_ip"], event["sport"], event["dport"]) for event in events] == [
        (7, "10.96.0.1", 1, 2)
    ]


def test_pktsnoop_counts_the_packets_of_each_flow(network, tool):
    network.add_ipv6()

    events = tool("pktsnoop", "--iface", "near", "--count-flows", "--port-target", "4321", code=SENDS * 3)

    counts: Counter[tuple[object, ...]] = Counter()
    for event in events:
        counts[event["direction_name"], event["protocol_name"], *ends(event), event["bytes"] // event["packets"]] += (
            event["packets"]
        )
    assert counts == {
        ("OUT", "UDP", "AF_INET", "10.99.0.1", "10.99.0.2", 4322, 4321, 47): 3,
        ("OUT", "UDP", "AF_INET6", "fd99::1", "fd99::2", 4322, 4321, 67): 3,
    }


def test_tcingress_shows_the_length_and_the_time_to_live(network, tool):
    network.add_ipv6()
    code = """
for family, level, option, address in (
    (socket.AF_INET, 0, socket.IP_TTL, "10.99.0.2"), (socket.AF_INET6, 41, socket.IPV6_UNICAST_HOPS, "fd99::2")
):
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(level, option, 17)
        sender.sendto(b"12345", (address, 4321))
"""

    events = tool("tcingress", "--iface", "near", "--direction", "egress", code=code)

    names = "family_name saddr_ip daddr_ip total_length ttl"
    shown = [tuple(event[name] for name in names.split()) for event in events if event["ttl"] == 17]
    assert shown == [
        ("AF_INET", "10.99.0.1", "10.99.0.2", 20 + 8 + 5, 17),
        ("AF_INET6", "fd99::1", "fd99::2", 40 + 8 + 5, 17),
    ]


def test_tcingress_stands_before_other_filters_and_goes_without_a_trace(network, run, tmp_path):
    network.tc("qdisc", "add", "dev", "near", "clsact")
    network.tc("filter", "add", "dev", "near", "ingress", "pref", "9", "bpf", "bytecode", "1,6 0 0 0")
    told = tmp_path / "told"

    run("tcingress", "--iface", "near", "--", "sh", "-c", f"tc filter show dev near ingress > {told}")

    assert re.findall(r"pref (\d+) .*handle .*?(skep|bytecode)", told.read_text()) == [
        ("1", "skep"),
        ("9", "bytecode"),
    ]
    assert network.filters == ["bytecode"]
    network.tc("qdisc", "del", "dev", "near", "clsact")


def test_tcingress_is_silent_about_what_goes_the_other_way(network, tool):
    # What comes back would be a word of ICMP: nobody listens there. So somebody does.
    with inside(network.theirs), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("10.99.0.2", 4321))
        with inside(network.ours):
            assert (
                tool("tcingress", "--iface", "near", code="socket.socket(type=2).sendto(b'', ('10.99.0.2', 4321))")
                == []
            )


# To the other end of the cable, which answers nothing: there somebody listens.
@pytest.mark.parametrize("mode", ["generic", "native"])
def test_xdpsources_counts_packets_by_their_source(network, run, mode):
    network.add_ipv6()
    sends = [
        "ip",
        "netns",
        "exec",
        network.theirs,
        *python(SENDS.replace("10.99.0.2", "10.99.0.1").replace("::2", "::1")),
    ]

    events = run("xdpsources", "--iface", "near", "--xdp-mode", mode, "--", *sends)

    counts = {(event["family_name"], event["saddr_ip"]): (event["packets"], event["bytes"]) for event in events}
    assert counts["AF_INET", "10.99.0.2"] == (1, 14 + 20 + 8 + 5)
    # Who has an address of IPv6 is asked in packets of IPv6.
    packets, size = counts["AF_INET6", "fd99::2"]
    assert packets >= 1
    assert size >= 14 + 40 + 8 + 5


def test_xdpsources_reads_behind_the_tag_of_a_vlan(network, run):
    code = f"import socket; s = socket.socket(17, 3); s.bind(('far', 0)); s.send(bytes.fromhex('{tagged(7).hex()}'))"

    events = run(
        "xdpsources",
        "--iface",
        "near",
        "--xdp-mode",
        "native",
        "--",
        "ip",
        "netns",
        "exec",
        network.theirs,
        *python(code),
    )

    assert ("10.96.0.1", 1) in {(event["saddr_ip"], event["packets"]) for event in events}


@pytest.mark.parametrize(
    ("name", "table", "options"), [("xdpsources", "sources", []), ("pktsnoop", "flows", ["--count-flows"])]
)
def test_more_sources_than_there_is_room_for_push_the_oldest_out(network, run, name, table, options):
    code = "\n".join(
        [
            "import socket",
            "s = socket.socket(17, 3)",
            "s.bind(('far', 0))",
            f"frame = bytearray.fromhex('{tagged(7).hex()}')",
            "for number in range(2000):",
            "    frame[18 + 14:18 + 16] = number.to_bytes(2)",
            "    s.send(frame)",
        ]
    )
    sends = ["ip", "netns", "exec", network.theirs, *python(code)]

    sized = ["--iface", "near", "--map", f"{table}.max_entries=512", "--interval", "1m"]
    events = run(name, *options, *sized, "--", *sends)

    assert 1 <= len(events) <= 512
    assert "10.96.7.207" in {event["saddr_ip"] for event in events}


@pytest.mark.parametrize("mode", ["generic", "native"])
def test_xdpcount_counts_packets_by_what_they_carry(network, run, mode):
    code = (
        "import socket; s = socket.socket(17, 3); s.bind(('far', 0)); head = b'\\xff' * 6 + bytes(6)\n"
        "for kind in (0x0800, 0x0800, 0x0806, 0x8100, 0x86dd, 0x88cc): s.send(head + kind.to_bytes(2) + bytes(46))"
    )
    ip("-n", network.theirs, "link", "set", "far", "arp", "off")
    sends = ["ip", "netns", "exec", network.theirs, *python(code)]

    events = run("xdpcount", "--iface", "near", "--xdp-mode", mode, "--", *sends)

    packets: Counter[str] = Counter()
    for event in events:
        packets[event["kind_name"]] += event["packets"]
    # A namespace that is new has something to say in IPv6, too.
    assert packets.pop("IPV6") >= 1
    assert packets == {"IPV4": 2, "ARP": 1, "VLAN": 1, "OTHER": 1}


@pytest.mark.parametrize("name", ["xdpcount", "xdpsources"])
def test_packets_of_another_interface_are_not_counted(network, run, name):
    assert run(name, "--iface", "lo", "--", "ip", "netns", "exec", network.theirs, *python(SENDS)) == []


@pytest.mark.parametrize("name", ["xdpcount", "xdpsources", "pktsnoop", "tcingress"])
def test_an_interface_that_does_not_exist_is_told(network, skep, name):
    finished = subprocess.run(
        [*skep, "run", name, "--iface", "nothing0"], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 2
    assert "there is no network interface nothing0" in finished.stderr
    assert "lo, near" in finished.stderr


def joined(folder: Path, command: list[str]) -> list[str]:
    """A command that runs in a cgroup."""
    return ["sh", "-c", f'echo 0 > {folder}/cgroup.procs && exec "$@"', "sh", *command]


def test_egresscount_counts_what_leaves_a_cgroup(network, cgroup, run):
    network.add_ipv6()

    events = run("egresscount", "--cgroup", str(cgroup), "--", *joined(cgroup, python(SENDS)))

    packets = {event["family_name"]: (event["packets"], event["bytes"]) for event in events}
    assert packets == {"AF_INET": (1, 20 + 8 + 5), "AF_INET6": (1, 40 + 8 + 5)}


def test_egresscount_is_silent_about_others(network, cgroup, run):
    network.add_ipv6()

    assert run("egresscount", "--cgroup", str(cgroup), "--", *joined(cgroup.parent, python(SENDS))) == []


def test_cgroupexec_shows_what_is_executed_in_a_cgroup_and_below(cgroup, run):
    script = f"/bin/true; echo 0 > {cgroup}/cgroup.procs; /bin/true; cat /dev/null; exit 0"

    events = run("cgroupexec", "--cgroup", str(cgroup.parent), "--", "sh", "-c", script)

    assert [(event["comm"], event["uid"], event["filename"]) for event in events] == [
        ("true", 0, "/bin/true"),
        ("cat", 0, "/usr/bin/cat"),
    ]


def test_cgroupexec_is_silent_about_other_cgroups(cgroup, run):
    assert run("cgroupexec", "--cgroup", str(cgroup), "--", *joined(cgroup.parent, ["/bin/true"])) == []


def test_cgroupexec_shows_a_long_name_as_far_as_it_has_room(cgroup, run, tmp_path):
    path = tmp_path / ("n" * 250)
    path.symlink_to("/bin/true")

    (event,) = run("cgroupexec", "--cgroup", str(cgroup), "--", *joined(cgroup, [str(path)]))

    assert event["filename"] == str(path)[:255]


@pytest.mark.parametrize("name", ["cgroupexec", "lsmconnect"])
def test_whose_events_are_meant_has_to_be_said(skep, name):
    finished = subprocess.run([*skep, "run", name], capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 2
    assert f"{name} is not run without cgroups" in finished.stderr
    assert "--cgroup PATH" in finished.stderr


@pytest.mark.parametrize("name", ["cgroupexec", "egresscount", "lsmconnect"])
def test_a_cgroup_that_does_not_exist_is_told(skep, name):
    finished = subprocess.run(
        [*skep, "run", name, "--cgroup", "/nowhere"], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 2
    assert "/nowhere is no cgroup" in finished.stderr


def test_tcpstates_shows_the_states_of_a_connection_in_their_order(network, run):
    events = run("tcpstates", "--", *python(CONNECTS))

    for family, source, _, sport, dport in ENDS:
        mine = [event for event in events if (event["family_name"], event["sport"]) == (family, sport)]
        assert [(event["oldstate_name"], event["newstate_name"]) for event in mine] == [
            ("TCP_CLOSE", "TCP_SYN_SENT"),
            ("TCP_SYN_SENT", "TCP_ESTABLISHED"),
            ("TCP_ESTABLISHED", "TCP_CLOSE_WAIT"),
            ("TCP_CLOSE_WAIT", "TCP_LAST_ACK"),
            ("TCP_LAST_ACK", "TCP_CLOSE"),
        ]
        assert {ends(event) for event in mine[1:]} == {(family, source, source, sport, dport)}
        # Who opened it stays known in interrupts.
        assert {(event["pid"], event["comm"]) for event in mine} == {(events[0]["pid"], events[0]["comm"])}
        for before, event in pairwise(mine):
            assert abs(event["duration_us"] - (event["time"] - before["time"]) / 1000) <= 1
        assert mine[0]["duration_us"] == 0


def test_tcpstates_shows_a_connection_that_came_from_outside_without_an_owner(network, run):
    # Without a command to follow: all connections of this kernel are seen, of which these have our ports.
    events = run("tcpstates", "--port-target", "8765", "--system", "--", *python(CONNECTS.replace("8000", "8765")))

    accepted = [
        event for event in events if (event["family_name"], event["sport"], event["dport"]) == ("AF_INET6", 8765, 8001)
    ]
    assert [event["newstate_name"] for event in accepted][-1] == "TCP_CLOSE"
    assert {(event["pid"], event["comm"]) for event in accepted} == {(0, "")}


@pytest.mark.parametrize(
    ("options", "families"),
    [
        (["--family-target", "IPV6"], {"AF_INET6"}),
        (["--port-target", "8001"], {"AF_INET", "AF_INET6"}),
        (["--port-target", "8002"], set()),
        (["--pid-target", "1"], set()),
    ],
)
def test_tcpstates_is_silent_about_what_the_filter_excludes(network, run, options, families):
    events = run("tcpstates", *options, "--", *python(CONNECTS))

    assert {event["family_name"] for event in events} == families


def test_tcpstates_counts_the_connections_for_which_it_has_no_room(network, skep):
    command = [*skep, "run", "tcpstates", "--map", "connections.max_entries=1", "--", *python(CONNECTS)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    lost = re.search(r"events, (\d+) lost", finished.stderr)
    assert lost is not None
    assert int(lost[1]) >= 1


def connect() -> None:
    """As CONNECTS, here."""
    exec(CONNECTS, {})


def both_ends(row: Any) -> tuple[object, ...]:
    size = 4 if row.family == socket.AF_INET else 16
    source, target = (socket.inet_ntop(row.family, bytes(each)[:size]) for each in (row.saddr, row.daddr))
    return socket.AddressFamily(row.family).name, source, target, row.sport, row.dport


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("wanted", [pytest.param([], id="fentry"), pytest.param(["probe_connected"], id="kprobe")])
def test_tcpconnect_shows_who_connects_and_where_to(network, probed, wanted):
    rows = probed("tcpconnect", connect, wanted=wanted)

    assert [both_ends(row) for row in rows] == ENDS
    assert {(row.pid, row.comm) for row in rows} == {(os.getpid(), Path("/proc/self/comm").read_text().strip())}


@pytest.mark.floors("6.12")
@pytest.mark.parametrize("filtered", [{"port_target": 8001}, {"pid_target": 1}])
def test_tcpconnect_is_silent_about_others(network, probed, filtered):
    assert probed("tcpconnect", connect, **filtered) == []


@pytest.mark.floors("6.12")
@pytest.mark.parametrize("wanted", [pytest.param([], id="fentry"), pytest.param(["probe_closed"], id="kprobe")])
def test_tcpclose_shows_who_closes_and_in_which_state(network, probed, wanted):
    rows = probed("tcpclose", connect, wanted=wanted, port_target=8001)

    expected = []
    for family, source, target, sport, dport in ENDS:
        expected.append((family, target, source, dport, sport, TCP_ESTABLISHED))
        expected.append((family, source, target, sport, dport, TCP_CLOSE_WAIT))
    assert [(*both_ends(row), row.state) for row in rows] == expected


@pytest.mark.floors("6.12")
@pytest.mark.parametrize("filtered", [{"port_target": 8002}, {"pid_target": 1}])
def test_tcpclose_is_silent_about_others(network, probed, filtered):
    assert probed("tcpclose", connect, **filtered) == []


def connect_and_be_refused() -> None:
    connect()
    with socket.socket() as client:
        client.connect_ex(("127.0.0.1", 8009))


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize("wanted", [pytest.param([], id="fentry"), pytest.param(["probe_asked"], id="kprobe")])
def test_tcpconnlat_shows_how_long_an_answer_took(network, probed, wanted):
    before = time.monotonic_ns()

    rows = probed("tcpconnlat", connect_and_be_refused, wanted=wanted)

    # A refusal is no such answer.
    assert [both_ends(row) for row in rows] == ENDS
    assert {row.pid for row in rows} == {os.getpid()}
    assert all(row.latency_us <= (row.time - before) // 1000 for row in rows)


@pytest.mark.floors("6.12")
@pytest.mark.parametrize("filtered", [{"min_us": 60_000_000}, {"pid_target": 1}])
def test_tcpconnlat_is_silent_about_others(network, probed, filtered):
    assert probed("tcpconnlat", connect, **filtered) == []


def give_up_and_let_another_connect() -> None:
    """To where nobody answers; then a child, whose sockets may have the place in memory that ours had, to who does."""
    for _ in range(10):
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(("10.99.0.9", 8000))
        if not (child := os.fork()):
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).close()
            os._exit(0)
        os.waitpid(child, 0)


@pytest.mark.floors("6.12")
def test_tcpconnlat_does_not_take_another_connection_for_one_that_was_given_up(network, probed):
    assert probed("tcpconnlat", give_up_and_let_another_connect) == []


# By way of IPv6, too: what comes of each connection is printed as an error number.
ASKS = """
import socket
with socket.create_server(("127.0.0.1", 8000)), socket.create_server(("::1", 8000), family=socket.AF_INET6):
    for family, address in ((2, "127.0.0.1"), (10, "::ffff:127.0.0.1"), (10, "::1")):
        with socket.socket(family) as client:
            print(client.connect_ex((address, 8000)))
"""


@pytest.fixture
def asked(uses, tmp_path):
    """asked(address, command, ...): the verdicts that a process of ASKS sees, and the events of lsmconnect."""

    def answers(blockme: str, command: Sequence[str], **options: Any) -> tuple[list[int], list[Any]]:
        uses("lsmconnect")
        spec, told = api.read_spec("lsmconnect"), tmp_path / "told"
        spec.variables["blockme"].parse(blockme)
        try:
            with told.open("w") as file, Run(spec, command=command, stdout=file.fileno(), **options) as run:
                rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        except UnsupportedError as error:
            pytest.skip(str(error))
        return [int(line) for line in told.read_text().split()], rows

    return answers


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize(("address", "verdicts"), [("127.0.0.1", [1, 1, 0]), ("::1", [0, 0, 1])])
def test_lsmconnect_refuses_one_address(network, asked, address, verdicts):
    seen, rows = asked(address, python(ASKS))

    assert seen == verdicts
    assert [(row.family, row.dport, row.ret) for row in rows] == [
        (family, 8000, -verdict) for family, verdict in zip((2, 2, 10), verdicts, strict=True)
    ]


@pytest.mark.floors("6.12")
@pytest.mark.parametrize(("member", "verdicts"), [(True, [1, 1, 0]), (False, [0, 0, 0])])
def test_lsmconnect_is_about_the_tasks_of_a_cgroup_alone(network, cgroup, asked, member, verdicts):
    command = joined(cgroup if member else cgroup.parent, python(ASKS))

    # A command is meant as well, unless it is started for its own sake.
    seen, rows = asked("127.0.0.1", command, system=True, fill={"cgroups": {0: str(cgroup)}})

    assert seen == verdicts
    assert len(rows) == (3 if member else 0)


@pytest.mark.parametrize(
    ("name", "function"),
    [("tcpconnect", "tcp_connect"), ("tcpclose", "tcp_close"), ("lsmconnect", "socket_connect")],
)
def test_a_kernel_without_the_hook_refuses_in_so_many_words(skep, name, function):
    command = [*skep, "run", name, "--", "true"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    if finished.returncode:
        assert finished.returncode == 3
        assert re.search(r"this kernel (has no kprobes|takes no lsm program on socket_connect)", finished.stderr)
    else:
        assert "1 program attached" in finished.stderr
