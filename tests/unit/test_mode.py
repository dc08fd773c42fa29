"""A file's mode, from the name of a field to what people read."""

import pytest

from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.stream.names import Names
from skep.view.table import Table


@pytest.mark.parametrize("name", ["mode", "i_mode"])
def test_a_mode_is_shown_as_ls_shows_it(name):
    schema = with_meanings(Schema("event", 2, (Field(name, 0, 2, Type("int", 2, "umode_t")),)), set())

    shown = Table(Names()).render(schema, [schema.decode(b"\xa4\x81")])

    assert shown.split() == [name.upper(), "-rw-r--r--"]
