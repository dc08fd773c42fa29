"""What a kernel file *is*: programs, maps, variables, event streams and their types, from source or from an object.

Same inputs, same spec, on any machine: nothing here asks which kernel is running, and nothing needs root.
"""
