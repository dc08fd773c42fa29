# The compiled module. Its functions are declared in build.py and native.h; cffi checks each call against them.

from typing import Any

ffi: Any
lib: Any
