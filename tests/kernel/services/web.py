"""A small web server: files of a folder, a log, and a configuration that is read again at SIGHUP.

A request for /task runs task.py of its folder: so it is made to do what a server should not.
"""

import http.server
import signal
import socketserver
import sys
from typing import Any

folder, port = sys.argv[1], int(sys.argv[2])
state: dict[str, Any] = {}


def configure(*_):
    with open(f"{folder}/server.conf") as file:
        state["configuration"] = file.read()
    if "log" in state:
        state["log"].close()
    state["log"] = open(f"{folder}/access.log", "a")  # noqa: SIM115


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = f"{folder}/task.py" if self.path == "/task" else f"{folder}/www{self.path}"
        with open(path, "rb") as file:
            body = file.read()
        if self.path == "/task":
            exec(body, {"folder": folder})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        state["log"].write(f"{self.path}\n")
        state["log"].flush()

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


configure()
signal.signal(signal.SIGHUP, configure)
Server(("127.0.0.1", port), Handler).serve_forever(0.05)
