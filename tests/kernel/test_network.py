"""Programs on interfaces and in the network stack, in namespaces of the tests' own, with real packets."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from skep._native import ffi, lib
from skep.base.errors import AttachError, HookMissingError, UsageError
from skep.session.run import Run
from skep.spec.targets import Targets
from tests.network import ip, send


@pytest.fixture
def only(program):
    """only(name, ...): a Run of some programs of network.bpf.c."""

    def run(*names: str, **targets) -> Run:
        spec = program("network")
        return Run(spec, without=spec.programs.keys() - set(names), targets=Targets(**targets))

    return run


def packets(run: Run) -> list[tuple[int, int]]:
    """The first packet that is shown: its interface, and its length."""
    return [(row.interface, row.length) for batch in run.batches(count=1, duration=60) for row in batch.rows()]


HEADERS = 14 + 20 + 8


@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize(
    ("name", "targets", "coming"),
    [
        pytest.param("driver", {}, True, id="xdp"),
        pytest.param("driver", {"xdp_mode": "native"}, True, id="xdp native"),
        pytest.param("driver", {"xdp_mode": "generic"}, True, id="xdp generic"),
        pytest.param("jumbo", {}, True, id="xdp.frags"),
        pytest.param("filter", {}, True, id="tc"),
        pytest.param("filter", {"direction": "egress"}, False, id="tc egress"),
        pytest.param("filter", {"attach": {"filter": "tcx/ingress"}}, True, id="tc on tcx"),
        pytest.param("acting", {}, True, id="action"),
        pytest.param("noted", {}, False, id="classifier with @tchook, on another interface"),
        pytest.param("noted", {"direction": "ingress"}, True, id="classifier with @tchook, in another direction"),
        pytest.param("coming", {}, True, id="tc/ingress"),
        pytest.param("going", {}, False, id="tc/egress"),
        pytest.param("leaving", {}, False, id="tcx/egress"),
        pytest.param("copied", {}, True, id="socket"),
        pytest.param("copied", {}, False, id="socket, what leaves"),
    ],
)
def test_a_program_sees_the_packets_of_its_interface(network, only, name, targets, coming):
    try:
        with only(name, iface="near", **targets) as run:
            send("127.0.0.1")
            network.receive(7) if coming else send("10.99.0.2", 7)

            assert packets(run) == [(socket.if_nametoindex("near"), HEADERS + 7)]
            assert run.attached == [name]
    except HookMissingError as error:
        told = str(error)
    else:
        return
    assert "this kernel has no tcx" in told
    assert os.uname().release.startswith("6.1.")


def test_the_direction_that_is_not_meant_is_silent(network, only):
    with only("filter", "leaving", iface="near") as run:
        send("10.99.0.2", 1)
        network.receive(2)
        rows = [row.length - HEADERS for batch in run.batches(count=2, duration=60) for row in batch.rows()]

    assert sorted(rows) == [1, 2]


def test_annotations_say_the_interface_the_direction_the_handle_and_the_priority(network, only):
    with only("noted") as run:
        shown = network.tc("filter", "show", "dev", "lo", "egress")
        send("127.0.0.1", 3)

        assert packets(run) == [(1, HEADERS + 3)]
    assert re.search(r"pref 3 .*handle 0x7 skep:\d+:made:noted", shown)
    assert network.filters == []


@pytest.mark.parametrize("given", [{"iface": "near"}, {"attach": {"driver": "near"}}, {"iface": "NUMBER"}])
def test_an_interface_is_named_in_every_way(network, only, given):
    number = socket.if_nametoindex("near")
    given = {word: str(number) if text == "NUMBER" else text for word, text in given.items()}
    with only("driver", **given) as run:
        network.receive()

        assert packets(run) == [(number, HEADERS + 10)]


@pytest.mark.floors("6.12")
def test_netfilter_sees_what_comes(network, program):
    targets = Targets(attach={"passing": "ipv4/local_in"})
    with Run(program("netfilter"), targets=targets) as run:
        network.receive(5)

        assert packets(run) == [(socket.if_nametoindex("near"), HEADERS - 14 + 5)]


@pytest.mark.parametrize(
    "place", ["ipv4", "ipv4/local_on", "inet/local_in", "ipv6/forward/x", "ipv4/forward/2147483647"]
)
def test_a_place_that_the_network_stack_has_not_is_named(network, program, place):
    with pytest.raises(UsageError, match=rf"{place} is no place") as caught:
        Run(program("netfilter"), targets=Targets(attach={"passing": place})).__enter__()

    assert "post_routing" in str(caught.value.remedy)


def test_a_priority_that_is_taken_says_by_whom(network, program):
    def at(place: str) -> Run:
        return Run(program("netfilter"), targets=Targets(attach={"passing": place}))

    with at("ipv4/local_in/5"):
        with pytest.raises(
            AttachError, match=rf"held by program \d+ \(passing\), of \S+ \(pid {os.getpid()}\)"
        ) as caught:
            at("ipv4/local_in/5").__enter__()
        with at("ipv4/local_in/6") as beside:
            assert beside.attached == ["passing"]
    assert "ipv4/local_in/6" in str(caught.value.remedy)


@pytest.mark.floors("6.1")
def test_a_kernel_without_netfilter_programs_says_so(network, program):
    if not os.uname().release.startswith("6.1."):
        pytest.skip("this kernel has them")
    with (
        pytest.raises(HookMissingError, match="program passing has nothing to attach to: this kernel has no netfilter"),
        Run(program("netfilter"), targets=Targets(attach={"passing": "ipv4/local_in"})),
    ):
        pass


@pytest.mark.floors("6.12", "6.1")
def test_programs_that_others_call_are_on_no_interface(network, program):
    targets = Targets(iface="near")
    with pytest.raises(
        UsageError, match="driver and second are both for xdp of near, which runs one at a time"
    ) as caught:
        Run(program("called"), targets=targets).__enter__()
    assert "--fill steps=INDEX:second" in str(caught.value.remedy)

    with Run(program("called"), targets=targets, fill={"steps": {1: "second"}}) as run:
        network.receive()

        assert packets(run) == [(socket.if_nametoindex("near"), HEADERS + 10)]
        assert run.attached == ["driver"]
        assert run.summary().not_attached == dict.fromkeys(("first", "second"), "a program array holds it")


def test_xdp_that_is_held_says_by_whom(network, only):
    with only("driver", iface="near"):
        with pytest.raises(AttachError, match=rf"held by program \d+ \(driver\), of \S+ \(pid {os.getpid()}\)"):
            only("driver", iface="near").__enter__()
        with pytest.raises(AttachError, match=r"held by program \d+ \(driver\)") as caught:
            only("driver", iface="near", xdp_mode="generic").__enter__()
        assert "when its process ends" in str(caught.value.remedy)


def test_xdp_that_is_held_without_a_link_can_be_taken_away_as_it_says(network, only, program, bpffs):
    spec = program("network")
    with spec.load(without=spec.programs.keys() - {"driver"}, targets=Targets(iface="near")) as loaded:
        assert not lib.bpf_obj_pin(loaded.programs["driver"].fd, os.fsencode(bpffs / "driver"))
    ip("-n", network.ours, "link", "set", "dev", "near", "xdp", "pinned", str(bpffs / "driver"))
    (bpffs / "driver").unlink()

    with pytest.raises(AttachError, match=r"held by program \d+ \(driver\), of no process") as caught:
        only("driver", iface="near").__enter__()
    remedy = str(caught.value.remedy).removeprefix("To take it away: ")
    subprocess.run(["ip", "netns", "exec", network.ours, *remedy.split()], check=True)

    with only("driver", iface="near") as run:
        assert run.attached == ["driver"]


def test_a_driver_without_native_xdp_is_told_from_others(network, only):
    with pytest.raises(AttachError, match="driver of lo has no native XDP") as caught:
        only("driver", iface="lo", xdp_mode="native").__enter__()

    assert "--xdp-mode generic" in str(caught.value.remedy)


def test_a_handle_that_is_taken_says_by_whom(network, only):
    with only("noted"):
        with pytest.raises(AttachError, match=r"handle 7 and priority 3 .* held by program \d+ \(noted\)"):
            only("noted").__enter__()
        assert len(network.filters) == 1


def test_the_filters_of_others_stay(network, only):
    network.tc("qdisc", "add", "dev", "near", "clsact")
    network.tc("filter", "add", "dev", "near", "ingress", "pref", "9", "bpf", "bytecode", "1,6 0 0 0")

    with only("filter", iface="near"):
        assert len(network.filters) == 2

    assert network.filters == ["bytecode"]
    network.tc("qdisc", "del", "dev", "near", "clsact")


def test_a_filter_that_others_put_beside_ours_stays_with_the_qdisc(network, only):
    with only("filter", iface="near"):
        network.tc("filter", "add", "dev", "near", "egress", "pref", "9", "bpf", "bytecode", "1,6 0 0 0")

    assert network.filters == ["bytecode"]
    network.tc("qdisc", "del", "dev", "near", "clsact")


def test_an_old_ingress_qdisc_gets_no_filter_for_what_leaves(network, only):
    network.tc("qdisc", "add", "dev", "near", "ingress")

    with pytest.raises(AttachError, match="the qdisc ingress is in the place of clsact"):
        only("filter", iface="near", direction="egress").__enter__()
    with only("filter", iface="near") as run:
        network.receive()

        assert len(packets(run)) == 1
    network.tc("qdisc", "del", "dev", "near", "ingress")


def started(skep, *words: str) -> subprocess.Popen[str]:
    """A run of some program of network.bpf.c, attached."""
    source = os.path.join(os.path.dirname(__file__), "..", "programs", "network.bpf.o")
    process = subprocess.Popen(
        [*skep, "run", source, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "attached; Ctrl-C ends" in line:
            return process
    raise AssertionError(f"skep ended with {process.wait()}")


@pytest.mark.floors("6.1")
def test_what_a_killed_run_left_is_removed_by_the_next(network, only, skep, program):
    spec = program("network")
    without = [f"--without={name}" for name in spec.programs if name != "filter"]
    with started(skep, "--iface", "near", *without) as killed:
        killed.send_signal(signal.SIGKILL)
    left = network.filters

    assert len(left) == 1
    # What a living process has attached stays.
    with only("filter", iface="near"):
        first = network.filters
        assert left[0] not in first
        with only("filter", iface="near"):
            assert set(first) < set(network.filters)
        assert network.filters == first
    assert network.filters == []


@pytest.mark.parametrize("name", ["driver", "filter", "coming", "copied"])
def test_an_interface_that_goes_is_told_of(network, only, name):
    with only(name, iface="near") as run:
        ip("link", "delete", "near")
        assert list(run.batches(duration=0.1)) == []
        summary = run.summary()

    assert summary.not_attached[name] == "its interface is gone"


def test_an_interface_that_is_not_there_is_named_with_those_that_are(network, only):
    with pytest.raises(UsageError, match="there is no network interface nothing0") as caught:
        only("driver", iface="nothing0").__enter__()

    assert "near" in str(caught.value.remedy)


def test_an_interface_of_another_namespace_is_told_with_the_way_there(network, only):
    with pytest.raises(UsageError, match="far here: it is in another network namespace") as caught:
        only("driver", iface="far").__enter__()

    assert f"ip netns exec {network.theirs} skep" in str(caught.value.remedy)
    # Whoever looked there is back.
    assert socket.if_nametoindex("near")


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        pytest.param("driver", "net_admin", id="to load xdp"),
        pytest.param("filter", "net_admin", id="to load tc"),
        pytest.param("copied", "net_raw", id="to open a packet socket"),
    ],
)
def test_the_capability_that_is_missing_is_named(network, skep, program, name, capability):
    without = [f"--without={each}" for each in program("network").programs if each != name]
    keep = f"-sys_admin,-{capability}"
    command = ["setpriv", f"--bounding-set={keep}", f"--inh-caps={keep}", *skep, "run", "tests/programs/network.bpf.o"]
    finished = subprocess.run(
        [*command, "--iface", "near", *without], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 3
    assert f"this process lacks CAP_{capability.upper()}" in finished.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--direction", "sideways"], "--direction sideways: it takes ingress or egress", id="direction"),
        pytest.param(["--xdp-mode", "fast"], "--xdp-mode fast: it takes native or generic", id="mode"),
        pytest.param(["--attach", "driver=nothing0"], "there is no network interface nothing0", id="interface"),
        pytest.param(["--attach", "driver=tcx/egress"], "cannot be attached there", id="kind"),
    ],
)
def test_options_with_wrong_values_are_refused(network, skep, words, said):
    command = [*skep, "run", "tests/programs/network.bpf.o", "--iface", "near", *words]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 2
    assert said in finished.stderr
    assert network.filters == []


def test_the_command_line_says_it_all(network, skep, program):
    without = [f"--without={each}" for each in program("network").programs if each != "filter"]
    code = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('10.99.0.2', 4321))"
    command = [*skep, "run", "tests/programs/network.bpf.o", "--iface", "near", "--direction", "egress", *without]
    command += ["-o", "json", "--", sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert [json.loads(line)["length"] for line in finished.stdout.splitlines()] == [HEADERS + 1]


@pytest.mark.parametrize("name", ["driver", "filter", "coming", "copied"])
def test_attaching_again_and_again_leaves_nothing(network, program, name):
    spec = program("network")
    without = spec.programs.keys() - {name}
    with spec.load(without=without, targets=Targets(iface="near")) as loaded:
        before = os.listdir("/proc/self/fd")
        for _ in range(20):
            with loaded.attach() as links:
                assert list(links) == [name]

        assert os.listdir("/proc/self/fd") == before


# To one that is connected on the loopback device of our namespace.
@pytest.mark.floors("6.12", "6.1")
@pytest.mark.parametrize(
    ("names", "is_sender"),
    [
        pytest.param(["sent"], True, id="sk_msg"),
        pytest.param(["whole", "got"], False, id="sk_skb/stream_parser and stream_verdict"),
        pytest.param(["got_too"], False, id="sk_skb"),
        pytest.param(["decided"], False, id="sk_skb/verdict"),
    ],
)
def test_a_program_sees_what_the_sockets_of_a_map_send_or_get(network, program, names, is_sender):
    spec = program("sockets")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        spec.load(without=spec.programs.keys() - set(names)) as loaded,
        loaded.attach() as links,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        key, value = ffi.new("uint32_t *"), ffi.new("uint64_t *", (client if is_sender else accepted).fileno())
        assert not lib.bpf_map_update_elem(loaded.maps["sockets"].fd, key, value, 0)
        client.sendall(b"twelve bytes")

        assert accepted.recv(100) == b"twelve bytes"
        assert next(loaded.events(60)).length == 12
        assert list(links) == names


@pytest.mark.floors("6.12", "6.1")
def test_a_map_of_sockets_that_is_held_is_told(network, program):
    spec = program("sockets")
    with (
        spec.load(without=spec.programs.keys() - {"decided"}) as loaded,
        loaded.attach(),
        open(f"/proc/self/fdinfo/{loaded.maps['sockets'].fd}") as file,
    ):
        number = re.search(r"map_id:\s+(\d+)", file.read())
        assert number is not None
        targets = Targets(attach={"got": number[1]})
        with (
            pytest.raises(AttachError, match=r"is held by program \d+ \(decided\), of "),
            Run(program("sockets"), without=spec.programs.keys() - {"got"}, targets=targets),
        ):
            pass


def test_a_map_without_sockets_is_told(network, program):
    spec = program("sockets")
    with (
        pytest.raises(AttachError, match="the map holds no sockets, or not of this kind"),
        Run(spec, without=spec.programs.keys() - {"sent"}, targets=Targets(attach={"sent": "packets"})),
    ):
        pass


@pytest.mark.floors("6.12", "6.1")
def test_a_program_chooses_the_socket_of_what_comes(network, program):
    spec = program("sockets")
    with Run(spec, without=spec.programs.keys() - {"chosen"}) as run:
        network.receive()

        assert packets(run) == [(socket.if_nametoindex("near"), 4321)]
        assert run.attached == ["chosen"]


@pytest.mark.floors("6.12", "6.1")
def test_a_program_takes_packets_apart_alone(network, program):
    spec = program("sockets")
    others = spec.programs.keys() - {"taken_apart"}
    with Run(spec, without=others) as run:
        assert run.attached == ["taken_apart"]
        with (
            pytest.raises(
                AttachError, match=r"flow_dissector of this network namespace is held by program \d+ \(taken_apart\)"
            ),
            Run(program("sockets"), without=others),
        ):
            pass
