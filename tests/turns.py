"""A parent and its child that take turns on a CPU: what schedulers' tools are to see."""

from __future__ import annotations


def turns(count: int) -> str:
    """The text of a program, in which ``child`` is the child's process id; what follows it runs in the parent.

    Args:
        count: how often they hand a byte to each other, and wait for it to come back.
    """
    return f"""
import os
first, second = os.pipe(), os.pipe()
child = os.fork()
for _ in range({count}):
    if child:
        os.write(first[1], b"x")
        os.read(second[0], 1)
    else:
        os.read(first[0], 1)
        os.write(second[1], b"x")
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""
