"""CPUs that come online, and more announcements than the kernel keeps: made in a network namespace of their own."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import socket
from skep.stream.cpus import Arrivals

def announce(message):
    sender.sendto(message, (0, 1))

sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
arrivals = Arrivals()
announce(b"online@/devices/system/cpu/cpu3\\0ACTION=online\\0")
print(arrivals.cpus(), arrivals.missed)
announce(b"online@/devices/system/cpu/cpu5\\0")
for number in range(2000):
    announce(b"add@/devices/virtual/net/skep%d\\0" % number + bytes(4000))
print(arrivals.cpus(), arrivals.missed)
announce(b"online@/devices/system/cpu/cpu7\\0")
print(arrivals.cpus(), arrivals.missed)
arrivals.close()
"""


def test_more_announcements_than_the_kernel_keeps_are_no_failure() -> None:
    finished = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )

    assert finished.stderr == ""
    assert finished.stdout.splitlines() == ["[3] False", "[3, 5] True", "[3, 5, 7] True"]
