"""How data looks: pure functions of records, their schema and resolved names.

Nothing here opens a file, asks the kernel, reads the clock, or writes: every view returns text. `formatters` has one
function a word of `skep.base.meaning`, `columns` chooses for each field of a schema, `table` and `ndjson` make lines.
"""
