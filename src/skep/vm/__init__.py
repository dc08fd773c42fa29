"""Boot a Debian kernel under QEMU, from this machine's own root file system, and run a command in it.

`run` is the room: it fetches the kernel once (`fetch`), boots it in software emulation (no KVM, no disk image, nothing
to install in the guest), streams the command's output and gives its exit status. `python -m skep.vm` is the same from
a shell. It exists so that programs can be tried on kernels other than the running one; the library proper never imports
it.
"""

from __future__ import annotations

from skep.vm.boot import NO_STATUS, TIMED_OUT, run
from skep.vm.kernels import KERNELS, Kernel, fetch

__all__ = ["KERNELS", "NO_STATUS", "TIMED_OUT", "Kernel", "fetch", "run"]
