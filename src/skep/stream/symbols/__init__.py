"""Names of functions by their addresses: of the kernel, of executables and libraries, of compilers at run time."""
