"""Compiles what the tools would compile under another kernel: `outside.py FOLDER`, which holds what `inside.py` asked.

A compilation depends on what is asked of the kernel here: its types, which `inside.py` has left in that folder, its
release, its CPUs, and the fields of its tracepoints. The cache's folder is the same as there: paths are part of its
keys.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from skep.base.errors import SkepError
from skep.bcc import module
from skep.kernel import btf


def main() -> None:
    """Compiles."""
    asked = json.loads((Path(sys.argv[1]) / "asked.json").read_text())
    with TemporaryDirectory() as folder:
        for name, text in asked["formats"].items():
            path = Path(folder) / "events" / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
        btf._build_id = lambda: asked["build id"]
        btf.VMLINUX = os.path.abspath(Path(sys.argv[1]) / "btf")
        module.tracefs = lambda: folder  # type: ignore[attr-defined]
        module.mount_tracefs = lambda: False  # type: ignore[attr-defined]
        os.uname = lambda: os.uname_result(asked["uname"])
        os.cpu_count = lambda: asked["cpus"]
        for tool, text, file, flags in asked["texts"]:
            begin = time.monotonic()
            try:
                translation, key = module.translated(text, file, flags)
                module.compiled(translation, key, module.sections_of(translation))
                said = ""
            except SkepError as error:
                said = str(error).splitlines()[0]
            print(f"{tool:18}{time.monotonic() - begin:6.1f} s  {said}", flush=True)


if __name__ == "__main__":
    main()
