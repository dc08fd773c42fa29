"""The version of BCC whose API this is, for scripts that ask."""

__all__ = ["__version__"]

__version__ = "0.35.0"
