"""The command line: one file a verb, every verb thin. Only the parser of the verb that was given is built."""

from skep.cli.main import main

__all__ = ["main"]
