"""One small compiled extension over libbpf: open, load, attach; drain rings in C. It holds no policy.

`ffi` and `lib` are cffi's. Only `skep.kernel` and `skep.stream` import this room. The extension is compiled in cffi's
API mode: at run time it needs `_cffi_backend`, never `cffi` itself, which takes 50 ms to import.
"""

from skep._native._libbpf import ffi, lib

__all__ = ["ffi", "lib", "messages"]

lib.skep_messages_install()


def messages() -> str:
    """What libbpf and, through it, the verifier said on this thread since the last call."""
    text = lib.skep_messages_take()
    if not text:
        return ""
    try:
        return str(ffi.string(text), "utf-8", "replace")
    finally:
        lib.skep_free(text)
