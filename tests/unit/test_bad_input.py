"""What is asked of tools and can never be: each of the gallery says so at once, and what would be right."""

from __future__ import annotations

import re

import pytest

from skep.base.errors import UsageError
from skep.session.api import read_spec, tool_names
from skep.stream.names import Names
from skep.stream.tables import table_schemas
from skep.view.filter import Filter

# What the types of options have no room for.
WRONG = {
    "int": ["many", "1" + "0" * 30, "0x", "-1.5"],
    "bool": ["maybe", "2"],
    "enum": ["NOTHING", "1" + "0" * 30],
    "text": ["x" * 4096],
    "array": ["nothing", ",".join(["1"] * 4096)],
}


@pytest.mark.parametrize("name", tool_names())
def test_an_option_takes_nothing_but_what_its_type_has_room_for(name):
    spec = read_spec(name)

    for variable in spec.variables.values():
        for text in WRONG[variable.type.kind] if variable.is_option else ():
            with pytest.raises(UsageError, match=rf"^{variable.name} takes "):
                variable.parse(text)
        assert variable.data == variable.default


@pytest.mark.parametrize("name", tool_names())
def test_a_filter_that_can_never_match_is_refused(name):
    spec = read_spec(name)
    schemas = [schema for event in spec.events.values() for schema in event.schemas]
    schemas += table_schemas(spec).values()

    for schema in schemas:
        unsigned = [each for each in schema.fields if each.type.kind == "int" and not each.type.signed]
        numbers = [f"{each.name} == -1" for each in unsigned if each.meaning != "result"]
        names = [f"{each.name} == a-name-that-is-too-long" for each in schema.fields if each.meaning == "comm"]
        for text in numbers + names:
            with pytest.raises(UsageError, match=f"{re.escape(text)}\n +\\^"):
                Filter(text).check([schema], Names())
