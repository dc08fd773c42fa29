"""Services that were learned under load, and watched: what must be found, by what gives it away, and what must not.

All of it happens in a network namespace and in cgroups of the test's own, and does no harm: what is read, emptied,
copied or executed was put there by the test.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from skep.guard.identity import program_of
from skep.guard.live.guarding import Guard
from skep.guard.live.learning import record_command
from skep.guard.live.watcher import Subject
from skep.guard.paths import general_path
from skep.guard.profile import learn
from skep.guard.store import save
from skep.session.stop import Stop

SERVICES = Path(__file__).with_name("services")
PYTHON = "/usr/bin/python3"
PORTS = {"web": 8001, "shell": 8002, "client": 8003}
DATABASE = 8003
SESSIONS, SECONDS = 2, 2.0
# A session in which a service was asked less often than this says too little of it: on a busy machine they are longer.
ENOUGH, MOST_SECONDS = 30, 32.0
QUIET = 0.4
NEW_NETWORK = 0x40000000  # CLONE_NEWNET

pytestmark = pytest.mark.skipif(not os.path.exists(PYTHON), reason="no Python of the system's own to run services")


@pytest.fixture(scope="module")
def network():
    """A network namespace of our own, in which this thread and what it starts are."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert not libc.unshare(NEW_NETWORK), os.strerror(ctypes.get_errno())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield
    assert not libc.setns(before, NEW_NETWORK), os.strerror(ctypes.get_errno())
    os.close(before)


class Load:
    """Requests to the services, as fast as they answer or slower, from a thread."""

    def __init__(self, pause=0.01, source="127.0.0.1", reloaded=()):
        self._pause, self._source, self._reloaded = pause, source, reloaded
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = self.ordered = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.pause()
        self._thread.join()

    def pause(self):
        """Asks for nothing more."""
        self._end.set()

    def _ask(self):
        number = 0
        while not self._end.wait(self._pause):
            number += 1
            path = "/task" if number % 10 == 9 else f"/{number % 5}"
            # One of them may not run now.
            with suppress(OSError):
                get(path, self._source)
                self.answered += 1
                if self.answered in self._reloaded:
                    reload_child()
            with suppress(OSError):
                order(f"script{number % 2}")
                self.ordered += 1


def reload_child():
    """Lets what this thread's process has started read its configuration again."""
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        os.kill(int(pid), signal.SIGHUP)


def get(path, source="127.0.0.1"):
    """A file of the web server."""
    with socket.create_connection(("127.0.0.1", PORTS["web"]), 5, (source, 0)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(4096):
            answer += data
    assert b"200 OK" in answer
    return answer


def order(name):
    """What a script of the shell service prints."""
    with socket.create_connection(("127.0.0.1", PORTS["shell"]), 5) as connection:
        connection.sendall(f"{name}\n".encode())
        answer = b""
        while not answer.endswith(b"done\n") and (data := connection.recv(4096)):
            answer += data
    return answer


@pytest.fixture(scope="module")
def database(network):
    """A database behind a socket: a line is asked, a line answered."""
    listening = socket.create_server(("127.0.0.1", DATABASE))

    def serve():
        rows = sqlite3.connect(":memory:")
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return rows.close()
            with connection, connection.makefile("rw") as lines:
                try:
                    for line in lines:
                        lines.write(f"{rows.execute(line).fetchone()[0]}\n")
                        lines.flush()
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the services have."""
    made = tmp_path_factory.mktemp("services")
    (made / "www").mkdir()
    for number in range(5):
        (made / "www" / str(number)).write_text(f"{number}\n" * 100)
    (made / "server.conf").write_text("colour=yellow\n")
    (made / "script0.sh").write_text(f"cat {made}/www/0\n")
    (made / "script1.sh").write_text(f"wc -l < {made}/www/1; rm -f {made}/old\n")
    (made / "key").write_text("secret\n")
    (made / "task.py").write_text("pass\n")
    return made


@pytest.fixture(scope="module")
def cgroups():
    """A cgroup of our own for each service."""
    with open("/proc/self/mounts") as file:
        root = next(line.split()[1] for line in file if line.split()[2] == "cgroup2")
    folders = {name: f"{root}/skep-test-{os.getpid()}-{name}" for name in PORTS}
    for path in folders.values():
        os.mkdir(path)
    yield folders
    for path in folders.values():
        os.rmdir(path)


@pytest.fixture(scope="module")
def profiles(folder, database, tmp_path_factory):
    """What the services do under load: two starts of each at least, and a web server's reloads."""
    kept = tmp_path_factory.mktemp("profiles")
    seconds = SECONDS
    for name, port in PORTS.items():
        runs, enough = [], 0
        (folder / "task.py").write_text("pass\n")
        while enough < SESSIONS:
            # For a while before its end there is nothing to do: it starts after the load.
            with Load(reloaded=(10, 15, 20)) as load:
                threading.Timer(seconds, load.pause).start()
                command = [PYTHON, "-B", str(SERVICES / f"{name}.py"), str(folder), str(port)]
                (folder / "order.py").write_text("pass\n")
                runs += record_command(command, 1, seconds=seconds, stdout=2)
            # The client asks by itself.
            if {"web": load.answered, "shell": load.ordered, "client": ENOUGH}[name] >= ENOUGH:
                enough += 1
            else:
                seconds *= 2
                assert seconds <= MOST_SECONDS, f"{name} is hardly asked"
        save(learn(runs, os.uname().machine, program_of(PYTHON)), str(kept / f"{name}.profile"))
    return kept


def wait_for(condition, what):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def answers(path):
    try:
        return bool(get(path))
    except OSError:
        return False


# Starts the service again whenever it ends, in its cgroup and with what its environment says.
SUPERVISED = """
while [ -e "$1/running" ]; do
    sh -c 'echo $$ > "$0/cgroup.procs"; . "$1/environment"; shift; exec "$@"' "$0" "$@"
done
"""


class Service:
    """One that runs in its cgroup, under a supervisor."""

    def __init__(self, name, folder, cgroup):
        self._folder, self._cgroup, self._port = folder / f"{name}-supervised", cgroup, PORTS[name]
        self._folder.mkdir()
        (self._folder / "running").touch()
        (self._folder / "environment").touch()
        service = [PYTHON, "-B", str(SERVICES / f"{name}.py"), str(folder), str(self._port)]
        self._supervisor = subprocess.Popen(["sh", "-c", SUPERVISED, cgroup, str(self._folder), *service])
        wait_for(self.pid, "it does not start")

    def pid(self):
        """Of the service; None while it is started."""
        found = Path(self._cgroup, "cgroup.procs").read_text().split()
        pid = int(found[0]) if found else None
        return pid if pid and b"services" in Path(f"/proc/{pid}/cmdline").read_bytes() else None

    def restart(self, environment=""):
        (self._folder / "environment").write_text(environment)
        before = self.pid()
        os.kill(before, signal.SIGTERM)
        wait_for(lambda: self.pid() not in {None, before}, "it does not start again")
        wait_for(lambda: answers("/0"), "it does not answer")

    def end(self):
        (self._folder / "running").unlink()
        os.kill(self.pid(), signal.SIGTERM)
        self._supervisor.wait()


@pytest.fixture(scope="module")
def services(folder, cgroups, database):
    running = {name: Service(name, folder, cgroups[name]) for name in PORTS}
    yield running
    for service in running.values():
        service.end()


class Watch:
    """A guard in a thread, and what it said."""

    def __init__(self, profiles, cgroups):
        subjects = {str(profiles / f"{name}.profile"): [Subject(cgroup=path)] for name, path in cgroups.items()}
        self._guard = Guard(subjects, quiet=QUIET, force=True)
        self._stop = Stop()
        self._guard.wake(self._stop.fd)
        self.alarms = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for alarm in self._guard.alarms(ended=lambda: self._stop.requested):
            self.alarms.append((time.time(), alarm))

    def told(self, name):
        """The alarms of one service: on a busy machine another may be told of meanwhile."""
        return [each for each in self.alarms if each[1]["alarm"].startswith(f"{name}-")]

    def end(self):
        self._stop.request()
        self._thread.join()
        self._guard.close()
        self._stop.close()


@pytest.fixture(scope="module")
def watch(profiles, cgroups, services):
    watch = Watch(profiles, cgroups)
    yield watch
    watch.end()


def task(folder, script):
    """Lets the web server do something."""
    (folder / "task.py").write_text(script)
    get("/task")


def client_task(folder, script):
    """Lets the database client do something."""
    (folder / "task.new").write_text(script)
    (folder / "task.new").rename(folder / "order.py")


def script(folder, text):
    """Lets the shell service do something."""
    (folder / "script2.sh").write_text(text)
    order("script2")


# Who does it, what it does, and what gives it away: kind, and a part of what.
STAND_INS = {
    "a shell": ("web", "import os; os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', ':'], {}), 0)", "child", "/sh"),
    "a connection back": (
        "web",
        "import socket; socket.create_connection(('127.0.0.1', 8003)).close()",
        "peer",
        "127.0.0.1:8003",
    ),
    "a log emptied": ("web", "open(folder + '/access.log', 'w').close()", "change", "empty "),
    "a busy loop with new peers": (
        "web",
        (
            "import socket\nfor host in (2, 3):\n sum(range(10**6)); "
            "socket.socket(type=socket.SOCK_DGRAM).connect((f'127.0.0.{host}', 3333))"
        ),
        "peer",
        "127.0.0.2:3333",
    ),
    "a key file read": ("shell", "cat FOLDER/key\n", "path", "/key"),
    "a change of user": ("web", "import os; os.setgroups(os.getgroups())", "call", "setgroups"),
    "an executable from memory": (
        "web",
        (
            "import os\nmemory = os.memfd_create('thing')\n"
            "os.write(memory, open('/bin/true', 'rb').read())\n"
            "os.waitpid(os.posix_spawn(f'/proc/self/fd/{memory}', ['thing'], {}), 0)"
        ),
        "child",
        "deleted:memfd:thing",
    ),
    "slow copying out": (
        "client",
        (
            "import socket, time\nout = socket.socket(type=socket.SOCK_DGRAM)\n"
            "for _ in range(5):\n out.sendto(b'0123', ('127.0.0.9', 53)); time.sleep(0.05)"
        ),
        "peer",
        "127.0.0.9:53",
    ),
    "memory to be written and executed": (
        "web",
        "import mmap; mmap.mmap(-1, 4096, prot=7).close()",
        "arguments",
        "mmap 0x7",
    ),
    "a socket that waits": (
        "shell",
        f"{PYTHON} -c 'import socket; socket.create_server((\"127.0.0.1\", 8009)).close()'",
        "listen",
        "127.0.0.1:8009",
    ),
}


@pytest.fixture(autouse=True)
def _harmless_again(folder):
    """What the web server is asked to do from time to time is nothing, but for the one test."""
    (folder / "task.py").write_text("pass\n")


def facts(alarm):
    return [(one["kind"], one["what"]) for one in alarm["evidence"]]


@pytest.mark.parametrize("what", STAND_INS)
def test_it_is_found_within_a_second_and_by_the_right_fact(what, watch, services, folder):
    name, text, kind, part = STAND_INS[what]
    before = len(watch.told(name))
    act = {"web": task, "shell": script, "client": client_task}[name]
    act(folder, text.replace("FOLDER", str(folder)))
    wait_for(lambda: len(watch.told(name)) > before, "no alarm")
    when, alarm = watch.told(name)[before]

    assert any(fact == kind and part in value for fact, value in facts(alarm)), facts(alarm)
    assert when - alarm["began"] < 1
    assert alarm["confidence"] > 0.9
    assert len(alarm["processes"][0]) > 1
    # One alarm an episode.
    time.sleep(2 * QUIET)
    assert len(watch.told(name)) == before + 1, facts(watch.told(name)[before + 1][1])


def test_a_restart_is_silent(watch, services):
    before = len(watch.told("web"))
    services["web"].restart()
    time.sleep(2 * QUIET)

    assert len(watch.told("web")) == before, facts(watch.told("web")[before][1])


def test_a_library_that_is_put_in_is_found(watch, services, folder):
    before = len(watch.told("web"))
    (library,) = glob.glob("/lib/*/libutil.so.1")
    put_in = shutil.copy(library, folder / "thing.so")
    services["web"].restart(f"export LD_PRELOAD={put_in}\n")
    wait_for(lambda: len(watch.told("web")) > before, "no alarm")

    assert ("path", general_path(str(put_in))) in facts(watch.told("web")[before][1])
    services["web"].restart()
    time.sleep(2 * QUIET)
    assert len(watch.told("web")) == before + 1, facts(watch.told("web")[before + 1][1])


def reload(folder, services):
    (folder / "server.conf").write_text("colour=black\n")
    os.kill(services["web"].pid(), signal.SIGHUP)
    time.sleep(0.2)


def rotate(folder, services):
    (folder / "access.log").rename(folder / "access.log.1")
    reload(folder, services)
    assert get("/1")


def busier(folder, services):
    with Load(0.001), Load(0.001), Load(0.001):
        time.sleep(1)


def from_elsewhere(folder, services):
    with Load(source="127.0.0.77") as load:
        wait_for(lambda: load.answered > 20, "no answers")


@pytest.mark.parametrize("change", [reload, rotate, busier, from_elsewhere])
def test_benign_changes_are_silent(change, watch, services, folder):
    before = len(watch.told("web"))
    change(folder, services)
    time.sleep(2 * QUIET)

    assert len(watch.told("web")) == before, facts(watch.told("web")[before][1])
