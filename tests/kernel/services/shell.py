"""A shell service: runs one of the scripts of its folder for whoever asks, by its name, and answers with its output."""

import socketserver
import subprocess
import sys

folder, port = sys.argv[1], int(sys.argv[2])


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        name = self.rfile.readline().decode().strip()
        done = subprocess.run(["/bin/sh", f"{folder}/{name}.sh"], capture_output=True, check=False)
        self.wfile.write(done.stdout + b"done\n")


class Server(socketserver.TCPServer):
    allow_reuse_address = True


Server(("127.0.0.1", port), Handler).serve_forever(0.05)
