"""The kernel's numbers and their names, as plain data: one module a table, each loaded by whoever needs it.

errnos          number -> ``ENOENT``, and a description; the codes that only the kernel uses (``ENOTSUPP``) too
signals         number -> ``SIGKILL``
sockets         address families and protocols
files           the flags of open(2), by architecture
maps            number -> ``ringbuf``, as bpftool writes it
helpers         number -> ``bpf_map_lookup_elem``
syscalls        number -> ``openat``, by architecture

Importing this package loads no table. Architectures are named as ``uname -m`` names them: ``x86_64``, ``aarch64``; and
``i386`` for the 32-bit callers of an x86-64 kernel.
"""
