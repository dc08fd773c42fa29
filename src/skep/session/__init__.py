"""Spec, object, streams and scope joined: what `import skep` offers, and one whole `Run` of a kernel file.

The rooms below know nothing of those to their right; here a spec gets its `load`, an object its `events`.
"""
