"""The BCC dialect as one more source of specs, and the Python API that BCC scripts expect. Only cli imports it."""
