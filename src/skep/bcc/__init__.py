"""The BCC dialect as one more source of specs, and the Python API that BCC scripts expect. Imported by the command line only."""
