"""Tools that probe programs and libraries: the event that each is for, to the value; and silence when filtered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> str:
    """The program of tests/programs/stand_in.c: there is no Java here, and no server with probes."""
    path = tmp_path_factory.mktemp("stand_in") / "stand_in"
    subprocess.run(["cc", "-O1", "-no-pie", "-o", path, PROGRAMS / "stand_in.c"], check=True)
    return str(path)


def test_strlencount_counts_texts(run):
    script = "import ctypes; length = ctypes.CDLL(None).strlen; [length(b'counted by skep') for _ in range(7)]"

    counts = {entry["text"]: entry["value"] for entry in run("strlencount", "--", sys.executable, "-c", script)}

    assert counts["counted by skep"] == 7


def test_strlencount_is_silent_about_others(run):
    assert run("strlencount", "--pid-target", "1", "--", "ls", "/") == []


def test_javagc_shows_collections_and_how_long_they_took(run, stand_in):
    events = run("javagc", "--binary", stand_in, "--", stand_in, "collect")

    assert [(event["comm"], event["full"]) for event in events] == [("stand_in", False), ("stand_in", True)]
    assert events[1]["duration_ns"] >= 30_000_000


@pytest.mark.parametrize("options", [["--pid-target", "1"], ["--min-us", "1h"]])
def test_javagc_is_silent_when_the_filter_excludes_a_collection(run, stand_in, options):
    assert run("javagc", "--binary", stand_in, *options, "--", stand_in, "collect") == []


def test_httpusdt_shows_the_paths_of_requests(run, stand_in):
    probe = ["--binary", stand_in, "--function", "http:request"]

    # The server tells only while somebody looks: the probe's semaphore was counted up.
    events = run("httpusdt", *probe, "--", stand_in, "serve")
    some = run("httpusdt", *probe, "--path-prefix", "/api/", "--", stand_in, "serve")

    assert [event["path"] for event in events] == ["/index.html", "/api/users?id=7", "/api/orders"]
    assert [event["path"] for event in some] == ["/api/users?id=7", "/api/orders"]


@pytest.mark.parametrize("options", [["--pid-target", "1"], ["--path-prefix", "/admin"], ["--argument", "5"]])
def test_httpusdt_is_silent_when_the_filter_excludes_a_request(run, stand_in, options):
    probe = ["--binary", stand_in, "--function", "http:request"]

    assert run("httpusdt", *probe, *options, "--", stand_in, "serve") == []


def test_funcdepth_shows_where_system_calls_come_from(run, stand_in):
    events = run("funcdepth", "--binary", stand_in, "--function", "step_*", "--", stand_in)

    assert [(event["syscall_name"], event["depth"], event["function_frames"]) for event in events] == [
        ("getppid", 3, ["step_three"]),
        ("getuid", 1, ["step_one"]),
    ]


def test_funcdepth_is_silent_about_others(run, stand_in):
    options = ["--binary", stand_in, "--function", "step_*", "--pid-target", "1"]

    assert run("funcdepth", *options, "--", stand_in) == []


# A server and two clients of it: one in Python, which calls the _ex functions, and openssl, which calls the others.
TALK = """
import socket, ssl, subprocess, sys, threading
folder, long = sys.argv[1], b"x" * 16000
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
     "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"], check=True, capture_output=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/certificate", f"{folder}/key")
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
def serve():
    for _ in range(2):
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.sendall(b"heard: " + connection.recv(100))
thread = threading.Thread(target=serve)
thread.start()
with ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", port))) as client:
    client.sendall(b"from Python")
    client.recv(100)
subprocess.run(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"], input=b"from openssl",
               capture_output=True)
thread.join()
"""


def test_sslsniff_shows_what_is_said_over_tls(run, tmp_path):
    events = run("sslsniff", "--", sys.executable, "-c", TALK, str(tmp_path))

    python = [event for event in events if event["comm"].startswith("python")]
    said = {(event["direction_name"], event["data"]) for event in python}
    assert said == {
        ("WRITTEN_TO_PEER", "from Python"),
        ("READ_FROM_PEER", "from Python"),
        ("WRITTEN_TO_PEER", "heard: from Python"),
        ("READ_FROM_PEER", "heard: from Python"),
        ("READ_FROM_PEER", "from openssl"),
        ("WRITTEN_TO_PEER", "heard: from openssl"),
    }
    client = [(event["direction_name"], event["data"]) for event in events if event["comm"] == "openssl"]
    assert client == [("WRITTEN_TO_PEER", "from openssl"), ("READ_FROM_PEER", "heard: from openssl")]
    assert all(event["length"] == len(event["data"]) and not event["cut"] for event in events)


# One process that talks to itself, over no socket.
LARGE = """
import ssl, subprocess, sys
folder = sys.argv[1]
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
     "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"], check=True, capture_output=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/certificate", f"{folder}/key")
there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
server = context.wrap_bio(there, back, server_side=True)
client = ssl._create_unverified_context().wrap_bio(back, there)
for _ in range(4):
    for side in client, server:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
client.write(b"a" * 16384)
client.write(b"b" * 40000)
"""


def test_sslsniff_shows_large_records_and_says_what_it_cut(run, tmp_path):
    events = run("sslsniff", "--", sys.executable, "-c", LARGE, str(tmp_path))

    assert [(event["length"], event["cut"], event["data"]) for event in events] == [
        (16384, 0, "a" * 16384),
        (40000, 40000 - 16384, "b" * 16384),
    ]


def test_sslsniff_is_silent_about_others(run, tmp_path):
    assert run("sslsniff", "--pid-target", "1", "--", sys.executable, "-c", LARGE, str(tmp_path)) == []


def test_sslsniff_does_not_read_along_with_all(skep):
    finished = subprocess.run([*skep, "run", "sslsniff"], capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 2
    assert finished.stderr == (
        "skep: sslsniff is not run without pid_target\n"
        "Give --pid-target, a running process with -p PID, or a command after --.\n"
    )
